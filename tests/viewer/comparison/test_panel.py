"""The dock that compares two models under one SAE, without a window."""

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog

import compare_kit
from napari_mammosae.core.comparison.models import ModelSide, compare_models
from napari_mammosae.core.ranking.scores import LabelledPool
from napari_mammosae.core.runs.classes import classes_of
from napari_mammosae.core.runs.opening import open_run
from napari_mammosae.core.runs.run import Run
from napari_mammosae.viewer.comparison.table import COLUMNS
from napari_mammosae.viewer.docks import CompareDock
from napari_mammosae.viewer.widgets.small_plot import class_colors


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_model):
    return compare_kit.write_runs(tmp_path_factory.mktemp("compare"), tiny_model)


@pytest.fixture
def dock(qtbot):
    dock = CompareDock(ViewerModel())
    qtbot.addWidget(dock)
    yield dock
    idle(qtbot, dock)
    dock.workspace.close()


def idle(qtbot, dock):
    qtbot.waitUntil(lambda: not dock.jobs.busy, timeout=10_000)


def open_both(qtbot, dock, monkeypatch, folder, second="b"):
    for button, name in zip(dock.open_buttons, ("a", second), strict=True):
        monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args, name=name: str(folder / name))
        qtbot.mouseClick(button, Qt.MouseButton.LeftButton)
        idle(qtbot, dock)


def column(dock, name):
    place = [column.key for column in COLUMNS].index(name)
    return [dock.view.table.index(line, place).data() for line in range(dock.view.table.rowCount())]


def test_two_runs_side_by_side(dock, qtbot, monkeypatch, folder, tmp_path):
    assert "Choose two runs" in dock.empty.text()
    assert not dock.empty.isHidden()
    assert not dock.form.isRowVisible(2)
    assert not dock.export_button.isEnabled()
    open_both(qtbot, dock, monkeypatch, folder)
    assert [label.text() for label in dock.names] == ["a", "b"]
    assert dock.empty.isHidden()
    assert dock.form.isRowVisible(2)
    assert dock.view.horizontalHeader().sortIndicatorSection() == -1  # the order is that of the size of the change
    assert dock.label_box.currentText() == "mass"
    assert dock.class_box.currentText() == "present"
    runs = [open_run(folder / name) for name in "ab"]
    expected = compare_models(
        *(
            ModelSide.of(
                name, LabelledPool(run.pooled("mean"), run.label("mass")), run.logits[:, 0], run.logits_sae[:, 0]
            )
            for name, run in zip("ab", runs, strict=True)
        )
    )
    pd.testing.assert_frame_equal(dock.comparer.comparison.latents, expected.latents)
    assert column(dock, "latent") == [str(latent) for latent in expected.latents["latent"]]
    gained = (expected.latents["state"] == "gained").sum()
    assert f"{gained} latents gained" in dock.status.text()
    assert f"{expected.performance['auroc'][0]:.3f}" in dock.facts.text()
    assert "AUROC with SAE" in dock.facts.text()
    tops = [plot.top for plot in dock.plots]
    means = [max(side.statistics.rest(1).means.max(axis=1)) for side in (expected.a, expected.b)]
    np.testing.assert_allclose(tops, means)

    place = [column.key for column in COLUMNS].index("auroc_b")
    dock.view.sort_by(COLUMNS[place])
    shown = [float(text) for text in column(dock, "auroc_b")]
    assert shown == sorted(shown, reverse=True)
    first = int(column(dock, "latent")[0])
    click = dock.view.visualRect(dock.view.table.index(0, 0)).center()
    qtbot.mouseClick(dock.view.viewport(), Qt.MouseButton.LeftButton, pos=click)
    assert f"Latent {first}" in dock.status.text()

    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *args: str(tmp_path / "out"))
    qtbot.mouseClick(dock.export_button, Qt.MouseButton.LeftButton)
    idle(qtbot, dock)
    assert (tmp_path / "out" / "comparison.json").exists()
    assert pd.read_csv(tmp_path / "out" / "latents.csv")["latent"].tolist() == expected.latents["latent"].tolist()
    assert "Wrote latents.csv" in dock.status.text()


def test_different_saes_are_refused_and_another_run_helps(dock, qtbot, monkeypatch, folder):
    open_both(qtbot, dock, monkeypatch, folder, "c")
    assert "different SAEs" in dock.status.text()
    assert dock.comparer.comparison is None
    assert not dock.export_button.isEnabled()
    dock.comparer.open(1, folder / "b")
    idle(qtbot, dock)
    assert dock.comparer.comparison is not None
    dock.comparer.open(1, folder / "images")
    idle(qtbot, dock)
    assert "no run" in dock.status.text()


def test_the_open_run_is_the_first_one(dock, qtbot, monkeypatch, folder):
    assert not dock.use_button.isEnabled()
    dock.session.run = open_run(folder / "b")
    assert dock.names[0].text() == "b"
    dock.comparer.open(0, folder / "a")
    idle(qtbot, dock)
    qtbot.mouseClick(dock.use_button, Qt.MouseButton.LeftButton)
    assert dock.names[0].text() == "b"
    dock.comparer.open(1, folder / "b")
    idle(qtbot, dock)
    assert dock.class_box.count() > 0
    without, labels = open_run(folder / "a"), Run.labels.fget
    monkeypatch.setattr(Run, "labels", property(lambda run: () if run is without else labels(run)))
    dock.comparer.take_run(0, without)
    assert "no label in common" in dock.status.text()
    assert dock.class_box.count() == 0


def test_it_fits_a_laptop(dock, qtbot, monkeypatch, folder):
    open_both(qtbot, dock, monkeypatch, folder)
    assert dock.minimumSizeHint().height() <= 480
    assert dock.minimumSizeHint().width() <= 420


def test_the_protocol_of_the_paper(dock, qtbot, monkeypatch, folder):
    """Runs without finding rows cannot follow it, which is said; the runs with them rank and measure by its splits."""
    open_both(qtbot, dock, monkeypatch, folder)
    assert "A: 16 of 16 images used." in dock.status.text()
    dock.protocol_box.click()
    idle(qtbot, dock)
    assert "has no finding rows" in dock.status.text()
    assert dock.comparer.comparison is None
    for run in dock.comparer.runs:
        run.images["split"] = ["training"] * 10 + ["test"] * 6
        run.rows = run.images.iloc[[*range(16), 1, 15]][["image", "split", "label.mass"]].reset_index(drop=True)
    dock.comparer.choose_protocol("paper")
    idle(qtbot, dock)
    assert "A: 11 of 18 finding rows used, 7 left out: 7 not of split training." in dock.status.text()
    assert "A, predictions: 7 of 18 finding rows used, 11 left out: 11 not of split test." in dock.status.text()
    assert set(dock.comparer.comparison.performance["images"]) == {7}
    assert dock.protocol_box.isChecked()
    dock.protocol_box.click()
    idle(qtbot, dock)
    assert set(dock.comparer.comparison.performance["images"]) == {16}


def test_a_class_has_the_colour_it_has_among_the_latents(qtbot, dock, monkeypatch, folder):
    open_both(qtbot, dock, monkeypatch, folder)
    run = open_run(folder / "a")
    names = [name for _, name in classes_of(run, "mass")]
    among_latents = dict(zip(names, class_colors(len(names)), strict=True))
    legend = {label.text: sample.item.opts["pen"].color().name() for sample, label in dock.plots[0]._legend.items}
    assert legend["present"] == among_latents["present"]
    assert legend["rest"] == among_latents["absent"]
