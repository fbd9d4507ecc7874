"""What a function was given, where it is easily another thing: a path for what it holds, two arguments exchanged."""

from pathlib import Path
from typing import Literal, TypeAlias

from .errors import SettingsError

Kind: TypeAlias = Literal["run", "model", "mammogram", "latents", "boxes", "pixels", "network"]
_KINDS: dict[Kind, tuple[tuple[str, ...], str]] = {
    "run": (("pooled",), "open its folder with open_run"),
    "model": (("model_sha256",), "load one with load_model"),
    "mammogram": (("prepared",), "read its file with read_mammogram"),
    "latents": (("pooled_mean",), "compute them with compute_latents"),
    "boxes": (("boxes", "columns"), "read their file with read_findings"),
    "pixels": (("dtype",), "read their file with read_mammogram"),
    "network": (("pool",), "load a model with load_model"),
}
"""What only such a thing has, one of these, and how to come by one."""


def expect(value: object, kind: Kind) -> None:
    """Refuse what is clearly something else.

    Raises
    ------
    SettingsError
        Says what was given and how to come by what is expected.
    """
    has, advice = _KINDS[kind]
    if not any(hasattr(value, name) for name in has):
        given = repr(Path(value).name) if isinstance(value, str | Path) else f"an object {type(value).__name__}"
        what = kind if kind in ("latents", "boxes", "pixels") else f"a {kind}"
        raise SettingsError(f"{given} was given in place of {what}; {advice}.")
