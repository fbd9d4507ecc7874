"""A pass that a GPU repeats by itself: to start its kernels one by one takes a processor as long as they take."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from ..memory import first_line

logger = logging.getLogger(__name__)

Pass = Callable[[Tensor], Tensor]


class GraphedPass:
    """A pass on a CUDA device, recorded with the second batch of one size in a row and repeated from then on.

    Batches of other sizes, and on other devices, go through the pass itself, as all do where recording fails. The
    results are those of the same kernels. A recording keeps the memory that its intermediate results need.

    Parameters
    ----------
    run
        From (N, C, H, W) to (N, C', H', W'), always by the same kernels.
    """

    def __init__(self, run: Pass) -> None:
        self._run = run
        self._last: torch.Size | None = None
        self._graph: torch.cuda.CUDAGraph | None = None
        self._input: Tensor | None = None
        self._output: Tensor | None = None
        self._failed = False

    def __call__(self, x: Tensor) -> Tensor:
        """Compute the output of `x`."""
        if not x.is_cuda or self._failed:
            return self._run(x)
        again, self._last = self._last == x.shape, x.shape
        if self._input is None or self._input.shape != x.shape:
            if not again:
                return self._without(x)
            self._forget()
            try:
                self._record(x)
            except RuntimeError as error:  # short of memory, or a kernel that cannot be recorded
                self._forget()
                self._failed = True
                logger.info("no CUDA graph (%s)", first_line(error))
                return self._run(x)
        assert self._graph is not None
        assert self._input is not None
        assert self._output is not None
        self._input.copy_(x)
        self._graph.replay()
        return self._output.clone()

    def _without(self, x: Tensor) -> Tensor:
        """Go through the pass itself; where that fails, memory may be short, so let go of the recording's."""
        try:
            return self._run(x)
        except RuntimeError:
            self._forget()
            raise

    def _forget(self) -> None:
        self._graph = self._input = self._output = None

    def _record(self, x: Tensor) -> None:
        with torch.cuda.device(x.device):
            stream = torch.cuda.Stream(x.device)  # type: ignore[no-untyped-call]
            stream.wait_stream(torch.cuda.current_stream(x.device))
            with torch.cuda.stream(stream):
                self._input = x.clone()
                self._run(self._input)  # libraries make what they need for a stream with its first kernels
            graph = torch.cuda.CUDAGraph()
            # other threads may copy to the GPU meanwhile
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                self._output = self._run(self._input)
            torch.cuda.current_stream(x.device).wait_stream(stream)
            self._graph = graph
