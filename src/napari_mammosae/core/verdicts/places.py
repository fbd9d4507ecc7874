"""Where verdicts are kept unless the user says otherwise."""

from pathlib import Path

from ..base.caches import in_cache, is_embedded
from ..base.errors import VerdictError

FILE = "verdicts.sqlite"


def check_there(path: Path) -> None:
    """Raise VerdictError where there is no file of verdicts to read."""
    if path.is_dir():
        raise VerdictError(f"{path.name} is a folder; give the path of an existing verdict file.")
    if not path.is_file():
        raise VerdictError(f"{path.name} does not exist; give the path of an existing verdict file.")


def default_path(run: Path | str | None = None) -> Path:
    """Return the file for verdicts: in the open run's folder, else in the user's data folder.

    A run in the user's cache folder can be deleted and made again at any time, decisions cannot; and the run that comes
    with the package may lie where nothing can be written. What is decided about those goes into the user's own file.
    """
    if run is not None and not (in_cache(run) or is_embedded(run)):
        return Path(run) / FILE
    from platformdirs import user_data_path

    return user_data_path("napari-mammosae", appauthor=False) / FILE
