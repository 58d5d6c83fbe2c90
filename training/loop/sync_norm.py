"""Batch normalisation over the batches of all processes, on the CPU too.

torch's SyncBatchNorm runs on GPUs alone. Without it two processes would normalise by other
statistics than one process with the whole batch, and train another network.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce

from mafs_ros.model.layers import at_least_fp32

Module = TypeVar("Module", bound=nn.Module)


class SynchronisedBatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` with statistics of all processes, whose batches are of one size."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        world = distributed.get_world_size()
        full = at_least_fp32(x)  # of half precision under autocast
        mean = all_reduce(full.mean((0, 2, 3))) / world
        centred = full - mean[:, None, None]
        variance = all_reduce(centred.square().mean((0, 2, 3))) / world
        self._update_statistics(mean.detach(), variance.detach(), world * x.numel() // x.shape[1])
        scale = self.weight * torch.rsqrt(variance + self.eps)
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _update_statistics(self, mean: Tensor, variance: Tensor, count: int) -> None:
        if self.running_mean is None or self.running_var is None or self.momentum is None:
            raise ValueError("expected batch normalisation with running statistics and momentum")
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance * (count / max(count - 1, 1)), self.momentum)
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)


def synchronise_norms(module: Module, device: torch.device) -> Module:
    """Replace every batch normalisation by one over all processes; in place, keys stay."""
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    for child in module.modules():
        if type(child) is nn.BatchNorm2d:
            child.__class__ = SynchronisedBatchNorm
    return module
