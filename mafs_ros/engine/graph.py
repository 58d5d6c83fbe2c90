"""The deployed graph: the network with its ends, from camera bytes to picture and class ids."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.engine.half import halved
from mafs_ros.model.mafs import Mafs

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
        visible = rgb.to(torch.float32).permute(0, 3, 1, 2) / 255
        infrared = thermal.to(torch.float32)[:, None] / 255
        output = self.network(visible.to(self.dtype), infrared.to(self.dtype))
        labels = output.logits.argmax(1).to(torch.float32).to(torch.uint8)
        return fused_image(visible, output.fused.float()), labels


def fused_image(visible: Tensor, y: Tensor) -> Tensor:
    """The picture that is published and scored: uint8 [B, H, W, 3], rounded and clamped.

    visible [B, 3, H, W] and the fused luminance y [B, 1, H, W], both in 0..1.
    """
    fused = replace_luminance(visible * 255, y * 255).permute(0, 2, 3, 1)
    return fused.round().clamp(0, 255).contiguous().to(torch.uint8)


def example_images(
    shape: tuple[int, ...], device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Return images of a shape (batch, height, width), to export a graph with."""
    rgb = torch.zeros((*shape, 3), dtype=torch.uint8, device=device)
    return rgb, torch.zeros(shape, dtype=torch.uint8, device=device)


def replace_luminance(rgb: Tensor, y: Tensor) -> Tensor:
    """Return `rgb` [B, 3, H, W] with its luminance replaced by `y` [B, 1, H, W], any one scale.

    Y = 0.299 R + 0.587 G + 0.114 B, Cr = 0.713 (R - Y), Cb = 0.564 (B - Y) and back by
    R = Y + 1.403 Cr, G = Y - 0.714 Cr - 0.344 Cb, B = Y + 1.773 Cb. With chroma kept this is
    linear in (R, G, B, Y): one 1x1 convolution and a sum; |Cr| and |Cb| never reach the release's
    clamp at half the range. The result may leave the range: the caller clamps.
    """
    luma = torch.tensor([0.299, 0.587, 0.114])
    cr = 0.713 * (torch.tensor([1.0, 0.0, 0.0]) - luma)
    cb = 0.564 * (torch.tensor([0.0, 0.0, 1.0]) - luma)
    chroma = torch.stack([1.403 * cr, -0.714 * cr - 0.344 * cb, 1.773 * cb])
    return F.conv2d(rgb, chroma[:, :, None, None].to(rgb)) + y
