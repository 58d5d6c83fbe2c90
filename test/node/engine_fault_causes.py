"""What raises each fault of an engine, as `fault_causes` has it for the others."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import gpu_stub
import tensorrt_stub
from fault_rig import Rig

from mafs_ros.base.faults import Fault
from mafs_ros.base.resources import default_weights
from mafs_ros.engine import cache_folder, checks, create_engine, while_compiling
from mafs_ros.engine.interface import GpuLostError
from mafs_ros.node import __main__ as program
from mafs_ros.node.lifecycle import MafsNode

Make = Callable[..., Rig]


def engine_cache(node: MafsNode, make: Make) -> None:
    assert cache_folder.usable(Path("/dev/null/engines")) is None


def engine_size(node: MafsNode, make: Make) -> None:
    while_compiling.say_resized((96, 128), (480, 640))


def engine_check(node: MafsNode, make: Make) -> None:
    with mock.patch.object(checks, "_fault", return_value="it was made for other weights"):
        checks.read_checks(default_weights())


def engine_precision(node: MafsNode, make: Make) -> None:
    engine: Any = create_engine("openvino", default_weights(), precision="int8")
    with mock.patch.object(engine, "_graph"):
        engine.source((32, 64))


def engine_graph(node: MafsNode, make: Make) -> None:
    from mafs_ros.engine.cuda.frame import GpuFrame

    with gpu_stub.installed():
        frame = GpuFrame((1, 4, 6), ("fused",))
        frame.launch = mock.Mock(side_effect=[None] * 3 + [RuntimeError("not recorded")])
        frame.record()


def engine_building(node: MafsNode, make: Make) -> None:
    rig = make()
    rig.session.perception.engine.preparing = lambda now: "building the engine for 160x128, 9 s"
    rig.after(0)


def engine_build(node: MafsNode, make: Make) -> None:
    engine = mock.Mock(prepare=mock.Mock(side_effect=RuntimeError("out of memory")))
    while_compiling.WhileCompiling(engine)._prepare((32, 64), False)


def engine_unequal(node: MafsNode, make: Make) -> None:
    with tensorrt_stub.installed():
        from mafs_ros.engine.tensorrt import engine as module

        engine = module.TensorRtEngine(default_weights())
        result = module.SelfCheck(9, 0.5), None
        with (
            mock.patch.object(module, "fetch", return_value=result),
            contextlib.suppress(RuntimeError),
        ):
            engine.prepare(32, 64)


def gpu_unusable(node: MafsNode, make: Make) -> None:
    from mafs_ros.engine.cuda.device import gpu_computes

    with gpu_stub.installed() as gpu:
        gpu.no_kernel = "no kernel image is available"
        assert not gpu_computes()


def gpu_lost(node: MafsNode, make: Make) -> None:
    """The frame's error ends the worker, and the process with a code of its own."""
    rig = make()
    error = GpuLostError("the GPU is lost to this process")
    rig.session.perception.engine = mock.Mock(side_effect=error)
    with contextlib.suppress(GpuLostError):
        rig.frame()
    interval = sys.getswitchinterval()
    with mock.patch.object(node, "get_parameter", return_value=SimpleNamespace(value=False)):
        assert program.live(node, threading.Event()) == program.GPU_LOST_EXIT == 75
    sys.setswitchinterval(interval)


ENGINE_CAUSES: dict[Fault, Callable[[MafsNode, Make], Any]] = {
    Fault.ENGINE_CACHE: engine_cache,
    Fault.ENGINE_SIZE: engine_size,
    Fault.ENGINE_CHECK: engine_check,
    Fault.ENGINE_PRECISION: engine_precision,
    Fault.ENGINE_GRAPH: engine_graph,
    Fault.ENGINE_BUILDING: engine_building,
    Fault.ENGINE_BUILD: engine_build,
    Fault.ENGINE_UNEQUAL: engine_unequal,
    Fault.GPU_UNUSABLE: gpu_unusable,
    Fault.GPU_LOST: gpu_lost,
}
