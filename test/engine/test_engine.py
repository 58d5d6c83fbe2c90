"""The deployed graph and its engines: the same bytes from every one."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch
from openvino import opset8
from untrained import FEW, save_untrained

from mafs_ros.base.resources import default_weights
from mafs_ros.engine import Engine, create_engine
from mafs_ros.engine.cache_folder import default_cache_dir
from mafs_ros.engine.graph import DeployedGraph, replace_luminance
from mafs_ros.engine.openvino import convert
from mafs_ros.engine.openvino.depthwise import use_depthwise
from mafs_ros.engine.openvino.gates import part_gates
from mafs_ros.engine.openvino.planes import SPLITS
from mafs_ros.model import build_model
from mafs_ros.model.segmentation import first_largest
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.simulation import StreetSimulation


def street(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A batch of one simulated pair: rgb [1, H, W, 3], thermal [1, H, W]."""
    frame = StreetSimulation(seed=5, height=height, width=width).frame(1.0)
    return frame.rgb[None], ThermalScaler("percentile")(frame.thermal, 0.0)[None]


@pytest.fixture(scope="module")
def engines() -> dict[str, Engine]:
    return {
        name: create_engine(
            name, default_weights(), precision="fp32", cache_dir=default_cache_dir()
        )
        for name in ("openvino", "torch")
    }


@pytest.mark.parametrize("size", [(480, 640), (97, 131)])
def test_engines_give_the_same_bytes(size: tuple[int, int], engines: dict[str, Engine]) -> None:
    images = street(*size)
    fused, labels = engines["torch"](*images)
    assert fused.shape == (1, *size, 3) and fused.dtype == np.uint8
    assert labels.shape == (1, *size) and labels.dtype == np.uint8
    assert labels.max() < 4
    other_fused, other_labels = engines["openvino"](*images)
    assert np.abs(fused.astype(int) - other_fused).max() <= 1
    assert (labels == other_labels).mean() >= 0.999


def test_the_papers_network_gives_the_same_bytes(tmp_path: Path) -> None:
    """All its modules, with the released gate and the smallest trunk, at no multiple of 32."""
    config = {"backbone": "resnet50", "released_dem_gate": True}
    weights = save_untrained(tmp_path / "mafs.safetensors", "mafs", **config)
    images = street(61, 93)
    (fused, labels), (other_fused, other_labels) = (
        create_engine(name, weights, precision="fp32")(*images) for name in ("torch", "openvino")
    )
    assert fused.shape == (1, 61, 93, 3) and labels.shape == (1, 61, 93)
    assert np.abs(fused.astype(int) - other_fused).max() <= 1
    assert (labels == other_labels).mean() >= 0.999


@pytest.mark.parametrize("config", [{"linear_output": True}, {}], ids=str)
def test_untrained_networks_give_the_same_bytes(config: dict[str, bool], tmp_path: Path) -> None:
    """Without a blend: with an unbounded luminance as 0.1.0 had, and with the paper's tanh.

    Of few operations: all others are those of the shipped network, which blends.
    """
    weights = save_untrained(tmp_path / "untrained.safetensors", **FEW, blend=False, **config)
    images = street(97, 131)
    (fused, labels), (other_fused, other_labels) = (
        create_engine(name, weights, precision="fp32")(*images) for name in ("torch", "openvino")
    )
    assert np.abs(fused.astype(int) - other_fused).max() <= 1
    assert (labels == other_labels).mean() >= 0.999


def test_a_batch_is_its_images(engines: dict[str, Engine]) -> None:
    rgb, thermal = street(128, 160)
    rgb, thermal = np.concatenate([rgb, rgb[:, ::-1]]), np.concatenate([thermal, thermal[:, ::-1]])
    fused, labels = engines["openvino"](rgb, thermal)
    for index in range(2):
        one = engines["openvino"](rgb[index : index + 1], thermal[index : index + 1])
        assert np.abs(fused[index].astype(int) - one[0][0]).max() <= 1
        assert (labels[index] == one[1][0]).mean() >= 0.999


def test_results_of_a_frame_outlive_the_next(engines: dict[str, Engine]) -> None:
    rgb, thermal = street(128, 160)
    for engine in engines.values():
        fused, labels = engine(rgb, thermal)
        kept = fused.copy(), labels.copy()
        engine(255 - rgb, 255 - thermal)
        assert np.array_equal(fused, kept[0])
        assert np.array_equal(labels, kept[1])


def test_read_only_input_is_taken_and_left_alone(engines: dict[str, Engine]) -> None:
    rgb, thermal = street(128, 160)
    rgb.flags.writeable = thermal.flags.writeable = False
    before = rgb.copy(), thermal.copy()
    for engine in engines.values():
        engine(rgb, thermal)
    assert np.array_equal(rgb, before[0]) and np.array_equal(thermal, before[1])


