"""The network: shapes, sizes, presets, ablations, gates."""

from __future__ import annotations

import dataclasses
import re

import pytest
import torch

from mafs_ros.commands.complexity import count
from mafs_ros.model import PRESETS, Mafs, MafsConfig, build_model
from mafs_ros.model.backbones import build_backbone, load_imagenet
from mafs_ros.model.dem import ModalityInteraction
from mafs_ros.model.inn import FusionDecoder, HalfInstanceNorm, InvertibleConv
from mafs_ros.model.layers import ConvNorm

SMALL = {"backbone": "resnet50"}  # the paper's network with the smallest trunk, for shapes


def pair(batch: int = 1, height: int = 64, width: int = 96) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.rand(batch, 3, height, width, generator=generator),
        torch.rand(batch, 1, height, width, generator=generator),
    )


@pytest.fixture(scope="module")
def lite() -> Mafs:
    torch.manual_seed(0)
    return build_model("mafs-lite", num_classes=4).eval()


@pytest.mark.parametrize("size", [(64, 96), (97, 131), (33, 32), (1, 1), (120, 160)])
def test_any_size(size: tuple[int, int], lite: Mafs) -> None:
    with torch.no_grad():
        output = lite(*pair(1, *size))
    assert output.fused.shape == (1, 1, *size)
    assert output.logits.shape == (1, 4, *size)
    assert [maps.shape[1] for maps in output.aux] == [2, 4, 2, 4, 2, 4]
    assert all(maps.shape[2:] == size for maps in output.aux)
    assert output.fused.min() >= 0 and output.fused.max() <= 1


def test_only_the_first_infrared_channel_is_used(lite: Mafs) -> None:
    visible, infrared = pair()
    with torch.no_grad():
        one = lite(visible, infrared)
        three = lite(visible, torch.cat([infrared, torch.rand(1, 2, 64, 96)], 1))
    assert torch.equal(one.fused, three.fused)


@pytest.mark.parametrize(
    ("visible", "infrared", "message"),
    [
        ((1, 1, 32, 32), (1, 1, 32, 32), r"visible must be \[B, 3, H, W\], got \[1, 1, 32, 32\]"),
        ((1, 3, 32, 32), (1, 32, 32), "infrared must be"),
        ((1, 3, 32, 32), (1, 1, 32, 64), "register or resize"),
    ],
)
def test_shapes_that_do_not_fit_are_named(visible, infrared, message, lite: Mafs) -> None:
    with pytest.raises(ValueError, match=message):
        lite(torch.zeros(visible), torch.zeros(infrared))


def test_unknown_names_list_the_known_ones() -> None:
    with pytest.raises(ValueError, match="mafs, mafs-lite"):
        build_model("mafs-tiny")
    with pytest.raises(ValueError, match="there are backbone, num_classes"):
        build_model("mafs", colour=1)
    with pytest.raises(ValueError, match="resnet152"):
        build_model("mafs", backbone="vgg")
    with pytest.raises(ValueError, match="nothing to build"):
        build_model("mafs-lite", fusion=False, segmentation=False)


def test_presets_name_real_fields() -> None:
    fields = {field.name for field in dataclasses.fields(MafsConfig)}
    assert all(set(values) <= fields for values in PRESETS.values())


def test_lite_stays_within_its_budget() -> None:
    total = count(build_model("mafs-lite", 4, auxiliary=False), (480, 640))[-1]
    assert total.module == "total"
    assert total.gmac <= 4.1
    assert total.mparams <= 2.0


ABLATIONS = {
    "full": {},
    "no DEM": {"dem_levels": ()},
    "one DEM": {"dem_levels": (2,)},
    "no CAM": {"cam": False},
    "no AFM": {"afm": False},
    "no PHF": {"phf": False},
    "no fusion modules": {"dem_levels": (), "cam": False, "afm": False, "phf": False},
    "no MST": {"mst": False},
    "no INN": {"inn_blocks": 0},
    "F6 to F3": {"phf_levels": (6, 5, 4, 3)},
    "no deep features, fusion only": {"phf_levels": (), "segmentation": False},
    "F3 alone": {"deep_only": True},
    "F3 alone, fusion only": {"deep_only": True, "segmentation": False},
    "plain": {"phf": False, "phf_levels": (), "inn_blocks": 0, "mst": False},
    "fusion only": {"segmentation": False},
    "segmentation only": {"fusion": False},
}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", ABLATIONS)
def test_every_ablation_trains_every_parameter(name: str, preset: str) -> None:
    torch.manual_seed(0)
    small = SMALL if preset == "mafs" else {}
    network = build_model(preset, 5, **small, **ABLATIONS[name]).train()
    output = network(*pair(2, 64, 64))
    assert (output.fused is None) == (not network.config.fusion)
    assert (output.logits is None) == (not network.config.segmentation)
    maps = [m for m in (output.fused, output.logits, *output.aux) if m is not None]
    torch.stack([m.square().mean() for m in maps]).sum().backward()
    without = [n for n, p in network.named_parameters() if p.grad is None]
    assert without == []


