"""An engine of TensorRT on the GPU, for one image size."""

from __future__ import annotations

from functools import cache
from typing import Any

from mafs_ros.engine.cuda.device import telling_loss
from mafs_ros.engine.cuda.frame import GpuFrame
from mafs_ros.engine.inspection import Inspection
from mafs_ros.engine.interface import Image
from mafs_ros.engine.tensorrt.inspect import inspect
from mafs_ros.engine.tensorrt.library import tensorrt
from mafs_ros.engine.tensorrt.messages import LOGGER

INPUT, OUTPUT = tensorrt.TensorIOMode.INPUT, tensorrt.TensorIOMode.OUTPUT


def read_plan(plan: bytes) -> Any:
    """TensorRT's engine of what `build_plan` returned.

    Raises RuntimeError for a plan that it does not read, MemoryError where memory is short.
    """
    engine = _runtime().deserialize_cuda_engine(plan)
    if engine is not None:
        return engine
    said = LOGGER.last_errors()
    short = "outofmemory" in said.lower().replace(" ", "")
    raise (MemoryError if short else RuntimeError)(
        f"TensorRT {tensorrt.__version__} cannot read the engine: {said}"
    )


@cache
def _runtime() -> Any:
    return tensorrt.Runtime(LOGGER)  # engines need it as long as they live


class CompiledGraph:
    """An engine with its buffers; call it with images of its shape.

    engine: what `read_plan` returned. shape: batch, height, width.

    Raises MemoryError where the GPU's memory does not suffice for its work, RuntimeError where it
    has other ends than a deployed graph.
    """

    def __init__(self, engine: Any, shape: tuple[int, ...]) -> None:
        names = _names_of_ends(engine, shape)
        context = engine.create_execution_context()
        if context is None:
            raise MemoryError(
                f"the GPU has not the memory that the engine for {shape[2]}x{shape[1]} works in: "
                f"{LOGGER.last_errors()}"
            )
        self._frame = frame = GpuFrame(shape, ("fused", "labels"))
        for end, name in names.items():
            context.set_tensor_address(name, frame.device[end].data_ptr())

        def launch() -> None:
            if not context.execute_async_v3(frame.stream.cuda_stream):
                raise RuntimeError(f"TensorRT cannot start the engine: {LOGGER.last_errors()}")

        frame.launch = launch
        frame.record()
        self._engine, self._context = engine, context

    def __call__(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        fused, labels = self._frame(rgb, thermal)
        return fused, labels

    def inspect(self, precision: str) -> Inspection:
        """What is inside, and how long each layer takes; precision: what it was built in."""
        frame = self._frame

        def run() -> None:
            with telling_loss():
                frame.launch()
                frame.stream.synchronize()

        return inspect(self._engine, self._context, run, precision)


def _names_of_ends(engine: Any, shape: tuple[int, ...]) -> dict[str, str]:
    """Return the engine's names of the four ends, told by direction and rank."""
    expected = {
        (INPUT, (*shape, 3)): "rgb",
        (INPUT, tuple(shape)): "thermal",
        (OUTPUT, (*shape, 3)): "fused",
        (OUTPUT, tuple(shape)): "labels",
    }
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    found = {}
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
