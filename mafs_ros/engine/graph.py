"""The deployed graph: the network with its ends, from camera bytes to picture and class ids."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mafs_ros.engine.half import halved
from mafs_ros.model.mafs import Mafs, luminance

TYPES = {"fp32": torch.float32, "fp16": torch.float16}


class DeployedGraph(nn.Module):
    """What every engine compiles.

    rgb uint8 [B, H, W, 3], thermal uint8 [B, H, W] (scaled, registered) -> fused uint8
    [B, H, W, 3], labels uint8 [B, H, W] class ids. Any H, W. The fused luminance takes the
    place of the visible one, chroma stays (YCrCb as in the paper's release; architecture notes,
    section 11), rounded and clamped to 0..255.

    precision: 'fp32', or 'fp16' for a copy of the network in half precision (see `half`); the
    ends and the picture's arithmetic stay as they are.

    Raises ValueError for a network that lacks one of the tasks, or another precision.
    """

    def __init__(self, network: Mafs, precision: str = "fp32") -> None:
        super().__init__()
        if network.fusion_decoder is None or network.segmentation_decoder is None:
            raise ValueError("deployment needs a network with both fusion and segmentation")
        if precision not in TYPES:
            raise ValueError(f"precision must be one of {', '.join(TYPES)}, got {precision!r}")
        network.eval()
        if network.segmentation_decoder.auxiliary is not None:
            network.segmentation_decoder.auxiliary = None  # training only
        self.dtype = TYPES[precision]
        self.network = halved(network) if precision == "fp16" else network

    def forward(self, rgb: Tensor, thermal: Tensor) -> tuple[Tensor, Tensor]:
        # TensorRT casts bytes from and to floats, first and last, and does nothing else with them.
        y, ids = self.network.predict(
            (rgb.to(torch.float32) / 255).to(self.dtype).permute(0, 3, 1, 2),
            (thermal.to(torch.float32) / 255).to(self.dtype)[:, None],
        )
        picture = fused_image(rgb.to(torch.float32).permute(0, 3, 1, 2), y.float())
        return picture, ids.squeeze(1).to(torch.uint8)


def fused_image(visible: Tensor, y: Tensor) -> Tensor:
    """The picture that is published and scored: uint8 [B, H, W, 3], rounded and clamped.

    visible [B, 3, H, W] in 0..255 and the fused luminance y [B, 1, H, W] in 0..1.
    """
    fused = replace_luminance(visible, y * 255).round().clamp(0, 255)
    return fused.permute(0, 2, 3, 1).contiguous().to(torch.uint8)


def example_images(shape: tuple[int, ...], device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Return images of a shape (batch, height, width), to export a graph with."""
    rgb = torch.zeros((*shape, 3), dtype=torch.uint8, device=device)
    return rgb, torch.zeros(shape, dtype=torch.uint8, device=device)


def replace_luminance(rgb: Tensor, y: Tensor) -> Tensor:
    """Return `rgb` [B, 3, H, W] with its luminance replaced by `y` [B, 1, H, W], any one scale.

    Y = 0.299 R + 0.587 G + 0.114 B, Cr = 0.713 (R - Y), Cb = 0.564 (B - Y) and back by
    R = Y + 1.403 Cr, G = Y - 0.714 Cr - 0.344 Cb, B = Y + 1.773 Cb. |Cr| and |Cb| never reach the
    release's clamp at half the range. The result may leave the range: the caller clamps.
    """
    red, _, blue = rgb.split(1, 1)
    luma = luminance(rgb)
    cr, cb = 0.713 * (red - luma), 0.564 * (blue - luma)
    return torch.cat([y + 1.403 * cr, y - 0.714 * cr - 0.344 * cb, y + 1.773 * cb], 1)
