"""TensorRT's own parser and builder make an engine of the ONNX graph, without a GPU and any stub.

TensorRT-RTX (requirements/rtx.txt) builds for a GPU that is not here (SM89). `make test` has one
build in fp32 and one in int8; the rest, and int8's score on real pairs by ONNX Runtime, is for
`make test-tensorrt`.
"""

from __future__ import annotations

import importlib.util
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from untrained import FEW, save_untrained

from mafs_ros.base.resources import default_weights
from mafs_ros.commands.quantize.quantization import Quantization
from mafs_ros.engine import create_engine
from mafs_ros.engine.checks import read_checks
from mafs_ros.engine.graph import DeployedGraph
from mafs_ros.engine.onnx.export import OPSET, int8_ranges, onnx_graph, weights_onnx
from mafs_ros.engine.onnx.int8 import RoundingError, _module, add_rounding
from mafs_ros.engine.openvino.int8 import part_of_module
from mafs_ros.evaluation.label_mapper import LabelMapper
from mafs_ros.evaluation.sampled_pairs import read_pairs
from mafs_ros.model.weights import load_weights, read_info
from mafs_ros.perception.classes import ClassTable, load_class_table
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.simulation import StreetSimulation

pytestmark = [
    pytest.mark.tensorrt,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        importlib.util.find_spec("tensorrt_rtx") is None
        or importlib.util.find_spec("torch_tensorrt") is not None,
        reason="needs TensorRT-RTX alone (requirements/rtx.txt)",
    ),
]
takes_minutes = pytest.mark.skipif(
    "MAFS_TENSORRT" not in os.environ, reason="takes minutes: make test-tensorrt"
)
FULL, SMALL = (480, 640), (97, 131)
BUILDS = [
    pytest.param("mafs-lite", "fp32", SMALL),
    *(
        pytest.param(preset, precision, size, marks=takes_minutes)
        for preset in ("mafs-lite", "mafs")
        for precision in ("fp32", "fp16")
        for size in (FULL, SMALL)
        if (preset, precision, size) != ("mafs-lite", "fp32", SMALL)
    ),
]
ROUNDING = ("QuantizeLinear", "DequantizeLinear")
Build = Callable[[bytes, str], bytes]


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> Build:
    """`build_plan_from_onnx` for SM89: TensorRT-RTX alone can be told a GPU that is not here."""
    from mafs_ros.engine.tensorrt import onnx_build
    from mafs_ros.engine.tensorrt.library import tensorrt

    settings = onnx_build.settings

    def for_sm89(*args: Any) -> Any:
        config = settings(*args)
        config.num_compute_capabilities = 1
        config.set_compute_capability(tensorrt.ComputeCapability.SM89, 0)
        return config

    monkeypatch.setattr(onnx_build, "settings", for_sm89)
    return onnx_build.build_plan_from_onnx


@pytest.fixture(scope="module")
def int8_model() -> onnx.ModelProto:
    return weights_onnx(default_weights(), (1, *FULL), "int8")


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """The graph of a network of few operations, for a small size."""
    file = save_untrained(tmp_path_factory.mktemp("few") / "model.safetensors", **FEW)
    return weights_onnx(file, (1, 32, 64), "fp32")


@pytest.mark.parametrize(("preset", "precision", "size"), BUILDS)
def test_tensorrt_builds_the_onnx_graph(
    preset: str, precision: str, size: tuple[int, int], build: Build, tmp_path: Path
) -> None:
    file = save_untrained(tmp_path / "model.safetensors", preset)
    start = time.perf_counter()
    model = weights_onnx(file, (1, *size), precision)
    assert [entry.version for entry in model.opset_import] == [OPSET] and OPSET <= 20
    report(f"{preset} {precision}", size, model, build, time.perf_counter() - start)


def test_tensorrt_builds_int8(build: Build, int8_model: onnx.ModelProto) -> None:
    report("mafs-lite int8", FULL, int8_model, build)


@takes_minutes
def test_tensorrt_builds_int8_for_an_odd_size(build: Build) -> None:
    """With the ranges of the stored int8 model, which are no matter of the size."""
    graph = DeployedGraph(load_weights(default_weights())[0], "fp16")
    model = onnx_graph(graph, (1, *SMALL))
    add_rounding(model, int8_ranges(default_weights(), FULL))
    report("mafs-lite int8", SMALL, model, build)


def report(
    name: str, size: tuple[int, int], model: onnx.ModelProto, build: Build, export_s: float = 0
) -> None:
    """Build, look at the plan, and tell the seconds for docs/tensorrt.md."""
    data = model.SerializeToString()
    start = time.perf_counter()
    plan = build(data, name.rpartition(" ")[2])
    build_s = time.perf_counter() - start
    assert isinstance(plan, bytes) and len(plan) > 1 << 20
    print(
        f"\nONNX {name} {size[1]}x{size[0]}: {len(model.graph.node)} nodes, {len(plan) / 1e6:.0f} "
        f"MB; export {export_s:.0f} s, parse and build {build_s:.0f} s"
    )


def test_a_graph_that_cannot_be_read_is_told(build: Build) -> None:
    with pytest.raises(RuntimeError, match="cannot read the ONNX graph: .*"):
        build(b"no graph", "fp32")