@pytest.mark.parametrize(
    ("rgb", "thermal", "message"),
    [
        (np.zeros((8, 8, 3), np.uint8), np.zeros((1, 8, 8), np.uint8), "rgb must be uint8"),
        (np.zeros((1, 8, 8, 3), np.float32), np.zeros((1, 8, 8), np.uint8), "got float32"),
        (np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 8, 9), np.uint8), "scale and register"),
        (np.zeros((1, 8, 8, 3), np.uint8), np.zeros((1, 8, 8), np.uint16), "got uint16"),
    ],
)
def test_images_that_do_not_fit_are_named(rgb, thermal, message, engines) -> None:
    for engine in engines.values():
        with pytest.raises(ValueError, match=message):
            engine(rgb, thermal)


def test_luminance_alone_is_replaced() -> None:
    generator = torch.Generator().manual_seed(0)
    rgb = torch.randint(0, 256, (1, 3, 40, 40), generator=generator).float()
    luma = torch.tensor([0.299, 0.587, 0.114])[None, :, None, None]
    y = (rgb * luma).sum(1, keepdim=True)
    same = replace_luminance(rgb, y)
    torch.testing.assert_close(same, rgb, atol=0.4, rtol=0)  # 1.403 * 0.713 is not quite 1
    brighter = replace_luminance(rgb, y + 20)
    torch.testing.assert_close(brighter, same + 20, atol=1e-3, rtol=0)


def test_the_largest_chroma_stays_below_the_releases_clamp() -> None:
    corners = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    y = corners @ torch.tensor([0.299, 0.587, 0.114])
    assert (0.713 * (corners[:, 0] - y)).abs().max() < 0.5
    assert (0.564 * (corners[:, 2] - y)).abs().max() < 0.5


def test_a_network_without_a_task_cannot_be_deployed() -> None:
    with pytest.raises(ValueError, match="both fusion and segmentation"):
        DeployedGraph(build_model("mafs-lite", 4, fusion=False))


@pytest.fixture(scope="module")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained(tmp_path_factory.mktemp("small") / "model.safetensors", **FEW)


@pytest.fixture(scope="module")
def small_graphs() -> dict[str, openvino.Model]:
    return {}


