"""Columns that the SAE itself brings: in how many trainings a latent was found again, and its group."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

from fakes import INPUT, FakeModel, latent_maps
from napari_mammosae.core.images.geometry import Frame
from napari_mammosae.core.models.files.found_again import FoundAgain
from napari_mammosae.viewer.docks import LatentsDock
from napari_mammosae.viewer.latents.filters import LatentFilter
from napari_mammosae.viewer.widgets.columns import FOUND, GROUP
from napari_mammosae.viewer.workspace import workspace_of

H, HASH = 64, "c" * 64
COUNTS = np.arange(H) % 4


@pytest.fixture
def dock(qapp, qtbot):
    viewer = ViewerModel()
    workspace = workspace_of(viewer)
    dock = LatentsDock(viewer)
    qtbot.addWidget(dock)
    jobs = dock.latents.ranking.jobs, dock.detail.jobs, dock.detail.gallery.jobs, dock.query.jobs, workspace.jobs
    yield dock
    dock.cleanup()
    qtbot.waitUntil(lambda: not any(job.busy for job in jobs), timeout=30_000)
    workspace.close()


def show(dock, **facts):
    model = FakeModel(n_latents=H, sae_sha256=HASH, **facts)
    session = dock.workspace.session
    session.handle = model
    session.maps = latent_maps(model, Frame.identity(INPUT))


def shown(dock, key):
    keys = [column.key for column in dock.table.columns]
    return None if key not in keys else keys.index(key)


def test_what_lies_beside_the_sae_is_a_column_and_a_filter(dock):
    show(dock, found_again=FoundAgain(COUNTS, 3, HASH[:16]))
    table = dock.table
    np.testing.assert_array_equal(table.values[FOUND.key], COUNTS)
    table.sort_by(FOUND.key, rising=False)
    assert table.data(table.index(0, shown(dock, FOUND.key))) == "3 of 3"
    offered = [dock.filters.column.itemText(i) for i in range(dock.filters.column.count())]
    assert "Found again" in offered
    dock.latents.filter = LatentFilter(column=FOUND.key, low=2)
    assert set(table.visible) == set(np.flatnonzero(COUNTS >= 2))
    dock.workspace.session.blind = True
    assert set(table.visible) == set(range(H))  # hidden from a blind judge


def test_groups_of_a_matryoshka_are_a_column(dock):
    show(dock, groups=(8, 16, 40))
    assert dock.table.values[GROUP.key].tolist() == [1] * 8 + [2] * 16 + [3] * 40
    assert shown(dock, FOUND.key) is None


@pytest.mark.parametrize(("sae", "said"), [(HASH[:16], ""), ("d" * 16, "own.found.csv is about a different SAE")])
def test_a_table_is_opened(dock, tmp_path: Path, monkeypatch, sae: str, said: str):
    show(dock)
    path = tmp_path / "own.found.csv"
    pd.DataFrame({"latent": range(H), "found_again": COUNTS, "of": 3, "sae": sae}).to_csv(path, index=False)
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    dock._open_found()
    assert said in dock.status.text()
    if said:
        assert shown(dock, FOUND.key) is None
        return
    np.testing.assert_array_equal(dock.table.values[FOUND.key], COUNTS)
    dock.workspace.session.handle = FakeModel(n_latents=H, sae_sha256="e" * 64)
    assert shown(dock, FOUND.key) is None  # it was about another SAE
