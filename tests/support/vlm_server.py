"""A stand-in for an OpenAI-compatible server with a vision-language model: what it answers, and how it fails."""

import json
import re
import time
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import log
from threading import Thread
from typing import Any

import cv2
import numpy as np

NAME, DETECTION, REGION, SURE, ORDER = "name", "detection", "region", "sure", "order"
NAMED = {
    "name": "round bright spot", "category": "mass", "evidence": "a spot", "consistent": 3, "confidence": 7,
}  # fmt: skip


NONSENSE = {
    "not JSON": b"<html>a login page</html>", "nothing": b"", "null": b"null", "deep": b"[" * 100_000,
    "bytes": b"\xff\xfe",
    "no choices": b'{"choices": null}', "no message": b'{"choices": [{"message": null}]}',
    "a number": b'{"choices": [{"message": {"content": 5}}]}',
}  # fmt: skip
"""Answers that are none."""


@dataclass(frozen=True)
class Asked:
    """One request, as the server understands it."""

    body: dict[str, Any]

    @property
    def text(self) -> str:
        return self.body["messages"][0]["content"][-1]["text"]

    @property
    def pictures(self) -> list[np.ndarray]:
        parts = self.body["messages"][0]["content"][:-1]
        return [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) for data in map(png_of, parts)]

    @property
    def kind(self) -> str:
        schema = self.body.get("response_format", {}).get("json_schema", {}).get("name")
        kinds = {"NameAnswer": NAME, "ScoreAnswer": SURE, "OrderAnswer": ORDER}
        return kinds[schema] if schema else REGION if "outlined" in self.text else DETECTION

    @property
    def about(self) -> str:
        """The name that is asked about."""
        return re.search(r'shows?: "(.*?)"', self.text)[1]

    @property
    def outlined(self) -> bool:
        return "outlined" in self.text

    @property
    def choices(self) -> dict[str, str]:
        """The names that are to be put into order."""
        return dict(re.findall(r"\b([A-E]): ([^;.]+)", self.text))


def png_of(part: dict[str, Any]) -> bytes:
    url = part["image_url"]["url"]
    assert url.startswith("data:image/png;base64,"), "nothing but data URLs may be sent"
    return b64decode(url.partition(",")[2])


def good(asked: Asked) -> str | float:
    """What a server might say that has no idea."""
    answers = {NAME: NAMED, SURE: {"score": 4}, ORDER: {"order": list("ABCDE")}}
    return json.dumps(answers[asked.kind]) if asked.kind in answers else 0.6


@dataclass
class Vlm:
    """What the server has and does.

    Attributes
    ----------
    url
        Base address.
    answer
        What is said to a request: a text, or a probability of "1".
    faults
        What happens to the next requests instead, first to last: "truncated", "empty", "too long", "busy", "fault",
        "slow", "dropped", "redirect", "wrong model", or a key of `NONSENSE`.
    models, lists
        Their names, and whether they are listed.
    logprobs, refuses_logprobs
        Whether probabilities of tokens are given, and whether to ask for them is a fault.
    cloud
        Models that another host answers.
    asked
        The requests so far.
    """

    url: str = ""
    answer: Callable[[Asked], str | float] = good
    faults: list[str] = field(default_factory=list)
    models: tuple[str, ...] = ("seer",)
    lists: bool = True
    logprobs: bool = True
    refuses_logprobs: bool = False
    cloud: dict[str, str] = field(default_factory=dict)
    elsewhere: str = ""
    asked: list[Asked] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


def completion(text: str, *, whole: bool = True, probability: float | None = None) -> dict[str, Any]:
    choice: dict[str, Any] = {
        "index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop" if whole else "length"
    }  # fmt: skip
    if probability is not None:
        chances = {"1": 0.7 * probability, " Yes": 0.2 * probability, "0": 0.9 * (1 - probability), "the": 0.1}
        top = [{"token": token, "logprob": log(max(p, 1e-12)), "bytes": None} for token, p in chances.items()]
        choice["logprobs"] = {"content": [top[0] | {"top_logprobs": top}]}
    usage = {"prompt_tokens": 300, "completion_tokens": 2, "total_tokens": 302}
    return {
        "id": "1", "object": "chat.completion", "created": 1, "choices": [choice], "usage": usage
    }  # fmt: skip


def _handler(vlm: Vlm) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # an answer in one piece: in two, the second waits 40 ms for the first to be acknowledged

        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            vlm.headers.append(dict(self.headers))
            if self.path == "/v1/models" and vlm.lists:
                return self._send(200, {"object": "list", "data": [{"id": name} for name in vlm.models]})
            if self.path == "/api/tags" and vlm.cloud:
                listed = [{"name": name, "remote_host": vlm.cloud.get(name, "")} for name in vlm.models]
                return self._send(200, {"models": listed})
            return self._send(404, {"error": "not found"})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked = Asked(body)
            vlm.asked.append(asked)
            vlm.headers.append(dict(self.headers))
            if body["model"] not in vlm.models:
                return self._send(404, {"error": {"message": f"model {body['model']} not found"}})
            fault = vlm.faults.pop(0) if vlm.faults else ""
            if fault == "dropped":
                self.close_connection = True
                return self.connection.close()
            if fault == "slow":
                time.sleep(0.6)
            refusals = {
                "too long": (400, "request (9020 tokens) exceeds the available context size", {}),
                "busy": (429, "too many requests", {"Retry-After": "0.01"}),
                "fault": (500, "does not match the expected format", {"Retry-After": "0.01"}),
                "redirect": (307, "elsewhere", {"Location": f"{vlm.elsewhere}/v1/chat/completions"}),
            }
            if fault in refusals:
                status, message, headers = refusals[fault]
                return self._send(status, {"error": {"message": message, "code": status}}, headers)
            if vlm.refuses_logprobs and "logprobs" in body:
                return self._send(400, {"error": {"message": "unknown field", "code": 400}})
            said = vlm.answer(asked)
            self.model = "another" if fault == "wrong model" else body["model"]
            if fault in NONSENSE:
                return self._write(200, NONSENSE[fault], {})
            if fault == "empty":
                return self._say(completion("") | {"choices": []})
            if isinstance(said, float):
                probability = said if vlm.logprobs and body.get("logprobs") else None
                return self._say(completion("1" if said >= 0.5 else "0", probability=probability))
            if fault == "truncated":
                return self._say(completion(said[: len(said) // 2], whole=False))
            return self._say(completion(said))

        def _send(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
            self._write(status, json.dumps(content).encode(), headers or {})

        def _say(self, content: dict[str, Any]) -> None:
            self._send(200, content | {"model": self.model})

        def _write(self, status: int, data: bytes, headers: dict[str, str]) -> None:
            with suppress(ConnectionError):  # whoever asked is gone
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

    return Handler


@contextmanager
def serving(host: str = "127.0.0.1", **settings: Any) -> Iterator[Vlm]:
    vlm = Vlm(**settings)
    server = ThreadingHTTPServer((host, 0), _handler(vlm))
    server.daemon_threads = True
    vlm.url = f"http://{host}:{server.server_port}/v1"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield vlm
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
