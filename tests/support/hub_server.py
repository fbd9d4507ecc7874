"""A stand-in for the Hugging Face hub on this machine: its endpoints for files, and the faults a network has."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    """What the server has and does.

    Attributes
    ----------
    url
        For `HF_ENDPOINT`.
    files
        Content by ``owner/repository/path``.
    gets
        Requests for content: path and range.
    ranges
        Whether parts of a file are sent.
    cut
        After so many bytes of content each connection ends; 0 for never.
    cuts
        How many connections are cut; then no more.
    status
        Answer to every request instead of the file; 0 for none.
    claim
        SHA-256 that the hub gives for all files; "" for the right one.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    gets: list[tuple[str, str]] = field(default_factory=list)
    sent: int = 0
    ranges: bool = True
    cut: int = 0
    cuts: int = 0
    status: int = 0
    claim: str = ""

    def put(self, address: str, content: bytes) -> None:
        self.files[address.removeprefix("hf://")] = content


def _handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            repo, _, rest = unquote(self.path).lstrip("/").partition("/resolve/")
            address = f"{repo}/{rest.partition('/')[2]}"
            content = hub.files.get(address.removeprefix("cdn/"))
            if hub.status or content is None:
                return self._empty(hub.status or 404, {} if hub.status else {"X-Error-Code": "EntryNotFound"})
            digest = hub.claim or hashlib.sha256(content).hexdigest()
            if not address.startswith("cdn/"):  # as the hub does for large files
                host = hub.url.replace("127.0.0.1", "localhost")
                about = {"X-Repo-Commit": COMMIT, "X-Linked-Etag": f'"{digest}"', "X-Linked-Size": str(len(content))}
                return self._empty(302, about | {"Location": f"{host}/cdn{self.path}"})
            wanted = self.headers.get("Range") if hub.ranges else None
            start, stop = 0, len(content)
            if wanted:
                first, _, last = wanted.removeprefix("bytes=").partition("-")
                start, stop = int(first), min(int(last or stop) + 1, stop)
            self.send_response(206 if wanted else 200)
            if wanted:
                self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(content)}")
            self.send_header("ETag", f'"{digest}"')
            self.send_header("Content-Length", str(stop - start))
            self.end_headers()
            if body:
                hub.gets.append((address.removeprefix("cdn/"), wanted or ""))
                part = content[start:stop]
                if hub.cuts and hub.cut < len(part):
                    hub.cuts -= 1
                    part, self.close_connection = part[: hub.cut], True
                hub.sent += len(part)
                with suppress(ConnectionError):  # whoever asked is gone
                    self.wfile.write(part)

        def _empty(self, status: int, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

    return Handler


@contextmanager
def serving() -> Iterator[Hub]:
    hub = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def reaching(url: str, cache: Path, *, offline: bool = False) -> Iterator[None]:
    """Have huggingface_hub, which reads its environment once, use a server and a cache."""
    from huggingface_hub import close_session, constants

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "ENDPOINT", url)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_OFFLINE", offline)
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        yield
        close_session()
