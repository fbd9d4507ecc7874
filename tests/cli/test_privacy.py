"""A person's DICOM files, in a folder of the person's name, through everything that writes: nothing of it comes out."""

import io
import logging
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from dicom_factory import breast_image, truncate, write_dicom
from napari_mammosae.cli import main
from napari_mammosae.core.annotations.box_files import write_findings
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.base.provenance import provenance
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.verdicts.store import Evidence, Subject, VerdictStore, default_path

PERSON = {
    "PatientName": "Mustermann^Erika",
    "PatientID": "KH-QX47-0815",
    "PatientBirthDate": "19640812",
    "PatientAddress": "Heidestrasse 17",
    "OtherPatientIDs": "L01X00T47",
    "AccessionNumber": "ACC99887766",
    "StudyID": "ST556677",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.11111",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.22222",
    "FrameOfReferenceUID": "1.2.826.0.1.3680043.8.498.33333",
    "StudyDate": "20240131",
    "InstitutionName": "Klinikum Hintertupfing",
    "ReferringPhysicianName": "Sauerbruch^Ferdinand",
    "OperatorsName": "Roentgen^Anna",
    "StationName": "MG-ROOM-3",
    "DeviceSerialNumber": "SN123454321",
    "ImageComments": "Frau Mustermann, Verdacht",
}
FOLDER = "Mustermann_Erika_19640812"
SECRETS = ("Mustermann", *(value.partition("^")[0] for value in PERSON.values()))


def text_of(path: Path) -> str:
    """What a file says, packed or not."""
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
        return table.to_csv() + repr(table.attrs)
    data = path.read_bytes()
    if path.suffix == ".npz":
        with zipfile.ZipFile(io.BytesIO(data)) as arrays:
            return " ".join(f"{name} {arrays.read(name).decode('latin-1')}" for name in arrays.namelist())
    if path.suffix == ".pdf":
        pieces = data.split(b"stream\n")[1:]
        unpacked = [zlib.decompressobj().decompress(piece) for piece in pieces if piece[:1] == b"x"]
        data += b" ".join(unpacked)
    return data.decode("latin-1")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / FOLDER / "images"
    folder.mkdir(parents=True)
    for number in range(6):
        pixels = breast_image(300, 200, seed=number)
        write_dicom(folder / f"image-{number}.dcm", pixels, **PERSON)
    truncate(write_dicom(folder / "image-6.dcm", breast_image(), compression="jpeg2000", **PERSON))
    truncate(write_dicom(folder / "image-7.dcm", breast_image(), **PERSON), keep=0.2)
    return folder


def call(*words: object) -> None:
    assert main([str(word) for word in words]) == 0


@pytest.mark.slow
def test_nothing_of_a_person_comes_out(
    images: Path, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.DEBUG, "napari_mammosae")
    caplog.set_level(logging.INFO)
    labels, boxes, out = images.parent / "labels.csv", images.parent / "boxes.csv", tmp_path / "out"
    labels.write_text("image,mass\n" + "".join(f"image-{n},{n % 2}\n" for n in range(6)))
    boxes.write_text(
        "image,finding,xmin,ymin,xmax,ymax\n" + "".join(f"image-{n},mass,20,90,900,200\n" for n in range(1, 6, 2))
    )
    run = out / "run"
    for figure in ("png", "pdf", "svg"):
        call("inspect", images / "image-1.dcm", "--model", tiny_model, "--boxes", boxes, "--out", out / figure,
             "--figure", figure, "--device", "cpu")  # fmt: skip
    call("run", images, "--model", tiny_model, "--labels", labels, "--maps", "--out", run, "--device", "cpu",
         "--workers", 0)  # fmt: skip
    call("rank", run, "--label", "mass", "--csv", out / "rank.csv")
    call("localize", run, "--boxes", boxes, "--resamples", 0, "--csv", out / "localize.csv")
    call(
        "intervene",
        run,
        "--label",
        "mass",
        "--model",
        tiny_model,
        "--csv",
        out / "keep.csv",
        "--plot",
        out / "keep.pdf",
    )
    call("compare", run, run, "--label", "mass", "--out", out / "compare")
    call("train-sae", images, "--model", tiny_model, "--labels", labels, "--out", out / "sae.safetensors",
         "--epochs", 1, "--hold-out", 0, "--device", "cpu", "--workers", 0)  # fmt: skip
    opened = open_run(run)
    subject = Subject(str(opened.info["model_sha256"]), str(opened.info["sae_sha256"]))
    with VerdictStore(default_path(run), "reader") as store:
        store.decide(subject, 3, "spurious", evidence=Evidence("image-1", view="mass"))
    for name in ("verdicts.csv", "verdicts.json"):
        call("verdicts", "export", out / name, "--verdicts", run)
    findings = read_findings(boxes)
    shapes = {f"image-{n}": (300, 200) for n in range(6)}
    record = provenance("draw boxes", {"source": boxes, "folder": str(images)})
    for name in ("boxes.csv", "boxes.json"):
        write_findings(out / name, findings.for_images(shapes).table, shapes=shapes, provenance=record)

    said = capsys.readouterr()
    written = {path.relative_to(out).as_posix(): text_of(path) for path in out.rglob("*") if path.is_file()}
    assert len(written) > 30
    for name, text in {**written, "standard error": said.err, "the log": caplog.text}.items():
        found = [secret for secret in (*SECRETS, str(tmp_path), "QX47") if secret in text]
        assert not found, f"{name} holds {found}"
    for secret in SECRETS:
        assert secret not in said.out

    assert opened.images["patient"].nunique() == 1, "a pseudonym still groups the images of one person"
    failures = pd.read_csv(run / "failures.csv")
    assert list(failures["image_id"]) == ["image-6", "image-7"]


def test_what_the_library_shows_of_an_image_names_nobody(images: Path):
    image = read_mammogram(images / "image-0.dcm")
    shown = repr((image.image_id, image.patient, image.metadata, image.laterality, image.view, image.name))
    assert not [secret for secret in SECRETS if secret in shown]
    assert np.array_equal(image.pixels, breast_image(300, 200, seed=0))
