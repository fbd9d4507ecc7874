"""What is remembered for a person: newest last, at most so much, and never in the way."""

import pytest

from napari_mammosae.core.base import remembered
from napari_mammosae.core.base.remembered import forget, recall, remember, state_folder


def test_the_newest_is_last_and_the_oldest_are_forgotten(monkeypatch):
    monkeypatch.setattr(remembered, "_MOST", 3)
    for key in "abca":
        remember("places", key, key.upper())
    assert list(recall("places").items()) == [("b", "B"), ("c", "C"), ("a", "A")]
    remember("places", "d", "D")
    forget("places", "c")
    assert list(recall("places")) == ["a", "d"]
    assert recall("others") == {}


@pytest.mark.parametrize("content", ["", "[1]", "{", "\x00"])
def test_a_damaged_file_is_as_good_as_none(content):
    state_folder().mkdir(parents=True)
    (state_folder() / "places.json").write_text(content)
    assert recall("places") == {}
    remember("places", "a", "b")
    assert recall("places") == {"a": "b"}


def test_a_folder_that_cannot_be_written_costs_nothing(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(remembered, "state_folder", lambda: tmp_path / "file")
    remember("places", "a", "b")
    assert recall("places") == {}
