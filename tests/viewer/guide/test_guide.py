"""The demo's first picture, and the steps from it, without a window."""

import numpy as np
import pytest

from layer_kit import owned
from napari_mammosae.core.anatomy.query import rectangle_weights
from napari_mammosae.core.annotations.boxes import read_findings
from napari_mammosae.core.models.files.model_files import SAMPLE_DATA
from napari_mammosae.core.runs.ready import PHANTOMS
from napari_mammosae.core.stats.measures import auroc
from napari_mammosae.viewer.guide.controller import guide_of
from napari_mammosae.viewer.guide.hint import HINT_TEXT
from napari_mammosae.viewer.guide.panel import GuidePanel
from napari_mammosae.viewer.guide.steps import STEPS
from napari_mammosae.viewer.launch import show_example
from napari_mammosae.viewer.workspace import workspace_of


@pytest.fixture
def opened(viewer, qtbot):
    """The example as the demo opens it, its latents ranked."""
    workspace = workspace_of(viewer)
    assert workspace.latents.follows  # as the table of latents has them
    show_example(viewer)
    qtbot.waitUntil(lambda: workspace.session.maps is not None and bool(workspace.ranking.columns), timeout=30_000)
    qtbot.wait(1)
    return workspace


def boxes_of(image, file, name):
    edges = read_findings(SAMPLE_DATA / PHANTOMS / file).boxes(image.image_id, name)
    return edges[["row_min", "col_min", "row_max", "col_max"]].to_numpy(float)


def shown(viewer):
    return {owned(viewer).role_of(layer) for layer in viewer.layers if layer.visible}


def step(viewer, by=1):
    viewer.dims.set_point(0, viewer.dims.point[0] + by)


def test_it_opens_on_the_map_of_what_makes_the_model_say_mass(viewer, opened):
    session, overlays = opened.session, viewer.canvas.overlays
    assert shown(viewer) == {"mammogram", "truth", "logit map"}  # no latents, and no found boxes
    assert overlays[HINT_TEXT].visible
    assert overlays[HINT_TEXT].text.count("\n") == 2
    assert not overlays.text.visible  # no words about a latent that is not seen
    heat, frame, grid = owned(viewer).find("logit map").data, session.maps.frame, session.maps.shape[1:]
    for file, name in (("findings.csv", "mass"), ("structures.csv", "marker")):
        (box,) = boxes_of(session.image, file, name)
        grown = box + np.array([-30, -30, 30, 30])
        inside = rectangle_weights(grown, frame.input_shape, grid, frame) > 0
        assert heat[inside].mean() > 5 * heat[~inside].mean(), name
    names = [layer.name for layer in viewer.layers]
    assert names.index("logit map") < names.index("ground truth")  # boxes stay readable on it


def test_it_needs_no_weights(opened):
    assert opened.session.handle.pid is None
    assert opened.session.model.linear


def test_behind_it_waits_the_first_latent_of_the_ranking_for_mass(opened):
    run = opened.session.run
    mass, mean = run.label("mass") == 1, run.pooled("mean").toarray()
    assert opened.session.current == np.argmax(mean[mass].mean(axis=0) - mean[~mass].mean(axis=0))
    assert opened.session.order.name == "difference for mass"


def test_a_step_of_the_slider_shows_the_latents(viewer, opened):
    step(viewer)
    assert shown(viewer) == {"mammogram", "truth", "latents"}
    assert not viewer.canvas.overlays[HINT_TEXT].visible
    assert f"latent {opened.session.current}" in viewer.canvas.overlays.text.text
    assert viewer.canvas.overlays.text.visible
    assert guide_of(opened).is_done("latent")


def test_the_first_step_goes_to_the_first_latent_and_the_next_one_on(viewer, opened):
    latents = opened.session.order.latents
    for rank in (0, 1, 2):
        step(viewer)
        assert (viewer.dims.point[0], opened.session.current) == (rank, latents[rank])


def test_a_latent_chosen_behind_the_picture_is_the_one_that_is_shown(viewer, opened):
    opened.session.current = int(opened.session.order.latents[1])
    assert opened.session.rank == viewer.dims.point[0] == 1
    assert "latents" in shown(viewer)


def test_a_prompt_shows_its_first_latent(viewer, opened, qtbot):
    prompts = opened.images.prompts
    prompts.ask("view marker")
    qtbot.waitUntil(lambda: prompts.head is not None or bool(prompts.note), timeout=30_000)
    assert prompts.head is not None, prompts.note
    assert shown(viewer) == {"mammogram", "truth", "latents"}
    assert not viewer.canvas.overlays[HINT_TEXT].visible
    assert opened.session.rank == 0
    assert viewer.canvas.overlays.text.text.startswith(
        f"rank 1 of 2,048   latent {opened.session.current}\n“view marker”"
    )


