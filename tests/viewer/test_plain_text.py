"""Text from colleagues' files is shown as it is: nothing in it is taken for HTML or for a formula."""

from types import SimpleNamespace

import pandas as pd
import pytest
from matplotlib.figure import Figure
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument
from qtpy.QtWidgets import QApplication, QLabel, QListWidget, QMenu, QTableView, QTreeWidget, QWidget

import fakes
from in_process import handle_of
from napari_mammosae.core.base.figures import plain as drawn_plainly
from napari_mammosae.core.intervention.plots import draw_curve
from napari_mammosae.core.reports.intervention_figures import plot_curves
from napari_mammosae.core.runs.making.make import write_run
from napari_mammosae.core.verdicts.store import Subject, VerdictStore
from napari_mammosae.viewer import docks
from napari_mammosae.viewer.comparison.panel import _facts
from napari_mammosae.viewer.widgets.plain import ElidedLabel, Label, plain, unmarked
from napari_mammosae.viewer.widgets.small_plot import SmallPlot
from napari_mammosae.viewer.workspace import workspace_of
from review_kit import idle, open_run_in
from runs_kit import write_images

HOSTILE = "<img src='file:///etc/hostname'> & $\\frac{"
DOCKS = [getattr(docks, name) for name in dir(docks) if name.endswith("Dock")]


def shown_as_text(tip: str) -> bool:
    """Whether a tooltip holds no picture even if Qt takes it for HTML."""
    document = QTextDocument()
    document.setHtml(tip)
    return "\ufffc" not in document.toPlainText()  # what stands for a picture


@pytest.mark.parametrize("kind", [Label, ElidedLabel])
def test_labels_take_no_html(qtbot, kind):
    label = kind(HOSTILE)
    qtbot.addWidget(label)
    label.setToolTip(HOSTILE)
    assert label.textFormat() == Qt.TextFormat.PlainText
    assert shown_as_text(label.toolTip())
    label.setText("")
    label.setText(HOSTILE)
    assert label.text() == HOSTILE
    assert label.textFormat() == Qt.TextFormat.PlainText


@pytest.mark.parametrize("text", [HOSTILE, "a\nb <b>c</b>", "1 < 2", "R&amp;D", "plain"])
def test_a_tooltip_reads_as_the_text(qapp, text):
    document = QTextDocument()
    tip = plain(text)
    document.setHtml(tip)
    assert (document.toPlainText() if tip != text else tip) == text


def test_a_check_that_would_find_a_picture(qapp):
    assert not shown_as_text(HOSTILE)


def test_plots_take_no_html(qtbot):
    plot = SmallPlot()
    qtbot.addWidget(plot)
    plot.setLabel("bottom", HOSTILE)
    assert plot.getAxis("bottom").label.toPlainText().strip() == HOSTILE


@pytest.mark.parametrize("text", [HOSTILE, "$\\frac{$", "1 $ or 2 $", "$x$"])
def test_figures_take_no_formula(text):
    figure = Figure()
    title = figure.subplots().set_title(drawn_plainly(text))
    figure.canvas.draw()
    assert title.get_text().replace("\\$", "$") == text
    fakes.mammogram(image_id=text).plot(figure.subplots())
    figure.canvas.draw()


NAMES = [HOSTILE, "_mass", "$a_b$ & <c>^2", "__"]


@pytest.mark.parametrize("name", NAMES)
def test_legends_and_lines_of_provenance_have_every_name(tmp_path, name):
    rows = pd.DataFrame({"k": [1, 2], "auroc": [0.5, 0.6], "mode": "keep"})
    axis = Figure().subplots()
    draw_curve(axis, rows, "auroc", name)
    (entry,) = axis.legend().get_texts()
    assert entry.get_text().removeprefix("\u200b").replace("\\$", "$") == name
    plot_curves({name: rows}, tmp_path / "a.svg", provenance=name)
    assert (tmp_path / "a.svg").stat().st_size


@pytest.mark.parametrize("name", NAMES)
def test_menus_show_ampersands(qtbot, name):
    menu = QMenu()
    qtbot.addWidget(menu)
    shown = menu.addAction(unmarked(name)).text()
    assert shown.replace("&&", "\0").replace("&", "").replace("\0", "&") == name


