"""What TensorRT's inspector and profiler tell, read from what they say in both of their forms.

TensorRT-RTX is real, with its types and base classes; no engine is, which would need a GPU.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch  # noqa: F401 - before the fixture, which forgets what is imported in it

rtx = pytest.importorskip("tensorrt_rtx")


def layer(name: str, kind: str, inputs: list[str], outputs: list[str]) -> dict[str, Any]:
    """A layer as the inspector writes it; inputs, outputs: "Format/Datatype" of each."""
    ends = {"Inputs": inputs, "Outputs": outputs}
    return {
        "Name": name,
        "LayerType": kind,
        **{
            key: [{"Name": "x", "Location": "Device", "Format/Datatype": text} for text in texts]
            for key, texts in ends.items()
        },
    }


DETAILED = {
    "Layers": [
        layer("conv", "CaskConvolution", ["Half"], ["Half"]),
        layer("first", "Reformat", ["Row major linear UINT8 format"], ["Row major linear FP32"]),
        layer(
            "quantized",
            "CaskConvolution",
            ["Thirty-two wide channel vectorized row major Int8 format"],
            ["Thirty-two wide channel vectorized row major Int8 format"],
        ),
        layer("brain", "kgen", ["Float"], ["BFloat16"]),
        layer("wait", "signal", ["Float"], []),
        layer("odd", "kgen", [], []),
    ],
    "Bindings": ["rgb", "thermal", "fused", "labels"],
}
TIMES = {"conv": (3.0, 1.0, 2.0), "first": (0.5, 0.5, 0.5)}


@pytest.fixture
def module() -> Iterator[ModuleType]:
    with mock.patch.dict(sys.modules, {"tensorrt": rtx}):
        for name in [name for name in sys.modules if name.startswith("mafs_ros.engine.tensorrt")]:
            del sys.modules[name]
        yield importlib.import_module("mafs_ros.engine.tensorrt.inspect")


class Context:
    """An execution context that tells a profiler of its layers at each run."""

    def __init__(self) -> None:
        self.profiler: Any = None
        self.runs, self.profiled = 0, 0

    def run(self) -> None:
        self.runs += 1
        if self.profiler is not None:
            assert isinstance(self.profiler, rtx.IProfiler)
            for name, times in TIMES.items():
                self.profiler.report_layer_time(name, times[self.profiled % len(times)])
            self.profiled += 1


def engine_that_tells(told: dict[str, Any], **attributes: int) -> SimpleNamespace:
    def information(form: Any) -> str:
        assert form == rtx.LayerInformationFormat.JSON
        return json.dumps(told)

    inspector = SimpleNamespace(get_engine_information=information)
    plan = mock.MagicMock()
    plan.__enter__.return_value.nbytes = 3 * 10**6
    return SimpleNamespace(
        create_engine_inspector=lambda: inspector, serialize=lambda: plan, **attributes
    )


def test_layers_have_kind_precision_and_time(module):
    context = Context()
    engine = engine_that_tells(DETAILED, device_memory_size_v2=7, device_memory_size=-7)
    found = module.inspect(engine, context, context.run, "fp16")
    assert [(got.name, got.kind, got.precision) for got in found.layers] == [
        ("conv", "CaskConvolution", "fp16"),
        ("first", "Reformat", "fp32"),
        ("quantized", "CaskConvolution", "int8"),
        ("brain", "kgen", "bf16"),
        ("wait", "signal", "fp32"),
        ("odd", "kgen", ""),
    ]
    assert [got.ms for got in found.layers] == [2.0, 0.5, None, None, None, None]
    assert found.frame_ms is not None and found.frame_ms >= 0 and found.remark == ""
    assert list(found.memory.values()) == [3 * 10**6, 7]
    assert context.profiler is None and context.profiled == module.CALLS  # as before
    assert context.runs == 2 * module.CALLS  # times of frames are taken without the profiler


def test_an_engine_that_keeps_names_alone_says_so(module):
    """As torch-tensorrt builds it; TensorRT before 10.1 has the older name of its memory."""
    context = Context()
    engine = engine_that_tells({"Layers": ["conv", "other"]}, device_memory_size=5)
    found = module.inspect(engine, context, context.run, "fp32")
    assert [(got.name, got.kind, got.ms) for got in found.layers] == [
        ("conv", "", 2.0),
        ("other", "", None),
    ]
    assert "built without detailed verbosity" in found.remark
    assert list(found.memory.values()) == [3 * 10**6, 5]


def test_a_run_that_fails_leaves_no_profiler(module):
    context = Context()

    def run() -> None:
        if context.profiler is not None:
            raise RuntimeError("the launch failed")

    with pytest.raises(RuntimeError, match="the launch failed"):
        module.inspect(engine_that_tells(DETAILED), context, run, "fp16")
    assert context.profiler is None
