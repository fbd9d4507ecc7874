"""A finished run as tables and sparse matrices, read as they are asked for."""

from collections.abc import Iterator
from functools import cached_property
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ..anatomy.cell_parts import BREAST_PARTS
from ..anatomy.regions import REGIONS
from ..base.arguments import expect
from ..base.errors import ModelError, RunError
from ..base.names import ImageNames, short_name
from ..base.reading import reading
from ..images.geometry import Frame
from ..models.latents import LatentMaps
from .files.layout import (
    FRAME,
    POOLED,
    WITH_SCALES,
    Kind,
    Layout,
    feature_schema,
    image_schema,
    maps_schema,
    regions_schema,
)
from .files.map_values import decode_unscaled, decode_values
from .files.tables import check_images, check_values, damaged, read_failures, read_parquet, rows_of_lists
from .listed_names import listed_names
from .parts import NO_CELLS, MapsPart, RegionsPart
from .positive import Positives

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csc_array

    from ..models.facts import ModelFacts
    from ..models.heads import Head
    from ..models.model import MammoSAE

Pooling = Literal["mean", "max", "active_cells"]
FeaturePooling = Literal["mean", "max", "layer_mean", "layer_max"]
Cells = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]


class KeptHead(NamedTuple):
    """Classes of a head of the model that made a run, and how its logits become probabilities."""

    classes: tuple[str, ...]
    task: str


