"""Sessions without a window: what is saved, what comes back, what is missing, what is kept by itself."""

import json

import numpy as np
import pytest

import text_kit
from layer_models import write_inner_model
from napari_mammosae.core.base.errors import SettingsError
from napari_mammosae.viewer.canvas.tools.ruler import Measured
from napari_mammosae.viewer.docks import ModelDock
from napari_mammosae.viewer.image.tasks import ModelChoice
from napari_mammosae.viewer.sessions.controller import keeper_of, kept_session, recent_sessions
from napari_mammosae.viewer.sessions.record import read
from napari_mammosae.viewer.workspace import workspace_of
from review_kit import idle


def open_image(qtbot, viewer, run_path, tiny_model, name="image-003.png"):
    work = workspace_of(viewer)
    work.images.choice = ModelChoice(str(tiny_model), device="cpu")
    work.images.open_image(run_path.parent / "images" / name, compute=True)
    qtbot.waitUntil(lambda: work.session.maps is not None, timeout=60_000)
    idle(qtbot, work)
    return work


def restore(qtbot, work, path):
    keeper = keeper_of(work)
    keeper.open(path)
    qtbot.waitUntil(lambda: not keeper.busy, timeout=60_000)
    return work.status.last_told


def other_viewer(request):
    from napari.components import ViewerModel

    other = ViewerModel()
    request.addfinalizer(lambda: workspace_of(other).close())
    return workspace_of(other)


def test_image_model_latent_and_choices_come_back(qtbot, viewer, run_path, tiny_model, tmp_path, request):
    work = open_image(qtbot, viewer, run_path, tiny_model)
    session = work.session
    session.current = int(session.maps.latents[2])
    session.pins = tuple(int(one) for one in session.maps.latents[:2])
    session.contrast = "shared"
    work.intervention.change(source="pins", mode="keep")
    work.latents.table.sort_by("image.max", rising=False)
    keeper_of(work).save(tmp_path / "a.session.json")
    assert "/" + str(tmp_path).lstrip("/") not in (tmp_path / "a.session.json").read_text()
    again = other_viewer(request)
    assert restore(qtbot, again, tmp_path / "a.session.json") == ("Session restored.", False)
    assert again.session.image.image_id == session.image.image_id
    assert (again.session.current, again.session.pins) == (session.current, session.pins)
    assert again.session.contrast == "shared"
    assert again.intervention.state == work.intervention.state
    assert again.intervention.view.after.tolist() == work.intervention.view.after.tolist()
    assert again.session.order.same_as(session.order)
    assert recent_sessions() == [tmp_path / "a.session.json"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: (folder / "images" / "image-003.png").unlink(), "image-003.png was not found"),
        (lambda folder: (folder / "images" / "image-003.png").write_bytes(b"x"), "image-003.png has changed since"),
        (lambda folder: (folder / "boxes.csv").unlink(), "boxes.csv was not found"),
    ],
    ids=["image gone", "image changed", "boxes gone"],
)
def test_what_is_missing_is_said(qtbot, viewer, run_path, tiny_model, tmp_path, request, change, said):
    import shutil

    folder = tmp_path / "case"
    shutil.copytree(run_path.parent / "images", folder / "images")
    (folder / "boxes.csv").write_text("image,finding,xmin,ymin,xmax,ymax\nimage-003,mass,20,30,90,120\n")
    work = open_image(qtbot, viewer, folder / "run", tiny_model)
    work.images.load_boxes(folder / "boxes.csv")
    idle(qtbot, work)
    keeper_of(work).save(folder / "a.session.json")
    change(folder)
    text, is_error = restore(qtbot, other_viewer(request), folder / "a.session.json")
    assert is_error
    assert said in text
    assert str(tmp_path) not in text


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "other"}', '{"format": "napari-mammosae session"}'])
def test_another_file_is_refused_in_words(viewer, tmp_path, content):
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"a\.json"):
        read(path)
    keeper = keeper_of(workspace_of(viewer))
    keeper.open(path)
    assert not keeper.busy
    assert keeper.status.last_told[1]


