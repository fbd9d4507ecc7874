"""The columns of tables, as data: what they are called, what they mean, how their values are written."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ...core.ranking.titles import _INTERVALS, SCORES, in_words
from ..app.order import BY_IMAGE

Source: TypeAlias = Literal["latent", "verdict", "region", "run", "image", "list"]
"""Where a column's values come from; the table shows the sources in this order."""
SOURCES: dict[str, str] = {"region": "In the drawn region", "run": "Over the run", "image": "On this image"}
"""What the sources of several columns are called in menus."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes
    ----------
    key
        Name of its values.
    title, tooltip
        What the header says, short, and what it means, in a sentence.
    source
        Where its values come from.
    format
        Format of a number; empty for text.
    rising
        Whether a first click on the header puts low values first.
    shown
        Whether it is shown until the user chooses.
    name
        What the stack's overlay calls it when the stack is in its order; the title by default.
    sways
        Whether it could sway a reviewer: such values are not shown in blind mode.
    dim
        Key of the values that say which entries are written in grey; empty for none.
    write
        Writes the cell of a row (its number in the values) where a format does not suffice.
    """

    key: str
    title: str
    tooltip: str
    source: Source
    format: str = "#.3g"
    rising: bool = False
    shown: bool = False
    name: str = ""
    sways: bool = False
    dim: str = ""
    write: Callable[[int], str] | None = None

    @property
    def order_name(self) -> str:
        """What the column is called away from the table."""
        return self.name or self.title

    def text(self, value: object) -> str:
        """Write one value; missing numbers are left blank."""
        if not self.format:
            return str(value)
        if value != value:
            return ""
        text = format(value, self.format)
        return text.removesuffix(".")  # which "#", for as many digits in every row, leaves after whole numbers


LATENT = Column("latent", "Latent", "Number of the latent", "latent", "d", rising=True, shown=True, name="number")
VERDICT = Column(
    "verdict", "Verdict", "Verdicts given on the latent", "verdict", "", rising=True, shown=True, name="verdict"
)
CHANCE = "name.chance"
"""Which latents have a name that is no better than chance."""
NAME = Column(
    "name", "Name", "Name that a method suggests; grey where it is no better than chance", "verdict", "",
    rising=True, shown=True, name="suggested name", sways=True, dim=CHANCE,
)  # fmt: skip
SCORE = Column(
    "name.score", "Score", "How well the suggested name fits, as its method measures", "verdict", ".3f",
    shown=True, name="score of the name", sways=True, dim=CHANCE,
)  # fmt: skip
LABEL_CHANCE = "run.label_chance"
"""Which latents go with their best label no better than chance."""
BEST_LABEL = Column(
    "run.label", "Label", "Label of the run that it goes with best; grey within chance", "run", "",
    rising=True, shown=True, name="best label", sways=True, dim=LABEL_CHANCE,
)  # fmt: skip
LABEL_R = Column(
    "run.label_r", "r", "Correlation with its best label", "run", "+.3f", shown=True, name="r with the best label",
    sways=True, dim=LABEL_CHANCE,
)  # fmt: skip
LABEL_AUROC = Column(
    "run.label_auroc", "AUROC of label", "AUROC of its best label by this latent alone", "run", ".3f",
    name="AUROC of the best label", sways=True, dim=LABEL_CHANCE,
)  # fmt: skip
LABELS = (BEST_LABEL, LABEL_R, LABEL_AUROC)

GROUP = Column(
    "latent.group", "Group", "Group of a Matryoshka SAE, 1 being the most general", "latent", "d", rising=True,
    shown=True, name="group",
)  # fmt: skip
FOUND = Column(
    "latent.found", "Found again", "In how many other trainings the latent was found again", "latent", "d",
    shown=True, name="number of trainings that found it again", sways=True,
)  # fmt: skip

MEAN = Column("image.mean", "Mean here", "Mean over all cells of this image", "image", shown=True, name=BY_IMAGE)
MAXIMUM = Column(
    "image.max", "Max here", "Largest value on this image", "image", shown=True, name="maximum on this image"
)
CELLS = Column(
    "image.cells", "Cells here", "Cells of this image where it fires", "image", ",d", name="cells on this image"
)
IMAGE = (MEAN, MAXIMUM, CELLS)


_RISING = ("entropy", "entropy_prior", "p_value", "q_value")
_SHOWN = ("diff", "auroc", "firing_images")
_RATES = ("auroc", "auroc_max", "auroc_lo", "auroc_hi", "average_precision", "selectivity", "firing_images")

RUN = tuple(
    Column(
        f"run.{key}",
        title,
        tip,
        "run",
        ".3f" if key in _RATES else "#.3g",
        rising=key in _RISING,
        shown=key in _SHOWN,
        name=in_words(key),
        sways=True,
    )
    for key, (title, tip) in {**SCORES, **_INTERVALS}.items()
)

ENERGY = Column(
    "region.energy", "In region", "Activation times its area inside the drawn region, in cells", "region",
    shown=True, name="energy in the region",
)  # fmt: skip
SHARE = Column("region.share", "Share in", "Share of its activation on this image inside the region", "region", ".3f")
LIFT = Column(
    "region.lift", "Lift", "Share of its activation in the region over the region's share of the image", "region",
    ".2f", shown=True, name="lift in the region",
)  # fmt: skip
REGION = (ENERGY, SHARE, LIFT)


def logit_columns(classes: Iterable[str], source: Literal["image", "region"]) -> tuple[Column, ...]:
    """One column a class: what the latent adds to its logit, on the image or from the drawn region alone."""
    where = "on this image" if source == "image" else "from the region"
    return tuple(
        Column(
            f"{source}.logit.{name}",
            f"→ {name.replace('_', ' ')}" if source == "image" else f"Region → {name.replace('_', ' ')}",
            f"What the latent adds to the logit of {name.replace('_', ' ')} {where}",
            source,
            "+#.3g",
            shown=source == "region",
            name=f"contribution to {name.replace('_', ' ')} {where}",
            sways=True,
        )
        for name in classes
    )


def default_sort(columns: Sequence[Column]) -> Column:
    """Return what the table is sorted by until the user chooses: the most specific thing that is known."""
    by_key = {column.key: column for column in columns}
    wanted = ("run.diff", MEAN.key, LATENT.key)
    return next(by_key[key] for key in wanted if key in by_key)
