"""Any sentence as a head of a model: linear in the pooled features, with an exact ledger of latents.

After average pooling the image projection is linear, so the dot product of an image's vector with that of a text is a
logit like a classifier's. It is the numerator of their cosine; `prompt_scores` gives the cosine itself.
"""

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ...base.arguments import expect
from ...base.errors import ModelError, SettingsError
from ...base.names import slug
from ...base.products import product
from ...models.heads import Head, Prompt
from ...models.text.of_model import MEASURED_ON
from ...models.text.space import JointSpace
from ...models.text.tower import Vectors, unit

if TYPE_CHECKING:
    from ...models.model import MammoSAE

TEMPLATES = ("{}", "there is {} in the breast", "mammogram showing {}")
"""Sentences that a text is put into; the mean of their unit vectors stands for it."""
_LONGEST = 500
"""Characters of a prompt."""


class Speaker(Protocol):
    """What a prompt needs of a model, wherever it computes."""

    def encode_texts(self, texts: Sequence[str]) -> tuple[Vectors, tuple[str, ...]]:
        """Return the unit vectors of texts, and the words that the tower does not know."""
        ...

    def joint_space(self) -> JointSpace:
        """Return where images and latents lie in the space they share with texts."""
        ...

    def text_agreement(self) -> float:
        """Measure how nearly images are embedded as by the backbone that the tower was trained with."""
        ...


def text_head(
    model: "MammoSAE",
    text: str,
    against: str = "",
    *,
    templates: Sequence[str] = TEMPLATES,
    approximate: bool = False,
) -> Head:
    """Make a text, or a pair of texts, one more head of a model.

    Its logit is the dot product of an image's vector with that of the text, minus that with the vector of the text it
    stands against: the numerator of a cosine, or of a difference of two. All that works for a classifier's logit works
    for it, exactly: attributions, logit maps, rankings, sweeps and interventions. A single text has no decision.

    Parameters
    ----------
    model
        A model with a text tower; see `load_model`. Asked for the same prompt again, it keeps the head that it has.
    text, against
        What the logit speaks for, such as "spiculated mass", and what it speaks against, such as "no mass".
    templates
        Sentences with {} for the text; the mean of their vectors stands for it.
    approximate
        Allow a backbone other than the one that the text tower was trained with, such as a finetuned one. The head's
        note then says how well both agree.

    Raises
    ------
    ModelError
        If the model has no text tower, or its backbone is another than the tower's and `approximate` is not set.
    SettingsError
        If a text is empty or too long, has no word that the tower knows, or a template has no {}.
    CheckpointError, UnsafeCheckpointError
        If the files of the tower are not what they should be.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> model = ms.load_model("demo")
    >>> head = ms.text_head(model, "view marker", "no view marker")
    >>> model.classes
    ('mass', 'suspicious_calcification', 'prompt_view_marker_against_no_view_marker')
    >>> head.prompt.title
    '“view marker” – “no view marker”'
    """
    expect(model, "model")
    text, against = clean_prompt(text), clean_prompt(against) if against else ""
    if (known := find_prompt(model.heads, text, against, templates)) is not None:
        return known
    head = make_head(model, text, against, templates=templates, approximate=approximate)
    model.add_head(head)
    return head


def make_head(
    model: Speaker, text: str, against: str = "", *, templates: Sequence[str] = TEMPLATES, approximate: bool = False
) -> Head:
    """Return the head of a prompt without adding it; see `text_head`."""
    vectors, unknown = template_vectors(model, [text, *([against] if against else [])], templates)
    space, notes = model.joint_space(), []
    if not space.exact:
        if not approximate:
            raise ModelError(
                "the model's backbone is not the one that its text tower was trained with, so prompts fit its images "
                "only roughly; ask for an approximate prompt to use them all the same"
            )
        notes.append(_agreement_note(model.text_agreement()))
    if unknown:
        notes.append(f"the text tower does not know {', '.join(unknown)}")
    direction = vectors[0] - (vectors[1] if against else 0.0)
    name = prompt_name(text, against, templates)
    return Head(
        name,
        (name,),
        "binary",
        product(direction[None], space.weight),
        np.array([direction @ space.bias]),
        "text prompt",
        Prompt(text, against, direction, space.scale, "; ".join(notes)),
    )