def test_the_session_is_kept_by_itself_and_offered_at_the_start(qtbot, viewer, run_path, tiny_model, request):
    dock = ModelDock(viewer)
    qtbot.addWidget(dock)
    assert not dock.saved.back_button.isVisibleTo(dock)
    work = open_image(qtbot, viewer, run_path, tiny_model)
    qtbot.waitUntil(lambda: kept_session().is_file(), timeout=10_000)
    keeper_of(work).keep()
    latent = work.session.current
    dock.cleanup()
    work.close()
    assert json.loads(kept_session().read_text())["latent"] == latent
    again = other_viewer(request)
    dock = ModelDock(again.scene.viewer)
    qtbot.addWidget(dock)
    assert dock.saved.back_button.isVisibleTo(dock)
    dock.saved.back_button.click()
    qtbot.waitUntil(lambda: not keeper_of(again).busy, timeout=60_000)
    assert again.session.current == latent
    assert not dock.saved.back_button.isVisibleTo(dock)
    dock.cleanup()


def asked(qtbot, work, *texts):
    for text in texts:
        work.images.prompts.ask(text)
        qtbot.waitUntil(lambda: not work.images.prompts.jobs.busy, timeout=20_000)


@pytest.mark.parametrize("shown", ["Mass | no mass", ""])
def test_prompts_come_back(qtbot, viewer, run_path, tmp_path, request, shown):
    toml = text_kit.write_model(tmp_path / "prompted")
    work = open_image(qtbot, viewer, run_path, toml)
    asked(qtbot, work, "Mass | no mass", "view marker", shown)
    work.intervention.change(logit=3)
    session = work.session
    session.current = int(session.maps.latents[5])
    keeper_of(work).save(tmp_path / "a.session.json")
    again = other_viewer(request)
    assert restore(qtbot, again, tmp_path / "a.session.json") == ("Session restored.", False)
    assert again.session.model.classes == session.model.classes
    one, other = (workspace.images.prompts for workspace in (work, again))
    assert (other.head is None) == (one.head is None)
    assert shown == (other.head.prompt.typed if other.head is not None else "")
    assert again.session.current == session.current
    if shown:
        assert again.session.order.name == session.order.name == "“Mass” – “no mass”"
        assert again.session.order.same_as(session.order)
        assert other.score() == one.score()


def test_a_prompt_that_cannot_be_asked_any_more_is_missing(qtbot, viewer, run_path, tmp_path, request):
    toml = text_kit.write_model(tmp_path / "prompted")
    work = open_image(qtbot, viewer, run_path, toml)
    asked(qtbot, work, "view marker")
    path = tmp_path / "a.session.json"
    keeper_of(work).save(path)
    content = json.loads(path.read_text())
    content["model"]["added"].append({"prompt": "xylophone"})
    path.write_text(json.dumps(content))
    text, _ = restore(qtbot, other_viewer(request), path)
    assert "the prompt xylophone (The text tower has not learned 'xylophone'" in text
    del content["prompts"], content["model"]["added"]  # of an earlier version
    path.write_text(json.dumps(content))
    assert restore(qtbot, other_viewer(request), path)[0] == "Session restored."


def test_hidden_heads_and_all_open_layers_come_back(qtbot, viewer, run_path, tiny_model, tmp_path, request):
    work = open_image(qtbot, viewer, run_path, text_kit.write_model(tmp_path / "prompted"))
    session = work.session
    inner = write_inner_model(tiny_model, tmp_path / "inner", "blocks.7")
    work.images.choice = ModelChoice(str(inner), device="cpu")
    work.layers.add()
    idle(qtbot, work)
    session.current, session.pins = 7, (3, 9)
    work.layers.choose(0)
    asked(qtbot, work, "Mass | no mass")
    work.images.heads.show("classifier", False)
    seen = work.layers.open[1].stack
    seen.visible, seen.opacity = True, 0.4
    session.current = int(session.maps.latents[1])
    keeper_of(work).save(tmp_path / "a.session.json")
    again = other_viewer(request)
    assert restore(qtbot, again, tmp_path / "a.session.json") == ("Session restored.", False)
    assert again.layers.titles() == work.layers.titles()
    assert (again.layers.chosen, again.session.model.layer) == (0, "head")
    assert again.session.hidden_heads == ("classifier",)
    assert [head.name for head in again.session.model.heads] == [head.name for head in session.model.heads]
    assert again.session.current == session.current
    other = again.layers.open[1]
    assert (other.current, other.pins) == (7, (3, 9))
    assert (other.stack.visible, other.stack.opacity) == (True, 0.4)
    assert other.maps.pooled_mean.tolist() == work.layers.open[1].maps.pooled_mean.tolist()
    assert restore(qtbot, again, tmp_path / "a.session.json") == ("Session restored.", False)  # over itself
    assert again.layers.titles() == work.layers.titles()
    assert len([layer for layer in again.scene.viewer.layers if layer.name.startswith("SAE latents")]) == 2


