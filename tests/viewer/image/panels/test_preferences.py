"""The form of the preferences."""

from magicgui.widgets import Dialog
from qtpy.QtWidgets import QComboBox, QLineEdit, QWidget

from napari_mammosae.viewer.app.preferences import Preferences, preferences, remember
from napari_mammosae.viewer.image.panels.preferences import edit_preferences


def answer(monkeypatch, act, accepted=True):
    """Let the dialog be used by `act`, which is given its widgets, instead of being shown."""

    def exec_(dialog):
        act(dialog.native)
        return accepted

    monkeypatch.setattr(Dialog, "exec", exec_)


def widget(dialog, label):
    form = dialog.layout().itemAt(0).layout()
    at = next(
        row for row in range(form.rowCount()) if form.itemAt(row, form.ItemRole.LabelRole).widget().text() == label
    )
    return form.itemAt(at, form.ItemRole.FieldRole).widget()


def change(dialog):
    widget(dialog, "Device").setCurrentText("cpu")
    widget(dialog, "Colour scale").setCurrentText("shared scale")
    widget(dialog, "Annotator").setText("anna")


def test_it_shows_what_holds_and_saves_with_ok(qtbot, monkeypatch):
    parent, seen = QWidget(), {}
    qtbot.addWidget(parent)
    remember("display", colormap="magma")

    def act(dialog):
        for name in ("Model", "Annotator"):
            seen[name] = widget(dialog, name).text()
        for name in ("Device", "Precision", "Engine", "Colour scale", "Colormap"):
            seen[name] = widget(dialog, name).currentText()
        assert len(dialog.findChildren(QComboBox)) == 5
        assert len(dialog.findChildren(QLineEdit)) == 2
        change(dialog)

    answer(monkeypatch, act)
    edit_preferences(parent)
    assert seen == {
        "Model": "demo", "Device": "auto", "Precision": "float32", "Engine": "auto",
        "Colour scale": "own scale", "Colormap": "magma",
        "Annotator": "",
    }  # fmt: skip
    assert preferences() == Preferences(device="cpu", contrast="shared", colormap="magma", annotator="anna")


def test_cancel_changes_nothing(qtbot, monkeypatch):
    parent = QWidget()
    qtbot.addWidget(parent)
    answer(monkeypatch, change, accepted=False)
    edit_preferences(parent)
    assert preferences() == Preferences()
