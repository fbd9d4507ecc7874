"""Phantoms on disk: images, tables and masks."""

import os
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ..base.errors import ImageError, SettingsError
from ..base.files import write_atomic
from ..base.limits import check_grown, check_limit
from ..base.progress import Report, ignore, reporting
from ..base.provenance import check_replaceable, provenance, write_results
from ..base.reading import reads
from ..base.tables.cells import write_rows
from .phantom import FINDINGS, Phantom, make_phantom, nipple_hidden

BOX_COLUMNS = ("image", "finding", "xmin", "ymin", "xmax", "ymax")


def make_phantoms(
    folder: Path | str,
    count: int,
    seed: int = 0,
    *,
    marker_bias: float = 0.5,
    hidden_nipples: float = 0.0,
    progress: bool | Report = False,
) -> Path:
    """Write synthetic mammograms with known truth into a folder, and return it.

    Parameters
    ----------
    folder
        Made if it is not there; see `write_phantoms` for what it holds then.
    count, seed
        How many, and the seed of the first; seeds rise by one.
    marker_bias
        P(view marker on the image | mass) = 1 - P(marker | no mass).
    hidden_nipples
        Share of the images whose nipple is out of profile, so that `structures.csv` has no box of it.
    progress
        Whether to show a progress bar, or a function that takes reports.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> folder = ms.make_phantoms("few-phantoms", count=2, seed=1)
    >>> sorted(path.name for path in folder.glob("*.png"))
    ['phantom-000001.png', 'phantom-000002.png']
    """
    with reporting(progress) as report:
        write_phantoms(folder, count, seed, marker_bias, report, hidden_nipples)
    return Path(folder)


def write_phantoms(
    folder: Path | str,
    count: int,
    seed: int = 0,
    marker_bias: float = 0.5,
    progress: Report | None = None,
    hidden_nipples: float = 0.0,
) -> list[str]:
    """Write the phantoms of seeds `seed` to `seed + count - 1` and return their image ids.

    Leaves `<image_id>.png` (8 bit, 1520 x 912), `findings.csv` (boxes of the two findings; a phantom without them has a
    row "No Finding" without a box, as in VinDr's tables), `structures.csv` (boxes of everything else), `labels.csv`,
    and `truth/<image_id>.npz` with one bit-packed mask a name (`load_truth` reads it). Box columns are pixel edges.
    Tables are written last, together with `phantoms.json`, which says how they were made.

    Raises
    ------
    WriteError
        The folder holds tables of these names that do not come from here, or a file cannot be written.
    """
    if count < 1:
        raise SettingsError(f"{count} phantoms were asked for; at least one is needed.")
    if not 0 <= hidden_nipples <= 1:
        raise SettingsError(f"hidden_nipples is {hidden_nipples}; it is a share, from 0 to 1.")
    folder, report, first = Path(folder), progress or ignore, seed
    check_replaceable(*table_files(folder))

    def draw(seed: int) -> Phantom:
        phantom = make_phantom(seed, marker_bias=marker_bias, nipple=not nipple_hidden(seed, hidden_nipples))
        write_image(folder, phantom)
        write_truth(folder / "truth", phantom)
        return _without_arrays(phantom)

    phantoms = []
    pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 8))  # FFTs and filters let other threads run
    try:
        for phantom in pool.map(draw, range(seed, seed + count)):
            phantoms.append(phantom)
            report("Drawing synthetic phantoms", len(phantoms), count)
    finally:
        pool.shutdown(cancel_futures=True)
    settings = {"count": count, "seed": first, "marker_bias": marker_bias, "hidden_nipples": hidden_nipples}
    write_tables(folder, phantoms, provenance("phantoms", settings))
    return [phantom.image_id for phantom in phantoms]