def test_neither_saving_nor_restoring_begins_to_find_boxes(qtbot, viewer, run_path, tiny_model, tmp_path, request):
    work = open_image(qtbot, viewer, run_path, tiny_model)
    keeper_of(work).keep()
    keeper_of(work).save(tmp_path / "a.session.json")
    again = other_viewer(request)
    assert restore(qtbot, again, tmp_path / "a.session.json") == ("Session restored.", False)
    for one in (work, again):
        idle(qtbot, one)
        assert not one.localises
        assert one.scene.owned.find("found") is None


def test_a_session_does_not_mix_with_what_was_open(qtbot, viewer, run_path, tiny_model, tmp_path, request):
    """An image alone is brought back over a run, boxes, layers and edits of another session."""
    alone = open_image(qtbot, viewer, run_path, tiny_model)
    keeper_of(alone).save(tmp_path / "alone.session.json")
    kept = json.loads((tmp_path / "alone.session.json").read_text())
    again = other_viewer(request)
    again.opener.open(run_path)
    qtbot.waitUntil(lambda: again.session.run is not None and not again.opener.jobs.busy, timeout=60_000)
    again.browser.show(6)
    idle(qtbot, again)
    again.images.choice = ModelChoice(str(tiny_model), device="cpu")
    again.images.compute()
    idle(qtbot, again)
    again.images.choice = ModelChoice(str(write_inner_model(tiny_model, tmp_path / "inner", "blocks.7")), device="cpu")
    again.layers.add()
    idle(qtbot, again)
    again.intervention.change(source="list", numbers="3")
    again.session.pins = (3,)
    assert restore(qtbot, again, tmp_path / "alone.session.json") == ("Session restored.", False)
    assert (again.session.run, again.session.findings, again.layers.open) == (None, None, [])
    assert again.session.image.image_id == alone.session.image.image_id
    assert again.session.model.layer == "head"
    assert again.intervention.state == alone.intervention.state
    assert again.session.pins == ()
    keeper_of(again).save(tmp_path / "again.session.json")
    found = json.loads((tmp_path / "again.session.json").read_text())
    assert {name for name in kept if name != "saved" and kept[name] != found[name]} <= {"window"}


def test_prompts_of_a_layer_that_is_not_the_chosen_one_come_back(
    qtbot, viewer, run_path, tiny_model, tmp_path, request
):
    work = open_image(qtbot, viewer, run_path, text_kit.write_model(tmp_path / "prompted"))
    asked(qtbot, work, "Mass | no mass", "view marker")
    session = work.session
    session.current, session.pins = 7, (3, 9)
    work.images.choice = ModelChoice(str(write_inner_model(tiny_model, tmp_path / "inner", "blocks.7")), device="cpu")
    work.layers.add()
    idle(qtbot, work)
    keeper_of(work).save(tmp_path / "a.session.json")
    again = other_viewer(request)
    assert restore(qtbot, again, tmp_path / "a.session.json") == ("Session restored.", False)
    assert again.layers.chosen == 1
    one, other = (workspace.layers.open[0] for workspace in (work, again))
    heads, others = one.handle.facts.heads, other.handle.facts.heads
    assert [head.name for head in heads] == [head.name for head in others]
    assert [head.prompt.typed for head in others[1:]] == ["Mass | no mass", "view marker"]
    assert (other.current, other.pins) == (7, (3, 9))
    again.layers.choose(0)
    asked(qtbot, again, "view marker")  # one of those that are there
    assert len(again.session.model.heads) == 3


def test_a_layer_or_a_head_that_is_gone_is_missing(qtbot, viewer, run_path, tiny_model, tmp_path, request):
    work = open_image(qtbot, viewer, run_path, tiny_model)
    inner = write_inner_model(tiny_model, tmp_path / "inner", "blocks.7")
    work.images.choice = ModelChoice(str(inner), device="cpu")
    work.layers.add()
    idle(qtbot, work)
    path = tmp_path / "a.session.json"
    keeper_of(work).save(path)
    content = json.loads(path.read_text())
    content["open_layers"]["layers"][0]["model"]["heads"].append("clip")
    path.write_text(json.dumps(content))
    for file in inner.parent.iterdir():
        file.unlink()
    again = other_viewer(request)
    text, is_error = restore(qtbot, again, path)
    assert is_error
    assert "model.toml was not found" in text
    assert "the head clip" in text
    assert again.session.model.layer == "head"
    assert again.session.maps is not None


