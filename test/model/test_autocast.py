"""Autocast, as half precision trains: what must stay fp32 does, and large maps give numbers.

On the CPU, which has both half types; `torch.autocast` does there what it does on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from mafs_ros.base.resources import default_weights
from mafs_ros.model.cam import DeepFusion
from mafs_ros.model.inn import HalfInstanceNorm, InvertibleConv
from mafs_ros.model.layers import ChannelNorm, without_autocast
from mafs_ros.model.mst import ChannelAttention
from mafs_ros.model.weights import load_weights
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.simulation import StreetSimulation

HALVES = (torch.bfloat16, torch.float16)
F3 = (64, 80)  # of an image of 256x320


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(scope="module")
def street() -> tuple[Tensor, Tensor]:
    """visible [1, 3, 256, 320] and infrared [1, 1, 256, 320] in 0..1 of the simulation."""
    frame = StreetSimulation(seed=5, height=256, width=320).frame(1.0)
    thermal = ThermalScaler("percentile")(frame.thermal, 0.0)
    visible = torch.from_numpy(frame.rgb).permute(2, 0, 1)[None].float() / 255
    return visible, torch.from_numpy(thermal)[None, None].float() / 255


def attention_of_cam(half: torch.dtype) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """CAM's weights from a map whose energy, some 5e5, is beyond fp16."""
    return DeepFusion(6, 8)._channel_attention, (10 * torch.rand(2, 8, *F3)).to(half)


def attention_of_mst(half: torch.dtype) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """MST's attention where queries times keys are beyond fp16."""
    attention = ChannelAttention(8)
    nn.init.constant_(attention.qkv[0].weight, 0.5)
    nn.init.constant_(attention.qkv[1].weight, 0.2)
    return attention, 10 * torch.rand(2, 8, *F3).to(half)


def half_norm(half: torch.dtype) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    return HalfInstanceNorm(8), (1000 * torch.randn(2, 8, *F3)).to(half)


def channel_norm(half: torch.dtype) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    return ChannelNorm(8), (1000 * torch.randn(2, 8, *F3)).to(half)


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize(
    "make", [attention_of_cam, attention_of_mst, half_norm, channel_norm], ids=lambda f: f.__name__
)
def test_large_maps_are_as_in_fp32(make: Callable, half: torch.dtype) -> None:
    module, x = make(half)
    expected = module(x.float())
    with torch.autocast("cpu", half):
        found = module(x.requires_grad_()).float()
    assert found.isfinite().all()
    assert (found - expected).norm() <= 0.01 * expected.norm()  # a few roundings of 1 / 256
    found.square().mean().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_the_matrix_of_the_invertible_convolution_stays_exact() -> None:
    mix = InvertibleConv(16)
    expected = mix.weight()
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(mix.weight(), expected)
        assert mix(torch.rand(1, 16, 4, 4)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    ("half", "levels", "equal"), [(torch.bfloat16, 3.0, 0.998), (torch.float16, 1.0, 0.999)]
)
def test_the_shipped_network_on_a_street(
    half: torch.dtype, levels: float, equal: float, street: tuple[Tensor, Tensor]
) -> None:
    """bf16 has 8 bits: one rounding of the fused luminance alone is half a grey level.

    levels: of all pixels but one in a thousand. At an edge the blend goes from one image to the
    other within a pixel, where a rounded weight moves it by several levels.
    """
    network = load_weights(default_weights())[0].eval()
    with torch.inference_mode():
        expected = network(*street)
        with torch.autocast("cpu", half):
            found = network(*street)
    differences = 255 * (found.fused.float() - expected.fused).abs().flatten()
    assert torch.quantile(differences, 0.999) <= levels
    assert differences.mean() <= levels / 30
    agree = found.logits.argmax(1) == expected.logits.argmax(1)
    assert agree.float().mean() >= equal


def test_autocast_is_off_inside_and_on_again_after() -> None:
    a = torch.rand(3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        with without_autocast("cpu"):
            assert (a @ a).dtype == torch.float32
        assert (a @ a).dtype == torch.bfloat16
    with without_autocast("meta"):  # which has no autocast
        assert (a.to("meta") @ a.to("meta")).dtype == torch.float32


def test_no_exported_graph_holds_a_context() -> None:
    """Engines convert no such operator, and fp32 weights need none."""
    cam = DeepFusion(6, 8).eval()
    images = tuple(torch.rand(2, 1, 6, 16, 20))
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = torch.export.export(cam, images)
    for program in (torch.export.export(cam, images), under_autocast):
        assert "autocast" not in str(program.graph)


def test_a_compiled_module_keeps_the_guard() -> None:
    mix = InvertibleConv(8)
    with torch.autocast("cpu", torch.bfloat16):
        found = torch.compile(lambda: mix.weight(), backend="eager", fullgraph=True)()
    assert torch.equal(found, mix.weight())
