"""TensorRT over `gpu_stub`: an engine is a line of JSON that says what it computes.

{"shape": [1, 32, 64], "weights": FILE} computes what the network of a model file does; with
"levels" its picture is so much brighter. Without weights: the mean of both images, and the thermal
image modulo 9. "unreadable" is not deserialised, with that error.
"""

from __future__ import annotations

import contextlib
import enum
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import gpu_stub
import torch

from mafs_ros.engine.graph import DeployedGraph
from mafs_ros.model.weights import load_weights

ENDS = {"a": "rgb", "b": "thermal", "c": "fused", "d": "labels"}  # names are the builder's


class ILogger:
    Severity = enum.Enum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE")


class TensorIOMode(enum.Enum):
    INPUT = 0
    OUTPUT = 1


class DataType(enum.Enum):
    UINT8 = 0


class LayerInformationFormat(enum.Enum):
    JSON = 0


class IProfiler:
    """Base of those that are told how long layers take."""


class Logger(ILogger):
    """TensorRT's own, which prints."""

    ERROR = ILogger.Severity.ERROR

    def __init__(self, severity: Any) -> None:
        pass

    def log(self, severity: Any, message: str) -> None:
        print(message)


class Inspector:
    """Of an engine of one layer."""

    def get_engine_information(self, form: LayerInformationFormat) -> str:
        ends = [{"Name": "x", "Format/Datatype": "Half"}]
        layer = {"Name": "all", "LayerType": "kgen", "Inputs": ends, "Outputs": ends}
        return json.dumps({"Layers": [layer], "Bindings": []})


class Runtime:
    def __init__(self, logger: ILogger) -> None:
        self.logger = logger

    def deserialize_cuda_engine(self, plan: bytes) -> Engine | None:
        gpu_stub.GPU.check()
        try:
            told = json.loads(plan)
            problem = told.get("unreadable", "")
        except ValueError:
            problem = "magic tag does not match"
        if problem:
            self.logger.log(ILogger.Severity.ERROR, f"IRuntime::deserializeCudaEngine: {problem}")
            return None
        return Engine(told, self.logger)


class Engine:
    short_of_memory = False  # of all of them

    def __init__(self, told: dict[str, Any], logger: ILogger) -> None:
        self.told, self.logger = told, logger
        self.num_io_tensors = len(ENDS)
        self.graph = None
        if "weights" in told:
            network = load_weights(Path(told["weights"]))[0]
            self.graph = DeployedGraph(network, told.get("precision", "fp32"))

    def create_engine_inspector(self) -> Inspector:
        return Inspector()

    @contextlib.contextmanager
    def serialize(self) -> Iterator[SimpleNamespace]:
        yield SimpleNamespace(nbytes=len(json.dumps(self.told)))

    def get_tensor_name(self, index: int) -> str:
        return list(ENDS)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in "ab" else TensorIOMode.OUTPUT

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        shape = tuple(self.told["shape"])
        return (*shape, 3) if ENDS[name] in ("rgb", "fused") else shape

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType.UINT8

    def create_execution_context(self) -> Context | None:
        gpu_stub.GPU.check()
        if Engine.short_of_memory:
            self.logger.log(ILogger.Severity.ERROR, "Requested 512 MiB, out of memory")
            return None
        return Context(self)

    def compute(self, rgb: torch.Tensor, thermal: torch.Tensor) -> tuple[Any, Any]:
        if self.graph is None:
            mean = (rgb.int() + thermal.int()[..., None]) // 2
            return mean.to(torch.uint8), thermal % 9
        fused, labels = self.graph(rgb, thermal)
        brighter = fused.int() + self.told.get("levels", 0)
        return brighter.clamp(0, 255).to(torch.uint8), labels


class Context:
    profiler: Any = None

    def __init__(self, engine: Engine) -> None:
        self.engine, self.addresses = engine, {}

    def set_tensor_address(self, name: str, pointer: int) -> bool:
        self.addresses[ENDS[name]] = pointer
        return True

    def execute_async_v3(self, number: int) -> bool:
        gpu = gpu_stub.GPU
        stream = gpu.streams[number]
        gpu.launches += 1
        if stream.recording is not None and gpu.no_recording:
            stream.recording.broken = gpu.no_recording
            self.engine.logger.log(ILogger.Severity.ERROR, gpu.no_recording)
            return False

        def work() -> None:
            buffers = {end: gpu.buffer(pointer) for end, pointer in self.addresses.items()}
            if any(buffer is None for buffer in buffers.values()):
                return
            plain = {end: b.as_subclass(torch.Tensor) for end, b in buffers.items()}
            fused, labels = self.engine.compute(plain["rgb"], plain["thermal"])
            plain["fused"].copy_(fused)
            plain["labels"].copy_(labels)
            if self.profiler is not None:
                self.profiler.report_layer_time("all", 1.5)

        stream.enqueue(work)
        return True


def module() -> ModuleType:
    stub = ModuleType("tensorrt")
    stub.__version__ = "10.3.0"  # type: ignore[attr-defined]
    for thing in (
        ILogger,
        Logger,
        Runtime,
        TensorIOMode,
        DataType,
        LayerInformationFormat,
        IProfiler,
    ):
        setattr(stub, thing.__name__, thing)
    return stub


@contextlib.contextmanager
def modules(**stubs: ModuleType | None) -> Iterator[None]:
    """These in place of modules, and our own modules above TensorRT imported anew.

    What else is imported meanwhile stays: torch does not let itself be imported twice.
    """

    def ours() -> dict[str, ModuleType]:
        start = "mafs_ros.engine.tensorrt"
        return {name: found for name, found in sys.modules.items() if name.startswith(start)}

    before = {**ours(), **{name: sys.modules[name] for name in stubs if name in sys.modules}}
    for name in before:
        del sys.modules[name]
    sys.modules.update(stubs)  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in {*ours(), *stubs}:
            sys.modules.pop(name, None)
        sys.modules.update(before)


@contextlib.contextmanager
def installed() -> Iterator[gpu_stub.Gpu]:
    """TensorRT and its GPU; torch-tensorrt is not there."""
    with (
        gpu_stub.installed() as gpu,
        modules(tensorrt=module(), torch_tensorrt=None),
        mock.patch.object(Engine, "short_of_memory", False),
    ):
        yield gpu
