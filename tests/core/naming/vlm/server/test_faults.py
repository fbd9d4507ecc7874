"""A server that fails in every way: what is asked again, what is counted, and what ends the work with one line."""

import json

import pytest

import vlm_kit
import vlm_server
from napari_mammosae.core.base.errors import MissingPackageError, ServerError, SettingsError
from napari_mammosae.core.naming.vlm.of_run import NamingPlan, ServerChoice, models_of_server, name_with_server
from napari_mammosae.core.naming.vlm.server.client import KEY, same_model
from napari_mammosae.core.naming.vlm.tasks import Extent
from vlm_server import NAME, NAMED, NONSENSE, SURE

SMALL = Extent(pairs=2, alike=1, detection=5, regions=2, ranks=2)


@pytest.fixture
def vlm():
    with vlm_server.serving(answer=vlm_kit.seeing) as vlm:
        yield vlm


@pytest.fixture
def run(tmp_path):
    return vlm_kit.PatchRun(tmp_path)


def name(run, vlm, *, tests=(), latents=(4,), extent=SMALL, **choice):
    return name_with_server(NamingPlan(run, latents, extent=extent), ServerChoice(vlm.url, **choice), tests=tests)


@pytest.mark.parametrize("fault", ["busy", "fault", "dropped"])
def test_what_passes_is_asked_again(run, vlm, fault):
    vlm.faults = [fault]
    found = name(run, vlm)
    assert found.latents[0].named.draws == ("amber patch",) * 3
    assert len(vlm.asked) == 4
    assert vlm.asked[0].body == vlm.asked[1].body
    assert found.record["requests"]["failed"] == 0


@pytest.mark.parametrize(("fault", "requests"), [("empty", 3), ("truncated", 4), *((fault, 3) for fault in NONSENSE)])
def test_an_answer_that_is_none_is_counted_and_one_cut_off_is_asked_for_longer(run, vlm, fault, requests):
    vlm.faults = [fault]
    found = name(run, vlm)
    failed = int(fault != "truncated")
    assert found.latents[0].named.name == "amber patch"
    assert len(found.latents[0].named.draws) == 3 - failed
    assert found.record["requests"]["failed"] == failed
    assert len(vlm.asked) == requests
    if not failed:
        assert vlm.asked[1].body["max_tokens"] == 2 * vlm.asked[0].body["max_tokens"]
    else:
        assert found.notes[-1] == "questions without a usable answer, left out: 1"


def test_fenced_answers_after_a_trace_of_thought_are_read(run, vlm):
    vlm.answer = lambda asked: f"<unused94>thought\nhm {{}}<unused95>```json\n{vlm_kit.seeing(asked)}\n```"
    assert name(run, vlm).latents[0].named.name == "amber patch"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("too long", "takes no request that long.*longer context, or show fewer images"),
        ("redirect", "sends requests on to another address, which is not followed"),
    ],
)
def test_what_would_fail_again_ends_the_work(run, vlm, fault, said):
    with vlm_server.serving() as other:
        vlm.elsewhere, vlm.faults = other.url.removesuffix("/v1").replace("127.0.0.1", "localhost"), [fault] * 9
        with pytest.raises(ServerError, match=f"127.0.0.1 {said}"):
            name(run, vlm)
        assert len(vlm.asked) == 1
        assert not other.asked
        assert not other.headers


def test_a_server_that_keeps_failing_ends_the_work(run, vlm):
    vlm.faults = ["fault"] * 100
    with pytest.raises(ServerError, match=r"status 500.*5 requests in a row failed; start again to resume"):
        name(run, vlm, latents=(4, 5), retries=1)
    assert len(vlm.asked) == 10
    vlm.faults = ["fault", "fault", "", "fault", "fault"]  # single ones do not
    found = name(run, vlm, latents=(4, 5), retries=1)
    assert found.record["requests"]["failed"] == 2
    assert [one.named.name for one in found.latents] == ["amber patch", "birch patch"]


def test_a_slow_server_is_waited_for_and_one_that_does_not_answer_is_given_up(run, vlm):
    vlm.faults = ["slow"]
    with pytest.raises(ServerError, match=r"did not answer within 0\.2 seconds"):
        name(run, vlm, timeout=0.2, retries=0)
    vlm.faults = ["slow"]
    assert name(run, vlm).latents[0].named.name == "amber patch"
    with pytest.raises(ServerError, match=r"127\.0\.0\.1 does not answer; start the server"):
        name_with_server(NamingPlan(run, [4]), ServerChoice("http://127.0.0.1:9/v1", retries=0))


def test_the_model_must_be_one_that_the_server_has(run, vlm):
    with pytest.raises(ServerError, match="has no model 'other'; it has seer"):
        name(run, vlm, model="other")
    vlm.models = ("one", "two")
    with pytest.raises(ServerError, match="has 2 models; choose one: one, two"):
        name(run, vlm)
    assert not vlm.asked
    assert models_of_server(ServerChoice(vlm.url)) == ["one", "two"]
    vlm.models = ("seer:latest",)  # as Ollama lists what it is asked for without a tag
    with pytest.raises(ServerError, match="has no model 'seer', or another path than /v1"):
        name(run, vlm, model="seer")
    with pytest.raises(SettingsError, match="'smell' is not a test"):
        name(run, vlm, tests=("smell",))


