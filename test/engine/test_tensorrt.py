"""TensorRT by torch-tensorrt: the graphs convert and build without a GPU; on one they equal eager.

What needs torch-tensorrt (requirements/tensorrt.txt) is for `make test-tensorrt`, the end of the
file for an NVIDIA GPU. No test here has run an engine on a GPU yet.
"""

from __future__ import annotations

import gc
import importlib.util
import time
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import torch

from mafs_ros.base.resources import default_weights
from mafs_ros.engine import BackendError, available_backends, create_engine
from mafs_ros.engine.graph import DeployedGraph, example_images
from mafs_ros.model import build_model

needs_torch_tensorrt = pytest.mark.skipif(
    importlib.util.find_spec("torch_tensorrt") is None,
    reason="needs torch-tensorrt or takes minutes (requirements/tensorrt.txt): make test-tensorrt",
)
needs_gpu = pytest.mark.skipif(
    available_backends()["tensorrt"].startswith("not available"),
    reason="runs an engine: needs an NVIDIA GPU with TensorRT",
)
PRESETS = ("mafs-lite", "mafs")
PRECISIONS = ("fp32", "fp16")
SIZES = ((480, 640), (97, 131))
every_precision = pytest.mark.parametrize("precision", PRECISIONS)
every_size = pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")


@pytest.fixture(scope="module")
def torch_tensorrt() -> Any:
    from without_gpu import import_torch_tensorrt

    return import_torch_tensorrt()


@pytest.mark.tensorrt
@pytest.mark.timeout(900)
@needs_torch_tensorrt
@pytest.mark.parametrize("preset", PRESETS)
@every_precision
@every_size
def test_torch_tensorrt_converts_every_operator(
    preset: str, precision: str, size: tuple[int, int], torch_tensorrt: Any
) -> None:
    """The dry run raises AssertionError for an operator that would be left to PyTorch."""
    import mafs_ros.engine.tensorrt.torch_build  # noqa: F401 - registers the converter for bytes

    torch.manual_seed(0)
    graph = DeployedGraph(build_model(preset, 9), precision)
    start = time.perf_counter()
    images = example_images((1, *size), "cpu")
    with torch.no_grad():
        program = torch.export.export(graph, images)
    exported = time.perf_counter()
    from torch_tensorrt.dynamo import partitioning

    counts = []

    def counting(*args: Any, **kwargs: Any) -> Any:
        partitioned, tester = fast_partition(*args, **kwargs)
        counts.append((tester.supported_operators, tester.unsupported_operators))
        return partitioned, tester

    fast_partition = partitioning.fast_partition
    with mock.patch.object(partitioning, "fast_partition", counting):
        torch_tensorrt.dynamo.compile(
            program, arg_inputs=images, dryrun=True, require_full_compilation=True
        )
    ((supported, unsupported),) = counts
    converted = sum(supported.values())
    assert converted > 500 and not unsupported
    print(
        f"\nDRY {preset} {precision} {size[1]}x{size[0]}: {converted}/"
        f"{converted + sum(unsupported.values())} operators; export {exported - start:.1f} s, "
        f"dry run {time.perf_counter() - exported:.1f} s"
    )
    del graph, program
    gc.collect()


class PassThrough:
    """In place of tensorrt.Runtime, whose deserialising needs a GPU: the plan as it is."""

    def __init__(self, logger: Any) -> None:
        pass

    @staticmethod
    def deserialize_cuda_engine(plan: Any) -> Any:
        return mock.Mock(serialize=lambda: plan)


@pytest.mark.tensorrt
@pytest.mark.timeout(900)
@needs_torch_tensorrt
@every_precision
def test_our_own_build_gives_an_engine(precision: str, torch_tensorrt: Any) -> None:
    """All of `build_plan`: all converters and the builder, down to the bytes that are kept."""
    import tensorrt

    from mafs_ros.engine.tensorrt.torch_build import build_plan

    graph = DeployedGraph(build_model("mafs-lite", 9), precision)
    with mock.patch.object(tensorrt, "Runtime", PassThrough):
        plan = build_plan(graph, (1, 97, 131), precision)
    assert len(plan) > 1 << 20


@pytest.mark.tensorrt
@needs_torch_tensorrt
def test_settings_are_told_by_the_signature(torch_tensorrt: Any, tmp_path: Path) -> None:
    from mafs_ros.engine.tensorrt.torch_build import build_settings

    def like_2_8(program, *, enabled_precisions, use_explicit_typing, disable_tf32, **kwargs):
        """Some of what torch-tensorrt 2.8 takes."""

    def like_2_13(program, *, immutable_weights, disable_tf32, timing_cache_path, **kwargs):
        """Some of what torch-tensorrt 2.13 takes."""

    assert build_settings(like_2_8, "fp16", tmp_path) == {
        "use_explicit_typing": True,
        "disable_tf32": False,
    }
    assert build_settings(like_2_13, "fp32", tmp_path) == {
        "immutable_weights": True,
        "disable_tf32": True,
        "timing_cache_path": str(tmp_path / "timing.cache"),
    }


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_what_is_missing() -> None:
    with pytest.raises(BackendError, match="'tensorrt' is not available: (the Python|PyTorch)"):
        create_engine("tensorrt", default_weights())


# Engines that run: never done yet, for want of a GPU.


@pytest.mark.tensorrt
@pytest.mark.timeout(1800)
@needs_gpu
@every_precision
@every_size
def test_an_engine_on_the_gpu_equals_eager(
    precision: str, size: tuple[int, int], tmp_path: Path
) -> None:
    from mafs_ros.perception.thermal import ThermalScaler
    from mafs_ros.simulation import StreetSimulation

    frame = StreetSimulation(seed=5, height=size[0], width=size[1]).frame(1.0)
    images = frame.rgb[None], ThermalScaler("percentile")(frame.thermal, 0.0)[None]
    fused, labels = create_engine("torch", default_weights(), precision="fp32")(*images)
    for _ in range(2):  # built, then from the cache
        engine = create_engine(
            "tensorrt", default_weights(), precision=precision, cache_dir=tmp_path
        )
        for other_fused, other_labels in (engine(*images), engine(*images)):
            assert np.abs(fused.astype(int) - other_fused).max() <= 2
            assert (labels == other_labels).mean() >= 0.995
        engine(255 - images[0], images[1])
        assert np.abs(fused.astype(int) - other_fused).max() <= 2  # outlives the next frame
        engine.close()
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 1
