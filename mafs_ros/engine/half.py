"""The network in half precision, with fp32 where half breaks.

Half (fp16) holds values up to 65504 with 11 bits. What a sum over a map or a large logit needs is
more; those places compute in fp32, at little cost, because they are reductions, one vector per
image, or fused into what reads them. In brackets the largest value seen in fp32 at 640x480, in the
shipped mafs-lite (six street_rgbt test pairs) and in the paper's network with the weights of its
numerical test (one pair):

- means over whole maps in AFM, DEM and the half instance norm (sum 4.4e4 and 2.6e7);
- instance, group and layer norms: sums of squares (2.8e4 and 2.1e5; in the half instance norm of
  the paper's network one square alone 1.3e5), and the difference of a value and its mean must
  keep its bits;
- the lengths of queries and keys in MST: sums of squares (1.3e3 and 1.7e6), and the least length
  1e-12 is 0 in half, so that an empty row would divide 0 by 0;
- the energy X X^T of CAM and the softmax over it (1.5e4, where the steps of half are 8);
- DEM's channel signature, divided by its norm, and the gate made of it;
- W = P L U of the invertible convolution: a product of three matrices of which one is an exp.

Batch normalisation is brought to one scale and shift in fp32 first: a variance may be beyond
half. What stays half: convolutions, activations, resizes, the exp of the coupling, which lies in
0.45..2.23, and the logits, of which only the largest counts. PyTorch on the CPU adds half values
up in fp32, so a comparison there shows what rounding and range do to the values, not what an
engine that adds up in half would do: hence the list by size of sums. The casts inside modules
stand in `mafs_ros.model`, where they change nothing in fp32.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from mafs_ros.model.inn import HalfInstanceNorm, InvertibleConv
from mafs_ros.model.layers import ChannelNorm
from mafs_ros.model.mafs import Mafs

NORMS = (nn.GroupNorm, nn.InstanceNorm2d, ChannelNorm, HalfInstanceNorm)


class InFp32(nn.Module):
    """Run a module of one input in fp32 and return what it gives in the input's type."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        return self.module(x.float()).to(x.dtype)


def halved(network: Mafs) -> Mafs:
    """Return a copy of a network in evaluation mode that computes on half tensors."""
    network = copy.deepcopy(network).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            _simplify(module)
    _halve(network)
    return network


def _halve(module: nn.Module) -> None:
    for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
        if tensor.is_floating_point():
            tensor.data = tensor.data.half()
    for name, child in module.named_children():
        if isinstance(child, NORMS):
            setattr(module, name, InFp32(child))
        elif not isinstance(child, (InFp32, InvertibleConv)):
            _halve(child)


def _simplify(norm: nn.BatchNorm2d) -> None:
    """Make the statistics 0 and 1 and put them into scale and shift."""
    assert norm.running_mean is not None and norm.running_var is not None  # of our networks
    with torch.no_grad():
        scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
        norm.bias.sub_(norm.running_mean * scale)
        norm.weight.copy_(scale)
        norm.running_mean.zero_()
        norm.running_var.fill_(1)
        norm.eps = 0.0
