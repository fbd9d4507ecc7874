"""A model's facts as a file, so that a viewer knows a model before it is loaded. Knows no torch."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from ...base.errors import ModelError
from ...base.files import write_atomic
from ...base.reading import reads
from ...images.preprocessing import Preprocessing
from ..facts import Domain, ModelFacts
from ..heads import Head

if TYPE_CHECKING:
    from pathlib import Path

_PLAIN = ("name", "layer", "n_latents", "grid", "precision", "engine", "model_sha256", "sae_sha256", "notes")
_OF_HEAD = ("name", "classes", "task", "source")


def write_facts(path: Path, facts: ModelFacts) -> None:
    """Write the facts of a model with a linear tail and without prompts as a safetensors file."""
    from safetensors.numpy import save

    attribution, constant = facts.linear_tail()
    arrays = {"attribution": attribution, "constant": constant}
    for place, head in enumerate(facts.heads):
        arrays |= {f"weight.{place}": head.weight, f"bias.{place}": head.bias}
    plain = {name: getattr(facts, name) for name in _PLAIN} | {
        "preprocessing": asdict(facts.preprocessing),
        "domain": asdict(facts.domain),
        "heads": [{name: getattr(head, name) for name in _OF_HEAD} for head in facts.heads],
    }
    with write_atomic(path) as temporary:
        temporary.write_bytes(save(arrays, {"facts": json.dumps(plain)}))


@reads(ModelError, "the facts of a model")
def read_facts(path: Path) -> ModelFacts:
    """Read what `write_facts` wrote.

    Raises
    ------
    ModelError
        The file is damaged.
    """
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        plain = json.loads(file.metadata()["facts"])
        arrays = {name: np.array(file.get_tensor(name)) for name in file.keys()}  # noqa: SIM118, it is no dictionary
    heads = tuple(
        Head(weight=arrays[f"weight.{place}"], bias=arrays[f"bias.{place}"], **head)
        for place, head in enumerate(plain.pop("heads"))
    )
    size, words = plain["preprocessing"].pop("size"), plain["domain"].pop("words")
    known: dict[str, Any] = {
        name: tuple(plain[name]) if isinstance(plain[name], list) else plain[name] for name in _PLAIN
    }
    return ModelFacts(
        **known,
        heads=heads,
        preprocessing=Preprocessing(size=tuple(size), **plain["preprocessing"]),
        domain=Domain(words=tuple(words), **plain["domain"]),
        attribution=arrays["attribution"],
        constant=arrays["constant"],
    )