@pytest.mark.parametrize(
    ("levels", "read"), [((6, 5, 4, 3), 6), ((5, 4, 3), 5), ((4,), 4), ((3,), 3), ((), 2)]
)
def test_the_fused_image_depends_on_the_levels_that_feed_phf(levels, read) -> None:
    """CAM's output of a level is set to 0: the image changes where that level feeds PHF."""
    torch.manual_seed(0)
    network = build_model("mafs-lite", 4, phf_levels=levels).eval()
    images = pair(1, 64, 64)
    with torch.no_grad():
        whole = network(*images).fused
        for level, module in enumerate(network.encoder.deep_fusion, 3):
            with module.register_forward_hook(lambda module, inputs, output: 0 * output):
                changes = not torch.equal(network(*images).fused, whole)
            assert changes == (level in levels), level
        alone = build_model("mafs-lite", 4, phf_levels=levels, segmentation=False).eval()
        assert len(alone.encoder.deep_fusion) == read - 2
        own = network.state_dict()
        alone.load_state_dict({key: own[key] for key in alone.state_dict()})
        assert torch.equal(alone(*images).fused, whole)


def test_deep_only_reads_no_shallow_feature() -> None:
    names = dict(build_model("mafs-lite", 4, deep_only=True).named_parameters())
    assert "encoder.project.weight" in names
    assert not [name for name in names if re.search("stem_fusion|detail_fusion|progr", name)]


@pytest.mark.parametrize(("blocks", "maps"), [(0, 1), (1, 2), (2, 2), (5, 4)])
def test_the_last_invertible_block_is_always_gathered(blocks: int, maps: int) -> None:
    with torch.device("meta"):
        decoder = FusionDecoder(MafsConfig(inn_blocks=blocks))
    assert decoder.gather.in_channels == 32 * maps
    assert blocks - decoder.skip == maps - 1


@pytest.mark.parametrize("levels", [(3, 4), (2,), (7, 3), (3, 3), 3])
def test_levels_that_cannot_feed_phf_are_named(levels) -> None:
    with pytest.raises(ValueError, match=r"phf_levels is .*: expected a list of some of 6, 5, 4"):
        build_model("mafs-lite", 4, phf_levels=levels)
    with pytest.raises(ValueError, match="deep_only needs a deep feature"):
        build_model("mafs-lite", 4, phf_levels=(), deep_only=True)


def test_single_tasks_skip_what_they_do_not_need() -> None:
    with torch.device("meta"):
        sizes = {
            name: sum(p.numel() for p in build_model("mafs", 9, **ABLATIONS[name]).parameters())
            for name in ("full", "fusion only", "segmentation only")
        }
    assert sizes["fusion only"] < 0.02 * sizes["full"]
    assert sizes["segmentation only"] < sizes["full"]


@pytest.mark.parametrize("released", [False, True])
def test_batch_mates_influence_the_released_gate_alone(released: bool) -> None:
    torch.manual_seed(0)
    network = build_model("mafs", 5, **SMALL, released_dem_gate=released).eval()
    visible, infrared = pair(2, 64, 64)
    with torch.no_grad():
        together = network(visible, infrared).fused[:1]
        alone = network(visible[:1], infrared[:1]).fused
    difference = (together - alone).abs().max().item()
    assert difference > 1e-3 if released else difference < 1e-5


def test_released_gate_refuses_more_samples_than_channels() -> None:
    module = ModalityInteraction(4, released_gate=True)
    with pytest.raises(ValueError, match="batch of at most 4, got 5"):
        module(torch.rand(5, 4, 8, 8), torch.rand(5, 4, 8, 8))


def test_relu6_is_not_relu() -> None:
    network = build_model("mafs-lite", 4)
    clamped = network.segmentation_decoder.dilated.gather
    assert isinstance(clamped, ConvNorm)
    assert clamped.activation(torch.tensor([9.0])) == 6.0


def test_invertible_convolution_starts_orthogonal() -> None:
    torch.manual_seed(0)
    weight = InvertibleConv(16).weight()
    torch.testing.assert_close(weight @ weight.T, torch.eye(16), atol=1e-5, rtol=0)


