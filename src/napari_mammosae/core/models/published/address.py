"""Addresses of files on the Hugging Face hub, as a `model.toml` spells them."""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

from ...base.errors import ModelError

SCHEME = "hf://"
_PART = r"[\w.-]+"
_FORM = re.compile(rf"hf://(?P<repo>{_PART}/{_PART})(?:@(?P<revision>{_PART}))?/(?P<path>.+)")


@dataclass(frozen=True, slots=True)
class Address:
    """A file of a repository on the hub.

    Attributes
    ----------
    repo
        Owner and name.
    path
        Of the file in the repository.
    revision
        Branch, tag or commit.
    """

    repo: str
    path: str
    revision: str = "main"

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read ``hf://owner/repository/file`` or ``hf://owner/repository@revision/file``.

        Raises
        ------
        ModelError
            It has another form.

        Examples
        --------
        >>> Address.parse("hf://KKNakka/MammoSAE/sparse_autoencoder_final.pt").name
        'sparse_autoencoder_final.pt'
        """
        found = _FORM.fullmatch(text)
        if found is None or {"", ".", ".."} & set(found["path"].split("/")):
            raise ModelError(f"{text[:80]!r} is not an address of a file; expected hf://owner/repository/file")
        return cls(found["repo"], found["path"], found["revision"] or "main")

    @property
    def name(self) -> str:
        """Last part of the path."""
        return PurePosixPath(self.path).name

    @property
    def page(self) -> str:
        """Where people read about the repository."""
        return f"https://huggingface.co/{self.repo}"

    def __str__(self) -> str:
        at = "" if self.revision == "main" else f"@{self.revision}"
        return f"{SCHEME}{self.repo}{at}/{self.path}"
