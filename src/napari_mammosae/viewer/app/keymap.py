"""The one table of keys: bindings, tooltips and documentation are made from it.

Only keys that no napari layer uses in any mode, since a layer's keys win over the viewer's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from napari.components import ViewerModel
from napari.utils.key_bindings import bind_key


@dataclass(frozen=True, slots=True)
class Key:
    """A key, the method it calls, and what that does, in a few words."""

    key: str
    action: str
    help: str


HELP = "?"

# Those of the controller, of verdicts, and of a run's images.
KEYS = (
    Key("H", "toggle_overlays", "hide or show everything drawn over the mammogram"),
    Key("G", "toggle_truth", "hide or show the ground-truth boxes"),
    Key("K", "toggle_pin", "pin the current latent as a layer of its own, or unpin it"),
    Key("Q", "next_contrast", "colour scale of the latents: shared, for each, by hand"),
    Key("W", "next_window", "next window preset of the mammogram"),
    Key("Shift-W", "invert", "invert the mammogram"),
    Key("Control-Z", "undo_window", "undo the last change of the mammogram's window"),
    Key("Control-Shift-Z", "redo_window", "redo it"),
    Key("Shift-M", "toggle_magnifier", "magnify three times under the mouse, and back"),
    Key("Shift-D", "toggle_ruler", "measure distances: drag a line; the key again ends it"),
)
REVIEW_KEYS = (
    Key("8", "judge_lesion", "verdict on the current latent: lesion"),
    Key("9", "judge_anatomy", "verdict on the current latent: anatomy"),
    Key("0", "judge_spurious", "verdict on the current latent: spurious"),
    Key("U", "judge_unsure", "verdict on the current latent: unsure"),
    Key("Shift-Y", "accept_name", "accept the suggested name of the current latent as its concept"),
    Key("Shift-E", "edit_name", "edit the suggested name before accepting it"),
    Key("Shift-X", "reject_name", "reject the suggested name"),
    Key("N", "next_unreviewed", "next latent without a verdict, in the order of the stack"),
    Key("Shift-U", "undo", "undo the last verdict"),
    Key("Shift-R", "redo", "redo the verdict"),
)
BROWSE_KEYS = (
    Key("J", "next_image", "next image of the run"),
    Key("Shift-J", "previous_image", "previous image of the run"),
)
TOP_KEYS = (
    Key("Shift-G", "strongest_image", "image of the run that excites the latent most"),
    Key("Shift-K", "next_top_image", "next of the images that excite it most"),
    Key("Shift-H", "previous_top_image", "previous of them"),
)
EXAM_KEYS = (
    Key("Control-Shift-E", "toggle_exam", "all views of the patient's exam together, or the one image"),
    Key("Control-J", "next_exam", "next exam of the run"),
    Key("Control-Shift-J", "previous_exam", "previous exam of the run"),
)
EDIT_KEYS = (Key("Shift-Q", "toggle_spurious", "predictions with or without the latents marked spurious"),)
GUIDE_KEYS = (Key("Shift-N", "next_step", "take the next of the steps through the demo"),)
ALL_KEYS = (*KEYS, *REVIEW_KEYS, *BROWSE_KEYS, *TOP_KEYS, *EXAM_KEYS, *EDIT_KEYS, *GUIDE_KEYS)
NAPARI_KEYS = (
    ("Left / Right", "previous / next latent"),
    ("Wheel", "zoom in or out; the left button moves the image"),
    ("Control and wheel", "next / previous latent"),
    ("Right button", "drag across for the width of the window, up to brighten"),
    (HELP, "this list of keys"),
)


def key_for(action: str) -> str:
    """The key of an action, for tooltips; empty when it has none."""
    return next((key.key for key in ALL_KEYS if key.action == action), "")


def tooltip(text: str, action: str) -> str:
    """A tooltip that ends with the key of its action."""
    key = key_for(action)
    return f"{text} (key {key})" if key else text


def help_rows() -> list[tuple[str, str]]:
    """Rows (key, meaning) of every key and button, for the dock and the documentation."""
    return [*NAPARI_KEYS, *((key.key, key.help) for key in ALL_KEYS)]


def bind(viewer: ViewerModel, target: object, keys: Sequence[Key] = KEYS) -> Callable[[], None]:
    """Bind keys to the methods of `target` they name; return what undoes it."""
    for key in keys:
        viewer.bind_key(key.key, _caller(getattr(target, key.action)), overwrite=True)
    keymap = viewer.keymap  # not the viewer itself, which what is returned must not keep alive

    def unbind() -> None:
        for key in keys:
            bind_key(keymap, key.key, None)

    return unbind


def _caller(method: Callable[[], None]) -> Callable[[object], None]:
    def call(_viewer: object) -> None:
        method()

    return call