def write_image(folder: Path, phantom: Phantom) -> Path:
    """Write the pixels as an 8-bit PNG."""
    path = folder / f"{phantom.image_id}.png"
    with write_atomic(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", phantom.pixels)[1].tobytes())
    return path


def write_truth(folder: Path, phantom: Phantom) -> Path:
    """Write all masks, one bit a pixel, and the boxes of the single specks."""
    path = folder / f"{phantom.image_id}.npz"
    arrays: dict[str, Any] = {name: np.packbits(mask) for name, mask in phantom.masks.items()}
    with write_atomic(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            shape=np.array(phantom.pixels.shape),
            spacing=np.array(phantom.spacing),
            specks=np.array(phantom.specks, np.int32).reshape(-1, 4),
            **arrays,
        )
    return path


@reads(ImageError, "the masks of a phantom")
def load_truth(path: Path | str) -> dict[str, np.ndarray]:
    """Boolean masks of one phantom by name, as written by `write_phantoms`."""
    path = Path(path)
    with zipfile.ZipFile(path) as archive:
        check_grown(path.stat().st_size, sum(member.file_size for member in archive.infolist()), path.name, ImageError)
    with np.load(path, allow_pickle=False) as data:
        rows, cols = data["shape"] if data["shape"].shape == (2,) else (-1, -1)
        shape = int(rows), int(cols)
        if min(shape) < 1:
            raise ImageError(f"{path.name}: masks without a size; make the phantoms again")
        what = f"{path.name}: masks of {shape[0]:,} x {shape[1]:,} pixels"
        check_limit("pixels", shape[0] * shape[1], what, ImageError)
        size = shape[0] * shape[1]
        names = [name for name in data.files if name not in ("shape", "spacing", "specks")]
        packed = {name: data[name] for name in names}
        if any(bits.size != -(-size // 8) for bits in packed.values()):
            raise ImageError(f"{path.name}: masks of another size than it says; make the phantoms again")
        return {name: np.unpackbits(bits, count=size).reshape(shape).astype(bool) for name, bits in packed.items()}


def table_files(folder: Path) -> list[Path]:
    """Return the files that `write_tables` writes, the one that says how they were made first."""
    return [folder / name for name in ("phantoms.json", "findings.csv", "structures.csv", "labels.csv")]


def write_tables(folder: Path, phantoms: Iterable[Phantom], record: Mapping[str, Any]) -> None:
    """Write findings.csv, structures.csv and labels.csv, and their record as phantoms.json: all or none."""
    phantoms = list(phantoms)
    others = [row for phantom in phantoms for row in _box_rows(phantom) if row[1] not in FINDINGS]
    labelled = ((phantom.image_id, phantom.patient, phantom.labels) for phantom in phantoms)
    note, *tables = table_files(folder)
    with write_results(note, record, *tables) as (findings, structures, labels):
        write_rows(findings, [BOX_COLUMNS, *(row for phantom in phantoms for row in _finding_rows(phantom))])
        write_rows(structures, [BOX_COLUMNS, *others])
        write_rows(labels, _label_rows(labelled))


def write_labels(folder: Path, images: Iterable[tuple[str, str, dict[str, bool]]]) -> None:
    """Write labels.csv from image ids, patients and findings."""
    with write_atomic(folder / "labels.csv") as temporary:
        write_rows(temporary, _label_rows(images))


def write_list(folder: Path, image_ids: Iterable[str]) -> Path:
    """Write images.csv, which lists images whether they are there already or not."""
    path = folder / "images.csv"
    with write_atomic(path) as temporary:
        write_rows(temporary, [("path",), *((f"{image_id}.png",) for image_id in image_ids)])
    return path


def _box_rows(phantom: Phantom) -> list[tuple[object, ...]]:
    return [(phantom.image_id, name, c0, r0, c1, r1) for name, (r0, c0, r1, c1) in phantom.boxes]


def _finding_rows(phantom: Phantom) -> list[tuple[object, ...]]:
    """Boxes of the two findings, or one row that says that there is none: it was looked for."""
    found = [row for row in _box_rows(phantom) if row[1] in FINDINGS]
    return found or [(phantom.image_id, "No Finding", "", "", "", "")]


def _label_rows(images: Iterable[tuple[str, str, dict[str, bool]]]) -> list[tuple[object, ...]]:
    rows = ((image_id, patient, *(int(labels[name]) for name in FINDINGS)) for image_id, patient, labels in images)
    return [("image", "patient", *FINDINGS), *rows]


def _without_arrays(phantom: Phantom) -> Phantom:
    """The same phantom without its pixels and masks: thousands of them fit in memory."""
    return replace(phantom, pixels=np.empty((0, 0), np.uint8), masks={})
