"""Sentences about phantoms, and of which phantoms each is true: what the demo's text tower is trained on."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Truth = dict[str, np.ndarray]
"""What is on each of n images, bool (n,) by the name of a mask, and "mlo" for the view."""

TERMS: dict[str, tuple[str, ...]] = {
    "mass": ("mass", "a mass", "masses", "lesion", "nodule", "tumour", "tumor", "opacity"),
    "suspicious_calcification": (
        "suspicious calcification", "suspicious calcifications", "microcalcifications", "grouped calcifications",
        "calcification cluster", "cluster of calcifications", "clustered calcifications",
    ),
    "marker": (
        "view marker", "a view marker", "marker", "marker letters", "laterality letter", "view letters", "lead letters",
        "laterality marker",
    ),
    "bead": ("bead", "lead bead", "skin bead", "a bead on the skin"),
    "clip": ("clip", "biopsy clip", "metal clip", "surgical clip"),
    "skin_fold": ("skin fold", "fold of skin", "a fold", "skin folds"),
    "benign_calcification": (
        "benign calcification", "large calcification", "single calcification", "round calcification",
        "coarse calcification",
    ),
    "pectoral": ("pectoral muscle", "muscle", "pectoral"),
}  # fmt: skip
"""Ways to say what a mask shows."""

COMPOSED: dict[str, tuple[tuple[str, ...], Callable[[Truth], np.ndarray]]] = {
    "any calcification": (
        ("calcification", "calcifications", "calcium"),
        lambda t: t["suspicious_calcification"] | t["benign_calcification"],
    ),
    "finding": (
        ("suspicious finding", "finding", "abnormality", "abnormal mammogram"),
        lambda t: t["mass"] | t["suspicious_calcification"],
    ),
    "normal": (
        ("normal breast", "normal mammogram", "nothing suspicious", "unremarkable breast"),
        lambda t: ~t["mass"] & ~t["suspicious_calcification"],
    ),
    "mlo": (("mediolateral oblique view", "mlo view", "oblique view"), lambda t: t["mlo"]),
    "cc": (("craniocaudal view", "cc view"), lambda t: ~t["mlo"]),
}
"""Ways to say what follows from several masks, or from the view."""

PRESENT = (
    "{}", "there is {} in the breast", "mammogram showing {}", "{} is seen", "image with {}", "breast with {}",
    "evidence of {}",
)  # fmt: skip
ABSENT = (
    "no {}", "there is no {} in the breast", "mammogram showing no {}", "no {} is seen", "image without {}",
    "breast without {}", "no evidence of {}",
)  # fmt: skip
JOINED = ("{} and {}", "{} with {}", "there is {} and {} in the breast", "mammogram showing {} and {}")


@dataclass(frozen=True)
class Statement:
    """A sentence, and of which images it is true."""

    text: str
    true: np.ndarray


def ideas(truth: Truth) -> list[tuple[tuple[str, ...], np.ndarray]]:
    """Return the ways to say each thing, and the images it is on."""
    plain = [(words, truth[name]) for name, words in TERMS.items()]
    return plain + [(words, rule(truth)) for words, rule in COMPOSED.values()]


def draw(rng: np.random.Generator, truth: Truth, count: int) -> list[Statement]:
    """Draw sentences: what is there, what is not, and two things at once."""
    every, found = ideas(truth), []
    while len(found) < count:
        chosen = rng.permutation(len(every))[:2]
        (words, true), (others, other) = (every[i] for i in chosen)
        word, second = words[rng.integers(len(words))], others[rng.integers(len(others))]
        kind = rng.random()
        if kind < 0.55:
            found.append(Statement(PRESENT[rng.integers(len(PRESENT))].format(word), true))
        elif kind < 0.85:
            found.append(Statement(ABSENT[rng.integers(len(ABSENT))].format(word.removeprefix("a ")), ~true))
        else:
            found.append(Statement(JOINED[rng.integers(len(JOINED))].format(word, second), true & other))
    return [one for one in found if 0 < one.true.sum() < len(one.true)]


def vocabulary() -> list[str]:
    """Return every word that a sentence can have, behind the special tokens."""
    texts = [*PRESENT, *ABSENT, *JOINED, *(w for words in TERMS.values() for w in words)]
    texts += [w for words, _ in COMPOSED.values() for w in words]
    words = {word for text in texts for word in text.replace("{}", " ").lower().split()}
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *sorted(words | {"or", "the", "of", "on"})]
