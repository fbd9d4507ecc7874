"""Text to numbers of word pieces, as BERT was trained on: always lower case, without accents."""

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...base.errors import CheckpointError
from ...base.reading import reads

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
BERT_BASE_CASED = 28_996
"""Words of the vocabulary that the published text towers were trained with."""
_BERT_BASE_CASED_PLACES = (0, 100, 101, 102)
_LONGEST_WORD = 100
"""Characters of a word above which it counts as unknown."""


@dataclass(frozen=True, slots=True, eq=False)
class WordPieces:
    """A vocabulary, and how text is taken apart by it.

    Attributes
    ----------
    words
        Pieces in the order of their numbers; those that continue a word begin with ##.
    source
        Name of the file, for messages.

    Raises
    ------
    CheckpointError
        If a special token is missing, or a word occurs twice.

    Examples
    --------
    >>> pieces = WordPieces(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "mass", "##es"))
    >>> pieces.encode("Masses", 8), pieces.encode("clip", 8)
    ([2, 4, 5, 3], [2, 1, 3])
    """

    words: tuple[str, ...]
    source: str = "vocab.txt"
    _numbers: dict[str, int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        numbers = {word: place for place, word in enumerate(self.words)}
        object.__setattr__(self, "_numbers", numbers)
        if missing := [name for name in SPECIAL if name not in numbers]:
            raise CheckpointError(
                f"{self.source} lacks {', '.join(missing)}; expected the vocabulary of a BERT, one word per line"
            )
        if len(numbers) < len(self.words):
            raise CheckpointError(f"{self.source} has a word twice; copy or download it again")
        places = tuple(numbers[name] for name in SPECIAL)
        if len(self.words) == BERT_BASE_CASED and places != _BERT_BASE_CASED_PLACES:
            raise CheckpointError(
                f"{self.source} has its special tokens at {places}; expected {_BERT_BASE_CASED_PLACES}, as in "
                "vocab.txt of Bio_ClinicalBERT"
            )

    def encode(self, text: str, longest: int) -> list[int]:
        """Return the numbers of a text between [CLS] and [SEP], at most `longest` of them in all."""
        pieces = [piece for word in split_words(text) for piece in self._pieces(word)]
        return [self._numbers["[CLS]"], *pieces[: longest - 2], self._numbers["[SEP]"]]

    def unknown(self, text: str) -> tuple[str, ...]:
        """Return the words of a text that the vocabulary cannot spell, each once."""
        return tuple(dict.fromkeys(word for word in split_words(text) if self._numbers["[UNK]"] in self._pieces(word)))

    def _pieces(self, word: str) -> list[int]:
        """Take the longest piece that is known, again and again; the whole word is unknown where one is missing."""
        found: list[int] = []
        start = 0
        while start < len(word) <= _LONGEST_WORD:
            for end in range(len(word), start, -1):
                piece = f"{'##' if start else ''}{word[start:end]}"
                if piece in self._numbers:
                    found.append(self._numbers[piece])
                    start = end
                    break
            else:
                break
        return found if found and start == len(word) else [self._numbers["[UNK]"]]


@reads(CheckpointError, "a vocabulary")
def read_vocabulary(path: Path | str) -> WordPieces:
    """Read a `vocab.txt`: one word per line, whose number is its number.

    Raises
    ------
    CheckpointError
        If it is missing, not UTF-8, or not the vocabulary of a BERT.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise CheckpointError(f"{path.name}: no such file; give the vocab.txt of the text tower") from None
    except UnicodeDecodeError:
        raise CheckpointError(f"{path.name} is not a text file; expected a vocabulary, one word per line") from None
    return WordPieces(tuple(line.rstrip("\r") for line in text.removesuffix("\n").split("\n")), path.name)


def split_words(text: str) -> Iterator[str]:
    """Split at white space, and around punctuation and Chinese characters, which are words of their own."""
    plain = "".join(
        character for character in unicodedata.normalize("NFD", text).lower() if unicodedata.category(character) != "Mn"
    )
    word: list[str] = []
    for character in [*plain, " "]:
        space = character in " \t\n\r" or unicodedata.category(character) == "Zs"
        if not space and (character in "\0\ufffd" or unicodedata.category(character).startswith("C")):
            continue
        alone = _is_punctuation(character) or _is_chinese(character)
        if (space or alone) and word:
            yield "".join(word)
            word = []
        if alone:
            yield character
        elif not space:
            word.append(character)


def _is_punctuation(character: str) -> bool:
    """Whether a character splits words: every ASCII one but letters and digits, and Unicode's punctuation."""
    if 33 <= ord(character) <= 126:
        return not character.isalnum()
    return unicodedata.category(character).startswith("P")


_CHINESE: Sequence[tuple[int, int]] = (
    (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF), (0x2F800, 0x2FA1F),
)  # fmt: skip


def _is_chinese(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in _CHINESE)
