"""`open_run`: a run's folder, checked, as a `Run`."""

from pathlib import Path
from typing import TYPE_CHECKING

from ..annotations.positives import positive_of
from ..base.errors import RunError
from .files.layout import Layout
from .positive import find_positives
from .run import Run
from .settings import read_info

if TYPE_CHECKING:
    from ..annotations.positives import Positive
    from ..models.model import MammoSAE


def open_run(path: Path | str, model: "MammoSAE | None" = None, *, positive: "Positive | None" = None) -> Run:
    """Open a complete run.

    Parameters
    ----------
    path
        Its folder.
    model
        When given, the run must have been made with it.
    positive
        The value that counts as positive: of every label that has it, or of each label by name. All other values of the
        label count as one class. Known pairs such as malignant and normal need none.

    Raises
    ------
    RunError
        There is no run, it is not complete, of a newer version, or made with another model or SAE.
    SettingsError
        No label has the positive value.

    Examples
    --------
    >>> import napari_mammosae as ms
    >>> ms.open_run("run")
    <Run run: 12 images, 2048 latents of demo, with maps>
    """
    path = Path(path)
    info = read_info(path)
    if info is None:
        raise RunError(f"{path.name or path} is not a run: it has no run.json. Make one with `napari-mammosae run`.")
    if not info["complete"]:
        done = len(Layout(path).parts("images"))
        raise RunError(
            f"{path.name} is not complete ({done} of {-(-info['images'] // info['block'])} blocks done); repeat the "
            "`run` command to finish it."
        )
    run = Run(path, info)
    if positive is not None or any(positive_of(names) == 0 for names in info["categories"].values()):
        labels = {name: run.label(name) for name in run.labels}
        run = Run(path, info, find_positives(labels, info["categories"], positive))
    if model is not None:
        run.check_model(model)
    return run
