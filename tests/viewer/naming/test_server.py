"""The form that names latents with a server: the cost first, consent, progress, cancel, and names in the table."""

import time

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

import vlm_kit
import vlm_server
from napari_mammosae.core.runs import opening
from napari_mammosae.viewer.naming import server_panel
from napari_mammosae.viewer.naming.server import SENT
from napari_mammosae.viewer.naming.server_panel import ServerPart
from napari_mammosae.viewer.workspace import workspace_of


@pytest.fixture
def asked(monkeypatch):
    """What the user is asked; says yes to what is in `asked.yes`."""

    class Questions(list):
        def __init__(self):
            super().__init__()
            self.yes = {"Name latents"}

    questions = Questions()

    def accept(title, text):
        questions.append((title, text))
        return title in questions.yes

    monkeypatch.setattr(server_panel, "accept", accept)
    return questions


@pytest.fixture
def part(viewer, qtbot, tmp_path):
    part = ServerPart(workspace_of(viewer).server_naming)
    qtbot.addWidget(part)
    part.session.run = vlm_kit.PatchRun(tmp_path)
    yield part
    part.cleanup()


def settle(part, qtbot):
    qtbot.waitUntil(lambda: not part.naming.jobs.busy, timeout=60_000)


def fill(part, url, latents="4"):
    part.url.setText(url)
    part.latents.setText(latents)
    part.url.textEdited.emit(url)


def test_the_cost_is_told_before_and_the_names_come_into_the_table(part, qtbot, asked):
    book = workspace_of(part.context.scene.viewer).reviewer.book
    with vlm_server.serving(answer=vlm_kit.seeing) as vlm:
        fill(part, vlm.url, "4, 5")
        asked.yes = set()
        part.start.click()
        settle(part, qtbot)
        assert len(asked) == 1
        assert asked[0][1].startswith("2 latents: at most ")
        assert part.note.text().startswith("2 latents: at most ")
        assert not vlm.headers  # no was the answer
        asked.yes = {"Name latents"}
        part.start.click()
        settle(part, qtbot)
    assert {latent: name.name for latent, name in book.names.items()} == {4: "amber patch", 5: "birch patch"}
    assert book.names[4].method == "seer"
    assert book.names[4].beats_chance
    assert "2 of 2 latents named" in part.context.status.last_told[0]
    assert (part.session.run.path / "names" / "names.csv").exists()
    part.session.blind = True
    assert not part.start.isEnabled()
    assert not book.names


def test_names_are_held_against_another_run_as_by_the_command(part, qtbot, asked, tmp_path, monkeypatch):
    (tmp_path / "other").mkdir()
    other = vlm_kit.PatchRun(tmp_path / "other")
    other.dense = other.dense[np.random.default_rng(1).permutation(len(other.dense))]
    other.info |= {"model": "patches-random"}
    opened, read = [], opening.open_run

    def open_run(path):
        opened.append(path)
        return other if path == other.path else read(path)

    monkeypatch.setattr(opening, "open_run", open_run)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(other.path))
    part.against_button.click()
    with vlm_server.serving(answer=vlm_kit.seeing) as vlm:
        fill(part, vlm.url)
        part.start.click()
        settle(part, qtbot)
    assert opened == [other.path]
    assert asked[0][1].startswith("2 latents: at most ")  # one of each run
    first, second = part.note.text().split("\n")[:2]
    assert first.startswith("patches: 1 of 1 named, 1 better than chance, mean AUROC 1.0")
    assert second.startswith("patches-random: ")
    assert "better than chance, mean AUROC" in second
    compared = (part.session.run.path / "names" / "names.compared.csv").read_text()
    assert "patches-random" in compared
    part.against.setText(str(tmp_path / "gone"))
    part.against.textEdited.emit("")
    part.start.click()
    settle(part, qtbot)
    assert "gone" in part.note.text()


def test_models_are_listed_and_another_dock_shows_the_same(part, qtbot, asked):
    with vlm_server.serving(models=("small", "large")) as vlm:
        fill(part, vlm.url)
        part.list_button.click()
        settle(part, qtbot)
    assert [part.model.itemText(at) for at in range(part.model.count())] == ["small", "large"]
    assert part.model.currentText() == "small"
    part.model.setCurrentText("large")
    part.most.setValue(7)
    other = ServerPart(part.naming)
    qtbot.addWidget(other)
    assert (other.model.currentText(), other.url.text(), other.most.value()) == ("large", vlm.url, 7)
    other.cleanup()


def test_another_machine_needs_consent_that_names_it_and_the_images(part, qtbot, asked):
    with vlm_server.serving("0.0.0.0", answer=vlm_kit.seeing) as vlm:
        fill(part, vlm.url)
        part.start.click()
        settle(part, qtbot)
        title, text = asked[-1]
        assert title == "Send images to 0.0.0.0?"
        assert "is not this machine, and" in text
        assert "--allow-remote" not in text
        assert SENT in text
        assert not vlm.headers
        assert part.note.text() == "Nothing was sent."
        asked.yes.add(title)
        part.start.click()
        settle(part, qtbot)
        assert vlm.asked


def test_it_can_be_cancelled_and_resumed(part, qtbot, asked):
    with vlm_server.serving() as vlm:

        def answer(request):
            time.sleep(0.02)
            return vlm_kit.seeing(request)

        vlm.answer = answer
        fill(part, vlm.url)
        part.start.click()
        qtbot.waitUntil(lambda: len(vlm.asked) >= 5, timeout=60_000)
        assert "Asking seer" in part.note.text()
        part.progress.cancel_button.click()
        settle(part, qtbot)
        stopped = len(vlm.asked)
        assert stopped < 30
        vlm.answer = vlm_kit.seeing
        part.start.click()
        settle(part, qtbot)
        bodies = [str(one.body) for one in vlm.asked]
        assert len(set(bodies)) == len(bodies) > stopped


def test_what_goes_wrong_is_told(part, qtbot, asked):
    fill(part, "http://127.0.0.1:9/v1")
    part.start.click()
    settle(part, qtbot)
    assert "127.0.0.1 does not answer" in part.note.text()
    fill(part, "nonsense")
    part.list_button.click()
    settle(part, qtbot)
    assert "is not one such as http" in part.note.text()
    fill(part, "http://127.0.0.1:9/v1", "two")
    part.start.click()
    settle(part, qtbot)
    assert "'two' is not the number of a latent" in part.note.text()
    part.session.run = None
    assert not part.start.isEnabled()
