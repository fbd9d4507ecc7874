"""What the hub knows of a file, what of it is on this machine already, and its errors in one sentence each."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...base.errors import DownloadError
from ...base.files import is_full, write_error
from ...base.reading import short_reason
from .address import Address

_SHA256 = "[0-9a-f]{64}"
ADD = "or add files that you have with `napari-mammosae models add`"


@dataclass(frozen=True, slots=True)
class Remote:
    """A file as the hub has it now.

    Attributes
    ----------
    address
        As it was asked for.
    url
        Of its content in one commit, so that all parts of a download are of one version.
    size
        Bytes.
    etag
        What the hub calls this content: its SHA-256, for large files.
    """

    address: Address
    url: str
    size: int
    etag: str

    @property
    def sha256(self) -> str:
        """The SHA-256 that the hub gives; "" where it gives none."""
        return self.etag if re.fullmatch(_SHA256, self.etag) else ""

    @property
    def blob(self) -> Path:
        """Where its content lies in the hub's cache."""
        return self._cache("blobs", self.etag)

    @property
    def lock(self) -> Path:
        """Locked by the process that downloads it."""
        return self._cache(".locks", f"{self.etag}.lock")

    def _cache(self, folder: str, name: str) -> Path:
        from huggingface_hub import constants
        from huggingface_hub.file_download import repo_folder_name

        return Path(
            constants.HF_HUB_CACHE, repo_folder_name(repo_id=self.address.repo, repo_type="model"), folder, name
        )


def find_cached(address: Address) -> Path | None:
    """Return a file that is in the hub's cache, without asking the hub; None where it is not."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(address.repo, address.path, revision=address.revision)
    return Path(found) if isinstance(found, str) else None


def hub_sha256(cached: Path) -> str:
    """Return the SHA-256 that the hub gave for a file of its cache; "" where it gave none."""
    name = cached.resolve().name
    return name if re.fullmatch(_SHA256, name) else ""


def look_up(address: Address) -> Remote:
    """Ask the hub for a file's size and checksum.

    Raises
    ------
    DownloadError
        The hub cannot be reached, or does not have the file.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    with explaining(address):
        found = get_hf_file_metadata(hf_hub_url(address.repo, address.path, revision=address.revision))
    if found.size is None or not re.fullmatch(r"[\w.-]+", found.etag or ""):
        raise DownloadError(f"{address.name}: the server does not say its size and version; {ADD}")
    url = hf_hub_url(address.repo, address.path, revision=found.commit_hash or address.revision)
    return Remote(address, url, found.size, str(found.etag))


def transport_error() -> type[Exception]:
    """Return the base of the errors of the HTTP library that the hub's library uses."""
    from huggingface_hub.errors import HfHubHTTPError

    base: type[Exception] = HfHubHTTPError.__bases__[0]
    return base


@contextmanager
def explaining(address: Address) -> Iterator[None]:
    """Turn what goes wrong on the way to the hub into an error of one sentence.

    Raises
    ------
    DownloadError
        No network, offline mode, terms not accepted, or no such file.
    WriteError
        The disk is full.
    """
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    name = address.name
    try:
        yield
    except OfflineModeIsEnabled:
        raise DownloadError(f"{name}: not downloaded, HF_HUB_OFFLINE is set. Unset it, {ADD}") from None
    except HfHubHTTPError as error:
        raise DownloadError(_answer(address, error.response.status_code)) from error
    except transport_error() as error:
        raise DownloadError(
            f"{name}: no connection to the Hugging Face hub ({short_reason(error)}). Check the network and try again, "
            f"{ADD}"
        ) from error
    except OSError as error:
        if is_full(error):
            raise write_error(name, error) from error
        raise DownloadError(f"{name}: not downloaded ({error.strerror or short_reason(error)})") from error


def _answer(address: Address, status: int) -> str:
    if status in (401, 403):
        return (
            f"{address.name}: {address.repo} asks for a login ({status}). Accept its terms at {address.page}, then log "
            "in with `hf auth login`"
        )
    if status == 404:
        return f"{address.name}: {address.repo} has no such file (404); see {address.page}"
    return f"{address.name}: the Hugging Face hub answers {status}. Try again later, {ADD}"
