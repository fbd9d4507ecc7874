"""Where verdicts are kept unless the user says otherwise."""

from pathlib import Path

from ..base.caches import cache_folder

FILE = "verdicts.sqlite"


def default_path(run: Path | str | None = None) -> Path:
    """Return the file for verdicts: in the open run's folder, else in the user's data folder.

    A run in the user's cache folder, as the demo's is, can be deleted and made again at any time, decisions cannot:
    those go into the user's own file as well.
    """
    if run is not None and not in_cache(run):
        return Path(run) / FILE
    from platformdirs import user_data_path

    return user_data_path("napari-mammosae", appauthor=False) / FILE


def in_cache(run: Path | str) -> bool:
    """Whether a folder lies in this program's cache folder."""
    return Path(run).resolve().is_relative_to(cache_folder().resolve())