def test_another_image_in_its_place_shows_its_latents(viewer, opened, qtbot):
    viewer.layers.remove(owned(viewer).find("mammogram"))
    qtbot.waitUntil(lambda: not viewer.canvas.overlays[HINT_TEXT].visible)
    opened.browser.show(1)
    qtbot.waitUntil(lambda: opened.session.maps is not None, timeout=20_000)
    assert {"latents", "logit map"} & shown(viewer) == {"latents"}


@pytest.mark.parametrize("asked", ["boxes", "box", "table"])
def test_what_is_asked_about_latents_shows_them(viewer, opened, qtbot, asked):
    if asked == "boxes":
        opened.localizer.drawn = True
        qtbot.waitUntil(lambda: owned(viewer).find("found") is not None, timeout=20_000)
    elif asked == "box":
        (box,) = boxes_of(opened.session.image, "findings.csv", "mass")
        opened.localizer.drawn = False
        opened.localizer.order_by_box(tuple(box), "the mass box")
        qtbot.waitUntil(lambda: "IoU" in opened.session.order.name, timeout=20_000)
    else:
        opened.latents.prefer("image.max")
        opened.latents.fill()
    assert {"latents", "logit map"} & shown(viewer) == {"latents"}
    assert not viewer.canvas.overlays[HINT_TEXT].visible


def test_the_next_image_takes_the_words_away_and_keeps_the_map(viewer, opened, qtbot):
    first = opened.session.image
    opened.browser.next_image()
    qtbot.waitUntil(lambda: opened.session.image is not first and opened.session.maps is not None, timeout=20_000)
    assert not viewer.canvas.overlays[HINT_TEXT].visible
    assert "logit map" in shown(viewer)
    assert "latents" not in shown(viewer)


def test_the_steps_lead_to_the_auroc_without_the_marker(viewer, opened, qtbot):
    guide, session = guide_of(opened), opened.session
    run, model = session.run, session.model
    taken = []
    while key := guide.next_key:
        guide.next_step()
        qtbot.waitUntil(lambda key=key: guide.is_done(key), timeout=20_000)
        taken.append(key)
        if key == "find":
            assert session.current == guide.marker_latents[0]
            assert session.rank == 0
    assert taken == [one.key for one in STEPS]
    assert len(taken) <= 10

    chosen = list(guide.marker_latents)
    assert opened.reviewer.book.verdicts() == dict.fromkeys(chosen, "spurious")
    assert opened.intervention.state.without_spurious
    qtbot.waitUntil(lambda: opened.over_run.move.moved is not None, timeout=20_000)
    mass, place = run.label("mass"), model.classes.index("mass")
    before = run.logits_sae[:, place]
    after = before - run.pooled("mean").toarray()[:, chosen] @ model.attribution[place, chosen]
    assert auroc(mass, after) > auroc(mass, before) + 0.03  # to be seen
    for value in (auroc(mass, before), auroc(mass, after)):
        assert f"{value:.4f}" in guide.said
    assert shown(viewer) == {"mammogram", "truth", "logit map"}  # without what they added


def test_what_is_done_otherwise_is_ticked(opened, qtbot):
    guide = guide_of(opened)
    panel = GuidePanel(guide)
    qtbot.addWidget(panel)

    def ticked():
        return [key for key, button in panel.buttons.items() if button.text().startswith("✓")]

    assert ticked() == []
    opened.reviewer.judge_spurious()
    assert ticked() == ["judge"]
    opened.toggle_spurious()
    assert ticked() == ["judge", "remove"]
    opened.reviewer.undo()
    opened.toggle_spurious()
    assert ticked() == []
    panel.cleanup()


def test_without_a_run_a_step_opens_the_example(viewer, qtbot):
    workspace = workspace_of(viewer)
    guide_of(workspace).next_step()
    qtbot.waitUntil(lambda: workspace.session.maps is not None, timeout=30_000)
    assert shown(viewer) == {"mammogram", "truth", "logit map"}


def test_the_example_takes_the_place_of_another_image_and_model(viewer, qtbot, tiny_model, run_path):
    workspace = workspace_of(viewer)
    workspace.opener.open(run_path)
    qtbot.waitUntil(lambda: workspace.session.image is not None and not workspace.jobs.busy, timeout=30_000)
    show_example(viewer)
    qtbot.waitUntil(
        lambda: workspace.session.image.image_id.startswith("phantom") and workspace.session.maps is not None,
        timeout=30_000,
    )
    assert workspace.session.model.name == "demo"
    assert shown(viewer) == {"mammogram", "truth", "logit map"}
