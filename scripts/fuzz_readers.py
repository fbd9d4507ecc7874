"""Reads one file after the other as it is told, under limits of memory, and says what became of each.

Lines come in as reader, tab, path of the file or folder; lines go out as JSON: ``read``, ``typed`` or ``untyped``, the
exception's name, and its message.
"""

import json
import logging
import resource
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import tiny
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.annotations.labels import read_label_rows, read_labels
from napari_mammosae.core.base.errors import MammoSAEError
from napari_mammosae.core.base.progress import ignore
from napari_mammosae.core.datasets.find import find_data_set
from napari_mammosae.core.images.listing import resolve_images
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.models.adapters.kinds import read_mammoscreen_config
from napari_mammosae.core.models.files.facts_file import read_facts
from napari_mammosae.core.models.files.found_again import read_found_again
from napari_mammosae.core.models.files.head_files import read_trained_head
from napari_mammosae.core.models.files.model_files import read_model_file
from napari_mammosae.core.models.published.catalogue import published_model
from napari_mammosae.core.models.published.fetch import extract_member, find_member, opened_zip
from napari_mammosae.core.models.sae.autoencoder import SparseAutoencoder
from napari_mammosae.core.models.weights.checkpoints import (
    load_tensors,
    read_backbone,
    read_classifier,
    read_sae_weights,
)
from napari_mammosae.core.naming.vlm.server.replies import read_answers
from napari_mammosae.core.phantoms.dataset import load_truth
from napari_mammosae.core.ranking.files import read_ranking
from napari_mammosae.core.runs.files.layout import Layout
from napari_mammosae.core.runs.making.assemble import read_images_part
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.training.heads.files import read_record
from napari_mammosae.core.verdicts.exchange import read_events
from napari_mammosae.core.verdicts.store import VerdictStore

MEMORY = 2 << 30
"""Bytes beyond what the imports and the first honest file of each reader need."""


def _image(path: Path) -> None:
    image = read_mammogram(path)
    image.displayed()
    image.contrast_limits()


def _labels(path: Path) -> None:
    read_labels(path)
    read_label_rows(path)


def _data_set(root: Path) -> None:
    found = find_data_set(root)
    if found is not None:
        found.read_boxes()


def _weights(path: Path) -> None:
    load_tensors(path)
    for read in (read_classifier, read_backbone):
        try:
            read(path)
        except MammoSAEError:
            continue


def _archive(path: Path) -> None:
    with opened_zip(path, path.name) as archive:
        member = find_member(archive, published_model("mass-finetuned"), path.name)
        extract_member(archive, member, path.parent / "out" / path.name, ignore)


def _sae(path: Path) -> None:
    weights = read_sae_weights(path)
    SparseAutoencoder.from_weights(weights.tensors, path.name, weights.metadata)


def _run(folder: Path) -> None:
    run = open_run(folder)
    repr(run)
    list(run.labels)
    run.failures  # noqa: B018
    run.rows  # noqa: B018
    run.logits  # noqa: B018
    for row in range(len(run)):
        run.frame(row)
    run.pooled("mean")
    run.pooled("active_cells")
    for _ in run.regions():
        pass
    run.features("mean")
    if run.has_maps:
        run.maps(0)
        list(run.map_parts())
        if len(run):
            run.latents(str(run.images["image_id"].iloc[0]))
    run.heads  # noqa: B018
    run.made_with  # noqa: B018


def _images_part(folder: Path) -> None:
    for block in range(2):
        read_images_part(Layout(folder), block, tiny.CLASSES, 4)


def _verdicts(path: Path) -> None:
    read_events(path)
    if path.suffix == ".sqlite":
        with VerdictStore(path, "reader", create=False) as store:
            store.current()
            store.annotators()


READERS: dict[str, Callable[[Path], object]] = {
    "image": _image,
    "boxes": read_findings,
    "labels": _labels,
    "list": resolve_images,
    "data set": _data_set,
    "ranking": read_ranking,
    "facts": read_facts,
    "model.toml": lambda folder: read_model_file(folder / "model.toml"),
    "mammoscreen": read_mammoscreen_config,
    "archive": _archive,
    "weights": _weights,
    "sae": _sae,
    "run": _run,
    "images part": _images_part,
    "verdicts": _verdicts,
    "truth": load_truth,
    "answers": read_answers,
    "found again": read_found_again,
    "heads": read_record,
    "trained head": lambda path: read_trained_head(path, "0" * 64),
}


def read(reader: str, path: Path) -> list[str]:
    """Read a file and return what became of it."""
    try:
        READERS[reader](path)
    except MammoSAEError as error:
        return ["typed", type(error).__name__, str(error)]
    except BaseException as error:
        return ["untyped", type(error).__name__, str(error)[:2000]]
    return ["read", "", ""]


def limit_memory() -> None:
    """Allow `MEMORY` beyond what is in use."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    size = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (size, size))


def main() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    torch.set_num_threads(1)
    for line in sys.stdin:
        reader, _, path = line.rstrip("\n").partition("\t")
        if not reader:
            limit_memory()
            continue
        print(json.dumps(read(reader, Path(path))), flush=True)


if __name__ == "__main__":
    main()
