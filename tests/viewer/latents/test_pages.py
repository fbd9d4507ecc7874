"""Pages about latents from the dock: what is offered, what is written, and that nothing is ever half written."""

import json
from threading import Event

import pytest
from qtpy.QtWidgets import QFileDialog

from fake_run import FakeRun
from fakes import FakeModel
from napari_mammosae.core.reports import latent_page
from napari_mammosae.viewer.docks import LatentsDock
from napari_mammosae.viewer.workspace import workspace_of

FIRES = 5


@pytest.fixture
def dock(viewer, tmp_path, qtbot):
    workspace = workspace_of(viewer)
    workspace.session.handle = FakeModel()
    run = FakeRun(tmp_path)
    run.path.mkdir()
    workspace.session.run = run
    workspace.browser.files_of(run).root = tmp_path
    workspace.session.current = FIRES
    dock = LatentsDock(viewer)
    qtbot.addWidget(dock)
    ranking, detail = dock.latents.ranking, dock.detail
    jobs = ranking.jobs, detail.jobs, detail.gallery.jobs, dock.pages.jobs
    qtbot.waitUntil(lambda: dock.table.size > 0 and not ranking.jobs.busy, timeout=20_000)
    yield dock
    dock.cleanup()
    qtbot.waitUntil(lambda: not any(one.busy for one in jobs), timeout=20_000)


def choose(dock, monkeypatch, start, path):
    """Choose an entry of the menu and a name in the dialog; return the name that was offered."""
    offered = []

    def ask(_parent, _title, name, *_):
        offered.append(name)
        return str(path), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", ask)
    (action,) = [one for one in dock.export_menu().actions() if one.text().startswith(start)]
    action.trigger()
    return offered[0]


def test_the_page_of_the_current_latent(dock, monkeypatch, qtbot, tmp_path):
    path = tmp_path / "out" / "latent.html"
    path.parent.mkdir()
    assert choose(dock, monkeypatch, f"Page of latent {FIRES}", path) == f"latent-{FIRES}.html"
    qtbot.waitUntil(path.exists, timeout=20_000)
    qtbot.waitUntil(lambda: "written" in dock.status.text(), timeout=20_000)
    text = path.read_text()
    assert f"<h1>Latent {FIRES}</h1><p>Fires on 8 of 24 images" in text
    assert text.count("data:image/jpeg") == 8  # one a patient with a mass
    assert json.loads(path.with_name("latent.html.json").read_text())["settings"]["latents"] == [FIRES]


def test_a_site_of_the_selected_latents(dock, monkeypatch, qtbot, tmp_path):
    dock.view.selectAll()
    folder = tmp_path / "site"
    assert choose(dock, monkeypatch, "Site of the first 20", folder) == "run-latents"
    qtbot.waitUntil(lambda: not dock.pages.jobs.busy, timeout=60_000)
    pages = sorted(path.name for path in folder.glob("latent-*.html"))
    assert pages == sorted(f"latent-{latent}.html" for latent in dock.table.visible[:20].tolist())
    assert all(name in (folder / "index.html").read_text() for name in pages)
    assert "site/index.html written" in dock.status.text()
    assert any(one.text().startswith("Site of the 64 selected") for one in dock.export_menu().actions())


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_stopped_site_leaves_nothing(dock, monkeypatch, qtbot, tmp_path, cancelled):
    made, go, whole = [], Event(), latent_page.latent_page

    def page(latent, *about):
        made.append(latent)
        if len(made) == 2 and not cancelled:
            raise OSError("disk")
        if len(made) == 2:
            go.wait(20)
        return whole(latent, *about)

    monkeypatch.setattr(latent_page, "latent_page", page)
    monkeypatch.setattr(dock.context.status, "report_failure", lambda _: None)
    folder = tmp_path / "site"
    choose(dock, monkeypatch, "Site of the first", folder)
    qtbot.waitUntil(lambda: len(made) == 2, timeout=20_000)
    dock.exporting.cancel_button.click()
    go.set()
    qtbot.waitUntil(lambda: not dock.pages.jobs.busy and not folder.exists(), timeout=20_000)
    assert len(made) == 2


def test_a_foreign_index_is_not_replaced(dock, monkeypatch, qtbot, tmp_path):
    index = tmp_path / "index.html"
    index.write_text("mine")
    choose(dock, monkeypatch, "Site of the first", tmp_path)
    qtbot.waitUntil(lambda: "Choose another name" in dock.status.text(), timeout=20_000)
    assert index.read_text() == "mine"
    assert not list(tmp_path.glob("latent-*"))


def test_blind_or_without_a_run_it_says_why_not(dock):
    for act, why in (
        (lambda: setattr(dock.session, "blind", True), "Turn off blind mode"),
        (lambda: setattr(dock.session, "run", None), "Open a run"),
    ):
        act()
        (only,) = dock.export_menu().actions()
        assert only.text().startswith(why)
        assert not only.isEnabled()