def test_a_comparison_names_its_models_as_they_are(qapp):
    scores = pd.DataFrame(
        {
            "model": [HOSTILE, "b"],
            "prediction": "model",
            "auroc": 0.5,
            "auroc_lo": 0.4,
            "auroc_hi": 0.6,
            "note": ["", "<few>"],
        }
    )
    separation = {key: [1.0, 2.0] for key in ("live", "distance", "relative", "cosine")}
    sides = SimpleNamespace(name=HOSTILE), SimpleNamespace(name="b")
    made = SimpleNamespace(a=sides[0], b=sides[1], separation=separation, performance=scores)
    document = QTextDocument()
    document.setHtml(_facts(made))
    text = document.toPlainText()
    assert HOSTILE in text
    assert "<few>" in text


@pytest.fixture
def hostile_run(tmp_path, tiny_model):
    """A run whose labels have hostile names and values."""
    images = write_images(tmp_path / "images", 12)
    pd.DataFrame(
        {
            "image": [f"image-{i:03d}" for i in range(12)],
            "mass": [float(i % 3 == 0) for i in range(12)],
            HOSTILE: [float(i % 2) for i in range(12)],
            "density": [HOSTILE if i < 6 else "b" for i in range(12)],
            "patient": [f"<img src=p{i}>" for i in range(12)],
        }
    ).to_csv(tmp_path / "labels.csv", index=False)
    return write_run(images, tiny_model, tmp_path / "run", labels=tmp_path / "labels.csv", maps=True, workers=0).path


def texts_of(root: QWidget):
    """Every text in a dock that Qt could take for HTML, and whether it does not."""
    for widget in (root, *root.findChildren(QWidget)):
        yield widget.toolTip(), shown_as_text(widget.toolTip())
        if isinstance(widget, QLabel):
            yield widget.text(), widget.textFormat() == Qt.TextFormat.PlainText or shown_as_text(widget.text())
        tips = []
        if isinstance(widget, QListWidget):
            tips = [widget.item(at).toolTip() for at in range(widget.count())]
        elif isinstance(widget, QTreeWidget):
            tips = [widget.topLevelItem(at).toolTip(0) for at in range(widget.topLevelItemCount())]
        elif isinstance(widget, QTableView):
            model, role = widget.model(), Qt.ItemDataRole.ToolTipRole
            tips = [model.headerData(at, Qt.Orientation.Horizontal, role) for at in range(model.columnCount())]
        yield from ((tip, shown_as_text(tip)) for tip in tips)


def test_no_dock_takes_a_text_for_html(qtbot, viewer, hostile_run, tiny_model):
    workspace = workspace_of(viewer)
    run = open_run_in(qtbot, workspace, hostile_run)
    workspace.images.take_model(workspace.images.choice, handle_of({"name": tiny_model, "device": "cpu"}))
    workspace.browser.show(0)
    idle(qtbot, workspace)
    latent = workspace.session.current
    with VerdictStore(workspace.reviewer.book.path, HOSTILE) as store:
        subject = Subject(run.info["model_sha256"], run.info["sae_sha256"])
        store.decide(subject, latent, "spurious", note=HOSTILE, concept=HOSTILE)
    workspace.reviewer.set_annotator("<img src=b>")
    workspace.reviewer._poll()
    shown = [kind(viewer) for kind in DOCKS]
    for dock in shown:
        qtbot.addWidget(dock)
        dock.show()
    image = fakes.mammogram(image_id=HOSTILE)
    seen = []
    for step in (
        lambda: workspace.status.tell(HOSTILE, error=True),
        lambda: workspace.opener.line.tell(HOSTILE),
        lambda: setattr(workspace.session, "current", latent),
        lambda: setattr(workspace.session, "image", image),
    ):
        step()
        qtbot.wait(50)
        QApplication.processEvents()
        seen += [pair for dock in shown for pair in texts_of(dock)]
    assert [text for text, is_plain in seen if not is_plain] == []
    assert sum("img src" in text for text, _ in seen if text) > 5
