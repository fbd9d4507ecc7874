"""`--prompt` and what goes with it, shared by the commands that take a text for a class."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .console import caution, usage

if TYPE_CHECKING:
    from ..core.models.heads import Head
    from ..core.models.model import MammoSAE

Prompt = Annotated[
    str | None,
    typer.Option(
        "--prompt", metavar="TEXT", help="A text in place of a class: 'spiculated mass', or a pair 'mass | no mass'."
    ),
]
Text = Annotated[
    Path | None,
    typer.Option(
        "--text", metavar="FILE", help="Pre-training checkpoint with the text tower. Default: the model's own."
    ),
]
Vocabulary = Annotated[
    Path | None,
    typer.Option("--vocab", metavar="FILE", help="Its vocab.txt. Default: the local Hugging Face cache."),
]
Approximate = Annotated[
    bool,
    typer.Option("--approximate", help="Allow a prompt for a backbone that the text tower was not trained with."),
]


def text_recipe(prompt: str | None, text: Path | None, vocabulary: Path | None) -> dict[str, Any]:
    """Return the arguments of `load_model` that `--text` and `--vocab` stand for; wrong usage without a prompt."""
    given = {name: value for name, value in (("text", text), ("vocabulary", vocabulary)) if value is not None}
    if given and prompt is None:
        raise typer.BadParameter("it goes with --prompt.", param_hint="--text" if "text" in given else "--vocab")
    return given


def add_prompt(model: "MammoSAE", prompt: str | None, *, approximate: bool, quiet: bool) -> "Head | None":
    """Make a prompt one more head of a model, and say what to know of it; None without a prompt."""
    if prompt is None:
        if approximate:
            raise typer.BadParameter("it goes with --prompt.", param_hint="--approximate")
        return None
    from ..core.naming.text.heads import split_prompt, text_head

    with usage("--prompt"):
        texts = split_prompt(prompt)
    head = text_head(model, *texts, approximate=approximate)
    assert head.prompt is not None
    caution((head.prompt.note,) if head.prompt.note else (), quiet=quiet)
    return head
