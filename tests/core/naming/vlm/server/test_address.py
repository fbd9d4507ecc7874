"""Where images may go: this machine, or a host that a person allowed by name."""

import socket

import pytest

import vlm_kit
import vlm_server
from napari_mammosae.core.base.errors import ConsentNeeded, ServerError, SettingsError
from napari_mammosae.core.naming.vlm.of_run import NamingPlan, ServerChoice, models_of_server, name_with_server
from napari_mammosae.core.naming.vlm.server import address
from napari_mammosae.core.naming.vlm.server.address import check_consent, find_server
from napari_mammosae.core.naming.vlm.tasks import Extent


@pytest.fixture
def names(monkeypatch):
    """Addresses of names, as a name server would give them."""
    known, look_up_really = {}, socket.getaddrinfo

    def look_up(host, port, *rest, **options):
        if host in ("127.0.0.1", "::1"):
            return look_up_really(host, port, *rest, **options)
        if host not in known:
            raise socket.gaierror("unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in known[host]]

    monkeypatch.setattr(address.socket, "getaddrinfo", look_up)
    return known


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:11434/v1", "http://127.0.0.1:11434/v1"),
        ("http://127.0.0.1:11434/v1/", "http://127.0.0.1:11434/v1"),
        ("http://127.8.9.1:8080", "http://127.8.9.1:8080/v1"),
        (" HTTP://127.0.0.1/api/v1 ", "http://127.0.0.1:80/api/v1"),
        ("http://2130706433:80/v1", "http://127.0.0.1:80/v1"),  # the same as a number
    ],
)
def test_an_address_of_this_machine_needs_no_consent(url, base, names):
    names["2130706433"] = ["127.0.0.1"]
    server = find_server(url)
    assert (server.url, server.remote) == (base, False)
    check_consent(server, (), 100)


def test_ipv6_of_this_machine():
    assert find_server("http://[::1]:8080/v1").url == "http://[::1]:8080/v1"
    assert not find_server("http://[::1]:8080/v1").remote


@pytest.mark.parametrize(
    "url",
    [
        "", "127.0.0.1:11434", "localhost", "file:///etc/passwd", "ftp://127.0.0.1/v1", "http://", "http://127.0.0.1:x/",
        "http://key@127.0.0.1/v1", "http://127.0.0.1:80@example.org/v1", "http://127.0.0.1/v1?key=1",
        "http://127.0.0.1:99999/v1", "http://[::1/v1",
    ],
)  # fmt: skip
def test_what_is_no_address_of_a_server_is_refused(url):
    with pytest.raises(SettingsError, match="127"):
        find_server(url)


@pytest.mark.parametrize(
    "addresses", [["192.168.1.4"], ["10.0.0.1", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["0.0.0.0"], ["fe80::1%eth0"]]
)
def test_a_name_that_stands_for_any_other_address_is_remote(names, addresses):
    names["localhost.example"] = addresses
    server = find_server("http://localhost.example:8000/v1")
    assert server.remote
    with pytest.raises(
        ConsentNeeded, match=r"localhost\.example is not this machine, and 1,234 images .*--allow-remote"
    ) as caught:
        check_consent(server, ["localhost"], 1234)
    assert caught.value.host == "localhost.example"
    check_consent(server, ["other", "LOCALHOST.example"], 1234)


def test_a_name_of_this_machine_is_replaced_by_its_address_so_that_it_cannot_change(names):
    names["box"] = ["127.0.0.1"]
    assert find_server("http://box:8000/v1").url == "http://127.0.0.1:8000/v1"
    assert find_server("https://box:8000/v1").url == "https://box:8000/v1"  # its certificate bears the name
    with pytest.raises(ServerError, match="nowhere has no address"):
        find_server("http://nowhere:1/v1")


def test_of_several_addresses_that_with_a_listener_is_taken(names):
    with vlm_server.serving() as vlm:
        port = vlm.url.split(":")[2].split("/")[0]
        names["box"] = ["::1", "127.0.0.1"]  # nothing listens on the first
        assert find_server(f"http://box:{port}").url == vlm.url


def _own_address():
    """Of this machine in its network; none without one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
            return probe.getsockname()[0]
        except OSError:
            return None


def test_no_byte_leaves_loopback_without_consent(tmp_path):
    """Sockets on an address that is not loopback hear nothing, until the host is allowed by name."""
    plan = NamingPlan(vlm_kit.PatchRun(tmp_path), [4], extent=Extent(detection=5))
    for host in filter(None, ("0.0.0.0", _own_address())):  # the first reaches this machine, as tests may
        with socket.create_server(("0.0.0.0" if host == "0.0.0.0" else host, 0)) as listener:
            listener.settimeout(0.3)
            choice = ServerChoice(f"http://{host}:{listener.getsockname()[1]}/v1", "seer")
            with pytest.raises(ConsentNeeded, match=f"{plan.cost.images} images"):
                name_with_server(plan, choice)
            with pytest.raises(ConsentNeeded):
                models_of_server(choice)
            with pytest.raises(TimeoutError):
                listener.accept()
    assert not list(plan.run.path.rglob("*.jsonl"))
    with vlm_server.serving("0.0.0.0", answer=vlm_kit.seeing) as vlm:
        allowed = ServerChoice(vlm.url, "seer", frozenset({"0.0.0.0"}))
        found = name_with_server(plan, allowed, tests=())
    assert len(vlm.asked) == 3
    assert found.latents[0].named.name == "amber patch"


def test_a_model_in_a_cloud_behind_this_machine_needs_consent_too(tmp_path):
    plan = NamingPlan(vlm_kit.PatchRun(tmp_path), [4], extent=Extent(detection=5))
    models = ("seer", "glm:480b-cloud", "big-cloud", "renamed:latest")
    with vlm_server.serving(answer=vlm_kit.seeing, models=models) as vlm:
        vlm.cloud = {"renamed:latest": "https://far.example:443"}
        for model, host in {
            "glm:480b-cloud": "ollama.com",
            "big-cloud": "ollama.com",
            "renamed": "far.example",
        }.items():
            with pytest.raises(ConsentNeeded, match=f"{model} runs in a cloud behind 127.* sent to {host}") as caught:
                name_with_server(plan, ServerChoice(vlm.url, model))
            assert caught.value.host == host
        assert not vlm.asked
        name_with_server(plan, ServerChoice(vlm.url, "big-cloud", frozenset({"ollama.com"})), tests=())
        name_with_server(plan, ServerChoice(vlm.url, "seer"), tests=())
    assert len(vlm.asked) == 6
