"""Which published file a path means: members of the archive share base names, so their folders count."""

from collections.abc import Sequence
from itertools import pairwise

from ...base.errors import ModelError
from ...base.reading import short_line
from .catalogue import PublishedModel


def parts_of(path: str) -> list[str]:
    """Return the parts of a path in lower case, whichever slash divides them.

    >>> parts_of("Classifier/fine_tune/mass/A.pth")
    ['classifier', 'fine_tune', 'mass', 'a.pth']
    """
    return [part for part in path.replace("\\", "/").casefold().split("/") if part]


def base_name(path: str) -> str:
    r"""Return the last part of a path, whichever slash divides it.

    >>> base_name(r"fine_tune\mass\a.pth")
    'a.pth'
    """
    return path.replace("\\", "/").rpartition("/")[2]


def is_member(model: PublishedModel, path: str) -> bool:
    """Whether a path is that of the model's classifier: a `.pth` below folders such as ``fine_tune/mass``."""
    *folders, name = parts_of(path) or [""]
    return (
        bool(model.member)
        and name.endswith(".pth")
        and not name.startswith("._")  # what macOS puts beside files
        and model.member in map("/".join, pairwise(folders))
    )


def is_published_name(name: str, path: str) -> bool:
    """Whether a path ends in the name of a published file."""
    return base_name(path).casefold() == name.casefold()


def listed(paths: Sequence[str]) -> str:
    """Name at most three files, from where their paths part.

    >>> listed(["fine_tune/mass/a.pth", "fine_tune/mass/b.pth"])
    'a.pth; b.pth'
    """
    parts = [path.replace("\\", "/").split("/") for path in paths]
    same = 0
    while all(len(one) > same + 1 and one[same] == parts[0][same] for one in parts):
        same += 1
    names = [short_line("/".join(one[same:]))[:100] for one in parts[:3]]
    return "; ".join(names + ["…"] * (len(parts) > 3))


def choose(model: PublishedModel, found: Sequence[str], where: str) -> str:
    """Return the one path that was found for a model's classifier.

    Raises
    ------
    ModelError
        There is none, or several, which are listed.
    """
    if not found:
        raise ModelError(f"{where} has no {model.member}/*.pth, the classifier of {model.name}")
    if len(found) > 1:
        raise ModelError(
            f"{model.name}: {len(found)} files of {where} fit: {listed(found)}. Choose one with --member and a part of "
            "its path"
        )
    return found[0]
