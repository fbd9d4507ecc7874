"""What a model asks of its backbone, whatever network that is."""

from torch import Tensor, nn

from .kinds import TailKind


class Backbone(nn.Module):
    """An image encoder: called with images (N, in_channels, H, W), it gives the last feature map.

    Feature maps are (N, D, H', W'). The first d of the D channels are the features of the cells. The others are the
    class tokens of a vision transformer, each the same at every cell: an autoencoder does not see them, what follows
    needs them.

    Attributes
    ----------
    name, adapter
        Of the network, and who made it.
    in_channels
        Channels of the input.
    prefix_tokens
        Class tokens that travel with a map.
    tail
        What follows the last map up to the logits.
    blocks
        The blocks whose outputs are layers; none where nothing but the last map is.
    """

    name: str
    adapter: str
    in_channels: int
    prefix_tokens: int
    tail: TailKind
    blocks: nn.ModuleList | list[nn.Module]

    @property
    def out_channels(self) -> int:
        """Features a cell of the last map, d."""
        raise NotImplementedError

    @property
    def pooled_channels(self) -> int:
        """Features that heads read; those of the cells where they read means."""
        return self.out_channels

    def pool(self, features: Tensor) -> Tensor:
        """Return what heads read, (N, pooled_channels), of last maps."""
        return features[:, : self.out_channels].mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Return the last map of images `x`."""
        raise NotImplementedError

    def to_block(self, x: Tensor, block: int) -> Tensor:
        """Return the output of a block for images `x`."""
        raise NotImplementedError

    def from_block(self, x: Tensor, block: int) -> Tensor:
        """Return the last map, given the output of a block."""
        raise NotImplementedError

    def block_channels(self, block: int) -> int:
        """Features a cell of a block's output."""
        raise NotImplementedError

    def grid(self, size: tuple[int, int], block: int | None = None) -> tuple[int, int]:
        """Cells (H', W') of the last map, or of a block's output, for an input of (H, W) pixels."""
        raise NotImplementedError
