"""A session brought back, step by step: each step waits for the work of the one before."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.base.errors import MammoSAEError
from ...core.base.text import counted
from ..app.order import Order
from ..canvas import window as grey_levels
from ..canvas.tools.ruler import Measured
from ..image.tasks import ModelChoice
from ..intervention.state import EditState
from ..latents.filters import LatentFilter
from ..localization.latent_set import Together
from ..localization.result import Choice
from .drawn import lines_from_json, region_from_json
from .record import find
from .window import arrange, open_docks, window_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..workspace import Workspace


class Restoring:
    """Brings a session back.

    Attributes
    ----------
    missing
        What could not be brought back, one phrase each.
    """

    def __init__(self, work: Workspace, content: dict[str, Any], base: Path) -> None:
        self.work, self.content, self.base = work, content, base
        self.missing: list[str] = []

    def steps(self) -> Iterator[Callable[[], bool]]:
        """Do one step after the other; each time go on once what is yielded says True."""
        work, content = self.work, self.content
        self._show_window()
        yield _at_once
        self._leave()
        yield self._idle
        several = content.get("open_layers")
        first = several["layers"][0]["model"] if several is not None else content["model"]
        work.images.choice = self._choice_of(first)
        if content["model"]["loaded"]:
            work.images.load()
            yield self._idle
            self._check_model(first)
        if (run := content["run"]) is not None and (path := self._find(run)) is not None:
            work.opener.open(path)
            yield self._idle
            if work.session.run is None:
                self.missing.append(work.opener.line.last_told[0].rstrip("."))
            else:
                yield from self._go_through(run)
        self._read_boxes()
        if work.browser.row is None or content["run"] is None or content["run"]["image"] is None:
            yield from self._open_image()
        self._restore_drawn()
        if content["model"]["computed"] or (content["model"]["maps"] and work.session.maps is None):
            work.images.compute()
            yield self._idle
        asked = content.get("prompts", {})
        work.images.prompts.approximate = asked.get("approximate", False)
        yield from self._add_heads(first)
        if several is not None:
            yield from self._open_layers(several)
        work.images.prompts.ask(asked.get("shown") or "")
        yield self._idle
        work.session.hidden_heads = tuple(content.get("heads", {}).get("hidden", ()))
        self._restore_region()
        yield self._idle
        self._restore_choices()
        yield self._idle
        self._restore_order()
        yield self._idle
        self._restore_view()
        yield self._idle
        self._restore_layers()
        self._compare()
        self._restore_lines()
        yield from self._open_exam()
        self._restore_grid()
        self._look()  # once more: docks that were filled meanwhile may have changed the canvas

    def _idle(self) -> bool:
        work = self.work
        jobs = [work.jobs, work.opener.jobs, work.ranking.jobs, work.images.prompts.jobs, work.images.heads.jobs]
        jobs.append(work.query.jobs)
        if work.localises:
            jobs += [work.localizer.outline.jobs, work.localizer.combining]
        return not any(one.busy for one in (*jobs, work.exam.jobs))

    def _leave(self) -> None:
        """Let go of what is open from before and does not belong to the session, which would mix with it."""
        work, content = self.work, self.content
        if content["blind"]:
            work.session.blind = True  # before there is anything that would sway
        if work.exam.shown is not None:
            work.exam.leave()
        work.side_by_side.restore()
        work.layers.close_others()
        if not content["model"]["loaded"]:
            work.images.unload()
        if content["run"] is None:
            work.opener.close_run()
        if content["boxes"] is None:
            work.session.findings = None  # those of a run come with it

    def _find(self, entry: dict[str, Any]) -> Path | None:
        path, said = find(entry, self.base)
        if said:
            self.missing.append(said)
        return path

    # What is looked at

    def _choice_of(self, known: dict[str, Any]) -> ModelChoice:
        described = self._find(known["described"]) if known["described"] is not None else None
        files: dict[str, Any] = {key: self._find(entry) for key, entry in known["files"].items()}
        name = str(described) if described is not None else known["name"]
        return ModelChoice(
            name,
            classes=tuple(known["classes"]),
            device=known["device"],
            precision=known["precision"],
            engine=known["engine"],
            layer=known.get("layer"),
            **files,
        )

    def _check_model(self, known: dict[str, Any]) -> None:
        model = self.work.session.model
        if model is None:
            self.missing.append(f"the model was not loaded ({self.work.status.last_told[0].rstrip('.')})")
        elif (model.model_sha256, model.sae_sha256) != (known["model_sha256"], known["sae_sha256"]):
            self.missing.append(f"{model.name} is not the session's model")

    def _go_through(self, known: dict[str, Any]) -> Iterator[Callable[[], bool]]:
        work, run = self.work, self.work.session.run
        if known["images"] is not None and (root := self.base.absolute() / known["images"]).is_dir():
            work.browser.files_of(run).root = root.resolve()
        for label, value in known["positive"].items():
            work.opener.choose_positive(label, value)
            yield self._idle
        ids = list(run.images["image_id"].astype(str))
        if known["image"] in ids:
            work.browser.show(ids.index(known["image"]))
            yield self._idle
        elif known["image"] is not None:
            self.missing.append(f"{known['image']} is not in {run.path.name} any more")
        choice = work.ranking.choice
        wanted = replace(
            choice, label=known["label"], category=known["category"], score=known["score"], protocol=known["protocol"]
        )
        if wanted != choice and (not wanted.label or wanted.label in run.labels):
            work.ranking.choose(label=wanted.label)
            work.ranking.choose(category=wanted.category, score=wanted.score, protocol=wanted.protocol)
        yield self._idle

    def _open_image(self) -> Iterator[Callable[[], bool]]:
        image = self.content["image"]
        if image is None:
            return
        if "path" not in image:
            self.missing.append(f"{image['image_id']} did not come from a file")
        elif (path := self._find(image)) is not None:
            self.work.images.open_image(path)
            yield self._idle

    def _read_boxes(self) -> None:
        from ...core.datasets.find import read_boxes

        boxes = self.content["boxes"]
        if boxes is not None and (path := self._find(boxes)) is not None:
            try:
                self.work.session.findings = read_boxes(path)
            except MammoSAEError as error:
                self.missing.append(str(error).rstrip("."))

    def _restore_drawn(self) -> None:
        """Take the boxes drawn on the image and not saved yet from their draft."""
        if self.content.get("drawn") and self.work.session.image is not None:
            if self.work.editor.draft is None:
                self.missing.append(f"without the boxes drawn on {self.work.session.image.image_id}")
            self.work.editor.restore_draft()

    def _open_layers(self, known: dict[str, Any]) -> Iterator[Callable[[], bool]]:
        """Open the layers beside each other in their order, each as it was left, and go to the one that was chosen."""
        work, layers = self.work, self.work.layers
        for place, one in enumerate(known["layers"]):
            if place:
                work.images.choice = self._choice_of(one["model"])
                layers.add()
                yield self._idle
                if len(layers.open) <= place:
                    self.missing.append(f"without another layer ({work.status.last_told[0].rstrip('.')})")
                    return
                self._check_model(one["model"])
                yield from self._add_heads(one["model"])
            if place != known["chosen"] and one["latent"] is not None and self._knows([one["latent"], *one["pins"]]):
                work.session.current, work.session.pins = one["latent"], one["pins"]
        layers.choose(known["chosen"])
        yield self._idle

    def _add_heads(self, known: dict[str, Any]) -> Iterator[Callable[[], bool]]:
        """Give the model that is worked with the heads it had besides its own, in their order."""
        images, session = self.work.images, self.work.session
        if session.model is None:
            return
        there = {head.name for head in session.model.heads}
        self.missing += [f"without the head {name}" for name in known.get("heads", ()) if name not in there]
        for one in known.get("added", ()):
            if (text := one.get("prompt")) is not None:
                images.prompts.ask(text)
                yield self._idle
                if not any(head.prompt is not None and head.prompt.typed == text for head in session.model.heads):
                    self.missing.append(f"without the prompt {text} ({images.prompts.note.rstrip('.')})")
            elif (path := self._find(one)) is not None:
                images.heads.reopen(path)
                yield self._idle
                if one["name"] not in {head.name for head in session.model.heads}:
                    self.missing.append(f"without the head {one['name']} ({images.heads.note.rstrip('.')})")

    # What was drawn and chosen

    def _restore_region(self) -> None:
        """Draw the region again; it is measured anew."""
        known = self.content.get("region")
        if known is None or self.work.session.image is None:
            return
        try:
            self.work.query.put(region_from_json(known))
        except (ValueError, KeyError, TypeError):
            self.missing.append("without the drawn region")

    def _restore_lines(self) -> None:
        """Draw measured lines, of the image that is open and of those that may be opened later."""
        known, image = self.content.get("lines"), self.work.session.image
        try:
            lines = lines_from_json([] if known is None else known, self.base)
        except (ValueError, KeyError, TypeError):
            self.missing.append("without the measured lines")
            return
        here = None if image is None else Measured.of(image)
        there = {key: those for key, those in lines.items() if key == here or (key.file and Path(key.file).exists())}
        self.work.actions.ruler.put(there)
        if gone := sum(map(len, lines.values())) - sum(map(len, there.values())):
            self.missing.append(f"without {counted(gone, 'measured line')}")

    def _restore_grid(self) -> None:
        known, viewer = self.content.get("grid"), self.work.scene.viewer
        if known is not None and viewer is not None:
            viewer.canvas.grid.shape = tuple(known["shape"])
            viewer.canvas.grid.enabled = True

    def _restore_choices(self) -> None:
        work, content, session = self.work, self.content, self.work.session
        colours = content["colours"]
        work.scene.set_colormap(colours["colormap"])
        session.manual_limits = tuple(colours["limits"])
        session.contrast = colours["contrast"]
        session.blind = content["blind"]
        if (one := content["localisation"]) is not None:
            work.localizer.choice = Choice(**one["choice"])
            work.localizer.together = Together(**one["together"])
            work.localizer.drawn = one["drawn"]
        if self._knows(content["pins"]):
            session.pins = content["pins"]
        edit = content["edit"]
        work.intervention.restore(EditState(**edit["state"]))
        work.intervention.map_kind = edit["map"]

    def _knows(self, latents: list[int]) -> bool:
        maps = self.work.session.maps
        return maps is not None and all(0 <= latent < maps.shape[0] for latent in latents)

    def _restore_order(self) -> None:
        known, work, session = self.content["order"], self.work, self.work.session
        if known is None or session.maps is None:
            return
        table = work.latents
        table.filter = LatentFilter(**known["filter"])
        columns = {column.key for column in table.table.columns}
        if known["column"] in columns:
            table.prefer(known["column"])
            table.table.sort_by(known["column"], rising=known["rising"])
        elif known["follows_table"]:
            self.missing.append(f"without the order by {known['name']}")
        table.follows = known["follows_table"]
        if known["latents"] is not None and len(known["latents"]) == session.maps.shape[0]:
            scores = np.array([np.nan if one is None else one for one in known["scores"]])
            session.order = replace(Order.of(known["latents"], scores, known["name"]), measured_on=session.image)

    def _restore_view(self) -> None:
        content, work = self.content, self.work
        if content["latent"] is not None and self._knows([content["latent"]]):
            work.session.current = content["latent"]
        display, layer = content["display"], work.scene.image_layer
        if display is not None and layer is not None:
            work.actions.set_window(display["preset"])
            layer.contrast_limits = display["limits"]
            layer.gamma = display["gamma"]
            if grey_levels.is_inverted(layer) is not display["inverted"]:
                work.actions.invert()
        self._look()

    def _restore_layers(self) -> None:
        for role, known in self.content["layers"].items():
            if (layer := self.work.scene.owned.find(role)) is not None:
                layer.opacity, layer.visible = known["opacity"], known["visible"]
        for layer in self.work.scene.owned.with_role("pin"):
            look = self.content.get("pin_layers", {}).get(str(self.work.scene.owned.facts(layer)["latent"]))
            if look is not None:
                layer.opacity, layer.visible = look["opacity"], look["visible"]
        several = self.content.get("open_layers") or {"layers": []}
        for one, known in zip(self.work.layers.open, several["layers"], strict=False):  # some may be missing
            if known["look"] is not None and one.stack is not None and one.stack is not self.work.scene.stack_layer:
                one.stack.opacity, one.stack.visible = known["look"]["opacity"], known["look"]["visible"]

    def _compare(self) -> None:
        if self.content.get("side_by_side"):
            self.work.side_by_side.show()
            if not self.work.side_by_side.shown:
                self.missing.append("without the pinned latents side by side")

    def _open_exam(self) -> Iterator[Callable[[], bool]]:
        known, exam = self.content.get("exam"), self.work.exam
        if known is None:
            return
        exam.with_prior = known["with_prior"]
        if known["shown"] and self.work.session.run is not None:
            exam.toggle()
            yield self._idle
            if exam.shown is None:
                self.missing.append(f"without the exam ({self.work.status.last_told[0].rstrip('.')})")

    # The window

    def _show_window(self) -> None:
        known, window = self.content["window"], window_of(self.work.scene.viewer)
        if window is None or "size" not in known:
            return
        open_docks(window, known["docks"])
        arrange(window, known["size"], base64.b64decode(known["layout"]))
        if known["theme"] is not None:
            self.work.scene.viewer.theme = known["theme"]  # type: ignore[union-attr]

    def _look(self) -> None:
        known, viewer = self.content["window"], self.work.scene.viewer
        if viewer is not None and known:
            viewer.scene.camera.center, viewer.scene.camera.zoom = tuple(known["center"]), known["zoom"]


def _at_once() -> bool:
    return True