class Run:
    """A complete run. Made by `open_run`.

    Images are the rows of `images`, in order; the `image` column, which parts and maps use, has gaps where images
    failed.

    Attributes
    ----------
    path
        The folder.
    info
        Content of `run.json`: grid, latents, classes, task, layer, hashes, preprocessing, maps, categories ...
    """

    def __init__(self, path: Path, info: dict[str, Any], positives: Positives | None = None) -> None:
        self.path = Path(path)
        self._layout, self._positives = Layout(self.path), positives or Positives()
        self.info = info | {"categories": info.get("categories", {}) | self._positives.categories}
        self._schemas = {
            "pooled": POOLED, "maps": maps_schema(info["format"]), "regions": regions_schema(info["format"]),
            "features": feature_schema(info["layer"]),
        }  # fmt: skip
        self._pooled: dict[str, csc_array] = {}

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        maps = "with maps" if self.has_maps else "pooled values only"
        return f"<Run {self.path.name}: {len(self)} images, {self.n_latents} latents of {self.info['model']}, {maps}>"

    @property
    def grid(self) -> tuple[int, int]:
        """Cells (H', W') of a map."""
        rows, cols = self.info["grid"]
        return rows, cols

    @property
    def n_latents(self) -> int:
        """Number of latents, h."""
        return int(self.info["latents"])

    @property
    def classes(self) -> tuple[str, ...]:
        """Slugs of the logits."""
        return tuple(self.info["classes"])

    @property
    def task(self) -> str:
        """How logits become probabilities: "binary", "multilabel" or "multiclass"."""
        return str(self.info["task"])

    @property
    def heads(self) -> tuple[KeptHead, ...]:
        """The heads whose logits it keeps, in order; one of all classes where the run does not say."""
        found = tuple(KeptHead(tuple(one["classes"]), one["task"]) for one in self.info["heads"])
        says = sum(len(one.classes) for one in found) == len(self.classes)
        return found if says else (KeptHead(self.classes, self.task),)

    @property
    def made_with(self) -> dict[str, Any]:
        """What the provenance of a result says of a run: its model, SAE, list of images and labels, by their hashes."""
        names = ("model", "model_sha256", "sae_sha256", "list_sha256", "labels_sha256")
        return {name: self.info[name] for name in names}

    @property
    def chosen(self) -> dict[str, str]:
        """The positive texts of labels that are read otherwise than the run's tables number them."""
        return {label: names[1] for label, names in self._positives.categories.items()}

    @property
    def has_maps(self) -> bool:
        """Whether the run keeps every non-zero cell."""
        return bool(self.info["maps"])

    @cached_property
    def images(self) -> "pd.DataFrame":
        """One row an image, as `images.parquet` has it."""
        path, schema = self._layout.images, image_schema(self.classes, self.info["format"])
        name = f"{self.path.name}/{path.name}"
        table = read_parquet(self.path, path, schema)
        with reading(name, RunError, "the images of a run"):
            check_images(table, self.info["images"], name)
            images: pd.DataFrame = table.to_pandas()
        return self._positives.apply(images)

    @cached_property
    def _names(self) -> ImageNames:
        return ImageNames(listed_names(self.images))

    @cached_property
    def rows(self) -> "pd.DataFrame | None":
        """Finding rows: `row`, `image`, `split`, `label.*`; None where labels came one row an image."""
        if not self._layout.rows.exists():
            return None
        table = read_parquet(self.path, self._layout.rows, [POOLED.field("image")])
        check_values(table, self.numbers, 0, 0, f"{self.path.name}/{self._layout.rows.name}")
        with reading(self._layout.rows, RunError, "finding rows of a run"):
            rows: pd.DataFrame = table.to_pandas()
        return self._positives.apply(rows)

    @cached_property
    def failures(self) -> "pd.DataFrame":
        """Images that could not be used: `image`, `image_id`, `path`, `reason`."""
        return read_failures(self.path, self._layout.failures)

    @cached_property
    def numbers(self) -> NDArray[np.int32]:
        """The `image` column, int32 ascending: what parts and maps call the images."""
        return self.images["image"].to_numpy(np.int32)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels."""
        names = map(str, self.images.columns)
        return tuple(name.removeprefix("label.") for name in names if name.startswith("label."))

    def label(self, name: str) -> NDArray[np.float64]:
        """One label of every image, NaN where unknown; categories are numbered as ``info["categories"]`` lists them.

        Raises
        ------
        RunError
            The run has no such label; the message lists those it has.
        """
        if name not in self.labels:
            raise RunError(f"{self.path.name} has no label {name!r}; it has {', '.join(self.labels) or 'none'}.")
        return self.images[f"label.{name}"].to_numpy(np.float64)

    @property
    def logits(self) -> NDArray[np.float64]:
        """(n, C): the model's logits."""
        return self._columns("logit")

    @property
    def logits_sae(self) -> NDArray[np.float64]:
        """(n, C): logits with the SAE's reconstruction in the features' place."""
        return self._columns("logit_sae")

    def pooled(self, kind: Pooling = "mean") -> "csc_array":
        """Sparse float64 (n, h): mean or maximum over the cells, or the number of cells that fire; read once."""
        from scipy.sparse import csc_array

        if kind not in self._pooled:
            if kind not in POOLED.names[2:]:
                raise RunError(f"There is no pooling {kind!r}; choose one of {', '.join(POOLED.names[2:])}.")
            parts = [self._read("pooled", block, ["image", "latent", kind]) for block in self._blocks()]
            table = pa.concat_tables(parts) if parts else POOLED.empty_table()
            row = np.searchsorted(self.numbers, table["image"].to_numpy())
            value, latent = table[kind].to_numpy().astype(np.float64), table["latent"].to_numpy()
            self._pooled[kind] = csc_array((value, (row, latent)), shape=(len(self), self.n_latents))
        return self._pooled[kind]

    def features(self, kind: FeaturePooling = "mean") -> NDArray[np.float32]:
        """Pooled channels (n, d): mean or maximum over the cells of the last layer, which heads read.

        Where the SAE reads an inner layer, "layer_mean" and "layer_max" are those of that layer.

        Raises
        ------
        RunError
            The run is of an earlier format, which did not keep them, or there is no such pooling.
        """
        if self.info["format"] < WITH_SCALES:
            raise RunError(
                f"{self.path.name} is of run format {self.info['format']}, which keeps no pooled channels; make the "
                "run again."
            )
        if kind not in (known := self._schemas["features"].names[1:]):
            raise RunError(f"There is no pooling {kind!r} of channels; choose one of {', '.join(known)}.")
        parts = [self._read("features", block, ["image", kind]) for block in self._blocks()]
        return rows_of_lists(parts, kind, self.numbers, f"{self.path.name}/features")

    def logits_of(self, head: "Head") -> NDArray[np.float64]:
        """Logits (n, C) of a head that the run was not made with, such as a prompt's, from the pooled channels.

        Raises
        ------
        RunError
            The run keeps no pooled channels.
        ModelError
            The head reads another number of channels.
        """
        features = self.features("mean").astype(np.float64)
        if features.shape[1] != head.width:
            raise ModelError(
                f"the head {head.name!r} reads {head.width} features, {self.path.name} keeps {features.shape[1]}."
            )
        return features @ head.weight.T + head.bias

    def maps(self, latent: int) -> Cells:
        """Every cell where a latent fires: columns image, cell (row * W' + column), value, by image and cell.

        Only the row groups that can hold the latent are read.

        Raises
        ------
        RunError
            The run was made without maps, or there is no such latent.
        """
        self._need_maps()
        if not 0 <= latent < self.n_latents:
            raise RunError(f"{self.path.name} has latents 0 to {self.n_latents - 1}, not {latent}.")
        found = [self._cells(block, [("latent", "==", latent)]) for block in self._blocks()]
        columns = zip(*((part.image, part.cell, part.value) for part in (NO_CELLS, *found)), strict=True)
        image, cell, value = map(np.concatenate, columns)
        return image, cell, value

    def map_parts(self) -> Iterator[MapsPart]:
        """Go through all kept cells, a block of images at a time.

        Raises
        ------
        RunError
            The run was made without maps.
        """
        self._need_maps()
        for block in self._blocks():
            yield self._cells(block)

    def row_of(self, image: int | str) -> int:
        """Row of `images` of an image: its id, its file with as many folders as need be, or its number in `image`.

        Raises
        ------
        RunError
            The image is not in the run.
        """
        if isinstance(image, str):
            ids = self.images["image_id"].astype(str).to_numpy()
            if (rows := np.flatnonzero(ids == image)).size == 1:
                return int(rows[0])
            matched = self._names.match([image])
            if (place := matched.places[0]) is not None:
                return place
            raise RunError(
                f"{self.path.name} has no image {short_name(image)!r}; it has for example {short_name(ids[0])!r}"
                f"{''.join(f'; {note}' for note in matched.notes)}."
            )
        if not isinstance(image, Integral):
            raise RunError(f"{self.path.name} has no image {image!r}; ask for one image, by its id or number.")
        row = int(np.searchsorted(self.numbers, image))
        if row == len(self) or self.numbers[row] != image:
            raise RunError(f"{self.path.name} has no image number {image}.")
        return row

    def latents(self, image: int | str) -> LatentMaps:
        """All latents of one image, by its id or its number, as they were computed, values rounded to half precision.

        Raises
        ------
        RunError
            The run was made without maps, or the image is not in it.

        Examples
        --------
        >>> import napari_mammosae as ms
        >>> ms.open_run("run").latents("phantom-000001").shape
        (2048, 48, 29)
        """
        self._need_maps()
        row = self.row_of(image)
        image = int(self.numbers[row])
        block = image // self.info["block"]
        cells = self._cells(block, [("image", "==", image)])
        pooled = self._read("pooled", block, filters=[("image", "==", image)])
        live, fires = pooled["latent"].to_numpy(), cells.latent
        if (np.diff(live) <= 0).any() or not np.isin(fires, live).all():
            raise damaged(f"{self.path.name}/pooled", "its latents are not those of the maps, in order")
        features: dict[str, NDArray[np.float32]] = {}
        if self.info["format"] >= WITH_SCALES:
            kept = self._read("features", block, filters=[("image", "==", image)])
            one, name = np.array([image], np.int32), f"{self.path.name}/features"
            features = {kind: rows_of_lists([kept], kind, one, name)[0] for kind in ("mean", "max")}
        values = np.zeros((len(live), self.grid[0] * self.grid[1]), np.float32)
        values[np.searchsorted(live, fires), cells.cell] = cells.value
        return LatentMaps(
            shape=(self.n_latents, *self.grid),
            latents=live,
            values=values.reshape(-1, *self.grid),
            pooled_mean=self._spread(pooled, "mean"),
            pooled_max=self._spread(pooled, "max"),
            active_cells=self._spread(pooled, "active_cells"),
            logits=self.logits[row],
            logits_sae=self.logits_sae[row],
            error_norm=float(self.images["error_norm"].iloc[row]),
            fvu=float(self.images["fvu"].iloc[row]) if "fvu" in self.images else float("nan"),
            frame=self.frame(row),
            rounded=True,
            features=features,
            classes=self.classes,
        )

    def regions(self) -> Iterator[RegionsPart]:
        """Go through the regions of all images, a block at a time."""
        cells = self.grid[0] * self.grid[1]
        for block in self._blocks():
            first = block * self.info["block"]
            low, high = np.searchsorted(self.numbers, (first, first + self.info["block"]))
            numbers = self.numbers[low:high]
            table = self._read("regions", block)
            row, cell = np.searchsorted(numbers, table["image"].to_numpy()), table["cell"].to_numpy()
            shares = {name: np.zeros((len(numbers), cells), np.float32) for name in REGIONS}
            for name, share in shares.items():
                share[row, cell] = table[name].to_numpy()
            parts = None
            if BREAST_PARTS in self._schemas["regions"].names:
                parts = np.zeros((len(numbers), *self.grid), np.uint64)
                parts.reshape(len(numbers), cells)[row, cell] = table[BREAST_PARTS].to_numpy()
            yield RegionsPart(numbers, {name: s.reshape(-1, *self.grid) for name, s in shares.items()}, parts)

    def frame(self, row: int) -> Frame:
        """Where the model input of the image in a row of `images` lies in its source."""
        rows, cols, row0, col0, row1, col1 = (int(self.images[name].iloc[row]) for name in FRAME)
        height, width = self.info["preprocessing"]["size"]
        return Frame((rows, cols), (row0, col0, row1, col1), (height, width))

    def check_model(self, model: "MammoSAE | ModelFacts") -> None:
        """Raise RunError when a model is not the one the run was made with, saying what differs."""
        expect(model, "model")
        here = {"model_sha256": model.model_sha256, "sae_sha256": model.sae_sha256, "latents": model.n_latents}
        names = {"model_sha256": "model", "sae_sha256": "SAE", "latents": "number of latents"}
        differing = [names[key] for key, value in here.items() if value != self.info[key]]
        if differing:
            raise RunError(
                f"{self.path.name} was made with another {' and another '.join(differing)} than the loaded "
                f"{model.name}; load the one it was made with, or make a new run."
            )

    def _need_maps(self) -> None:
        if not self.has_maps:
            raise RunError(f"{self.path.name} keeps pooled values only; make a run with maps (`run --maps`) for this.")

    def _blocks(self) -> range:
        return range(-(-self.info["images"] // self.info["block"]))

    def _spread(self, pooled: pa.Table, name: str) -> NDArray[Any]:
        values = pooled[name].to_numpy()
        full = np.zeros(self.n_latents, values.dtype)
        full[pooled["latent"].to_numpy()] = values
        return full

    def _columns(self, prefix: str) -> NDArray[np.float64]:
        names = [f"{prefix}.{name}" for name in self.classes]
        return self.images[names].to_numpy(np.float64).reshape(len(self), len(names))

    def _cells(self, block: int, filters: Any = None) -> MapsPart:
        table, name = self._read("maps", block, filters=filters), f"{self.path.name}/maps/part-{block:05d}.parquet"
        latent, image, cell, kept, *scale = (table[column].to_numpy() for column in self._schemas["maps"].names)
        value = decode_values(kept, scale[0], name) if scale else decode_unscaled(kept, name)
        return MapsPart(latent, image, cell, value)

    def _read(self, kind: Kind, block: int, columns: list[str] | None = None, filters: Any = None) -> pa.Table:
        """Read a part, and check that it names nothing that the run does not have."""
        path = self._layout.part(kind, block)
        table = read_parquet(self.path, path, self._schemas[kind], columns, filters)
        name = f"{self.path.name}/{kind}/{path.name}"
        with reading(name, RunError, "a table of a run"):
            check_values(table, self.numbers, self.n_latents, self.grid[0] * self.grid[1], name)
        return table
