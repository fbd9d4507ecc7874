import napari.layers
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from napari.settings import get_settings

from napari_mammosae.viewer.app import keymap
from napari_mammosae.viewer.canvas.actions import CanvasActions
from napari_mammosae.viewer.workspace import workspace_of


def test_every_key_calls_a_method_there_is():
    assert all(callable(getattr(CanvasActions, key.action)) for key in keymap.KEYS)


def test_no_key_is_bound_twice():
    assert len({key.key for key in keymap.KEYS}) == len(keymap.KEYS)


def test_no_key_is_napari_s_own(qapp):
    """A layer's keys would win over ours, and ours over the viewer's."""
    taken = {str(binding) for bindings in get_settings().shortcuts.shortcuts.values() for binding in bindings}
    kinds = [kind for kind in vars(napari.layers).values() if isinstance(kind, type) and issubclass(kind, Layer)]
    for kind in [*kinds, ViewerModel]:
        taken |= {str(binding) for binding in kind.class_keymap}
    normal = {text.upper().replace("SHIFT", "Shift").replace("+", "-") for text in taken}
    assert not {key.key for key in keymap.KEYS} & normal


def test_keys_are_bound_to_the_viewer_and_unbound(qapp):
    viewer = ViewerModel()
    workspace = workspace_of(viewer)
    before = workspace.session.contrast
    viewer.keymap[next(k for k in viewer.keymap if str(k) == keymap.key_for("next_contrast"))](viewer)
    assert workspace.session.contrast != before
    workspace.close()
    assert not viewer.keymap


@pytest.mark.parametrize("key", keymap.KEYS)
def test_tooltips_and_help_come_from_the_table(key):
    assert keymap.tooltip("Do it", key.action) == f"Do it (key {key.key})"
    assert (key.key, key.help) in keymap.help_rows()


def test_an_action_without_a_key_has_a_plain_tooltip():
    assert keymap.tooltip("Do it", "nothing") == "Do it"
