"""A frame on the GPU: images in, one launch, images out."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.engine.cuda.device import raise_if_lost, telling_loss
from mafs_ros.engine.interface import Image

log = logging.getLogger(__name__)

WARM_UP = 3  # runs before a recording: libraries choose their kernels and take their memory
# A recording begins with a synchronisation of the whole device, which voids any other recording.
_recording = threading.Lock()


class GpuFrame:
    """The buffers of one image size on the GPU, and what is launched between them.

    shape: batch, height, width. outputs: names of those that are kept, uint8, 'fused' of shape
    (*shape, 3), all others of `shape`. `device` has a buffer for each and for 'rgb' and 'thermal'.
    A frame is copied to pinned memory, over a stream of its own to the GPU, and back; what lies
    between is `launch`, which enqueues on `stream`, or once recorded one launch of a CUDA graph.
    """

    def __init__(self, shape: Sequence[int], outputs: Sequence[str]) -> None:
        shapes = {
            end: (*shape, 3) if end in ("rgb", "fused") else tuple(shape)
            for end in ("rgb", "thermal", *outputs)
        }
        self._outputs = tuple(outputs)
        self.stream = torch.cuda.Stream()
        with torch.cuda.stream(self.stream):  # so that nothing runs before they are filled
            self.device = {
                end: torch.zeros(size, dtype=torch.uint8, device="cuda")
                for end, size in shapes.items()
            }
        self._pinned = {
            end: torch.empty(size, dtype=torch.uint8, pin_memory=True)
            for end, size in shapes.items()
        }
        self.launch: Callable[[], None] = _no_launch
        self.recorded = False  # or tried to be
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, rgb: Image, thermal: Image) -> list[Image]:
        """The outputs, in their order; raises GpuLostError or whatever CUDA raises."""
        np.copyto(self._pinned["rgb"].numpy(), rgb)
        np.copyto(self._pinned["thermal"].numpy(), thermal)
        with telling_loss():
            with torch.cuda.stream(self.stream):
                for end in ("rgb", "thermal"):
                    self.device[end].copy_(self._pinned[end], non_blocking=True)
                (self.launch if self._graph is None else self._graph.replay)()
                for end in self._outputs:
                    self._pinned[end].copy_(self.device[end], non_blocking=True)
            self.stream.synchronize()
        # Copies: the next frame uses the buffers again.
        return [self._pinned[end].numpy().copy() for end in self._outputs]

    def record(self) -> None:
        """Record the launch as a CUDA graph; where that cannot be, frames go on without.

        Raises what a launch raises, and GpuLostError.
        """
        self.recorded = True
        with telling_loss():
            with torch.cuda.stream(self.stream):
                for _ in range(WARM_UP):
                    self.launch()
            self.stream.synchronize()
        before = torch.cuda.current_stream()
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads may use the GPU meanwhile.
            with (
                _recording,
                torch.cuda.graph(graph, stream=self.stream, capture_error_mode="thread_local"),
            ):
                self.launch()
        except RuntimeError as error:
            torch.cuda.set_stream(before)  # torch.cuda.graph leaves its own when it fails
            raise_if_lost(error)
            log.warning(
                "no CUDA graph, each frame costs its launches: %s",
                _with_causes(error),
                extra=Fault.ENGINE_GRAPH.extra,
            )
        else:
            self._graph = graph


def _no_launch() -> None:
    raise AssertionError("a GpuFrame was called before it was told what to launch")


def _with_causes(error: BaseException) -> str:
    """An error and those it came up in: the end of a failed recording hides why it failed."""
    words = [one_line(error)]
    while (error.__cause__ or error.__context__) is not None:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
        words.append(one_line(error))
    return ", after: ".join(dict.fromkeys(words))
