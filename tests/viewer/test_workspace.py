"""The one registry: a workspace a viewer, for as long as that lives."""

import gc
import weakref

from napari.components import ViewerModel
from napari.utils._proxies import PublicOnlyProxy

import fakes
from napari_mammosae.viewer.workspace import has_workspace, workspace_of


def test_one_workspace_a_viewer_through_proxies(qapp):
    viewer, other = ViewerModel(), ViewerModel()
    assert not has_workspace(viewer)
    assert workspace_of(PublicOnlyProxy(viewer)) is workspace_of(viewer)
    assert has_workspace(PublicOnlyProxy(viewer))
    assert workspace_of(other).session is not workspace_of(viewer).session
    for one in (viewer, other):
        workspace_of(one).close()


def test_it_dies_with_its_viewer(qapp):
    viewer = ViewerModel()
    alive = weakref.ref(workspace_of(viewer)), weakref.ref(workspace_of(viewer).session)
    for name in ("exporter", "latents", "measures", "suspects", "side_by_side"):
        getattr(workspace_of(viewer), name)
    del viewer
    gc.collect()
    assert [one() for one in alive] == [None, None]


def test_what_was_made_late_is_ended_with_the_rest(qapp):
    viewer = ViewerModel()
    workspace = workspace_of(viewer)
    model = workspace.session.handle = fakes.FakeModel()
    heard = []
    workspace.intervention.changed.connect(lambda: heard.append(True))
    workspace.close()
    assert model.unloaded
    heard.clear()
    workspace.session.handle = fakes.FakeModel()
    assert heard == []
    assert not [key for key in viewer.keymap if viewer.keymap[key] is not None]
