"""Batches of decoded images through the model, within the memory there is."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

from ...base.errors import ModelError
from ...base.progress import Report
from ...models.latents import LatentBatch
from ...models.memory import MemoryLadder, out_of_memory
from .decode import Decoded, Failed

if TYPE_CHECKING:
    from torch import Tensor

    from ...models.model import MammoSAE

_TOGETHER = 2
"""Images that OpenVINO computes side by side: each with half of the threads, which then wait for each other less."""


@dataclass(slots=True, eq=False)
class Computed:
    """What became of a batch.

    Attributes
    ----------
    parts
        Images that follow each other, and their latents.
    failed
        Images whose values are not finite.
    again
        Images that were computed again in float32, because values overflowed.
    """

    parts: list[tuple[Sequence[Decoded], LatentBatch]] = field(default_factory=list)
    failed: list[Failed] = field(default_factory=list)
    again: list[Decoded] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Begun:
    """A batch that was given to the model's device: its feature maps, and what says that they are there.

    On the CPU, images that are computed side by side.
    """

    images: Sequence[Decoded]
    features: "Tensor | None" = None
    mark: Any = None
    under_way: Sequence[Future[list[LatentBatch]]] = ()


def compile_on_gpu(model: "MammoSAE") -> None:
    """Have a model's network compiled, where it is on a GPU and no engine was asked for."""
    if model.device.startswith("cuda") and model.engine == "torch":
        model.compile()