@pytest.fixture
def converted_once(
    small_graphs: dict[str, openvino.Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first test converts for 64x32, the others get a copy: converting takes seconds."""
    really = convert.convert

    def once(*arguments: Any) -> openvino.Model:
        if not small_graphs:
            small_graphs["64x32"] = really(*arguments)
        return small_graphs["64x32"].clone()

    monkeypatch.setattr(convert, "convert", once)


@pytest.mark.usefixtures("converted_once")
def test_converted_graph_is_kept_and_used_again(
    small_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog
) -> None:
    """And a damaged compiled model is compiled anew; the converter leaves the log audible."""
    cache = tmp_path / "cache"
    images = street(32, 64)
    first = create_engine("openvino", small_weights, cache_dir=cache)(*images)
    files = sorted(path.suffix for path in cache.rglob("*") if path.is_file())
    assert files == [".bin", ".blob", ".json", ".xml"]
    logging.getLogger("mafs_ros").warning("still here")
    assert "still here" in caplog.text
    monkeypatch.setattr(convert, "convert", None)  # calling it would fail
    engine = create_engine("openvino", small_weights, cache_dir=cache)
    second = engine(*images)
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
    (blob,) = cache.rglob("*.blob")
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[:1000])
    third = create_engine("openvino", small_weights, cache_dir=cache)(*images)
    assert all(np.array_equal(a, b) for a, b in zip(first, third, strict=True))


@pytest.mark.usefixtures("converted_once")
def test_a_damaged_cache_is_rebuilt(small_weights: Path, tmp_path: Path, caplog) -> None:
    cache = tmp_path / "cache"
    create_engine("openvino", small_weights, cache_dir=cache).prepare(32, 64)
    next(cache.glob("openvino-*/graph.xml")).write_text("damaged")
    with caplog.at_level(logging.WARNING):
        create_engine("openvino", small_weights, cache_dir=cache).prepare(32, 64)
    assert "rebuilding" in caplog.text
    create_engine("openvino", small_weights, cache_dir=cache).prepare(32, 64)
    assert len(list(cache.glob("openvino-*/graph.xml"))) == 1


@pytest.mark.usefixtures("converted_once")
def test_a_cache_that_cannot_be_written_costs_no_function(small_weights: Path, tmp_path: Path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    fused, _ = create_engine("openvino", small_weights, cache_dir=blocked / "cache")(
        *street(32, 64)
    )
    assert fused.shape == (1, 32, 64, 3)


def test_bf16_is_near_fp32(engines: dict[str, Engine]) -> None:
    images = street(97, 131)
    fused, labels = engines["openvino"](*images)
    engine = create_engine(
        "openvino", default_weights(), precision="bf16", cache_dir=default_cache_dir()
    )
    assert "bf16" in engine.description
    other_fused, other_labels = engine(*images)
    assert np.abs(fused.astype(int) - other_fused).mean() < 1
    assert (labels == other_labels).mean() > 0.97


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_groups_of_two_channels_become_depthwise(stride: int, dilation: int) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 48, 11, 14)).astype(np.float32)
    kernels = rng.normal(size=(24, 2, 2, 3, 3)).astype(np.float32)

    def run(change: bool) -> tuple[np.ndarray, list[int]]:
        images = opset8.parameter(x.shape, np.float32)
        options = [stride] * 2, [1, 0], [1, 2], [dilation] * 2
        mixed = opset8.group_convolution(images, kernels, *options)
        model = openvino.Model([opset8.relu(mixed)], [images])
        if change:
            use_depthwise(model)
        inputs = [
            operation.input_value(1).shape[2]
            for operation in model.get_ordered_ops()
            if operation.get_type_name() == "GroupConvolution"
        ]
        exact = {"INFERENCE_PRECISION_HINT": "f32"}
        return openvino.compile_model(model, "CPU", exact)(x)[0], inputs

    (expected, before), (found, after) = run(False), run(True)
    assert before == [2] and sorted(after) == [1, 1, 16]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(("channels", "apart"), [(1, True), (2, False)])
def test_a_gate_of_one_channel_is_not_part_of_its_convolution(channels: int, apart: bool) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1, 8, 11, 14)).astype(np.float32)
    kernels = rng.normal(size=(channels, 8, 3, 3)).astype(np.float32)

    def run(change: bool) -> tuple[np.ndarray, list[str]]:
        images = opset8.parameter(x.shape, np.float32)
        found = opset8.convolution(images, kernels, [1, 1], [1, 1], [1, 1], [1, 1])
        model = openvino.Model(
            [opset8.multiply(images, opset8.sigmoid(found))]
            if channels == 1
            else [opset8.sigmoid(found)],
            [images],
        )
        if change:
            part_gates(model)
        compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        kinds = [
            operation.get_rt_info()["layerType"]
            for operation in compiled.get_runtime_model().get_ops()
        ]
        return compiled(x)[0], [str(getattr(kind, "value", kind)) for kind in kinds]

    (expected, _), (found, kinds) = run(False), run(True)
    np.testing.assert_array_equal(found, expected)
    assert any("Pool" in kind for kind in kinds) == apart


@pytest.mark.usefixtures("converted_once")
def test_a_picture_is_taken_apart_as_bytes(small_weights: Path) -> None:
    graph = convert.convert(small_weights, 32, 64)
    splits = [
        operation
        for operation in graph.get_ordered_ops()
        if operation.get_type_name() in SPLITS
        and list(operation.get_input_shape(0)) == [1, 3, 32, 64]
    ]
    (split,) = splits  # for the published picture and for the luminance that is blended
    assert split.get_input_element_type(0) == openvino.Type.u8
    transpose = split.input_value(0).get_node()
    assert transpose.input_value(0).get_node().get_friendly_name() == "rgb"


def test_the_largest_of_some_maps_is_what_argmax_finds() -> None:
    maps = torch.randint(0, 4, (2, 7, 9, 11), generator=torch.Generator().manual_seed(0)).float()
    assert (maps.amax(1, keepdim=True) == maps).sum(1).max() > 1  # equal ones among them
    found = first_largest(maps.split(1, 1))
    assert torch.equal(found[:, 0].long(), maps.argmax(1))


@pytest.mark.parametrize("preset", ["mafs-lite", "mafs"])
def test_predicted_ids_are_those_of_the_largest_logits(preset: str) -> None:
    torch.manual_seed(0)
    network = build_model(
        preset,
        5,
        backbone="resnet50" if preset == "mafs" else "efficientnet_lite0_slim",
        auxiliary=False,
    ).eval()
    visible, infrared = torch.rand(2, 3, 70, 51), torch.rand(2, 1, 70, 51)
    with torch.no_grad():
        output = network(visible, infrared)
        fused, ids = network.predict(visible, infrared)
    assert torch.equal(fused, output.fused)
    assert torch.equal(ids[:, 0].long(), output.logits.argmax(1))