def test_latents_side_by_side_come_back_so(qtbot, viewer, run_path, tiny_model, tmp_path, request):
    work = open_image(qtbot, viewer, run_path, tiny_model)
    work.session.pins = tuple(int(one) for one in work.session.maps.latents[:2])
    work.scene.owned.with_role("pin")[0].opacity = 0.4
    work.side_by_side.show()
    work.session.blind = True
    keeper_of(work).save(tmp_path / "a.session.json")
    again = other_viewer(request)
    told = []
    again.session.events.maps.connect(lambda maps: told.append((maps is None, again.session.blind)))
    assert restore(qtbot, again, tmp_path / "a.session.json") == ("Session restored.", False)
    assert told
    assert all(blind for _, blind in told)  # from the first step on, before anything could tell
    for one in (work, again):
        layers = one.scene.viewer.layers
        assert [layer.name for layer in layers if layer.visible] == names_of(viewer)
    again.side_by_side.restore()
    assert again.scene.stack_layer.visible  # hidden by the comparison alone
    assert again.scene.owned.with_role("pin")[0].opacity == 0.4


def names_of(viewer):
    return [layer.name for layer in viewer.layers if layer.visible]


REGIONS = {
    "rectangle": ("rectangle", np.array([[20.0, 30.0], [20.0, 90.0], [80.0, 90.0], [80.0, 30.0]])),
    "polygon": ("polygon", np.array([[20.0, 30.0], [25.0, 90.0], [80.0, 60.0]])),
    "brush": ("brush", np.pad(np.ones((40, 30), bool), ((20, 40), (30, 40)))),
}


@pytest.mark.parametrize("column", ["region.energy", "image.max"])
@pytest.mark.parametrize("kind", REGIONS)
def test_a_drawn_region_and_measured_lines_come_back(
    qtbot, viewer, run_path, tiny_model, tmp_path, request, kind, column
):
    work = open_image(qtbot, viewer, run_path, tiny_model)
    assert work.latents.table.size
    region = REGIONS[kind]
    if kind == "brush":
        region = kind, np.zeros(work.session.image.shape, bool)
        region[1][20:60, 30:70] = True
    work.query.put(region)
    idle_region(qtbot, work)
    work.latents.prefer(column)
    work.latents.table.sort_by(column, rising=False)
    lines = {
        Measured.of(work.session.image): [[[10.0, 10.0], [40.0, 50.0]], [[5.0, 6.5], [7.0, 8.0]]],
        Measured(str((run_path.parent / "images" / "image-001.png").resolve()), "image-001"): [
            [[1.0, 2.0], [3.0, 4.0]]
        ],
    }
    work.actions.ruler.put(lines)
    keeper_of(work).save(tmp_path / "a.session.json")
    again = other_viewer(request)
    assert restore(qtbot, again, tmp_path / "a.session.json") == ("Session restored.", False)
    qtbot.wait(300)  # longer than a stroke waits to be measured
    idle_region(qtbot, again)
    assert again.latents.table.sort_key == column
    assert again.query.region[0] == kind
    np.testing.assert_array_equal(again.query.region[1], region[1])
    for key, column in work.query.columns.items():
        np.testing.assert_array_equal(again.query.columns[key], column)
    assert plain(again.actions.ruler.lines) == lines
    (ruler,) = again.scene.owned.with_role("ruler")
    assert list(ruler.features["length"]) == ["50 px", "2 px"]
    assert again.session.order.same_as(work.session.order)


def restore_damaged(qtbot, work, request, path, **parts):
    """Save a session, put other things in its place, and restore it in another window; return that and its line."""
    keeper_of(work).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | parts))
    again = other_viewer(request)
    return again, restore(qtbot, again, path)


def plain(lines):
    return {key: [line.tolist() for line in known] for key, known in lines.items()}


def idle_region(qtbot, work):
    qtbot.waitUntil(lambda: bool(work.query.columns) and not work.query.jobs.busy, timeout=20_000)


