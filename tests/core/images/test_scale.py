"""Millimetres in the breast: from which element they come, and what magnification does to them."""

from pathlib import Path

import numpy as np
import pytest

from dicom_factory import write_dicom
from napari_mammosae.core.images.mammogram import read_mammogram
from napari_mammosae.core.images.scale import Scale


@pytest.mark.parametrize(
    ("elements", "per_pixel", "said"),
    [
        ({"ImagerPixelSpacing": ["0.07", "0.07"]}, (0.07, 0.07), "at the detector"),
        (
            {"ImagerPixelSpacing": ["0.07", "0.07"], "EstimatedRadiographicMagnificationFactor": "1.75"},
            (0.04, 0.04),
            "divided by its magnification of 1.75",
        ),
        # What is calibrated already is not divided again.
        (
            {"PixelSpacing": ["0.05", "0.06"], "EstimatedRadiographicMagnificationFactor": "1.75"},
            (0.05, 0.06),
            "0.05 x 0.06 mm per pixel (Pixel Spacing)",
        ),
        ({"ImagerPixelSpacing": ["0.07", "0.07"], "EstimatedRadiographicMagnificationFactor": "0"}, (0.07, 0.07), ""),
        ({"ImagerPixelSpacing": ["0.07", "0.07"], "EstimatedRadiographicMagnificationFactor": "175"}, (0.07, 0.07), ""),
    ],
)
def test_lengths_come_from_the_file(tmp_path: Path, elements: dict, per_pixel: tuple, said: str) -> None:
    pixels = np.arange(12, dtype=np.uint16).reshape(3, 4)
    scale = read_mammogram(write_dicom(tmp_path / "a.dcm", pixels, **elements)).scale
    assert scale.per_pixel == pytest.approx(per_pixel)
    assert said in str(scale)


def test_lengths_are_measured_along_rows_and_columns_apart() -> None:
    assert Scale((0.1, 0.2)).length((0, 0), (30, 20)) == pytest.approx(5.0)  # 3 mm down, 4 mm across


def test_nothing_is_known_of_an_array() -> None:
    assert read_mammogram(np.eye(4)).scale is None
