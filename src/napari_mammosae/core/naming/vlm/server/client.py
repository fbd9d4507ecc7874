"""Requests to an OpenAI-compatible server: by no proxy, to no other address than its own, each one written down."""

from __future__ import annotations

import os
import re
from math import isfinite
from pathlib import PureWindowsPath
from threading import local
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import urlsplit

from pydantic import BaseModel

from ....base.errors import MissingPackageError, ServerError
from ....base.reading import short_line
from ....base.structured import parse_json
from .replies import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..questions import Question
    from .address import Server

KEY = "NAPARI_MAMMOSAE_API_KEY"
"""Environment variable of the key, which is written nowhere. Not that of another service: it could go astray."""
TIMEOUT = 180.0
RETRIES = 3
_OWN_HEADERS = re.compile(r"x-stainless-(?!raw)|openai-|user-agent", re.IGNORECASE)
"""What the library adds of this machine and of other services; one such header it reads again itself."""
_TOO_LONG = re.compile(
    r"context|too long|too many (?:tokens|images)|maximum.*(?:length|images?)|at most \d+ image|exceed", re.IGNORECASE
)
_CLOUD = re.compile(r"[-:]cloud$")


class ServerFault(ServerError):
    """A server failed at one request; the next may work."""


class NoProbabilities(ServerError):
    """A server refuses to give probabilities of tokens."""


class _Token(BaseModel):
    token: str
    logprob: float


class _Content(BaseModel):
    top_logprobs: list[_Token] = []


class _Logprobs(BaseModel):
    content: list[_Content] | None = None


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Completion(BaseModel):
    model: str = ""
    choices: list[_Choice]
    usage: _Usage | None = None


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


class _CloudModel(BaseModel):
    name: str
    remote_host: str = ""


class _CloudModels(BaseModel):
    models: list[_CloudModel]


