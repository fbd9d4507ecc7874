"""DICOM files for tests: any bit depth, photometric interpretation and compression, whole or damaged."""

from pathlib import Path
from typing import Any

import gdcm
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

DIGITAL_MAMMOGRAPHY = "1.2.840.10008.5.1.4.1.1.1.2"

COMPRESSED = {
    "jpeg-lossless": gdcm.TransferSyntax.JPEGLosslessProcess14_1,
    "jpeg-ls": gdcm.TransferSyntax.JPEGLSLossless,
    "jpeg2000": gdcm.TransferSyntax.JPEG2000Lossless,
    "rle": gdcm.TransferSyntax.RLELossless,
}


def breast_image(
    rows: int = 240, cols: int = 160, *, top: int = 4095, dtype: str = "uint16", seed: int = 0
) -> np.ndarray:
    """A half-ellipse of texture on a dark background, from 0 to `top`."""
    random = np.random.default_rng(seed)
    row, col = np.mgrid[:rows, :cols]
    inside = ((row - rows / 2) / (rows * 0.42)) ** 2 + (col / (cols * 0.75)) ** 2 < 1
    image = np.where(inside, random.uniform(0.35, 0.9, (rows, cols)), 0.02)
    image[0, -1], image[rows // 2, cols // 4] = 0, 1
    return np.floor(image * top).astype(dtype)


def write_dicom(
    path: Path,
    pixels: np.ndarray,
    *,
    bits: int | None = None,
    photometric: str = "MONOCHROME2",
    compression: str | None = None,
    implicit: bool = False,
    frames: int | None = None,
    **elements: Any,
) -> Path:
    """Write `pixels` (rows, cols), (rows, cols, 3), or (frames, rows, cols) as one DICOM file.

    `bits` is Bits Stored; `elements` are further data elements by keyword, None leaves one out.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = DIGITAL_MAMMOGRAPHY
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset.SOPClassUID = DIGITAL_MAMMOGRAPHY
    dataset.Modality = "MG"
    dataset.PatientID, dataset.PatientName = "ID-0042", "Doe^Jane"
    dataset.SamplesPerPixel = 3 if photometric in ("RGB", "YBR_FULL") else 1
    if dataset.SamplesPerPixel == 3:
        dataset.PlanarConfiguration = 0
    dataset.PhotometricInterpretation = photometric
    dataset.Rows, dataset.Columns = pixels.shape[1:] if frames else pixels.shape[:2]
    if frames:
        dataset.NumberOfFrames = frames
    dataset.BitsAllocated = pixels.dtype.itemsize * 8
    dataset.BitsStored = bits or dataset.BitsAllocated
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = int(pixels.dtype.kind == "i")
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OW" if dataset.BitsAllocated > 8 else "OB"
    for name, value in elements.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    if compression is not None:
        _compress(path, COMPRESSED[compression])
    return path


def write_stream(path: Path, stream: bytes, syntax: str, pixels: np.ndarray, **elements: Any) -> Path:
    """Write a compressed image as it is; `pixels` give the header its sizes."""
    dataset = pydicom.dcmread(write_dicom(path, pixels, bits=12, **elements))
    dataset.PixelData = encapsulate([stream + b"\0" * (len(stream) % 2)])
    dataset["PixelData"].is_undefined_length = True
    dataset["PixelData"].VR = "OB"
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, enforce_file_format=True)
    return path


def write_exam(folder: Path) -> dict[str, Path]:
    """Write four views of one breast each; the files by view."""
    return {view: write_dicom(folder / f"{view}.dcm", breast_image()) for view in ("rcc", "lcc", "rmlo", "lmlo")}


def truncate(path: Path, keep: float = 0.6) -> Path:
    """Cut the end of a file off."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def _compress(path: Path, syntax: int) -> None:
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(syntax))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