class Computer:
    """Computes latents of images, a batch at a time.

    On a GPU a batch is measured while the network computes the one that was begun after it. On the CPU an image is
    computed by itself, so that results do not depend on the batch; by OpenVINO the next one is computed beside it.

    Parameters
    ----------
    model
        Must have an SAE.
    batch
        Images a batch; None: one on the CPU, and on a GPU as many as fit and are worth it.
    notice
        Called with a sentence when the memory forces another way of computing.
    cells
        Whether every cell that fires is wanted, and not only what is pooled over them.

    Raises
    ------
    ModelError
        The model has no SAE.
    """

    def __init__(
        self, model: "MammoSAE", batch: int | None, notice: Callable[[str], None], *, cells: bool = True
    ) -> None:
        import torch

        from ...models.compute import fitting_batch
        from ...models.engines.devices import Lane
        from ...models.engines.threads import side_by_side

        if model.sae is None:
            raise ModelError(f"{model.name} was loaded without a sparse autoencoder; a run needs one")
        self.model, self.cells = model, cells
        self._notice, self._ladder = notice, MemoryLadder(model, batch or fitting_batch(model), notice)
        self._lane = Lane(model.device)
        several = model.device == "cpu" and model.engine == "openvino" and torch.get_num_threads() > 1
        self._pool = side_by_side(_TOGETHER) if several else None

    @property
    def batch(self) -> int:
        """Number of images computed at once."""
        return self._ladder.batch or 1

    @property
    def ahead(self) -> int:
        """Batches that may be begun before one is finished."""
        if self._pool is not None:
            return _TOGETHER
        return 0 if self.model.device == "cpu" else 1

    def warm_up(self, report: Report) -> None:
        """Compile the network where that is asked for; kept compiled code makes it short."""
        import numpy as np

        if self.model.engine == "compiled":
            report("Compiling the network, which takes about a minute the first time", 0, 0)
            blank = np.eye(*self.model.preprocessing.size, dtype=np.uint8)
            self._ladder.run([blank] * self.batch, self._features)

    def __call__(self, images: Sequence[Decoded]) -> Computed:
        """Compute images, in order."""
        return self.finish(self.begin(images))

    def begin(self, images: Sequence[Decoded]) -> Begun:
        """Give a batch to the device; without room for it, it is computed when it is finished."""
        begun = Begun(images)
        if self._pool is not None:
            begun.under_way = [self._pool.submit(self._compute, [image]) for image in images]
        elif images and self.ahead and len(images) <= self.batch:
            try:
                begun.features = self._features([image.pixels for image in images])
                begun.mark = self._lane.mark()
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
        return begun

    def finish(self, begun: Begun) -> Computed:
        """Wait for a batch, and return what became of it.

        Raises
        ------
        ModelError
            Not even one image fits in memory.
        """
        from ...models.engines.measure import measure

        images, features, found = begun.images, begun.features, self._taken_up(begun)
        begun.features = None
        if features is not None:
            try:
                with self._lane.after(begun.mark):
                    found = [measure(self.model, features, cells=self.cells)]
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
        del features
        if found is None:
            parts = self._ladder.run(images, self._compute)
            found = [batch for part in parts for batch in part]
        computed, at = Computed(), 0
        for batch in found:
            self._take(images[at : at + len(batch)], batch, computed)
            at += len(batch)
        return computed

    def drop(self, begun: Begun) -> None:
        """Let go of a batch that nobody wants any more; what is computed of it ends first."""
        for one in begun.under_way:
            one.cancel()
        wait(begun.under_way)

    def _taken_up(self, begun: Begun) -> list[LatentBatch] | None:
        """Wait for images that are computed side by side; None where there are none, or no memory for it."""
        if not begun.under_way:
            return None
        wait(begun.under_way)
        try:
            return [batch for one in begun.under_way for batch in one.result()]
        except (RuntimeError, MemoryError) as error:
            if not out_of_memory(error):
                raise
        if self._pool is not None:
            self._notice(f"Out of memory with {_TOGETHER} images side by side; continuing with one at a time.")
            self._pool.shutdown()
            self._pool = None
        return None

    def _compute(self, images: Sequence[Decoded]) -> list[LatentBatch]:
        """Compute images at once; on the CPU one after the other."""
        from ...models.engines.measure import measure

        if self.model.device == "cpu" and len(images) > 1:
            return [batch for image in images for batch in self._compute([image])]
        return [measure(self.model, self._features([image.pixels for image in images]), cells=self.cells)]

    def _features(self, planes: Sequence[Any]) -> "Tensor":
        """Feature maps; compiled code is for one size of batch, so a smaller one is filled up."""
        from ...models.compute import features_of_planes

        missing = self.batch - len(planes) if self.model.engine == "compiled" and self.ahead else 0
        return features_of_planes(self.model, [*planes, *[planes[-1]] * missing])[: len(planes)]

    def _take(self, images: Sequence[Decoded], batch: LatentBatch, computed: Computed) -> None:
        """Sort a batch's images into usable ones, ones to compute again, and failures."""
        at = 0
        for finite, group in groupby(batch.finite.tolist()):
            stop = at + len(list(group))
            if finite:
                computed.parts.append((images[at:stop], self._kept(batch.part(at, stop))))
            else:
                for image in images[at:stop]:
                    self._repair(image, computed)
            at = stop

    def _repair(self, image: Decoded, computed: Computed) -> None:
        """Compute an image again in float32 where another format may have overflowed."""
        from ...models.compute import NOT_FINITE, features_of_planes
        from ...models.engines.measure import measure

        exact = self.model.exact
        if exact is not self.model:
            [batch] = MemoryLadder(exact).run(
                [image], lambda images: measure(exact, features_of_planes(exact, [image.pixels]), cells=self.cells)
            )
            if batch.finite.all():
                computed.parts.append(([image], self._kept(batch)))
                computed.again.append(image)
                return
        computed.failed.append(Failed(image.entry, f"{image.entry.path.name}: {NOT_FINITE}"))

    def _kept(self, batch: LatentBatch) -> LatentBatch:
        """Leave out the logits of prompts."""
        from ...models.heads import lasting_logits

        kept = lasting_logits(self.model.heads)
        return replace(batch, logits=batch.logits[:, kept], logits_sae=batch.logits_sae[:, kept])
