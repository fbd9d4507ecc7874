"""Annotated boxes drawn and corrected by hand, with undo, drafts, and files written only when asked."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from napari.layers.base import ActionType
from psygnal import Signal
from qtpy.QtCore import QTimer

from ...core.base.errors import MammoSAEError
from ...core.base.names import slug
from ..app.history import History
from ..canvas.boxes import shapes as box_shapes
from ..canvas.layers import tag, tags
from ..context import Controller
from .files import Draft, drop_draft, keep_draft, read_draft, save_boxes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd
    from napari.layers import Shapes

    from ...core.annotations.boxes import Findings
    from ...core.images.mammogram import Mammogram
    from ..context import Context

Tool = Literal["draw", "select"]
NOT_BLIND = "Turn off blind mode to draw boxes: the annotated ones are hidden."
_MODES: dict[Tool, str] = {"draw": "add_rectangle", "select": "select"}


@dataclass(frozen=True, eq=False, slots=True)
class ImageBoxTable:
    """The boxes of one image as undo knows them."""

    boxes: pd.DataFrame | None = None


class BoxEditor(Controller):
    """The annotated boxes of one viewer as something to draw.

    Every change goes into `session.findings`, so that figures follow at once, and into a draft on disk, until the
    boxes are saved.

    Attributes
    ----------
    changed
        Emits when boxes, tools, the selection, or what is unsaved changed.
    finding
        Slug of the finding that new boxes get.
    unsaved
        Images with changes that no file holds yet, and their shapes.
    draft
        Boxes of this image that an earlier session left unsaved; None when there are none.
    """

    changed = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.jobs = self.new_jobs()
        self.finding = "mass"
        self.unsaved: dict[str, tuple[int, int]] = {}
        self.draft: Draft | None = None
        self._histories: dict[str, History[ImageBoxTable]] = {}
        self._layer: Shapes | None = None
        self._mine: Findings | None = None
        self._writing = False
        self.listen(self.session.events.image, self._on_image)
        self.listen(self.session.events.findings, self._on_findings)
        self.listen(self.session.events.blind, self._on_blind)
        if (viewer := self.scene.viewer) is not None:
            self.listen(viewer.layers.events.removed, self._on_removed)
            self.listen(viewer.dims.events.ndisplay, self.stop)
        self._on_image()

    # Drawing

    @property
    def editing(self) -> bool:
        """Whether boxes can be drawn and changed now."""
        return self._layer is not None

    @property
    def tool(self) -> Tool | None:
        """What the mouse does: draw a box, select and move one, or neither."""
        mode = str(self._layer.mode) if self._layer is not None else ""
        return next((tool for tool, name in _MODES.items() if name == mode), None)

    @tool.setter
    def tool(self, tool: Tool) -> None:
        if self._layer is not None:
            self._layer.mode = _MODES[tool]
            self.changed.emit()

    def start(self) -> None:
        """Let the user draw on the image shown."""
        viewer, image = self.scene.viewer, self.session.image
        if self.editing or viewer is None or self.scene.image_layer is None or image is None:
            return
        if self.session.blind:
            self.status.tell(NOT_BLIND, error=True)
            return
        if not self.scene.owned.is_flat:
            self.status.tell("Switch back to 2-D display to draw boxes.", error=True)
            return
        boxes = self.boxes()
        if boxes is None:
            return
        layer = self.scene.owned.find("truth")
        if layer is not None and not box_shapes.is_drawable(layer):
            self.scene.owned.remove(layer)  # lines, which cannot be moved
            layer = None
        if layer is None:
            layer = box_shapes.empty_layer(image.shape[0])
            self.scene.owned.add(layer, "truth")
        layer.visible = True
        layer.editable = True
        box_shapes.write(layer, boxes, image.shape[0])
        layer.events.data.connect(self._on_data)
        layer.events.mode.connect(self._on_mode)
        layer.events.visible.connect(self._on_visible)
        layer.selected_data.events.items_changed.connect(self._on_mode)
        layer.bind_key("Control-Z", lambda _: self.undo(), overwrite=True)
        layer.bind_key("Control-Shift-Z", lambda _: self.redo(), overwrite=True)
        self._layer = layer
        self._mark(self.session.findings)
        viewer.layers.selection.active = layer
        self.tool = "draw"

    def stop(self, *_: object) -> None:
        """Go back to looking."""
        layer, self._layer = self._layer, None
        viewer = self.scene.viewer
        if layer is None:
            return
        layer.events.data.disconnect(self._on_data)
        layer.events.mode.disconnect(self._on_mode)
        layer.events.visible.disconnect(self._on_visible)
        layer.selected_data.events.items_changed.disconnect(self._on_mode)
        for key in ("Control-Z", "Control-Shift-Z"):
            layer.bind_key(key, None)
        layer.selected_data = set()
        layer.mode = "pan_zoom"
        layer.editable = False
        if viewer is not None and layer in viewer.layers:
            viewer.layers.selection.active = self.scene.stack_layer or self.scene.image_layer
        self.changed.emit()

    # The boxes of this image

    @property
    def selected(self) -> int | None:
        """Row of the one selected box."""
        chosen = list(self._layer.selected_data) if self._layer is not None else []
        return int(chosen[0]) if len(chosen) == 1 else None

    def select(self, row: int) -> None:
        """Select a box, ready to be moved."""
        if self._layer is not None and row < self._layer.nshapes:
            self._layer.mode = "select"
            self._layer.selected_data = {row}

    def boxes(self) -> pd.DataFrame | None:
        """Boxes of this image, all findings, in source pixels; None without an image or with boxes of another size."""
        if self.session.image is None:
            return None
        try:
            return self._boxes(self.session.image)
        except MammoSAEError as error:
            self.status.tell(str(error), error=True)
            return None

    def set_finding(self, row: int, finding: str) -> None:
        """Call a box something else."""
        self._set(row, "finding", slug(finding))

    def set_note(self, row: int, note: str) -> None:
        """Write a remark to a box."""
        self._set(row, "note", note)

    def remove(self, row: int) -> None:
        """Delete a box."""
        if (boxes := self.boxes()) is not None:
            self._take(boxes.drop(index=row).reset_index(drop=True))

    @property
    def can_undo(self) -> bool:
        """Whether something was changed on this image."""
        return not self.session.blind and self._key in self._histories and self._history.can_undo

    @property
    def can_redo(self) -> bool:
        """Whether something was undone."""
        return not self.session.blind and self._key in self._histories and self._history.can_redo

    def undo(self) -> None:
        """Take the last change on this image back."""
        self._step(self._history.undo)

    def redo(self) -> None:
        """Make the change that was taken back."""
        self._step(self._history.redo)

    def restore_draft(self) -> None:
        """Take the boxes that an earlier session left unsaved."""
        draft, self.draft = self.draft, None
        if draft is not None:
            self._take(draft.boxes)

    def discard_draft(self) -> None:
        """Forget the boxes that an earlier session left unsaved."""
        image, self.draft = self.session.image, None
        if image is not None:
            drop_draft(image.full_name, image.shape)
        self.changed.emit()

    # Files

    def save(self, path: Path) -> None:
        """Write all boxes, those of other images too; the caller has asked whether a file may be replaced."""
        findings = self.session.findings
        if findings is None:
            return
        edited = dict(self.unsaved)
        work = partial(save_boxes, path, findings, edited, self.session.model)
        self.jobs.start(f"Saving {path.name}", work, partial(self._saved, findings, edited), self._failed)

    def _saved(self, findings: Findings, edited: dict[str, tuple[int, int]], said: str) -> None:
        if findings is self.session.findings:
            for name, shape in edited.items():
                self.unsaved.pop(name, None)
                drop_draft(name, shape)
        self.status.tell(said)
        self.changed.emit()

    def _failed(self, error: Exception) -> None:
        self.status.tell(str(error), error=True)
        self.changed.emit()

    # What changes

    @property
    def _key(self) -> str:
        return self.session.image.full_name if self.session.image is not None else ""

    @property
    def _history(self) -> History[ImageBoxTable]:
        return self._histories.setdefault(self._key, History(ImageBoxTable()))

    def _boxes(self, image: Mammogram) -> pd.DataFrame:
        from ...core.annotations.box_edits import nothing_annotated

        findings = self.session.findings or nothing_annotated()
        return findings.boxes(image.full_name, shape=image.shape)

    def _set(self, row: int, column: str, value: str) -> None:
        boxes = self.boxes()
        if boxes is None or row >= len(boxes):
            return
        if column not in boxes:
            boxes[column] = ""
        boxes[column] = boxes[column].astype(object)
        if str(boxes.at[row, column]) != value:
            boxes.at[row, column] = value
            self._take(boxes)

    def _step(self, move: Callable[[], bool]) -> None:
        before = self.boxes()
        if before is None:
            return
        self._history.state = ImageBoxTable(before)
        after = self._history.state.boxes if move() else None
        if after is not None:
            self._put(after)
            if self._layer is not None and len(after) > len(before):
                self._layer.selected_data = {box_shapes.first_difference(after, before)}

    def _take(self, boxes: pd.DataFrame) -> None:
        """Make these the boxes of this image, in a way that can be undone."""
        before = self.boxes()
        if before is not None and self._put(boxes):
            self._history.state = ImageBoxTable(before)
            self._history.take(ImageBoxTable(boxes))
            self.changed.emit()

    def _put(self, boxes: pd.DataFrame) -> bool:
        from ...core.annotations.box_edits import with_boxes

        image = self.session.image
        if image is None:
            return False
        try:
            findings, notes = with_boxes(self.session.findings, image.full_name, image.shape, boxes)
        except MammoSAEError as error:
            self.status.tell(str(error), error=True)
            self._show(self._boxes(image))
            return False
        for note in notes:
            self.status.tell(note)
        after = findings.boxes(image.full_name, shape=image.shape)
        self._show(after)
        if box_shapes.same(after, self._boxes(image)):
            return False
        self._mark(findings)
        self.unsaved[image.full_name] = image.shape
        self.session.findings = findings
        self._keep_draft(image)
        self.changed.emit()
        return True

    def _keep_draft(self, image: Mammogram) -> None:
        try:
            keep_draft(image.full_name, image.shape, self._boxes(image))
        except (OSError, MammoSAEError) as error:
            self.status.tell(f"No draft could be kept ({error}); save the boxes soon.", error=True)

    def _mark(self, findings: Findings | None) -> None:
        """Let the scene know that the layer shows these already, and the image's layer which are its own."""
        self._mine = findings
        if self._layer is not None:
            self.scene.owned.facts(self._layer)["shows"] = findings, self.session.image
        image_layer = self.scene.image_layer
        if image_layer is not None and "findings" in tags(image_layer):
            tag(image_layer, findings=findings)

    def _show(self, boxes: pd.DataFrame) -> None:
        image = self.session.image
        if self._layer is None or image is None:
            return
        self._writing = True
        try:
            box_shapes.write(self._layer, boxes, image.shape[0])
        finally:
            self._writing = False

    # What happens around

    def _on_data(self, event: Any) -> None:
        """The user drew, moved or deleted a box; napari is still in the middle of it."""
        if not self._writing and event.action in (ActionType.ADDED, ActionType.CHANGED, ActionType.REMOVED):
            QTimer.singleShot(0, self._read)

    def _read(self) -> None:
        layer, before = self._layer, self.boxes()
        if layer is None or before is None or self._writing:
            return
        boxes = box_shapes.read(layer)
        if str(layer.mode).startswith("add_"):
            boxes.loc[len(before) :, "finding"] = self.finding
            boxes.loc[len(before) :, ["note", "birads"]] = ""
        if not box_shapes.same(boxes, before):
            self._take(boxes)

    def _on_mode(self, *_: object) -> None:
        if not self._writing:
            self.changed.emit()

    def _on_visible(self, *_: object) -> None:
        """Nobody draws what is not seen: an exam or a comparison is shown, or the boxes are hidden."""
        if self._layer is not None and not self._layer.visible:
            self.stop()

    def _on_removed(self, event: Any) -> None:
        if event.value is self._layer:
            self._layer = None
            self.changed.emit()

    def _on_findings(self, findings: Findings | None) -> None:
        """Other annotations were loaded: what was drawn into the former ones is in drafts."""
        if findings is not self._mine:
            left = list(self.unsaved)
            self._histories.clear()
            self.unsaved.clear()
            self._on_image()
            if left:
                where = left[0] if len(left) == 1 else f"{len(left):,} images ({left[0]}, …)"
                kept = f"Unsaved boxes on {where} are kept as drafts: open the image and press Restore."
                self.status.tell(f"{self.status.last_told[0]} {kept}".strip())

    def _on_blind(self, *_: object) -> None:
        """The boxes, drawn ones too, are hidden from a blind judge, who cannot change what is not seen."""
        self.stop()
        self.changed.emit()

    def _on_image(self, *_: object) -> None:
        self.stop()
        image, self.draft = self.session.image, None
        if image is not None and image.full_name not in self.unsaved:
            draft = read_draft(image.full_name, image.shape)
            try:
                if draft is not None and not box_shapes.same(draft.boxes, self._boxes(image)):
                    self.draft = draft
            except MammoSAEError:  # the annotations are for an image of another size; the scene says so
                self.draft = draft
        self.changed.emit()
