"""What a file of an SAE does not say and a person adds. Knows no torch."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from ...base.errors import ModelError

Kind = Literal["relu", "topk", "batchtopk", "jumprelu", "gated"]
KINDS = get_args(Kind)
CONFIGS = ("cfg.json", "config.json")
"""Files of settings that tools write beside weights."""


@dataclass(frozen=True, slots=True)
class SaeOptions:
    """What to add to a file, and what to do where its latents could be negative.

    Attributes
    ----------
    kind
        What it is.
    k
        Latents that fire at each cell.
    threshold
        Pre-activation above which a latent fires.
    scale
        What features are multiplied by before they are encoded: the root of d over their mean norm, as a rule.
    clamp
        Whether codes below zero, which some tools allow, become zero; else such a file is refused.
    """

    kind: Kind | None = None
    k: int | None = None
    threshold: float | None = None
    scale: float | None = None
    clamp: bool = False

    def given(self) -> dict[str, Any]:
        """Return what is given, by name."""
        return {name: value for name, value in asdict(self).items() if value not in (None, False)}


def settle_options(given: Mapping[str, Any] | SaeOptions | None) -> SaeOptions:
    """Return options from their names and values.

    Raises
    ------
    ModelError
        If a name is not known, or a value of another kind.

    Examples
    --------
    >>> settle_options({"k": 32}).k
    32
    """
    if isinstance(given, SaeOptions):
        return given
    known = [field.name for field in fields(SaeOptions)]
    for name, value in (given or {}).items():
        if name not in known:
            raise ModelError(f"the SAE's option {name!r} is not known; choose from {', '.join(known)}")
        if not _fits(name, value):
            raise ModelError(f"the SAE's {name} is {str(value)[:40]!r}; expected {_EXPECTED[name]}")
    return SaeOptions(**(given or {}))


def parse_options(given: Iterable[str]) -> dict[str, Any]:
    """Return options from texts such as "k=32", not checked yet.

    Raises
    ------
    ModelError
        If a text is not of that form.

    Examples
    --------
    >>> parse_options(["kind=topk", "k=32", "clamp=true"])
    {'kind': 'topk', 'k': 32, 'clamp': True}
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise ModelError(f"{text[:40]!r} is not an option; expected NAME=VALUE, such as k=32")
        found[name] = _value(value)
    return found


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text


_EXPECTED = {
    "kind": f"one of {', '.join(KINDS)}",
    "k": "a whole number of at least 1",
    "threshold": "a number",
    "scale": "a positive number",
    "clamp": "true or false",
}


def _fits(name: str, value: Any) -> bool:
    if name == "clamp" or value is None:
        return value is None or isinstance(value, bool)
    if name == "kind":
        return value in KINDS
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
        return False
    return name == "threshold" or (value > 0 if name == "scale" else isinstance(value, int) and value >= 1)
