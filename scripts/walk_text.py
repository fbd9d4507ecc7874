"""What a user of the demo does and sees, in words with the numbers of a walk through it: a part of docs/story.md."""

import re
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_mammosae.core.base.files import write_atomic

STORY = Path(__file__).parent.parent / "docs" / "story.md"
BEGIN, END = "<!-- walk: written by scripts/make_pictures.py -->", "<!-- end of walk -->"
LABEL = "mass"
SURE = "The interval leaves zero out."
NOT_SURE = "On so few images the interval includes zero; below there are more of them."
TEXT = """
## In six actions

`napari-mammosae demo` opens a run of {images} synthetic phantoms that comes with the package, at `{image}`. The marker
goes with the mass on {with_mass} of them, as in the training, and against it on {against}: there a shortcut misleads,
and what it costs can be seen on few images.

![The demo opens on the logit map](images/demo.png)

The map shows where the logit for mass comes from, {logit} here. There is a red ring on the mass, and a red blob on the
view marker, which has no business in it. *Next steps*, at the left, lead on; `Shift-N` takes the next one.

**1. What is a latent?** Press `Right`, or the first button. In place of the map there is one latent, {first}: one of
the {latents} patterns that the sparse autoencoder knows. The colours show where on this image it fires. `Left` and
`Right` go through the others.

![One latent over the phantom](images/latent.png)

**2. Which latents go with a mass?** The *Latents* dock ranks all of them by how much more they fire on images with a
mass: {ranked} come first. The pictures below the table show where.

![The ranking for mass](images/latents.png)

Latent {first} sits on the mass and still lowers the logit: a unit of its mean adds {unit}, {here} on this image. Where
a latent fires is one thing, what it adds is another: its decoder direction times the classifier's weights. Several
latents fire in the same cells, and the classifier was fitted to their sum. Latents {others}, on the same mass, add
{their_units} a unit ({theirs_here} here), and {first} takes a little of that back. The *Logit* tab shows what the
current latent adds.

**3. Which latents read the marker?** The run is searched for latents that fire where a lesion cannot be. Of those on
burned-in letters, the five that add most to the logit for mass become the first of the stack: {found}.

![A latent that fires on the marker](images/marker.png)

**4. Mark those spurious.** A verdict is kept in your own folder, with your name. For one latent, press `0`; `Shift-U`
takes the last verdict back.

**5. Switch them off.** The prediction is made as if they did not fire. The blob on the marker fades, the ring stays.

![The logit map without the marker latents](images/removed.png)

**6. Watch the AUROC.** Over the {images} images it goes from {before} to {after} (change {change}); {flips} decisions
flip, and a click on one opens its image. {sure}

![What the removal does to the run](images/intervene.png)
"""


@dataclass(frozen=True)
class Walk:
    """What was seen."""

    image: str
    images: int
    latents: int
    with_mass: int
    logit: float
    ranked: tuple[int, ...]
    adds: tuple[float, ...]
    """What a unit of the mean of each of them adds to the logit."""
    here: tuple[float, ...]
    """What each of them adds on the image."""
    marker_latents: tuple[int, ...] = ()
    before: float = 0.0
    after: float = 0.0
    change: tuple[float, float, float] = (0.0, 0.0, 0.0)
    flips: int = 0

    @classmethod
    def begin(cls, work: Any) -> "Walk":
        """Look at the picture that the demo opens on."""
        session = work.session
        run, model, maps = session.run, session.model, session.maps
        place = model.classes.index(LABEL)
        ranked = [int(one) for one in session.order.latents[:8]]
        structures = (Path(run.path).parent / "phantoms" / "structures.csv").read_text(encoding="utf-8")
        marked = [f"\n{name},marker," in structures for name in run.images["image_id"]]
        return cls(
            session.image.image_id,
            len(run),
            run.n_latents,
            int((run.label(LABEL) == np.array(marked)).sum()),
            float(maps.logits[place]),
            tuple(ranked),
            tuple(float(model.attribution[place, one]) for one in ranked),
            tuple(float(model.attribution[place, one] * maps.pooled_mean[one]) for one in ranked),
        )

    @property
    def latent(self) -> int:
        """The first latent of the ranking."""
        return self.ranked[0]

    def end(self, work: Any, guide: Any) -> "Walk":
        """Look at what came of the removal."""
        row = work.over_run.move.effect.set_index("measure").loc["auroc"]
        return replace(
            self,
            marker_latents=guide.marker_latents,
            before=float(row["before"]),
            after=float(row["after"]),
            change=(float(row["change"]), float(row["change_lo"]), float(row["change_hi"])),
            flips=len(work.over_run.move.flip_rows()),
        )

    def text(self) -> str:
        """Put the walk into words."""
        pushing = [place for place in range(1, len(self.ranked)) if self.adds[place] > 5][:2]
        change, low, high = self.change
        values = {
            "image": self.image,
            "images": self.images,
            "with_mass": self.with_mass,
            "against": self.images - self.with_mass,
            "logit": f"{self.logit:+.2f}",
            "latents": f"{self.latents:,}",
            "first": self.latent,
            "ranked": ", ".join(map(str, self.ranked[:4])),
            "unit": f"{self.adds[0]:+.2f}",
            "here": f"{self.here[0]:+.2f}",
            "others": " and ".join(str(self.ranked[place]) for place in pushing),
            "their_units": " and ".join(f"{self.adds[place]:+.2f}" for place in pushing),
            "theirs_here": " and ".join(f"{self.here[place]:+.2f}" for place in pushing),
            "found": ", ".join(map(str, self.marker_latents)),
            "before": f"{self.before:.3f}",
            "after": f"{self.after:.3f}",
            "change": f"{change:+.3f}, 95 % interval by patient {low:+.3f} to {high:+.3f}",
            "flips": self.flips,
            "sure": SURE if low > 0 else NOT_SURE,
        }
        assert self.adds[0] < 0, "the first latent raises the logit: the page says why it lowers it"
        blocks = (block.format(**values) for block in TEXT.strip().split("\n\n"))
        return "\n\n".join(block if block[0] in "#!" else textwrap.fill(block, 118) for block in blocks)


def write_walk(walk: Walk) -> None:
    """Put the text into its place in the story."""
    with write_atomic(STORY) as temporary:
        temporary.write_text(with_walk(STORY.read_text(encoding="utf-8"), walk.text()), encoding="utf-8")


def with_walk(page: str, text: str) -> str:
    """Return the page with another text between the two marks."""
    return re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{text}\n{END}", page, flags=re.DOTALL)


def walk_of(page: str) -> str:
    """Return what stands between the marks, and they; empty marks where there is nothing yet."""
    found = re.search(f"{BEGIN}.*{END}", page, re.DOTALL)
    return found.group(0) if found else f"{BEGIN}\n{END}"
