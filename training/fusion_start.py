"""Start the fusion branch of a light network as the brighter of its two images, made clearer.

From random weights a narrow branch needs long to learn to copy its inputs; from here it has only
to learn where the brighter source is not the best choice.
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
from training.fusion_target import DARK_SLOPE, bright_line, sharpening_kernel

LUMA = (0.299, 0.587, 0.114)
STEEPNESS, OFFSET = 200.0, 5.0  # weight 0.5 where visible is 0.025 brighter, 0.99 from 0.05 on


@torch.no_grad()
def start_as_clear_maximum(network: Mafs) -> None:
    """Set the first channels of the fusion branch to compute `fusion_target.clear_maximum`.

    In place. The sharpening reaches `detail_stride` pixels, less where a cell's border is nearer.

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
        and config.detail_stride > 1
        and config.fusion_kernel == 1
        and config.fusion_width // config.afm_reduction >= pixels
    ):
        raise ValueError("only a network like the preset mafs-lite can start as the clear maximum")
    encoder = network.encoder
    _copy_cells(encoder.visible_sfe.detail, LUMA)
    _copy_cells(encoder.infrared_sfe.detail, (1.0,))
    _select_maximum(cast(ShallowFusion, encoder.detail_fusion), pixels)
    _pass_through(cast(FusionDecoder, network.fusion_decoder), config.fusion_width, pixels)


def _copy_cells(detail: nn.Sequential, colours: tuple[float, ...]) -> None:
    convolution, norm, activation = cast(tuple[nn.Conv2d, nn.BatchNorm2d, FReLU], tuple(detail))
    stride = convolution.stride[0]
    pixels = stride**2
    convolution.weight[:pixels] = 0.0
    for k in range(pixels):
        colour = torch.tensor(colours)
        convolution.weight[k, :, k // stride, k % stride] = -DARK_SLOPE * colour
    cast(torch.Tensor, convolution.bias)[:pixels] = 0.0
    _identity(norm, range(pixels))
    # max(x, a x + b) of x = -DARK_SLOPE v is the negative of `fusion_target.tone`.
    slope, offset = bright_line()
    activation.conv.weight[:pixels] = 0.0
    activation.conv.weight[:pixels, :, 1, 1] = slope / DARK_SLOPE
    cast(torch.Tensor, activation.conv.bias)[:pixels] = 0.0
    _identity(activation.norm, range(pixels), bias=-offset)


def _select_maximum(fusion: ShallowFusion, pixels: int) -> None:
    width = fusion.gather.norm.num_features
    channels = range(pixels)
    for branch in (fusion.visible, fusion.infrared):
        _rows(branch[0], {k: {k: -1.0} for k in channels})
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
    output.weight[:, :pixels] = _sharpening_of_cells(decoder.stride)


def _sharpening_of_cells(stride: int) -> torch.Tensor:
    """`sharpening_kernel` between pixels of 3 x 3 cells, [stride^2, stride^2, 3, 3]."""
    reach = 2 * stride - 1
    kernel = torch.zeros(2 * reach + 1, 2 * reach + 1)
    inner = sharpening_kernel()
    room = reach - inner.shape[0] // 2
    kernel[room:-room, room:-room] = inner
    rows = torch.arange(stride)
    cells = torch.arange(-1, 2) * stride
    # offset[k, j, d] from pixel k of a cell to pixel j of the cell at d, along one axis
    offset = (rows[None, :, None] - rows[:, None, None]) + cells + reach
    along_y = offset[:, None, :, None, :, None]
    along_x = offset[None, :, None, :, None, :]
    return kernel[along_y, along_x].reshape(stride**2, stride**2, 3, 3)


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
