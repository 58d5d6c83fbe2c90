"""Attention between channels (CAM, MST) against its formulas written out."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from mafs_ros.model.cam import DeepFusion
from mafs_ros.model.layers import mix_channels, pool_factor
from mafs_ros.model.mst import ChannelAttention


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def test_channels_are_mixed_by_the_weights_of_each_sample() -> None:
    x, weights = torch.randn(2, 6, 5, 4), torch.randn(2, 3, 6)
    expected = torch.cat([F.conv2d(x[i : i + 1], weights[i, :, :, None, None]) for i in (0, 1)])
    torch.testing.assert_close(mix_channels(x, weights), expected)


@pytest.mark.parametrize(("height", "width", "factor"), [(16, 20, 4), (8, 6, 2), (15, 20, 1)])
def test_a_map_is_averaged_down_by_what_divides_it(height: int, width: int, factor: int) -> None:
    assert pool_factor(torch.zeros(1, 1, height, width), 4) == factor


def test_cam_adds_what_its_channels_attend_to() -> None:
    cam = DeepFusion(6, 8).eval()
    torch.nn.init.constant_(cam.scale, 0.7)
    visible, infrared = torch.rand(2, 2, 6, 12, 8)
    x = cam.reduce(visible + infrared)
    x = x * cam.spatial((visible * infrared).amax(1, keepdim=True)).sigmoid()
    rows = x.flatten(2)
    energy = rows @ rows.transpose(1, 2)
    attention = (energy.amax(-1, keepdim=True) - energy).softmax(-1)
    expected = 0.7 * (attention @ rows).view_as(x) + x
    torch.testing.assert_close(cam(visible, infrared), expected)


def test_mst_attends_within_heads() -> None:
    attention = ChannelAttention(8, heads=2)
    torch.nn.init.uniform_(attention.temperature, 2.0, 9.0)
    x = torch.randn(2, 8, 6, 4)
    heads = attention.qkv(x).unflatten(1, (3, 2, 4)).flatten(4)
    query, key, value = heads.unbind(1)
    query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
    weights = (query @ key.transpose(-2, -1) * attention.temperature).softmax(-1)
    expected = attention.project((weights @ value).reshape(x.shape))
    torch.testing.assert_close(attention(x), expected)


def test_pooled_energy_is_that_of_the_whole_map() -> None:
    """Exactly so where the map is constant in every cell."""
    whole, pooled = DeepFusion(6, 8).eval(), DeepFusion(6, 8, pool=4).eval()
    x = F.interpolate(torch.randn(2, 8, 3, 2), scale_factor=4)
    torch.testing.assert_close(pooled._channel_attention(x), whole._channel_attention(x))
    assert not torch.allclose(
        pooled._channel_attention(x), whole._channel_attention(x + torch.randn_like(x))
    )


def test_an_empty_map_has_no_attention_but_no_nan_either() -> None:
    attention = ChannelAttention(8)
    assert attention(torch.zeros(1, 8, 4, 4)).abs().max() == 0
