"""Start the fusion branch of a light network as the pixel-wise maximum of its two images.

From random weights a narrow branch needs long to learn to copy its inputs; from here it has only
to learn where the maximum is not the best choice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import nn

from mafs_ros.model.afm import ShallowFusion
from mafs_ros.model.inn import FusionDecoder
from mafs_ros.model.layers import ConvNorm, FReLU
from mafs_ros.model.mafs import Mafs

LUMA = (0.299, 0.587, 0.114)
STEEPNESS, OFFSET = 200.0, 5.0  # weight 0.5 where visible is 0.025 brighter, 0.99 from 0.05 on


@torch.no_grad()
def start_as_maximum(network: Mafs) -> None:
    """Set the first channels of the fusion branch so that it computes the maximum; in place.

    Channel k carries pixel k of each `detail_stride` x `detail_stride` cell; the other channels
    keep their weights and do not reach the output yet. Holds for batch normalisation in
    evaluation mode.

    Raises ValueError for a network that is not built like the preset `mafs-lite`.
    """
    config = network.config
    pixels = config.detail_stride**2
    if not (
        config.fusion
        and config.afm
        and config.detail_skip
        and config.linear_output
        and (config.detail_layers, config.afm_layers) == (1, 1)
        and (config.detail_kernel, config.fusion_kernel) == (1, 1)
        and config.fusion_width // 4 >= pixels
    ):
        raise ValueError("only a network like the preset mafs-lite can start as the maximum")
    encoder = network.encoder
    _copy_cells(encoder.visible_sfe.detail, LUMA, pixels)
    _copy_cells(encoder.infrared_sfe.detail, (1.0,), pixels)
    _select_maximum(cast(ShallowFusion, encoder.detail_fusion), pixels)
    _pass_through(cast(FusionDecoder, network.fusion_decoder), config.fusion_width, pixels)


def _copy_cells(detail: nn.Sequential, weights: tuple[float, ...], pixels: int) -> None:
    convolution, norm, activation = cast(tuple[nn.Conv2d, nn.BatchNorm2d, FReLU], tuple(detail))
    for k in range(pixels):
        _set_row(convolution, k, {c * pixels + k: w for c, w in enumerate(weights)})
    _identity(norm, range(pixels))
    activation.conv.weight[:pixels] = 0.0
    _identity(activation.norm, range(pixels), bias=-1.0)  # below every pixel: max(x, -1) = x


def _select_maximum(fusion: ShallowFusion, pixels: int) -> None:
    width = fusion.gather.norm.num_features
    channels = range(pixels)
    for branch in (fusion.visible, fusion.infrared):
        _rows(branch[0], {k: {k: 1.0} for k in channels})
    gains: dict[int, dict[int, float]] = {k + side: {} for k in channels for side in (0, width)}
    _rows(fusion.recalibrate[1], gains, bias=-6.0)  # gain 1 + sigmoid(-6)
    _rows(fusion.gather, {k: {k: 1.0, width + k: -1.0} for k in channels})  # visible - infrared
    _rows(fusion.local_weight[0], {k: {k: 1.0} for k in channels})
    _rows(fusion.local_weight[1], {k: {k: STEEPNESS} for k in channels}, bias=-OFFSET)
    _rows(fusion.global_weight[1], {k: {} for k in channels}, bias=1.0)


def _pass_through(decoder: FusionDecoder, width: int, pixels: int) -> None:
    gather, output = decoder.gather, decoder.output
    for k in range(pixels):
        _set_row(gather, k, {width + k: 1.0})  # the detail features stand behind the refined ones
    nn.init.zeros_(output.weight)
    nn.init.zeros_(cast(torch.Tensor, output.bias))
    centre = output.weight.shape[-1] // 2
    for k in range(pixels):
        output.weight[k, k, centre, centre] = 1.0


def _rows(block: nn.Module, rows: dict[int, dict[int, float]], bias: float = 0.0) -> None:
    block = cast(ConvNorm, block)
    for row, weights in rows.items():
        _set_row(cast(nn.Conv2d, block.conv), row, weights)
    _identity(block.norm, rows, bias)


def _set_row(convolution: nn.Conv2d, row: int, weights: dict[int, float]) -> None:
    """Make output `row` of a 1x1 convolution the given combination of its inputs."""
    convolution.weight[row] = 0.0
    for column, value in weights.items():
        convolution.weight[row, column] = value
    if convolution.bias is not None:
        convolution.bias[row] = 0.0


def _identity(norm: nn.BatchNorm2d, channels: Iterable[int], bias: float = 0.0) -> None:
    """Make these channels of a batch normalisation x + bias."""
    index = torch.tensor(list(channels))
    values = {"running_mean": 0.0, "running_var": 1.0 - norm.eps, "weight": 1.0, "bias": bias}
    for name, value in values.items():
        getattr(norm, name)[index] = value
