"""Slugs of labels, and identifiers of images."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mammosae.core.base.names import IMAGE_SUFFIXES, image_id_of, slug


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Suspicious Calcification", "suspicious_calcification"),
        ("  BI-RADS 4/5 ", "bi_rads_4_5"),
        ("Asymétrie", "asymetrie"),
        ("mass", "mass"),
        ("結節", ""),
        ("---", ""),
    ],
)
def test_slugs(text, expected):
    assert slug(text) == expected


@given(st.text())
def test_a_slug_is_its_own_slug_and_holds_nothing_else(text):
    made = slug(text)
    assert slug(made) == made
    assert set(made) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert not made.startswith("_")
    assert not made.endswith("_")


@pytest.mark.parametrize("suffix", [*IMAGE_SUFFIXES, ".PNG", ".Dcm"])
def test_known_suffixes_are_dropped(suffix):
    assert image_id_of(f"study/left{suffix}") == "left"
    assert image_id_of(Path("study") / f"left{suffix}") == "left"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("1.2.840.113.7", "1.2.840.113.7"),
        ("1.2.840.113.7.dcm", "1.2.840.113.7"),
        (r"D:\data\a.png", "a"),
        ("notes.txt", "notes.txt"),
        (".png", ".png"),
        ("a.png.png", "a.png"),
    ],
)
def test_other_endings_are_part_of_the_identifier(path, expected):
    assert image_id_of(path) == expected
