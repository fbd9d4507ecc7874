"""The words that latents are named with: an editable table of terms, with groups and synonyms."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...base.errors import SettingsError
from ...base.reading import reads
from ...models.text.tower import Vectors, unit
from .heads import TEMPLATES

if TYPE_CHECKING:
    from .heads import Speaker

TERMS = Path(__file__).with_name("terms.csv")
"""This project's own list: descriptors of findings, anatomy, technique and artefacts."""
COLUMNS = ("id", "group", "term")


@dataclass(frozen=True, slots=True)
class Term:
    """A word or two that can name a latent, its group, and other words for the same."""

    id: str
    group: str
    term: str
    synonyms: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """All ways to say it."""
        return (self.term, *self.synonyms)


@reads(SettingsError, "a vocabulary of terms")
def read_terms(path: Path | str) -> tuple[Term, ...]:
    """Read a CSV with the columns id, group, term and, separated by semicolons, synonyms; others are left alone.

    Raises
    ------
    FindingsError
        The file is not a table, or lacks a column.
    SettingsError
        A term is empty or an id occurs twice, or there are fewer than two terms.
    """
    from ...base.tables.reading import read_table, require  # pandas

    path = Path(path)
    table = read_table(path)
    require(path, table, COLUMNS, "a vocabulary")
    synonyms = table["synonyms"] if "synonyms" in table else [""] * len(table)
    rows = zip(*(table[name] for name in COLUMNS), synonyms, strict=True)
    terms = tuple(
        Term(own.strip(), group.strip(), term.strip(), tuple(one.strip() for one in more.split(";") if one.strip()))
        for own, group, term, more in rows
    )
    if any(not term.id or not term.term for term in terms) or len({term.id for term in terms}) < len(terms):
        raise SettingsError(f"{path.name} has an empty term or id, or an id twice; give each its own.")
    if len(terms) < 2:
        raise SettingsError(f"{path.name} has {len(terms)} terms; names are told apart only among several.")
    return terms


def encode_terms(
    model: "Speaker", terms: Sequence[Term], templates: Sequence[str] = TEMPLATES
) -> tuple[tuple[Term, ...], Vectors]:
    """Return the terms whose words the tower knows, and a unit vector (V, p) for each: the mean of all ways to say it.

    Raises
    ------
    SettingsError
        If it knows fewer than two.
    """
    from .heads import words_of

    unknown = set(model.encode_texts([text for term in terms for text in term.texts])[1])
    said = {term.id: [text for text in term.texts if not unknown & set(words_of(text))] for term in terms}
    known = tuple(term for term in terms if said[term.id])
    if len(known) < 2:
        raise SettingsError(f"the text tower knows {len(known)} of {len(terms)} terms; use a vocabulary of its words.")
    sentences = [[one.replace("{}", text) for text in said[term.id] for one in templates] for term in known]
    vectors = model.encode_texts([text for own in sentences for text in own])[0]
    ends = np.cumsum([len(own) for own in sentences])[:-1]
    return known, unit(np.stack([part.mean(axis=0) for part in np.split(vectors, ends)]))