def test_half_instance_norm_is_instance_norm_of_one_half() -> None:
    torch.manual_seed(0)
    module, x = HalfInstanceNorm(6), torch.randn(2, 6, 9, 7) * 3 + 1
    torch.nn.init.normal_(module.weight)
    expected = torch.nn.functional.instance_norm(x[:, :3], weight=module.weight, bias=module.bias)
    torch.testing.assert_close(module(x)[:, :3], expected)
    torch.testing.assert_close(module(x)[:, 3:], x[:, 3:])


def torchvision_names(trunk: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Random weights under torchvision's names, first convolution and classifier included."""
    weights = {"conv1.weight": torch.rand(64, 3, 7, 7), "fc.weight": torch.rand(1000, 2048)}
    for key, value in trunk.state_dict().items():
        key = key.replace("stem.0.", "bn1.")
        for stage in range(4):
            key = key.replace(f"stages.{stage}.", f"layer{stage + 1}.")
        weights[key] = torch.rand_like(value) if value.is_floating_point() else value
    return weights


def test_torchvision_weights_load() -> None:
    trunk = build_backbone("resnet50", None)
    weights = torchvision_names(trunk)
    load_imagenet(trunk, weights)
    assert torch.equal(trunk.stages[3][2].conv3.weight, weights["layer4.2.conv3.weight"])
    assert torch.equal(trunk.stem[0].running_mean, weights["bn1.running_mean"])
    del weights["layer4.2.conv3.weight"]
    with pytest.raises(ValueError, match="nothing for 'stages.3.2.conv3.weight'"):
        load_imagenet(trunk, weights)


def efficientnet_names() -> dict[str, torch.Tensor]:
    """Random weights of a full EfficientNet-Lite0 under the published package's names."""
    full = build_backbone("efficientnet_lite0", 3)
    names = {
        "expand.0.": "_expand_conv.",
        "expand.1.": "_bn0.",
        "depthwise.0.": "_depthwise_conv.",
        "depthwise.1.": "_bn1.",
        "project.0.": "_project_conv.",
        "project.1.": "_bn2.",
    }
    blocks = [block for stage in full.stages for block in stage]
    weights = {"_conv_stem.weight": torch.rand(32, 3, 3, 3)}
    weights |= {f"_bn0.{k}": torch.rand(32) for k in ("weight", "bias", "running_mean")}
    weights |= {"_bn0.running_var": torch.rand(32), "_bn0.num_batches_tracked": torch.tensor(1)}
    for index, block in enumerate(blocks):
        for key, value in block.state_dict().items():
            for ours, theirs in names.items():
                if key.startswith(ours):
                    fresh = torch.rand_like(value) if value.is_floating_point() else value
                    weights[f"_blocks.{index}.{theirs}{key[len(ours) :]}"] = fresh
    return weights


def test_efficientnet_weights_load_into_a_slim_one_channel_trunk() -> None:
    weights = efficientnet_names()
    trunk = build_backbone("efficientnet_lite0_slim", 1)
    load_imagenet(trunk, weights)
    expected = weights["_conv_stem.weight"].sum(1, keepdim=True)
    assert torch.equal(trunk.stem.conv.weight, expected)
    # Row 5 (192 channels) starts at block 11 of the full network whatever the slim one keeps.
    last = trunk.stages[3][0].project[0].weight
    assert torch.equal(last, weights["_blocks.11._project_conv.weight"])


def test_blend_weighs_the_images_and_adds_a_residual() -> None:
    from mafs_ros.model.inn import Blend

    values = torch.tensor([[10.0, -10.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.25]]).reshape(1, 2, 1, 4)
    visible, infrared = torch.full((1, 1, 1, 4), 0.2), torch.full((1, 1, 1, 4), 0.6)
    fused = Blend()(values, visible, infrared)
    assert torch.allclose(fused.flatten(), torch.tensor([0.2, 0.6, 0.4, 0.65]))
    half = Blend()(values.half(), visible.half(), infrared.half())
    assert half.dtype == torch.float32


@pytest.mark.parametrize("stride", [1, 4])
def test_a_blending_network_starts_between_its_images(stride: int) -> None:
    """Without a weight that was set: what a narrow decoder need not learn."""
    torch.manual_seed(0)
    overrides = {"detail_stride": stride, "detail_kernel": 3, "own_stem": False}
    network = build_model("mafs-lite", 4, **overrides).eval()
    torch.nn.init.zeros_(network.fusion_decoder.output.weight)
    torch.nn.init.zeros_(network.fusion_decoder.output.bias)
    visible, infrared = torch.rand(1, 3, 70, 90), torch.rand(1, 1, 70, 90)
    with torch.no_grad():
        fused = network(visible, infrared).fused
    luminance = (visible * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    assert torch.allclose(fused, (luminance + infrared) / 2, atol=1e-6)