def template_vectors(
    model: Speaker, texts: Sequence[str], templates: Sequence[str] = TEMPLATES
) -> tuple[Vectors, tuple[str, ...]]:
    """Return a unit vector (n, p) for each text, the mean over templates, and the words that the tower does not know.

    Raises
    ------
    SettingsError
        If a template has no {}, or the tower knows no word of a text.
    """
    if not templates or any(one.count("{}") != 1 for one in templates):
        raise SettingsError("a template is a sentence with one {} in it, which stands for the text.")
    sentences = [one.replace("{}", text) for text in texts for one in templates]
    vectors, unknown = model.encode_texts(sentences)
    for text in texts:
        if all(word in unknown for word in words_of(text)):
            raise SettingsError(f"the text tower has not learned {text[:60]!r}; try other words.")
    found = vectors.reshape(len(texts), len(templates), -1)
    own = {word for text in texts for word in words_of(text)}
    return unit(found.mean(axis=1)), tuple(word for word in unknown if word in own)


def words_of(text: str) -> list[str]:
    """Return the words of a text as a tower splits them."""
    from ...models.text.wordpiece import split_words

    return list(split_words(text))


def split_prompt(text: str) -> tuple[str, str]:
    """Read what stands in one field: a text, or a pair with | between.

    Raises
    ------
    SettingsError
        If a text is empty or too long, or there are more than two.

    Examples
    --------
    >>> split_prompt("mass | no mass"), split_prompt("view marker")
    (('mass', 'no mass'), ('view marker', ''))
    """
    parts = text.split("|")
    if len(parts) > 2:
        raise SettingsError(f"the prompt has {len(parts)} parts; write one text, or two with | between.")
    first, *second = map(clean_prompt, parts)
    return first, second[0] if second else ""


def clean_prompt(text: str) -> str:
    """Return a prompt with plain spaces; SettingsError where nothing is left, or too much."""
    found = " ".join(text.split())
    if not found or not any(character.isalnum() for character in found):
        raise SettingsError("the prompt has no words; write what to look for, such as “spiculated mass”.")
    if len(found) > _LONGEST:
        raise SettingsError(f"the prompt has {len(found):,} characters; at most {_LONGEST} are read.")
    return found


def prompt_name(text: str, against: str = "", templates: Sequence[str] = TEMPLATES) -> str:
    """Return the name of a prompt's head and class: a slug, with a hash where that does not say everything."""
    words = f"prompt_{slug(text)}{f'_against_{slug(against)}' if against else ''}"
    said = all(slug(one) == one.lower().replace(" ", "_") for one in (text, against))
    if said and len(words) <= 80 and tuple(templates) == TEMPLATES:
        return words
    content = "\n".join((text, against, *templates)).lower()
    return f"{words[:80].rstrip('_')}_{hashlib.sha256(content.encode()).hexdigest()[:8]}"


def find_prompt(heads: Sequence[Head], text: str, against: str, templates: Sequence[str] = TEMPLATES) -> Head | None:
    """Return the head of a prompt where a model has it already."""
    name = prompt_name(text, against, templates)
    return next((head for head in heads if head.name == name and head.prompt is not None), None)


def _agreement_note(cosine: float) -> str:
    if np.isnan(cosine):
        return "approximate: the backbone is not the text tower's, and how well they agree is not known"
    return (
        f"approximate: the backbone is not the text tower's; embeddings agree to a cosine of {cosine:.2f} on "
        f"{MEASURED_ON} synthetic phantoms"
    )
