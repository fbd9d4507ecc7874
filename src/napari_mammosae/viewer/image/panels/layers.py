"""The open layers of the network: which one the docks work with."""

from ...widgets import ui
from ...widgets.parts import Part, row
from ..open_layers import OpenLayers


class LayersPart(Part):
    """Choose among the open layers, and close one; hidden while one alone is open."""

    def __init__(self, layers: OpenLayers) -> None:
        super().__init__(layers.context)
        self.layers = layers
        self.box = ui.chooser(12, "The layer that every dock works with; each has a stack over the image")
        self.close_button = ui.button("Close", "Close this layer and its stack", layers.close_chosen)
        self.box.activated.connect(layers.choose)
        ui.form(self).addRow("Layer", row(self.box, self.close_button))
        self.listen(layers.changed, self.refresh)
        self.refresh()

    def refresh(self, *_: object) -> None:
        """Follow what is open."""
        titles = self.layers.titles()
        self.setVisible(len(titles) > 1)
        ui.offer(self.box, [(title, at) for at, title in enumerate(titles)], self.layers.chosen)
