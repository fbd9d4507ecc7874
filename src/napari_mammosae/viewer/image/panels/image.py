"""Which layer is the mammogram, its boxes, and how its grey levels are shown."""

from contextlib import suppress
from pathlib import Path

from qtpy.QtWidgets import QComboBox, QFileDialog

from ....core.base.errors import FindingsError
from ...app.keymap import tooltip
from ...app.session import HIDDEN
from ...canvas import window as display
from ...canvas.actions import CanvasActions
from ...canvas.notes import notes_on
from ...widgets import ui
from ...widgets.banner import Banner
from ...widgets.parts import Part, row
from ...widgets.plain import Label
from ..controller import ImageController

IMAGES = "Mammograms (*.dcm *.dicom *.dic *.png *.tif *.tiff *.jpg *.jpeg *.npy);;All files (*)"
TABLES = "Tables of boxes (*.csv *.json);;All files (*)"


class ImagePart(Part):
    """Choose or open the image, load its boxes, window and invert it."""

    def __init__(self, images: ImageController, actions: CanvasActions) -> None:
        super().__init__(images.context)
        self.images, self.actions = images, actions
        self.layer_box = ui.chooser(10, "Any 2-D grayscale image layer")
        self.open_button = ui.button("Open…", "Open a mammogram: DICOM, PNG, TIFF, JPEG or NPY", self._open_image)
        self.boxes_label = Label()
        self.boxes_button = ui.button(
            "Load…",
            "Load ground-truth boxes: a VinDr-Mammo CSV, or one with image, finding, xmin … ymax",
            self._open_boxes,
        )
        self.run_boxes_button = ui.button(
            "Back to the run's boxes", "Show the boxes that the open run came with", images.show_run_boxes
        )
        self.window_box = ui.tipped(
            QComboBox(), tooltip("Grey levels on the screen; the model always sees the whole range", "next_window")
        )
        self.invert_button = ui.button(
            "Invert",
            tooltip("Show dense tissue dark; the model sees the image as it is", "invert"),
            actions.invert,
            checkable=True,
        )

        self.scale_label = Label()
        self.magnify_button = ui.button(
            "Magnify",
            tooltip("Show what lies under the mouse three times as large, and back", "toggle_magnifier"),
            actions.toggle_magnifier,
        )
        self.ruler_button = ui.button(
            "Measure", tooltip("Drag a line over the mammogram to measure it", "toggle_ruler"), actions.toggle_ruler
        )

        self.notes = Banner()

        self.form = form = ui.form(self)
        form.addRow("Image", row(self.layer_box, self.open_button))
        form.addRow("Boxes", row(self.boxes_label, self.boxes_button))
        form.addRow("", self.run_boxes_button)
        form.addRow("Window", row(self.window_box, self.invert_button))
        form.addRow("Scale", row(self.scale_label, self.magnify_button, self.ruler_button))

        self.layer_box.activated.connect(lambda index: images.use_layer(self._layers[index]))
        self.window_box.textActivated.connect(actions.set_window)
        self.listen(self.session.events.image, self.refresh)
        for event in (self.session.events.findings, self.session.events.run, self.session.events.blind):
            self.listen(event, self._show_boxes)
        self.listen(self.session.events.model, self._show_notes)
        self.listen(actions.windowed, self._show_window)
        scene = self.context.scene
        self.listen(scene.arranged, self._show_notes)
        self.listen(self.session.events.maps, self._show_notes)
        if (viewer := scene.viewer) is not None:
            for event in (viewer.layers.events.inserted, viewer.layers.events.removed, viewer.layers.events.renamed):
                self.listen(event, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """List the layers anew, the chosen one selected."""
        chosen = self.context.scene.image_layer
        self._layers = self.images.candidates()
        self.layer_box.clear()
        self.layer_box.addItems([layer.name for layer in self._layers])
        stack = self.images.stack
        empty = f"{stack.name}: a stack" if stack is not None else "no image is open"
        self.layer_box.setPlaceholderText("choose a layer" if self._layers else empty)
        self.layer_box.setCurrentIndex(self._layers.index(chosen) if chosen in self._layers else -1)
        self._show_boxes()
        self._show_window()
        self._show_notes()

    def _show_notes(self, *_: object) -> None:
        self.notes.show_text("\n".join(notes_on(self.context.scene)))

    def _open_image(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Open a mammogram", "", IMAGES)
        if name:
            self.images.open_image(Path(name))

    def _open_boxes(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Load ground-truth boxes", "", TABLES)
        if name:
            self.images.load_boxes(Path(name))

    def _show_boxes(self, *_: object) -> None:
        findings, image = self.session.findings, self.session.image
        if findings is None:
            text = "none loaded"
        elif self.session.blind:
            text = HIDDEN.lower().removesuffix(".")
        elif image is None:
            text = "loaded"
        else:
            count = 0
            with suppress(FindingsError):  # boxes for another size are none on this one
                count = len(findings.boxes(image.full_name, shape=image.shape))
            text = f"{count} on this image" if count else "none on this image"
        self.boxes_label.setText(text)
        self.form.setRowVisible(self.run_boxes_button, self.images.run_boxes is not None)

    def _show_window(self, *_: object) -> None:
        names = display.preset_names(self.session.image)
        if [self.window_box.itemText(i) for i in range(self.window_box.count())] != names:
            self.window_box.clear()
            self.window_box.addItems(names)
        window, layer = self.actions.window, self.actions.layer
        by_hand = layer is not None and self.actions.is_by_hand
        limits = layer.contrast_limits if layer is not None and by_hand else None
        self.window_box.setPlaceholderText(display.limits_text(limits) if limits else "choose")
        self.window_box.setCurrentIndex(names.index(window) if window in names and not by_hand else -1)
        image = self.session.image
        scale = image.scale if image is not None else None
        self.scale_label.setText(
            "" if image is None else f"{scale.per_pixel[1]:.3g} mm per pixel" if scale else "in pixels"
        )
        self.scale_label.setToolTip(
            str(scale) if scale is not None else "The file does not say how large its pixels are."
        )
        self.invert_button.setChecked(layer is not None and display.is_inverted(layer))
        for widget in (self.window_box, self.invert_button, self.magnify_button, self.ruler_button):
            widget.setEnabled(layer is not None)
