"""An engine of TensorRT on the GPU, for one image size."""

from __future__ import annotations

import logging

import numpy as np
import torch

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.engine.interface import Image
from mafs_ros.engine.tensorrt.library import tensorrt

log = logging.getLogger(__name__)

INPUT, OUTPUT = tensorrt.TensorIOMode.INPUT, tensorrt.TensorIOMode.OUTPUT


class CompiledGraph:
    """One engine on the GPU with its buffers; call it with images of its shape.

    plan: what `build_plan` returned. A frame is copied to pinned memory, over a stream of its own
    to the GPU, and back; what lies between is one launch of a CUDA graph.

    Raises RuntimeError for a plan that TensorRT does not read or that has other ends.
    """

    def __init__(self, plan: bytes, shape: tuple[int, ...]) -> None:
        self._runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.WARNING))
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise RuntimeError("TensorRT cannot read the engine; its own lines say why")
        self._context = self._engine.create_execution_context()
        self._stream = torch.cuda.Stream()
        ends = self._ends(shape)
        self._device = {end: self._buffer(name) for end, name in ends.items()}
        self._pinned = {
            end: torch.empty(buffer.shape, dtype=torch.uint8, pin_memory=True)
            for end, buffer in self._device.items()
        }
        torch.cuda.synchronize()  # the buffers are filled on another stream
        self._graph = self._capture()

    def __call__(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        for end, image in (("rgb", rgb), ("thermal", thermal)):
            np.copyto(self._pinned[end].numpy(), image)
        with torch.cuda.stream(self._stream):
            for end in ("rgb", "thermal"):
                self._device[end].copy_(self._pinned[end], non_blocking=True)
            if self._graph is None:
                self._enqueue()
            else:
                self._graph.replay()
            for end in ("fused", "labels"):
                self._pinned[end].copy_(self._device[end], non_blocking=True)
        self._stream.synchronize()
        # Copies: the next frame uses the buffers again.
        return self._pinned["fused"].numpy().copy(), self._pinned["labels"].numpy().copy()

    def _ends(self, shape: tuple[int, ...]) -> dict[str, str]:
        """Return the engine's names of the four ends, told by direction and rank."""
        engine, found = self._engine, {}
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        expected = {
            (INPUT, (*shape, 3)): "rgb",
            (INPUT, tuple(shape)): "thermal",
            (OUTPUT, (*shape, 3)): "fused",
            (OUTPUT, tuple(shape)): "labels",
        }
        for name in names:
            mode, own_shape = engine.get_tensor_mode(name), tuple(engine.get_tensor_shape(name))
            end = expected.get((mode, own_shape))
            if end is not None and engine.get_tensor_dtype(name) == tensorrt.DataType.UINT8:
                found[end] = name
        if len(found) != 4 or len(names) != 4:
            raise RuntimeError(
                f"the engine's ends are not those of a deployed graph for {list(shape)}: "
                + ", ".join(f"{name} {list(engine.get_tensor_shape(name))}" for name in names)
            )
        return found

    def _buffer(self, name: str) -> torch.Tensor:
        shape = tuple(self._engine.get_tensor_shape(name))
        buffer = torch.zeros(shape, dtype=torch.uint8, device="cuda")
        self._context.set_tensor_address(name, buffer.data_ptr())
        return buffer

    def _enqueue(self) -> None:
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise RuntimeError("TensorRT could not start the engine; its own lines say why")

    def _capture(self) -> torch.cuda.CUDAGraph | None:
        """Record the engine as a CUDA graph; None, with a warning, where that is not possible."""
        self._enqueue()  # the first run sets up what must not be recorded
        self._stream.synchronize()
        try:
            graph = torch.cuda.CUDAGraph()
            # Other threads may use the GPU meanwhile.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                self._enqueue()
        except RuntimeError as error:
            log.warning(
                "no CUDA graph, each frame costs its launches: %s",
                one_line(error),
                extra=Fault.ENGINE_GRAPH.extra,
            )
            return None
        return graph
