"""What several processes (torch.distributed) compute together; alone, each returns its input."""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean over the processes, with the gradient of the own values.

    values: the same shape in all processes, which returns. Gradients that are averaged over the
    processes, as DistributedDataParallel does, are those of the mean.
    """
    if not is_distributed():
        return values
    mean = values.detach().clone()
    distributed.all_reduce(mean)
    return mean / distributed.get_world_size() + (values - values.detach())


def from_all_processes(values: Tensor) -> Tensor:
    """The values of all processes one after another, [N] of each to [N * processes]; detached."""
    values = values.detach()
    if not is_distributed():
        return values
    parts = [torch.empty_like(values) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, values.contiguous())
    return torch.cat(parts)


def is_distributed() -> bool:
    """Whether this process is one of several."""
    return distributed.is_available() and distributed.is_initialized()