def test_what_was_timed_is_kept_for_the_next_build(
    build: Build, few: onnx.ModelProto, tmp_path: Path
) -> None:
    """TensorRT-RTX times nothing while it builds: it is shown that a foreign file does no harm."""
    cache = tmp_path / "timing.cache"
    cache.write_bytes(b"of another release")
    options: Any = {"timing_cache": cache, "workspace_mb": 512, "optimisation_level": 1}
    assert build(few.SerializeToString(), "fp32", **options)


# int8


def test_the_same_convolutions_are_rounded_as_for_openvino(int8_model: onnx.ModelProto) -> None:
    kept = read_checks(default_weights())[FULL].facts["precisions"]["int8"]["kept"]
    ranges = int8_ranges(default_weights(), FULL)
    for path, calls in ranges.items():
        if part_of_module(path) in ("", *kept):
            assert set(calls) == {None}
    rounded = sum(largest is not None for calls in ranges.values() for largest in calls)
    read = [node.input[1] for node in int8_model.graph.node if node.op_type == "Conv"]
    kernels = [name for name in read if name.endswith("_kernels_rounded")]
    assert len(kernels) == rounded > 100


def test_an_int8_model_of_another_network_is_refused(few: onnx.ModelProto) -> None:
    ranges: dict[str, list[float | None]] = defaultdict(list)
    for node in few.graph.node:
        if node.op_type == "Conv":
            ranges[_module(node)].append(None)
    assert add_rounding(copied(few), ranges) == 0
    with pytest.raises(RoundingError, match="ONNX graph lacks convolutions of another"):
        add_rounding(copied(few), {**ranges, "another": [1.0]})
    path = next(path for path in ranges if path)
    with pytest.raises(RoundingError, match=f"int8 model lacks a convolution of {path}"):
        add_rounding(copied(few), {**ranges, path: []})


def copied(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def test_a_size_without_an_int8_model_is_told() -> None:
    with pytest.raises(ValueError, match="for 64x32: `mafs quantize` has made no model"):
        weights_onnx(default_weights(), (1, 32, 64), "int8")


class OnnxRun:
    """ONNX Runtime with the call of an OpenVINO request."""

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        self._session = onnxruntime.InferenceSession(
            rounded_in_fp32(model).SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def infer(self, images: list[Any]) -> dict[int, Any]:
        rgb, thermal = images
        return dict(enumerate(self._session.run(None, {"rgb": rgb, "thermal": thermal})))


def rounded_in_fp32(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose values become fp32 to be rounded, and half again after, as TensorRT does it.

    ONNX Runtime 1.23 does not round half values to the nearest step: one in two comes out as the
    step beside.
    """
    model = copied(model)
    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    scales = {node.input[1] for node in model.graph.node if node.op_type in ROUNDING}
    for tensor in model.graph.initializer:
        if tensor.name in scales and tensor.data_type == half:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        elif tensor.name in scales:
            return model  # of fp32
    nodes = []
    for node in model.graph.node:
        source, result = node.input[:1], node.output[:1]
        if node.op_type == "QuantizeLinear":
            node.input[0] = f"{result[0]}_from"
            nodes.append(helper.make_node("Cast", source, [node.input[0]], to=single))
        nodes.append(node)
        if node.op_type == "DequantizeLinear":
            node.output[0] = f"{result[0]}_in_fp32"
            nodes.append(helper.make_node("Cast", [node.output[0]], result, to=half))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def test_int8_gives_nearly_the_picture_of_fp32(int8_model: onnx.ModelProto) -> None:
    frame = StreetSimulation(seed=5, height=FULL[0], width=FULL[1]).frame(1.0)
    images = frame.rgb[None], ThermalScaler("percentile")(frame.thermal, 0.0)[None]
    exact = create_engine("torch", default_weights(), precision="fp32")(*images)
    fused, labels = OnnxRun(int8_model).infer(list(images)).values()
    assert np.quantile(np.abs(fused.astype(int) - exact[0]), 0.99) <= 2
    assert (labels == exact[1]).mean() >= 0.98


@takes_minutes
def test_int8_loses_no_more_than_is_allowed(
    int8_model: onnx.ModelProto, shared_data: Path
) -> None:
    """The rule of `mafs quantize`, on the pairs of the stored check."""
    table = ClassTable.from_dict(read_info(default_weights()).class_table)
    mapper = LabelMapper(load_class_table("mfnet"), table)
    folder = shared_data / "street_rgbt/test"
    pairs = read_pairs(folder, 48, FULL, folder / "label", mapper, topics=(None, None))
    scoring = Quantization(default_weights(), [], pairs, 0.01)
    exact: Any = OnnxRun(weights_onnx(default_weights(), (1, *FULL), "fp32"))
    results = {"fp32": scoring.measure(exact)}
    rounded: Any = OnnxRun(int8_model)
    results["int8"] = scoring.measure(rounded)
    for name, result in results.items():
        print(f"\nORT {name} on {len(pairs)} pairs: {result}")
    assert results["int8"]["passed"], results["int8"]["loss"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As many as the machine has would only wait for each other beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
