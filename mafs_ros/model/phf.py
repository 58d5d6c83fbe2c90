"""PHF: shallow features modulated by deeper ones (paper, Fig. 3(c))."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.layers import conv, resize


class ProgressiveFusion(nn.Module):
    """Scale and shift shallow features by maps computed from deeper ones.

    x [B, width, H, W], condition [B, condition_width, h, w] (resized to H, W)
    -> BN(IN(x) * (1 + gamma)) + beta, [B, width, H, W].
    """

    def __init__(self, width: int, condition_width: int, kernel: int = 3) -> None:
        super().__init__()
        self.shared = conv(condition_width, width, kernel)
        self.gamma = conv(width, width, kernel)
        self.beta = conv(width, width, kernel)
        self.instance_norm = nn.InstanceNorm2d(width)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        size = (x.shape[-2], x.shape[-1])
        shared = F.relu(self.shared(resize(condition, size)))
        gamma, beta = self.gamma(shared).sigmoid(), self.beta(shared)
        # beta first: a sum has the memory layout of its first operand.
        return beta + self.norm((1 + gamma) * self.instance_norm(x))


class AddedFusion(nn.Module):
    """Ablation of PHF: add the projected, resized condition; same shapes as ProgressiveFusion."""

    def __init__(self, width: int, condition_width: int, kernel: int = 3) -> None:
        super().__init__()
        self.project = conv(condition_width, width, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return x + self.project(resize(condition, (x.shape[-2], x.shape[-1])))
