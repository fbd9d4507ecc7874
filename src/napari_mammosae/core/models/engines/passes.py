"""A network's two passes, to the SAE's layer and from there to the last, by the engine that was asked for."""

import os
import warnings
from functools import partial

import torch
from torch import Tensor

from ...base.caches import cache_folder
from ...base.errors import ModelError
from ..adapters.protocol import Backbone
from ..choices import Engine
from ..memory import first_line, out_of_memory
from .graph import GraphedPass
from .openvino import Pass, converted_passes


class Passes:
    """Both passes of a backbone. Where another engine fails, PyTorch takes over with a warning.

    Attributes
    ----------
    engine
        What computes, as it is now.
    """

    def __init__(self, backbone: Backbone, block: int | None, engine: Engine, key: str, half: bool) -> None:
        """Begin with a backbone that is still float32 and on the CPU, where OpenVINO copies it.

        `block` is that of the SAE's layer (None: the last feature map), `key` names the weights in the cache, and
        `half` asks for bfloat16.
        """
        self.engine: Engine = engine
        self._backbone, self._block = backbone, block
        self._extract, self._finish = self._plain()
        if engine == "compiled":
            self.compile()
        if engine == "openvino":
            try:
                self._extract, self._finish = converted_passes(backbone, block, key, half)
            except ModelError:
                raise
            except Exception as error:
                self._give_up(error)

    def extract(self, x: Tensor) -> Tensor:
        """Feature maps of the SAE's layer, of images."""
        compute = self._extract
        try:
            return compute(x)
        except Exception as error:
            if compute is self._extract:  # else another thread has met it before
                self._give_up(error)
            return self._extract(x)

    def finish(self, features: Tensor) -> Tensor:
        """Feature maps of the last layer, of those of the SAE's layer."""
        compute = self._finish
        try:
            return compute(features)
        except Exception as error:
            if compute is self._finish:
                self._give_up(error)
            return self._finish(features)

    def release(self) -> None:
        """Let go of an engine's copy of the network, and of recordings; PyTorch computes from then on."""
        self.engine = "torch"
        self._extract, self._finish = self._plain()

    def compile(self) -> None:
        """Compile the pass to the SAE's layer with its first images; what comes of it is kept for other processes."""
        folder = str(cache_folder() / "compiled")
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", folder)
        os.environ.setdefault("TORCHINDUCTOR_FX_GRAPH_CACHE", "1")
        self.engine = "compiled"
        self._extract = GraphedPass(torch.compile(self._to_layer()))

    def _plain(self) -> tuple[Pass, Pass]:
        block = len(self._backbone.blocks) - 1 if self._block is None else self._block
        extract = self._to_layer()
        if self._backbone.adapter == "mammo-clip":  # of which it is known that it can be recorded
            extract = GraphedPass(extract)
        return extract, partial(self._backbone.from_block, block=block)

    def _to_layer(self) -> Pass:
        if self._block is None:
            return self._backbone.forward
        return partial(self._backbone.to_block, block=self._block)

    def _give_up(self, error: Exception) -> None:
        """Go back to PyTorch and say so, where an engine has failed; raise what is not the engine's fault."""
        if self.engine == "torch" or out_of_memory(error):
            raise error
        what = "torch.compile" if self.engine == "compiled" else "OpenVINO"
        warnings.warn(f"{what} failed ({first_line(error)}); continuing without it", stacklevel=4)
        self.release()