@pytest.mark.parametrize("listed", ["/home/erika/models/seer.gguf", "C:\\Users\\erika\\seer.gguf", "erika/seer.gguf"])
def test_a_model_that_is_called_by_its_path_can_be_named_without_folders(run, vlm, listed):
    vlm.models = (listed,)
    vlm.answer = vlm_kit.seeing
    asked = listed if listed.startswith("erika") else "seer.gguf"  # as of an organisation, not a folder
    found = name(run, vlm, model=asked)
    assert vlm.asked[0].body["model"] == listed
    assert found.record["settings"]["model"] == "seer.gguf"
    kept = (run.path / "names" / "requests.jsonl").read_text()
    assert "Users" not in kept
    assert "home" not in kept


def test_a_server_without_a_list_of_models_is_asked_for_the_one_that_is_named(run, vlm):
    vlm.lists = False
    assert name(run, vlm, model="seer").latents[0].named.name == "amber patch"
    with pytest.raises(ServerError, match="does not list its models; name one"):
        name(run, vlm)


def test_a_server_that_answers_as_another_model_is_not_believed(run, vlm):
    vlm.faults = ["", "wrong model"]
    with pytest.raises(ServerError, match="was asked for 'seer' and answers as 'another'"):
        name(run, vlm)
    assert len(vlm.asked) == 2
    assert same_model("gpt-x", "gpt-x-2026-01-01")
    assert same_model("seer:latest", "seer")
    assert same_model("org/seer", "seer")
    assert not same_model("seer-4b", "seer-27b")


@pytest.mark.parametrize("refusing", [False, True])
def test_without_probabilities_a_number_is_asked_for(run, vlm, refusing):
    vlm.logprobs, vlm.refuses_logprobs = False, refusing
    found = name(run, vlm, tests=("detection",), extent=Extent(detection=10))
    assert found.latents[0].detection.value == 1
    kinds = [asked.kind for asked in vlm.asked]
    assert kinds.count("detection") == 1  # it is found out once
    assert kinds.count(SURE) == 2 * found.latents[0].detection.asked  # for its name, and for a category as a name
    assert "a number from 0 to 10" in found.record["requests"]["probabilities"]
    assert any("no probabilities" in note for note in found.notes)


def test_answers_that_are_neither_yes_nor_no_are_left_out_and_counted(run, vlm):
    def mute(asked):
        return "perhaps" if asked.kind == "detection" and len(vlm.asked) % 5 == 0 else vlm_kit.seeing(asked)

    vlm.answer = mute
    detection = name(run, vlm, tests=("detection",), extent=Extent(detection=10)).latents[0].detection
    assert 0 < detection.answered < detection.asked
    assert detection.value == 1


def test_nothing_but_pixels_and_the_question_is_sent(run, vlm, monkeypatch):
    """No name of a file or patient, no label, no other service's key, no fact of this machine; PNG without metadata."""
    secrets = {"OPENAI_API_KEY": "sk-other", "OPENAI_ORG_ID": "org-other", "OPENAI_PROJECT_ID": "project-other",
               "OPENAI_BASE_URL": "http://192.0.2.1/v1", "HTTP_PROXY": "http://192.0.2.1:3128",
               "ALL_PROXY": "http://192.0.2.1:3128", KEY: "own-key"}  # fmt: skip
    for variable, value in secrets.items():
        monkeypatch.setenv(variable, value)
    found = name(run, vlm, tests=("detection", "regions", "ranks"), latents=(4, 5))
    sent = json.dumps([asked.body | {"messages": asked.text} for asked in vlm.asked]) + json.dumps(vlm.headers)
    for word in ("smith", "anna", "id-", 'mass": 1', "label", "sk-other", "org-other", "project-other", "patches"):
        assert word not in sent
    headers = [{name.lower(): value for name, value in one.items()} for one in vlm.headers]
    assert {one["authorization"] for one in headers if "authorization" in one} == {"Bearer own-key"}
    assert not {name for one in headers for name in one} & {"user-agent", "x-stainless-os", "openai-organization"}
    for asked in vlm.asked:
        for part in asked.body["messages"][0]["content"][:-1]:
            png, at, chunks = vlm_server.png_of(part), 8, []
            while at < len(png):
                chunks.append(png[at + 4 : at + 8])
                at += 12 + int.from_bytes(png[at : at + 4])
            assert set(chunks) == {b"IHDR", b"IDAT", b"IEND"}
    folder = run.path / "names"
    kept = "".join(path.read_text() for path in folder.glob("*.jsonl")) + json.dumps(found.record, default=str)
    assert "own-key" not in kept
    assert "smith" not in kept
    assert "base64" not in kept


def test_pictures_come_first_the_question_last_whole_before_enlarged(run, vlm):
    name(run, vlm)
    for asked in vlm.asked:
        types = [part["type"] for part in asked.body["messages"][0]["content"]]
        assert types == ["image_url"] * 5 + ["text"]
        shapes = [picture.shape for picture in asked.pictures]
        assert shapes == [(192, 192), (114, 114)] * 2 + [(192, 192)]  # two pairs, and one that looks alike
        assert "2 mammograms" in asked.text
        assert "last 1 pictures" in asked.text
    assert len({asked.body["seed"] for asked in vlm.asked}) == 3
    assert len({json.dumps(asked.body["messages"]) for asked in vlm.asked}) == 3


def test_latents_without_a_common_pattern_have_no_name_and_are_not_tested(run, vlm):
    vlm.answer = lambda asked: json.dumps(NAMED | {"category": "unclear"})
    found = name(run, vlm, tests=("detection", "regions", "ranks"))
    assert len(vlm.asked) == 3
    assert all(asked.kind == NAME for asked in vlm.asked)
    assert found.table()["name"].tolist() == [""]
    assert found.notes[0].startswith("no name for 1 of 1")


def test_without_the_library_it_says_what_to_install(run, vlm, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(MissingPackageError, match=r'pip install "napari-mammosae\[naming\]"'):
        name(run, vlm)