@pytest.mark.parametrize(
    "region",
    [
        {"kind": "brush", "shape": [9, 9], "bits": "eJw="},
        {"kind": "brush", "shape": [1 << 20, 1 << 20], "bits": ""},
        {"kind": "brush", "shape": [4, 4], "bits": "eJxjAAAAAQAB"},
        {"kind": "polygon", "corners": [[1, 2], [3, float("nan")], [4, 5]]},
        {"kind": "polygon", "corners": [[1, 2]]},
        {"kind": "polygon"},
        {"kind": "blob", "corners": [[1, 2], [3, 4], [5, 6]]},
        {},
        [],
    ],
)
def test_a_damaged_region_is_missing_and_the_rest_comes_back(
    qtbot, viewer, run_path, tiny_model, tmp_path, request, region
):
    work = open_image(qtbot, viewer, run_path, tiny_model)
    again, line = restore_damaged(qtbot, work, request, tmp_path / "a.session.json", region=region)
    assert line == ("Session restored, but without the drawn region.", True)
    assert again.session.current == work.session.current


@pytest.mark.parametrize(
    "lines",
    [
        3,
        [3],
        {"ruler": []},
        [{"image_id": "image-003", "lines": []}],
        [{"path": 3, "image_id": "image-003", "lines": []}],
        [{"path": "image-003.png", "image_id": "image-003", "lines": [[[1, 2]]]}],
        [{"path": "image-003.png", "image_id": "image-003", "lines": [[[1, 2], "x"]]}],
        [{"path": "image-003.png", "image_id": "image-003", "lines": [[[1, 2], [3, float("nan")]]]}],
    ],
    ids=str,
)
def test_damaged_lines_are_missing_and_the_rest_comes_back(
    qtbot, viewer, run_path, tiny_model, tmp_path, request, lines
):
    work = open_image(qtbot, viewer, run_path, tiny_model)
    again, line = restore_damaged(qtbot, work, request, tmp_path / "a.session.json", lines=lines)
    assert line == ("Session restored, but without the measured lines.", True)
    assert again.session.current == work.session.current
    assert not again.scene.owned.with_role("ruler")


@pytest.mark.parametrize("key", ["heads", "colours", "display", "grid", "window", "order", "exam"])
def test_a_session_with_a_damaged_part_is_refused_in_words(qtbot, viewer, run_path, tiny_model, tmp_path, request, key):
    work = open_image(qtbot, viewer, run_path, tiny_model)
    _, (text, is_error) = restore_damaged(qtbot, work, request, tmp_path / "a.session.json", **{key: [1]})
    assert is_error
    assert text.startswith("The rest of the session cannot be restored: its file is damaged")


def test_lines_of_an_image_that_is_gone_are_said(qtbot, viewer, run_path, tiny_model, tmp_path, request):
    work = open_image(qtbot, viewer, run_path, tiny_model)
    gone = [{"path": "gone.png", "image_id": "gone", "lines": [[[1, 2], [3, 4]]] * 2}]
    _, line = restore_damaged(qtbot, work, request, tmp_path / "a.session.json", lines=gone)
    assert line == ("Session restored, but without 2 measured lines.", True)


def test_the_grid_comes_back(qtbot, viewer, run_path, tiny_model, tmp_path, request):
    work = open_image(qtbot, viewer, run_path, tiny_model)
    viewer.canvas.grid.shape, viewer.canvas.grid.enabled = (1, 2), True
    keeper_of(work).save(tmp_path / "a.session.json")
    again = other_viewer(request)
    restore(qtbot, again, tmp_path / "a.session.json")
    grid = again.scene.viewer.canvas.grid
    assert (grid.enabled, tuple(grid.shape)) == (True, (1, 2))
    viewer.canvas.grid.enabled = False


def test_what_is_drawn_is_kept_by_itself(qtbot, viewer, run_path, tiny_model):
    work = open_image(qtbot, viewer, run_path, tiny_model)
    keeper_of(work)
    lines = [[[1.0, 2.0], [3.0, 4.0]]]
    work.actions.toggle_ruler()
    viewer.layers.selection.active.add(np.array(lines[0]), shape_type="line")
    qtbot.waitUntil(lambda: kept_session().is_file(), timeout=10_000)
    (kept,) = json.loads(kept_session().read_text())["lines"]
    assert (kept["image_id"], kept["lines"]) == (work.session.image.image_id, lines)
    assert (kept_session().parent / kept["path"]).resolve() == work.session.image.path.resolve()
    kept_session().unlink()
    work.query.put(REGIONS["polygon"])
    qtbot.waitUntil(lambda: kept_session().is_file(), timeout=10_000)
    assert json.loads(kept_session().read_text())["region"]["kind"] == "polygon"
