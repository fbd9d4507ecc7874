"""Decisions that a model takes otherwise once its SAE stands in for its features."""

from types import SimpleNamespace

import numpy as np
import pytest

from napari_mammosae.core.models.disagreement import disagreements
from napari_mammosae.core.models.facts import ModelFacts
from napari_mammosae.core.models.heads import Head, Prompt


def model(task, *classes, prompt=None):
    count = len(classes)
    return ModelFacts(
        "m", (Head("h", classes, task, np.zeros((count, 2)), np.zeros(count), prompt=prompt),), "head", 4, (1, 1)
    )


def said(facts, plain, kept):
    return disagreements(facts, SimpleNamespace(logits=np.array(plain, float), logits_sae=np.array(kept, float)))


@pytest.mark.parametrize(
    ("task", "classes", "plain", "kept", "named"),
    [
        ("binary", ("mass",), [0.5], [-0.1], ["mass"]),
        ("binary", ("mass",), [0.5], [0.1], []),
        ("binary", ("mass",), [0.0], [-1e-9], ["mass"]),  # at the threshold it is decided for
        ("multilabel", ("mass", "suspicious_calcification"), [1, -1], [1, 1], ["suspicious calcification"]),
        ("multilabel", ("mass", "clip"), [1, -1], [-1, 1], ["mass", "clip"]),
        ("multiclass", ("benign", "malignant", "normal"), [1, 2, 0], [3, 2, 0], ["malignant", "benign"]),
        ("multiclass", ("benign", "malignant"), [-1, -2], [-3, -4], []),  # negative logits, the same decision
        ("binary", ("mass",), [np.nan], [1], []),
    ],
)
def test_what_is_decided_otherwise_is_named(task, classes, plain, kept, named):
    sentences = said(model(task, *classes), plain, kept)
    text = " ".join(sentences)
    assert [name for name in named if name not in text] == []
    assert bool(sentences) == bool(named)
    assert len(sentences) == (1 if task == "multiclass" and named else len(named))


@pytest.mark.parametrize(("against", "decides"), [("", False), ("no mass", True)])
def test_a_single_text_decides_nothing(against, decides):
    prompt = Prompt("mass", against, np.zeros(2))
    assert bool(said(model("binary", "mass", prompt=prompt), [1], [-1])) == decides


def test_a_model_without_a_head_has_no_say():
    facts = ModelFacts("m", (), "head", 4, (1, 1))
    assert said(facts, [], []) == ()
