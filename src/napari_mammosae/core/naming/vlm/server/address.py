"""Where a server is: on this machine, or somewhere that a person has to allow by name."""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from ....base.errors import ConsentNeeded, ServerError, SettingsError
from ....base.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

DEFAULT_PATH = "/v1"
_PORTS = {"http": 80, "https": 443}
_PATIENCE = 1.0  # seconds to find out which of this machine's addresses a server listens on


@dataclass(frozen=True, slots=True)
class Server:
    """An OpenAI-compatible server.

    Attributes
    ----------
    url
        Base address of requests. A name of this machine is replaced by the address that it stands for, so that it
        cannot stand for another one later.
    host
        What it is called, as it was given.
    remote
        Whether it may be another machine.
    """

    url: str
    host: str
    remote: bool


def find_server(url: str) -> Server:
    """Look up where a server is; nothing is sent to it.

    Parameters
    ----------
    url
        Such as ``http://127.0.0.1:11434/v1``; without a path, ``/v1`` is added.

    Raises
    ------
    SettingsError
        The text is not the address of a server.
    ServerError
        Its host has no address.
    """
    try:
        parts = urlsplit(url.strip())
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        host, port = None, 0
    if host is None or not port or parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError("the server's address is not one such as http://127.0.0.1:11434/v1.")
    addresses = _addresses(host, port)
    if not all(ip_address(address).is_loopback for address in addresses):
        return Server(_url(parts, host, port), host, True)
    if parts.scheme == "http":  # with a certificate, the name itself is checked at every connection
        return Server(_url(parts, _listening(addresses, port), port), host, False)
    return Server(_url(parts, host, port), host, False)


def check_consent(server: Server, allowed: Iterable[str], images: int) -> None:
    """Raise ConsentNeeded unless the server is this machine, or its host is among those that are allowed by name."""
    if server.remote and server.host.lower() not in {name.lower() for name in allowed}:
        sent = counted(images, "image") if images else "requests"
        raise ConsentNeeded(
            f"{server.host} is not this machine, and {sent} would be sent there. To allow it, name the host: "
            f"--allow-remote {server.host}.",
            server.host,
        )


def _addresses(host: str, port: int) -> list[str]:
    with suppress(ValueError):
        return [str(ip_address(host.partition("%")[0]))]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise ServerError(f"{host} has no address; check the server's address.") from error
    return list(dict.fromkeys(str(address[0]).partition("%")[0] for *_, address in found))


def _listening(addresses: list[str], port: int) -> str:
    """Return the address of this machine that takes connections; the first where none does."""
    for address in addresses[:-1] if len(addresses) > 1 else []:
        try:
            with socket.create_connection((address, port), timeout=_PATIENCE):
                return address
        except OSError:
            continue
    return addresses[-1]


def _url(parts: SplitResult, host: str, port: int) -> str:
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}:{port}{parts.path.rstrip('/') or DEFAULT_PATH}"
