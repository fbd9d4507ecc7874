"""An EfficientNet put together from the weights of a file."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ...base.errors import CheckpointError, ModelError
from ..adapters.weights import check_weights
from ..backbone import EfficientNetBackbone
from .checkpoints import EncoderWeights
from .released import architecture_of, rename_released


class _Unfilled(TorchFunctionMode):
    """Leaves new weights without values: drawing them, for nothing, imports PyTorch's compiler, which takes seconds."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call a function, unless it only fills a tensor."""
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == nn.init.__name__:
            return kwargs["tensor"] if "tensor" in kwargs else args[0]
        return func(*args, **kwargs)


def renamed(encoder: EncoderWeights) -> dict[str, Tensor]:
    """Return the weights of an encoder under this package's names."""
    return rename_released(encoder.tensors) if encoder.released else encoder.tensors


def build_backbone(weights: dict[str, Tensor], source: str) -> EfficientNetBackbone:
    """Put a network together from the weights of one file, batch norms folded.

    Raises
    ------
    CheckpointError
        They are not those of a network that is known.
    """
    try:
        architecture = architecture_of(weights)
    except ModelError as error:
        raise CheckpointError(f"{source}: {error}") from None
    with torch.device("meta"), _Unfilled():
        network = EfficientNetBackbone(architecture)
    check_weights(network.state_dict(), weights, source, architecture.name)
    floats = {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
    network.load_state_dict(floats, assign=True)
    network.requires_grad_(False).eval().fold_batch_norms()
    return network