class Client:
    """Asks one server; from several threads at once if need be.

    Parameters
    ----------
    server
        Where; that it may be asked is for the caller to have checked.
    note
        Called before each request, those that are repeated too, with host, model, hashes of the pictures and bytes.
    timeout
        Seconds to wait for an answer; a server may load the model first.
    retries
        How often a request is repeated that met a dropped connection, a busy server or a fault of it.

    Raises
    ------
    MissingPackageError
        The package `openai` is not installed.
    """

    def __init__(
        self,
        server: Server,
        note: Callable[[str, str, Sequence[str], int], None],
        *,
        timeout: float = TIMEOUT,
        retries: int = RETRIES,
    ) -> None:
        try:
            import openai
        except ImportError as error:
            raise MissingPackageError(
                'Asking a server needs openai; install it with: pip install "napari-mammosae[naming]".'
            ) from error
        self.server, self._note, self._timeout = server, note, timeout
        self._asked = local()  # by each thread: model, and hashes of pictures
        self._http = openai.DefaultHttpxClient(
            trust_env=False, follow_redirects=False, timeout=timeout, event_hooks={"request": [self._on_request]}
        )
        self._openai = openai.OpenAI(
            base_url=server.url, api_key=os.environ.get(KEY) or "none", http_client=self._http, timeout=timeout,
            max_retries=retries,
        )  # fmt: skip

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def models(self) -> list[str] | None:
        """Return what the server calls its models; None where it does not list them."""
        self._asked.now = "", ()
        try:
            body = self._openai.with_options(max_retries=0).models.with_raw_response.list().text
            return [model.id for model in _Models.model_validate(parse_json(_bytes(body), "", ServerError)).data]
        except ValueError as error:
            raise ServerError(
                f"{self.server.host} does not list its models; is it an OpenAI-compatible server?"
            ) from error
        except Exception as error:
            if getattr(error, "status_code", 0) in (404, 405, 501):
                return None
            self._refuse(error, "")

    def cloud_of(self, model: str) -> str:
        """Return the host that a server passes requests for a model on to; empty where it answers them itself.

        Ollama does so for models whose name ends in ``cloud``, and says so of others. What another server does behind
        its address cannot be known.
        """
        parts = urlsplit(self.server.url)
        found = ""
        self._asked.now = "", ()
        try:
            answer = self._http.get(f"{parts.scheme}://{parts.netloc}/api/tags")
            if answer.status_code == 200:
                listed = _CloudModels.model_validate(parse_json(answer.content, "", ServerError)).models
                remote = {one.name: one.remote_host for one in listed if one.remote_host}
                found = remote.get(model, "") or remote.get(f"{model}:latest", "")
        except Exception:
            pass  # another kind of server
        host = urlsplit(found).hostname or found
        return host or ("ollama.com" if _CLOUD.search(model.lower()) else "")

    def ask(self, question: Question, model: str) -> Reply:
        """Ask a question.

        Raises
        ------
        ServerFault
            The server failed at this request, more than once.
        ServerError
            It cannot be reached, or refuses what it would refuse again.
        """
        self._asked.now = model, tuple(one.sha256 for one in question.pictures)
        create = cast("Any", self._openai.chat.completions.with_raw_response.create)
        try:
            body = create(model=model, messages=question.messages(), **question.settings()).text
        except Exception as error:
            self._refuse(error, model, asks_tokens=question.answer is None)
        try:
            found = _Completion.model_validate(parse_json(_bytes(body), "the answer", ServerFault))
        except (ValueError, RecursionError, ServerFault) as error:
            raise ServerFault(f"{self.server.host} answers what is not a chat completion.") from error
        if found.model and not same_model(found.model, model):
            raise ServerError(
                f"{self.server.host} was asked for {spoken(model)!r} and answers as {spoken(found.model)!r}; choose "
                "that model, or start the other one."
            )
        used = (found.usage.prompt_tokens, found.usage.completion_tokens) if found.usage else (0, 0)
        if not found.choices:
            return Reply(used=used)
        choice = found.choices[0]
        content = choice.logprobs.content if choice.logprobs else None
        first = content[0].top_logprobs if content else []
        tokens = tuple((one.token, one.logprob) for one in first if isfinite(one.logprob)) if content else None
        return Reply(
            text=choice.message.content or "", whole=choice.finish_reason != "length", tokens=tokens, used=used
        )

    def _on_request(self, request: Any) -> None:
        """Write a request down before it is sent, without the headers that are nobody's business."""
        for name in [name for name in request.headers if _OWN_HEADERS.match(name)]:
            del request.headers[name]
        model, pictures = self._asked.now
        self._note(self.server.host, spoken(model), pictures, len(request.content))

    def _refuse(self, error: Exception, model: str, *, asks_tokens: bool = False) -> NoReturn:
        """Put an error of the library into words."""
        import openai

        host = self.server.host
        if isinstance(error, openai.APITimeoutError):
            raise ServerError(
                f"{host} did not answer within {self._timeout:g} seconds; start again to resume."
            ) from error
        if isinstance(error, openai.APIConnectionError):
            raise ServerError(f"{host} does not answer; start the server, or check its address.") from error
        if not isinstance(error, openai.APIStatusError):
            raise error
        status, said = error.status_code, short_line(_message_of(error))
        if status in range(300, 400):
            raise ServerError(f"{host} sends requests on to another address, which is not followed.") from error
        if status in (401, 403):
            raise ServerError(f"{host} asks for a key; set the environment variable {KEY}.") from error
        if status == 404:
            what = f"has no model {spoken(model)!r}" if model else "is not an OpenAI-compatible server"
            raise ServerError(f"{host} {what}, or another path than {urlsplit(self.server.url).path}.") from error
        if status == 429 or status >= 500:
            raise ServerFault(f"{host} failed at a request (status {status}): {said}") from error
        if _TOO_LONG.search(said):
            raise ServerError(
                f"{host} takes no request that long: {said} Start it with a longer context, or show fewer images."
            ) from error
        if asks_tokens:  # that is all that is unusual about such a request
            raise NoProbabilities(f"{host} gives no probabilities of tokens.") from error
        raise ServerError(f"{host} refuses a request (status {status}): {said}") from error


def spoken(model: str) -> str:
    """Return the name of a model for people: some servers call it by the path of its file, with folders."""
    return PureWindowsPath(model).name if model.startswith(("/", "\\", "~")) or model[1:3] == ":\\" else model


def same_model(one: str, other: str) -> bool:
    """Whether two names mean one model: servers add a tag or a date to the name, or leave folders out."""
    first, second = (PureWindowsPath(name).name.lower() for name in (one, other))
    return first.startswith(second) or second.startswith(first)


def _message_of(error: Any) -> str:
    body = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("error") or body
    text = body if isinstance(body, str) and body else str(error)
    return text.strip().rstrip(".") + "."


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "replace")
