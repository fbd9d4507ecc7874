"""Networks by OpenVINO, which computes on the processor in less time than PyTorch; an optional extra."""

import shutil
import sys
import tempfile
import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...base.caches import cache_folder
from ...base.errors import ModelError
from ..adapters.protocol import Backbone

Pass = Callable[[Tensor], Tensor]

_KEPT = 2
"""Input sizes that a network stays compiled for."""
_FORM = 2
"""Of converted networks; those of another form in the cache are left alone."""


class OpenVinoNetwork:
    """A network from one tensor (N, C, H, W) to one (N, C', H', W'), on the CPU, for inputs of any size.

    It is converted at once, and once for each `key`: the result is kept in the user's cache folder. The weights of
    `network` are copied. Calls from several threads compute side by side, each with its own copy of them.

    Parameters
    ----------
    network
        float32, on the CPU, in evaluation mode.
    key
        What tells it from other networks and weights, made of letters that a file's name can have; "" keeps nothing.
    channels
        C of its input.
    half
        Compute in bfloat16 where the processor can.

    Raises
    ------
    ModelError
        OpenVINO is not installed.
    """

    def __init__(self, network: nn.Module, key: str, channels: int, half: bool = False) -> None:
        self._ov = import_openvino()
        self._half = half
        self._core = self._ov.Core()
        self._model = self._kept(network, key, channels) if key else self._converted(network, channels)
        self._idle: OrderedDict[tuple[Any, ...], list[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the output of `x`; it has the type of `x`."""
        with self._lock:
            request, idle = self._request((1, *x.shape[1:]), torch.get_num_threads())
        planes = x.float().contiguous(memory_format=torch.contiguous_format).numpy()
        found = []
        for i in range(len(planes)):  # one by one, as gates are in the weights
            result = request.infer([planes[i : i + 1]], share_inputs=True, share_outputs=True)[0]
            # in PyTorch's order: products over the channels of each cell are slow in another one
            found.append(torch.from_numpy(result).clone(memory_format=torch.channels_last))
        idle.append(request)
        return (torch.cat(found) if len(found) > 1 else found[0]).to(x.dtype)

    def _request(self, shape: tuple[int, ...], threads: int) -> tuple[Any, list[Any]]:
        """Return what computes inputs of one shape with so many threads, and where to put it back."""
        idle = self._idle.setdefault((shape, threads), [])
        self._idle.move_to_end((shape, threads))
        while len(self._idle) > _KEPT:
            self._idle.popitem(last=False)
        if idle:
            return idle.pop(), idle
        self._model.reshape(list(shape))
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if self._half else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
        }
        return self._core.compile_model(self._model, "CPU", settings).create_infer_request(), idle

    def _kept(self, network: nn.Module, key: str, channels: int) -> Any:
        """Read the converted network from the cache, converting it first where it is not there or damaged."""
        folder = cache_folder() / f"openvino-{self._ov.__version__.split('-')[0]}-{_FORM}-{key}"
        try:
            return self._core.read_model(folder / "network.xml")
        except RuntimeError:
            model = self._converted(network, channels)
        try:
            _keep(folder, lambda path: self._ov.save_model(model, path, compress_to_fp16=False))
        except (OSError, RuntimeError) as error:
            warnings.warn(f"the converted network cannot be kept ({type(error).__name__})", stacklevel=5)
        return model

    def _converted(self, network: nn.Module, channels: int) -> Any:
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # about the tracing, which they call deprecated
            model = self._ov.convert_model(network, example_input=torch.zeros(1, channels, 64, 64))
        _move_gates(model)
        return model


class _Part(nn.Module):
    """A backbone up to the output of a block, or from there on."""

    def __init__(self, backbone: Backbone, block: int, first: bool) -> None:
        super().__init__()
        self.backbone, self._block, self._first = backbone, block, first

    def forward(self, x: Tensor) -> Tensor:
        if self._first:
            return self.backbone.to_block(x, self._block)
        return self.backbone.from_block(x, self._block)


def converted_passes(backbone: Backbone, block: int | None, key: str, half: bool) -> tuple[Pass, Pass]:
    """Return two passes by OpenVINO: from an image to a layer, and from there to the last feature map.

    Parameters
    ----------
    backbone
        float32, on the CPU.
    block
        The layer's block; None for the last feature map, where the second pass changes nothing.
    key, half
        As for `OpenVinoNetwork`.

    Raises
    ------
    ModelError
        OpenVINO is not installed.
    """
    if block is None:
        return OpenVinoNetwork(backbone, key, backbone.in_channels, half), lambda features: features
    keys = (f"{key}-{part}" if key else "" for part in ("first", "last"))
    width = backbone.block_channels(block) * (1 + backbone.prefix_tokens)
    return (
        OpenVinoNetwork(_Part(backbone, block, True), next(keys), backbone.in_channels, half),
        OpenVinoNetwork(_Part(backbone, block, False), next(keys), width, half),
    )


def import_openvino() -> Any:
    """Return the package, without the part that reports its use to its makers over the network.

    Raises
    ------
    ModelError
        It is not installed.
    """
    if "openvino" not in sys.modules:
        sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # to import it fails, which it allows for
    try:
        import openvino
    except ImportError:
        raise ModelError(
            "engine 'openvino' is not installed; install napari-mammosae[openvino], or choose engine 'torch'"
        ) from None
    return openvino


def _move_gates(model: Any) -> None:
    """Multiply weights in place of feature maps, where a convolution follows the gates of its input's channels.

    It is the same function of one image, without reading and writing the largest maps of a network once more.
    """
    from openvino import opset13

    for convolution in model.get_ordered_ops():
        product = convolution.input_value(0).get_node() if convolution.get_type_name() == "Convolution" else None
        if product is None or product.get_type_name() != "Multiply" or len(product.output(0).get_target_inputs()) > 1:
            continue
        for features, gates in (product.input_values(), product.input_values()[::-1]):
            shape = gates.get_partial_shape()
            if shape.rank == 4 and str(shape[2]) == str(shape[3]) == "1":
                weights = opset13.multiply(convolution.input_value(1), gates)
                convolution.input(0).replace_source_output(features)
                convolution.input(1).replace_source_output(weights.output(0))
                break
    model.validate_nodes_and_infer_types()


def _keep(folder: Path, save: Callable[[Path], None]) -> None:
    """Put what `save` writes into a folder that appears whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".openvino-", dir=folder.parent) as temporary:
        whole = Path(temporary) / "whole"
        whole.mkdir()
        save(whole / "network.xml")
        shutil.rmtree(folder, ignore_errors=True)
        whole.rename(folder)
