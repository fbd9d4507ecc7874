"""Which image is meant: names of tables against names of images."""

import time
import unicodedata

import pytest

from napari_mammosae.core.base.names import ImageNames, table_names, tidy_name

A_UMLAUT = "ä"
DECOMPOSED = unicodedata.normalize("NFD", A_UMLAUT)


@pytest.mark.parametrize(
    ("names", "images", "places"),
    [
        # a folder a patient, as TCIA has it
        (["P1/1-1.dcm", "P2/1-1.dcm", "P1/1-2.dcm"], ["P1/1-1.dcm", "P1/1-2.dcm", "P2/1-1.dcm"], [0, 2, 1]),
        (["P1/1-1.dcm", "P2/1-1.dcm", "P1/1-2.dcm"], ["P2/1-2.dcm", "P2/1-1.dcm"], [None, 1]),
        (["P1/1-1.dcm"], ["P2/1-1.dcm"], [None]),
        (["P1/1-1.dcm", "P2/1-1.dcm"], ["/data/P2/1-1.dcm", "/data/P1/1-1.dcm"], [1, 0]),
        (["/other/disk/P1/1-1.dcm"], ["P1/1-1.dcm"], [0]),
        # by name alone, where it is the only one on both sides
        (["study/a.png", "study/b.png"], ["b.png", "a.png", "c.png"], [1, 0, None]),
        (["a", "b"], ["x/b.dcm", "y/a.dcm"], [1, 0]),
        (["P1/1-1", "P2/1-1"], ["1-1.dcm"], [None]),
        (["1-1"], ["P1/1-1.dcm", "P2/1-1.dcm"], [None, None]),
        (["1-1", "P1/1-1"], ["P1/1-1.dcm", "P2/1-1.dcm"], [1, None]),
        # folders of one name in several others: the longest agreement counts, and only once
        (["P1/s/1-1", "P2/s/1-1"], ["P2/s/1-1", "P1/s/1-1", "P3/s/1-1"], [1, 0, None]),
        (["s/1-1"], ["P1/s/1-1", "P2/s/1-1"], [None, None]),
        (["P1/s/1-1", "P2/s/1-1"], ["s/1-1"], [None]),
        (["P1/1-1", "old/P1/1-1"], ["old/P1/1-1", "P1/1-1"], [1, 0]),
        (["here/P1/1-1"], ["there/P1/1-1"], [0]),
        # spelling
        (["./P1//1-1.dcm", r"P2\1-1.dcm"], ["P2/1-1.DCM", "P1/1-1"], [1, 0]),
        ([f"{A_UMLAUT}.png", f"{DECOMPOSED}/b"], [f"{DECOMPOSED}.png", f"{A_UMLAUT}/b"], [0, 1]),
        (["C:\\scans\\P1\\1-1.dcm"], ["P1/1-1.png"], [0]),
        (["a.dcm"], ["a.png"], [0]),
        (["x/a.png", "x/a.dcm"], ["x/a.dcm", "x/a.png"], [1, 0]),
        (["a.png"], ["a.png", "a.dcm"], [None, None]),  # the table's suffix told nothing apart there
        (["1.2.840.113.7"], ["study/1.2.840.113.7"], [0]),
    ],
)
def test_folders_decide_which_image_is_meant(names, images, places):
    assert ImageNames(table_names(names)).match(images).places == places


@pytest.mark.parametrize(
    ("names", "images", "count", "example"),
    [
        (["P1/1-1", "P2/1-1"], ["1-1.dcm"], 1, "1-1.dcm may be P1/1-1 or P2/1-1"),
        (["1-1"], ["P1/1-1.dcm", "P2/1-1.dcm"], 2, "P1/1-1.dcm may not be the 1-1 meant"),
        (["s/1-1"], ["P1/s/1-1", "P2/s/1-1", "P3/t/1-1"], 2, "P1/s/1-1 may not be the s/1-1 meant"),
        (["1-1", "P1/1-1"], ["/home/jane/P2/1-1"], 1, "P2/1-1 may not be the 1-1 meant"),
    ],
)
def test_what_stays_ambiguous_is_counted_with_an_example(names, images, count, example):
    found = ImageNames(names).match(images)
    assert found.notes == (
        f"images whose names are ambiguous, left out: {count} (first: {example}); name them with their folders",
    )


def test_upper_folders_that_differ_are_told():
    found = ImageNames(["there/P1/1-1", "P2/1-1"]).match(["here/P1/1-1.dcm", "here/P2/1-1.dcm"])
    assert found.places == [0, 1]
    assert found.notes == (
        "images whose last folders agree and whose upper folders do not, used: 1 (first: there/P1/1-1, taken for "
        "here/P1/1-1.dcm)",
    )


@pytest.mark.parametrize(
    ("names", "called"),
    [
        (["one/a.png", r"two\a.png", "b.png"], ["one/a", "two/a", "b"]),
        (["one/a.png", "one/a", "./one/a.png", "one//a.PNG"], ["one/a"] * 4),
        (["a.png", "a.dcm", "b.png"], ["a.png", "a.dcm", "b"]),
        ([DECOMPOSED, A_UMLAUT], [A_UMLAUT, A_UMLAUT]),
        (["1.2.3", "1.2.4"], ["1.2.3", "1.2.4"]),
    ],
)
def test_one_image_in_two_spellings_is_one_image(names, called):
    assert table_names(names) == called


def test_names_are_tidied():
    assert tidy_name(r"C:\a\..\b\./c.png") == "C:/b/c.png"
    assert tidy_name("/x//y/") == "x/y"


@pytest.mark.parametrize("depth", [0, 2])
def test_a_large_table_is_resolved_at_once(depth):
    above = "/".join(f"folder{level}" for level in range(depth))
    images = [f"{above}/P{n}/study/1-{n % 4}.dcm" for n in range(20_000)]
    rows = [f"P{n % 20_000}/study/1-{n % 4}.dcm" for n in range(20_486)]
    start = time.perf_counter()
    found = ImageNames(dict.fromkeys(table_names(rows))).match(images)
    assert time.perf_counter() - start < 10  # two seconds wanted; a loop over pairs would take minutes
    assert found.places == list(range(20_000))
