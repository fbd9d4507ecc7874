"""One honest file, or run, for every reader: what the mutations start from."""

import json
import shutil
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import cv2
import numpy as np
import pyarrow.parquet as pq
import tifffile
import torch
from pydicom.uid import HTJ2KLossless, JPEGExtended12Bit

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))
import dataset_factory
import recipe
import tiny
from dicom_factory import breast_image, write_dicom, write_stream
from napari_mammosae.core.models.files.facts_file import write_facts
from napari_mammosae.core.models.files.head_files import write_head
from napari_mammosae.core.models.heads import Head
from napari_mammosae.core.models.loading import load_model


@dataclass(frozen=True)
class Seed:
    """A file to mutate.

    Attributes
    ----------
    reader
        Name of what reads it, a key of `fuzz_readers.READERS`.
    path
        The file.
    root
        Folder that is copied with it and given to the reader; None where the file is read alone.
    """

    reader: str
    path: Path
    root: Path | None = None


def write_seeds(folder: Path) -> list[Seed]:
    """Write all seeds below a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    makers = (_images, _tables, _data_sets, _models, _runs, _verdicts, _truth, _answers)
    return [seed for maker in makers for seed in maker(folder)]


def _images(folder: Path) -> Iterator[Seed]:
    small = tiny.picture(0, (64, 48))
    deep = breast_image(48, 32)
    cv2.imwrite(str(folder / "a.png"), small)
    cv2.imwrite(str(folder / "deep.png"), deep)
    cv2.imwrite(str(folder / "colours.png"), cv2.merge([small] * 3))
    cv2.imwrite(str(folder / "a.jpg"), small)
    tifffile.imwrite(folder / "a.tif", deep)
    tifffile.imwrite(folder / "white.tif", small, photometric="miniswhite")
    tifffile.imwrite(folder / "zlib.tif", deep, compression="zlib", tile=(16, 16))
    tifffile.imwrite(folder / "truth.tif", small > 0, photometric="miniswhite")
    tifffile.imwrite(folder / "float.tif", small.astype(np.float32), bigtiff=True)
    np.save(folder / "a.npy", small)
    np.save(folder / "float.npy", small.astype(np.float32))
    write_dicom(folder / "a.dcm", deep)
    write_dicom(folder / "white.dcm", deep, photometric="MONOCHROME1", PixelPaddingValue=0)
    for kind in ("rle", "jpeg2000", "jpeg-lossless", "jpeg-ls"):
        write_dicom(folder / f"{kind}.dcm", deep, compression=kind)
    yield from _odd_dicoms(folder, deep)
    names = (
        "a.png deep.png colours.png a.jpg a.tif white.tif zlib.tif truth.tif float.tif a.npy float.npy a.dcm white.dcm"
    )
    for name in [*names.split(), "rle.dcm", "jpeg2000.dcm", "jpeg-lossless.dcm", "jpeg-ls.dcm"]:
        yield Seed("image", folder / name)


def _odd_dicoms(folder: Path, deep: np.ndarray) -> Iterator[Seed]:
    window = {"WindowCenter": "2000", "WindowWidth": "900", "VOILUTFunction": "SIGMOID"}
    path = write_dicom(folder / "plain.dcm", deep, bits=10, PixelRepresentation=None, **window)
    (folder / "unmarked.dcm").write_bytes(path.read_bytes()[132:])
    with np.load(Path(__file__).parents[1] / "tests" / "data" / "streams.npz") as streams:
        for kind, syntax in (("jpeg12", JPEGExtended12Bit), ("htj2k", HTJ2KLossless)):
            write_stream(folder / f"{kind}.dcm", streams[kind].tobytes(), syntax, streams["pixels"])
    yield from (Seed("image", folder / f"{name}.dcm") for name in ("plain", "unmarked", "jpeg12", "htj2k"))


def _tables(folder: Path) -> Iterator[Seed]:
    (folder / "boxes.csv").write_text(
        "image,finding,xmin,ymin,xmax,ymax,note\na,mass,1,2,30,40,\nb,Asymmetry,5.5,6,7,8,near\nc,,,,,,\n"
    )
    (folder / "vindr.csv").write_text(
        "study_id,image_id,laterality,view_position,height,width,breast_birads,finding_categories,xmin,ymin,xmax,ymax,split\n"
        "s,a,L,CC,3518,2800,BI-RADS 4,\"['Mass', 'Skin Thickening']\",10,20,300,400,training\n"
        "s,b,R,MLO,3518,2800,BI-RADS 1,\"['No Finding']\",,,,,test\n"
    )
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "height": 64, "width": 48}],
        "categories": [{"id": 1, "name": "mass"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}],
    }
    (folder / "boxes.json").write_text(json.dumps(coco))
    (folder / "labels.csv").write_text("image,patient,mass,density\na,p1,1,B\nb,p1,0,c\nc,p2,,D\n")
    (folder / "list.csv").write_text("path,mass\nimages/a.png,1\nimages/b.png,0\n")
    (folder / "ranking.csv").write_text("rank,latent,score\n1,2,0.9\n2,0,0.5\n3,1,0.1\n")
    ranking = [{"rank": 1, "index": 1, "importance": 0.5}, {"rank": 2, "index": 0, "importance": 0.25}]
    (folder / "class=0.json").write_text(json.dumps(ranking))
    yield from (Seed("boxes", folder / name) for name in ("boxes.csv", "vindr.csv", "boxes.json"))
    coco["annotations"] = [
        {"image_id": "1", "category_id": 1, "segmentation": [[1, 2, 30, 2, 3, 40]]},
        {"image_id": 1, "category_id": 1, "bbox": [], "segmentation": {"size": [64, 48], "counts": [70, 5, 3000]}},
        {"image_id": 1, "category_id": 1, "bbox": None, "segmentation": {"size": [64, 48], "counts": "X45"}},
    ]
    (folder / "polygons.json").write_text(json.dumps(coco))
    yield Seed("boxes", folder / "polygons.json")
    (folder / "excel.csv").write_bytes("sep=;\nImage;Größe;Dichte\na;1,5;B\nb;2;c\n".encode("utf-16"))
    (folder / "latin.csv").write_bytes("image|größe\nä|1,5\n".encode("cp1252"))
    yield from (Seed("labels", folder / name) for name in ("excel.csv", "latin.csv"))
    yield from (Seed("labels", folder / name) for name in ("labels.csv", "vindr.csv"))
    yield Seed("list", folder / "list.csv")
    (folder / "own.found.csv").write_text(f"latent,found_again,of,sae\n0,2,3,{'a' * 16}\n1,0,3,{'a' * 16}\n")
    yield Seed("found again", folder / "own.found.csv")
    yield from (Seed("ranking", folder / name) for name in ("ranking.csv", "class=0.json"))


def _data_sets(folder: Path) -> Iterator[Seed]:
    for name in ("vindr", "cbis", "inbreast", "cmmd", "rsna", "embed"):
        root = folder / name
        root.mkdir()
        getattr(dataset_factory, f"write_{name}")(root)
        for path in sorted(path for path in root.rglob("*") if path.suffix in (".csv", ".xml")):
            yield Seed("data set", path, root)


def _models(folder: Path) -> Iterator[Seed]:
    root = folder / "model"
    toml = tiny.write_model(root)
    toml.write_text(
        'name = "tiny"\nlayer = "head"\n[files]\nclassifier = "classifier.safetensors"\n'
        'sae = {path = "sae.safetensors"}\n'
        '[input]\nsize = [190, 114]\nmean = 0.3\nstd = 0.2\n[[head]]\nclasses = ["mass", "suspicious_calcification"]\n'
        'task = "multilabel"\n[domain]\nwords = ["a", """b\nc"""]\n'
    )
    yield Seed("model.toml", toml, root)
    ensemble = {"backbone": "test_efficientnet", "num_classes": 5, "in_chans": 1, "num_models": 2}
    sizes = {"image_sizes": [[96, 64], [64, 64]], "pad_to_aspect_ratio": [True, False]}
    (folder / "config.json").write_text(json.dumps(ensemble | sizes))
    yield Seed("mammoscreen", folder / "config.json")
    write_facts(folder / "facts.safetensors", load_model(toml, device="cpu").facts)
    yield Seed("facts", folder / "facts.safetensors")
    based = folder / "heads"
    head = Head("scar", ("scar",), "binary", np.ones((1, 8)), np.zeros(1))
    based.mkdir()
    write_head(based / "scar.safetensors", head, "0" * 64)
    yield Seed("weights", based / "scar.safetensors")
    yield Seed("trained head", based / "scar.safetensors")
    record = {
        "base": "demo",
        "heads": {"scar": {"classes": ["scar"], "task": "binary", "label": "scar", "provenance": {}}},
    }
    (based / "heads.json").write_text(json.dumps(record))
    yield Seed("heads", based / "heads.json")
    with zipfile.ZipFile(folder / "release.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for label in ("mass", "density"):
            archive.writestr(f"Classifier/fine_tune/{label}/a.pth", bytes(range(256)) * 16)
    yield Seed("archive", folder / "release.zip")
    yield Seed("weights", root / "sae.safetensors")
    yield Seed("sae", root / "sae.safetensors")
    head = recipe.head_weights(8)
    small = {"_conv_stem.weight": torch.ones(2, 3, 3, 3)}
    for name, legacy in (("zip.pth", False), ("old.pth", True)):
        path = recipe.write_classifier(folder / name, small, head)
        if legacy:
            torch.save(torch.load(path, weights_only=False), path, _use_new_zipfile_serialization=False)
        yield Seed("weights", path)
    for name, legacy in (("zip.pt", False), ("old.pt", True)):
        torch.save(recipe.sae_weights(4, 8), folder / name, _use_new_zipfile_serialization=not legacy)
        yield Seed("sae", folder / name)


def _runs(folder: Path) -> Iterator[Seed]:
    from napari_mammosae.core.models.loading import load_model
    from napari_mammosae.core.runs.making.make import write_run

    images = folder / "images"
    for number in range(3):
        tiny.write_image(images / f"image-{number}.png", number, (100, 70))
    (images / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (folder / "run-labels.csv").write_text("image,mass\nimage-0,1\nimage-1,0\nimage-1,1\n")
    for name in ("run", "unchecked"):
        root = folder / name
        with _page_checksums(name == "run"):
            write_run(
                images, load_model(folder / "model" / "model.toml", device="cpu"), root, block=2, maps=True, workers=0,
                labels=folder / "run-labels.csv",
            )  # fmt: skip
        for path in sorted(path for path in root.rglob("*") if path.suffix in (".json", ".csv", ".parquet")):
            yield Seed("run", path, root)
            if path.parent.name == "images":
                yield Seed("images part", path, root)


@contextmanager
def _page_checksums(wanted: bool) -> Iterator[None]:
    """Without them damage gets as far as the decoders, as in files of other programs."""
    write = pq.write_table

    def written(*args: object, **options: object) -> None:
        write(*args, **options | {"write_page_checksum": wanted})

    with mock.patch.object(pq, "write_table", written):
        yield


def _verdicts(folder: Path) -> Iterator[Seed]:
    from napari_mammosae.core.verdicts.exchange import export_verdicts
    from napari_mammosae.core.verdicts.store import Evidence, Subject, VerdictStore
    from napari_mammosae.core.verdicts.suggestions import Suggestion

    path = folder / "verdicts.sqlite"
    with VerdictStore(path, "reader") as store:
        for latent, verdict in ((1, "lesion"), (2, "spurious"), (1, "anatomy")):
            subject = Subject("m" * 64, "s" * 64)
            store.decide(subject, latent, verdict, concept="marker", note="near", evidence=Evidence("a", {"zoom": 2}))
        store.suggest(subject, [Suggestion(1, "marker", "text", 0.4, 0.2, 0.01, {"measure": "cosine"})])
        export_verdicts(store, folder / "verdicts.csv")
        export_verdicts(store, folder / "verdicts.json")
    shutil.copy(path, folder / "copied.sqlite")
    yield from (Seed("verdicts", folder / name) for name in ("verdicts.csv", "verdicts.json", "copied.sqlite"))


def _truth(folder: Path) -> Iterator[Seed]:
    path = folder / "truth.npz"
    masks = np.packbits(tiny.picture(0, (64, 48)) > 0)
    np.savez_compressed(
        path, shape=np.array((64, 48)), spacing=np.array((0.1, 0.1)), specks=np.zeros((0, 4)), mass=masks
    )
    yield Seed("truth", path)


def _answers(folder: Path) -> Iterator[Seed]:
    from napari_mammosae.core.naming.vlm.server.replies import ANSWERS, Replies, Reply

    (folder / "names").mkdir()
    replies = Replies(folder / "names")
    replies.keep("a" * 64, Reply(text='{"name": "mass"}', used=(300, 20)))
    replies.keep("b" * 64, Reply(text="1", tokens=(("1", -0.2), ("0", -1.7))))
    yield Seed("answers", folder / "names" / ANSWERS)
