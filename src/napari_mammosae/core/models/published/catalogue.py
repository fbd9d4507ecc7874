"""The published models by name: their files, classes and licences, and the cells of the paper's tables they give."""

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ...base.errors import ModelError
from .address import Address

_TABLE = Path(__file__).with_name("models.toml")


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file as its authors publish it.

    Attributes
    ----------
    address
        Where it is on the hub.
    size
        As the authors state it, in words; "" where they do not.
    licence
        Its name; "" where it is not stated.
    sha256
        The checksum the authors publish; "" where they do not.
    """

    address: Address
    size: str = ""
    licence: str = ""
    sha256: str = ""

    @property
    def name(self) -> str:
        """Last part of its address."""
        return self.address.name


@dataclass(frozen=True, slots=True)
class TableCell:
    """The cells of the paper's Table 1 that a model gives: AUROC without and with the SAE."""

    cell: str
    auroc: float
    auroc_sae: float


@dataclass(frozen=True, slots=True)
class PublishedModel:
    """A model that its authors published.

    Attributes
    ----------
    name, about
        What `load_model` calls it, and what it is, in words.
    classifier, backbone, sae
        Its files. The classifier is one member of an archive.
    member
        Training and label in the path of that member: ``fine_tune/mass``.
    classes
        One slug a logit; empty for those that follow from the number of logits.
    table1
        What the paper's Table 1 has for it; None for models of which the paper says nothing.
    table2
        The paper's Table 2: average precision of the ten best latents; empty where it has none.
    """

    name: str
    about: str
    classifier: PublishedFile | None = None
    member: str = ""
    backbone: PublishedFile | None = None
    sae: PublishedFile | None = None
    classes: tuple[str, ...] = ()
    table1: TableCell | None = None
    table2: tuple[float, ...] = ()

    @property
    def files(self) -> dict[str, PublishedFile]:
        """Its files by "classifier", "backbone" and "sae"."""
        named = {"classifier": self.classifier, "backbone": self.backbone, "sae": self.sae}
        return {kind: file for kind, file in named.items() if file is not None}

    @property
    def licence(self) -> str:
        """Licences of its files, in words."""
        return ", ".join(dict.fromkeys(f"{file.name}: {file.licence or 'not stated'}" for file in self.files.values()))

    @property
    def size(self) -> str:
        """What a download takes as far as the authors state it, in words."""
        main = self.classifier or self.backbone
        stated = main.size if main is not None else ""
        if not stated:
            return "size unknown"
        return f"part of an archive of {stated}" if self.member else stated

    @property
    def cell(self) -> str:
        """``Table 1 (b), Finetuned: AUROC 0.856, with the SAE 0.855``; empty without such a cell."""
        one = self.table1
        return "" if one is None else f"{one.cell}: AUROC {one.auroc:.3f}, with the SAE {one.auroc_sae:.3f}"


@cache
def published_models() -> dict[str, PublishedModel]:
    """Return the published models by name.

    >>> published_models()["mass-finetuned"].cell
    'Table 1 (b), Finetuned: AUROC 0.856, with the SAE 0.855'
    """
    content = tomllib.loads(_TABLE.read_text(encoding="utf-8"))
    files = {
        key: PublishedFile(**one | {"address": Address.parse(one["address"])}) for key, one in content["file"].items()
    }
    return {one["name"]: _model(one, files) for one in content["model"]}


def _model(one: dict[str, Any], files: dict[str, PublishedFile]) -> PublishedModel:
    return PublishedModel(
        **one
        | {kind: files[one[kind]] for kind in ("classifier", "backbone", "sae") if kind in one}
        | {"table1": TableCell(**one["table1"]) if "table1" in one else None}
        | {key: tuple(one.get(key, ())) for key in ("classes", "table2")}
    )


def published_model(name: str) -> PublishedModel:
    """Return the published model of a name.

    Raises
    ------
    ModelError
        There is none.
    """
    models = published_models()
    if name not in models:
        near = difflib.get_close_matches(name, models, 1, cutoff=0.5)
        raise ModelError(
            f"no published model is called {name!r}{f'; did you mean {near[0]}?' if near else '.'} `napari-mammosae "
            "models list` lists them"
        )
    return models[name]
