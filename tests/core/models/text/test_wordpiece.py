"""Text to numbers: golden ones of a small vocabulary, and which files are refused."""

import pytest

from napari_mammosae.core.base.errors import CheckpointError
from napari_mammosae.core.models.text.wordpiece import SPECIAL, WordPieces, read_vocabulary
from text_kit import WORDS, write_vocabulary

PIECES = WordPieces(WORDS)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("mass", [4]),
        ("Mass", [4]),
        ("MASSES", [4, 5]),
        ("spiculated mass", [16, 17, 4]),
        ("no\tmass\n in  the breast", [6, 4, 9, 10, 11]),
        ("mass,clip-fold", [4, 18, 26, 19, 24]),
        ("\u00e9t", [21, 22]),  # é, taken apart from its accent
        ("e\u0301t", [21, 22]),
        ("ma\u200bss", [4]),  # a character without width
        ("massx", [1]),  # a rest that is not known makes the whole word unknown
        ("mass \u4e00\u4e01", [4, 1, 1]),  # Chinese characters are words of their own
        ("[SEP]", [1, 1, 1]),  # what a user types never ends the text
        ("m" * 101, [1]),
        ("", []),
    ],
)
def test_golden_numbers(text, ids):
    assert PIECES.encode(text, 40) == [2, *ids, 3]


def test_long_texts_are_cut_before_their_end():
    assert PIECES.encode("mass " * 50, 6) == [2, 4, 4, 4, 4, 3]


def test_words_that_cannot_be_spelled_are_named_once():
    assert PIECES.unknown("Tumour mass tumour") == ("tumour",)


def test_a_vocabulary_is_read_as_it_is(tmp_path):
    assert read_vocabulary(write_vocabulary(tmp_path)).words == WORDS
    path = tmp_path / "windows.txt"
    path.write_bytes(("\ufeff" + "\r\n".join(WORDS) + "\r\n").encode())
    assert read_vocabulary(path).words == WORDS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("\n".join(WORDS[1:]), r"lacks \[PAD\]; expected the vocabulary of a BERT"),
        ("\n".join([*WORDS, "mass"]), "has a word twice"),
        ("\n".join([*SPECIAL, *map(str, range(28_992))]), r"special tokens at \(0, 1, 2, 3\); expected \(0, 100, 101"),
    ],
)
def test_files_that_are_no_vocabulary(tmp_path, content, words):
    path = tmp_path / "vocab.txt"
    path.write_text(content)
    with pytest.raises(CheckpointError, match=words):
        read_vocabulary(path)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(CheckpointError, match=r"vocab.txt: no such file; give the vocab.txt of the text tower"):
        read_vocabulary(tmp_path / "vocab.txt")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff\xfe")
    with pytest.raises(CheckpointError, match=r"picture.png is not a text file"):
        read_vocabulary(tmp_path / "picture.png")
