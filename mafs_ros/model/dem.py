"""DEM: modality interaction between the two trunks (paper, Eq. 2 and Fig. 2(c))."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.layers import at_least_fp32, spatial_mean


class ModalityInteraction(nn.Module):
    """Exchange complementary features of the modalities, gated by their channel similarity.

    visible, infrared [B, C, H, W] -> the same shapes. Only the visible output receives a mixture
    of both, as in the authors' release.

    released_gate: the release reads its gate along (batch, row) of the [B, C, C] similarity, so
        one sample's output depends on the others in its batch (architecture notes, 3.4); it needs
        B <= C. The default is the diagonal: one gate per sample and channel.

    The pooled vectors are divided by their norm without an epsilon, as released, and the gate is
    made of them in fp32 whatever the features are.
    """

    def __init__(self, channels: int, kernel: int = 7, *, released_gate: bool = False) -> None:
        super().__init__()
        self.released_gate = released_gate
        self.temperature = nn.Parameter(torch.tensor(float(channels)))
        self.similarity_down = nn.Linear(channels, 2 * channels)
        self.similarity_up = nn.Linear(2 * channels, channels)
        self.mix = nn.Conv2d(
            2 * channels, 2 * channels, kernel, padding=kernel // 2, groups=channels
        )
        self.weight_down = nn.Linear(2 * channels, max(channels // 8, 4))
        self.weight_up = nn.Linear(max(channels // 8, 4), 2 * channels)
        self.score_visible = nn.Conv2d(channels, 1, 1)
        self.score_infrared = nn.Conv2d(channels, 1, 1)

    def forward(self, visible: Tensor, infrared: Tensor) -> tuple[Tensor, Tensor]:
        gate = self._gate(*self._signatures(visible, infrared))
        gate = gate.to(visible.dtype)[:, :, None, None]
        mixed = self.mix(torch.cat([visible * gate, infrared * gate], 1))
        strongest = mixed.amax((2, 3), keepdim=True).flatten(1)
        weight = self.weight_up(F.gelu(self.weight_down(strongest)))
        weight_visible, weight_infrared = torch.sigmoid(weight)[:, :, None, None].chunk(2, 1)
        # x (1 - gate) + x gate weight, with the factors of x multiplied out.
        visible = visible * (1 - gate + gate * weight_visible)
        infrared = infrared * (1 - gate + gate * weight_infrared)
        # A softmax over two scores is the sigmoid of their difference.
        share = torch.sigmoid(self.score_visible(visible) - self.score_infrared(infrared))
        infrared_share = infrared * (1 - share)
        return visible * share + infrared_share, infrared_share

    def _signatures(self, visible: Tensor, infrared: Tensor) -> tuple[Tensor, Tensor]:
        """Two unit vectors [B, C] in fp32; of both modalities at once, as they share weights."""
        means = torch.cat([spatial_mean(visible), spatial_mean(infrared)]).flatten(1)
        pooled = at_least_fp32(self.similarity_up(F.gelu(self.similarity_down(means))))
        first, second = (pooled / pooled.norm(dim=1, keepdim=True)).chunk(2)
        return first, second

    def _gate(self, visible: Tensor, infrared: Tensor) -> Tensor:
        """Gate [B, C] in 0..1 from two unit vectors [B, C]."""
        if not self.released_gate:
            return torch.sigmoid(self.temperature * visible * infrared)
        batch, channels = visible.shape
        if batch > channels:
            raise ValueError(
                f"the released DEM gate needs a batch of at most {channels}, got {batch}"
            )
        # The diagonal, written so that every engine converts it.
        rows = (visible[:, :batch] * torch.eye(batch).to(visible)).sum(1, keepdim=True)
        similarity = torch.sigmoid(self.temperature * rows * infrared)
        return similarity.T.reshape(batch, channels)
