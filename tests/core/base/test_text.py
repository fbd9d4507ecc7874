"""Numbers, names and lists as people read them."""

import html
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.core.base.text import duration, markdown, numbers_of, readable, sentence, size_text, text_of


@given(st.text(st.sampled_from("ab_*<>&|$^~#[]`\\"), max_size=12))
def test_names_in_markdown_read_as_they_are(text):
    made = markdown(text)
    marks = re.sub(r"\\[\\`*_\[\]]|&#\d+;", "", made)
    assert not set(marks) - set("ab"), "whatever means something is escaped"
    assert html.unescape(re.sub(r"\\([\\`*_\[\]])", r"\1", made)) == text


def test_slugs_are_read_as_words():
    assert readable("suspicious_calcification") == "suspicious calcification"


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1_234_567, "1.2 MB"),
        (5.55e9, "5.5 GB"),
        (4.2e12, "4.2 TB"),
        (4.2e15, "4200.0 TB"),
    ],
)
def test_sizes(size, text):
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (4.4, "4 s"), (59.6, "1 min 0 s"), (61, "1 min 1 s"), (3599, "59 min 59 s"), (7300, "2 h 1 min")],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("note", "text"),
    [("two boxes left out: 3", "Two boxes left out: 3."), ("SAE not found.", "SAE not found."), ("a", "A.")],
)
def test_notes_become_sentences(note, text):
    assert sentence(note) == text


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("", []), ("3, 17 40-44", [3, 17, 40, 41, 42, 43, 44]), ("5;5", [5, 5]), (" 9 - 9", None), ("7-7", [7])],
)
def test_lists_of_latents_are_read(text, numbers):
    if numbers is None:
        with pytest.raises(SettingsError, match="'-' is not the number of a latent"):
            numbers_of(text)
    else:
        assert numbers_of(text) == numbers


@pytest.mark.parametrize(
    ("text", "message"),
    [("x", "'x' is not the number"), ("-1", "'-1' is not the number"), ("9-3", "'9-3' is not a range")],
)
def test_what_is_not_a_list_of_latents_is_refused(text, message):
    with pytest.raises(SettingsError, match=message):
        numbers_of(text)


def test_a_range_too_long_to_be_meant_is_refused():
    with pytest.raises(SettingsError, match="names more than"):
        numbers_of("0-99999999999")


def test_three_neighbours_are_written_as_a_range_and_two_are_not():
    assert text_of([17, 3, 41, 40, 42, 4]) == "3, 4, 17, 40-42"
    assert text_of(np.array([], np.int64)) == ""


@given(st.sets(st.integers(0, 300)))
def test_what_is_written_is_read_back(latents):
    assert numbers_of(text_of(list(latents))) == sorted(latents)
