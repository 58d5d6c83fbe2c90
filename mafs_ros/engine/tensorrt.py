"""Engine on an NVIDIA GPU through TensorRT, built by torch-tensorrt.

No engine of this file has run on a GPU yet: what is proved is that TensorRT takes every operator
and builds the engine (`make test-tensorrt`). The tests that run one skip where there is no GPU.
"""

from __future__ import annotations

import inspect
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_tensorrt
from torch_tensorrt.dynamo.conversion import dynamo_tensorrt_converter

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.engine.cache import fetch, graph_facts
from mafs_ros.engine.graph import DeployedGraph, example_images
from mafs_ros.engine.interface import Engine, Image
from mafs_ros.model.weights import load_weights, read_info

# After torch_tensorrt, which may have put TensorRT-RTX in its place.
import tensorrt  # isort: skip

log = logging.getLogger(__name__)

KEPT_SIZES = 4  # compiled image sizes held at a time
PLAN = "engine.plan"
INPUT, OUTPUT = tensorrt.TensorIOMode.INPUT, tensorrt.TensorIOMode.OUTPUT


class TensorRtEngine(Engine):
    """The deployed graph compiled by TensorRT, one engine per image size.

    precision: 'fp32' (without TF32), 'fp16' (see `mafs_ros.engine.half`), or 'auto', which is
    fp16. A build takes minutes on an embedded board; the engine is kept in `cache_dir` and is
    good for this GPU, these versions and these weights alone.

    Raises RuntimeError where there is no CUDA device.
    """

    name = "tensorrt"

    def __init__(
        self, weights: Path, cache_dir: Path | None = None, precision: str = "auto"
    ) -> None:
        if not torch.cuda.is_available():
            raise RuntimeError(
                "backend 'tensorrt' needs an NVIDIA GPU, and PyTorch finds no CUDA device: "
                "install the PyTorch for your JetPack or CUDA, or choose another backend"
            )
        self.model_info = read_info(weights)
        self._weights, self._cache_dir = weights, cache_dir
        self._precision = "fp16" if precision == "auto" else precision
        self._compiled: dict[tuple[int, ...], CompiledGraph] = {}
        self._network: Any = None
        self.description = (
            f"TensorRT {tensorrt.__version__} {self._precision} on {torch.cuda.get_device_name()}"
        )

    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        shape = rgb.shape[:3]
        if shape not in self._compiled:
            if len(self._compiled) >= KEPT_SIZES:
                self._compiled.pop(next(iter(self._compiled)))
            self._compiled[shape] = self._fetch(shape)
        return self._compiled[shape](rgb, thermal)

    def close(self) -> None:
        self._compiled.clear()
        self._network = None

    def _fetch(self, shape: tuple[int, ...]) -> CompiledGraph:
        facts = graph_facts(self.name, self._precision, self._weights, shape) | machine_facts()

        def build(folder: Path) -> None:
            if self._network is None:
                self._network = load_weights(self._weights)[0]
            graph = DeployedGraph(self._network, self._precision)
            (folder / PLAN).write_bytes(build_plan(graph.cuda(), shape, self._precision))

        def load(folder: Path) -> CompiledGraph:
            return CompiledGraph((folder / PLAN).read_bytes(), shape)

        return fetch(self._cache_dir, facts, build, load)


def machine_facts() -> dict[str, str]:
    """Return what an engine is tied to besides the graph: the GPU and the versions."""
    major, minor = torch.cuda.get_device_capability()
    return {
        "gpu": f"{torch.cuda.get_device_name()} ({major}.{minor})",
        "tensorrt": tensorrt.__version__,
        "torch": torch.__version__,
        "torch-tensorrt": torch_tensorrt.__version__,
    }


def build_plan(graph: DeployedGraph, shape: tuple[int, ...], precision: str) -> bytes:
    """Compile a graph that is on the GPU for one shape (batch, height, width); takes minutes.

    Returns TensorRT's serialised engine: no part of it is Python's, so loading it unpickles
    nothing. Raises RuntimeError where that fails.
    """
    images = example_images(shape, next(graph.parameters()).device)
    with torch.no_grad(), tempfile.TemporaryDirectory(prefix="mafs_tensorrt") as scratch:
        program = torch.export.export(graph, images)
        convert = torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine
        settings = build_settings(convert, precision, Path(scratch))
        try:
            return bytes(convert(program, arg_inputs=images, **settings))
        except Exception as error:  # also UnboundLocalError: 2.8 goes on after an error
            raise RuntimeError(
                f"torch-tensorrt {torch_tensorrt.__version__} cannot build the engine "
                f"({one_line(error)}); its own lines say why"
            ) from error


def build_settings(convert: Callable[..., Any], precision: str, scratch: Path) -> dict[str, Any]:
    """Return the settings that this release's `convert` has, told by its signature.

    Types are the graph's, in every release: from 2.13 on that is all there is; 2.8 (JetPack 6)
    has `use_explicit_typing` for it, and takes `enabled_precisions` as leave to ignore them.
    `immutable_weights` gives the faster engine; torch-tensorrt's own engine cache, which needs it
    off, is not used. fp32 means fp32 and not TF32. The timing cache would be shared through the
    temporary folder of the machine. scratch: an empty folder.
    """
    wanted = {
        "use_explicit_typing": True,
        "immutable_weights": True,
        "require_full_compilation": True,
        "disable_tf32": precision == "fp32",
        "timing_cache_path": str(scratch / "timing.cache"),
    }
    known = inspect.signature(convert).parameters
    return {name: value for name, value in wanted.items() if name in known}


def _makes_bytes(node: torch.fx.Node, settings: Any = None) -> bool:
    return node.kwargs.get("dtype") == torch.uint8


@dynamo_tensorrt_converter(
    torch.ops.aten._to_copy.default,
    capability_validator=_makes_bytes,
    supports_dynamic_shapes=True,
)
def _convert_to_bytes(ctx: Any, target: Any, args: Any, kwargs: Any, name: str) -> Any:
    """Cast floats to bytes, which torch-tensorrt's own converter refuses; for outputs alone."""
    layer = ctx.net.add_cast(args[0], tensorrt.DataType.UINT8)
    layer.name = name
    return layer.get_output(0)


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
