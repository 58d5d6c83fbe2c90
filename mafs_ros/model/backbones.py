"""The trunks by name, and how published ImageNet weights load into them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor

from mafs_ros.model.efficientnet import EfficientNetLite
from mafs_ros.model.resnet import ResNet
from mafs_ros.model.trunk import Trunk

BACKBONES: dict[str, Callable[[int | None], Trunk]] = {
    "resnet50": lambda channels: ResNet((3, 4, 6, 3), channels),
    "resnet101": lambda channels: ResNet((3, 4, 23, 3), channels),
    "resnet152": lambda channels: ResNet((3, 8, 36, 3), channels),
    "efficientnet_lite0": EfficientNetLite,
    "efficientnet_lite0_slim": partial(EfficientNetLite, depths=(1, 2, 2, 1, 2, 1)),
}


def build_backbone(name: str, image_channels: int | None) -> Trunk:
    """Build a trunk with `stem`, `stage(i, x)`, `stem_width` and `widths` (strides 4 to 32).

    image_channels: channels of the image, or None where the shallow feature extraction feeds
    the stem. Raises ValueError with the known names.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}: choose one of {', '.join(BACKBONES)}")
    return BACKBONES[name](image_channels)


def load_imagenet(trunk: Trunk, weights: Mapping[str, Tensor]) -> None:
    """Load ImageNet classification weights into a trunk in place.

    weights: torchvision's `resnet*` state_dict, or that of `efficientnet-lite-pytorch`. A
    one-channel stem takes the sum over the colour channels, so that a grey image gives what it
    gave as three equal channels. Entries that the trunk does not have are left out.

    Raises ValueError where an entry that the trunk needs is missing or has another shape.
    """
    if isinstance(trunk, EfficientNetLite):
        named = from_efficientnet(trunk, weights)
    else:
        named = _from_torchvision(trunk, weights)
    state = trunk.state_dict()
    for key, target in state.items():
        source = named.get(key)
        if source is None:
            raise ValueError(f"these ImageNet weights have nothing for {key!r} of the trunk")
        if source.ndim == 4 and target.shape[1] == 1 and source.shape[1] == 3:
            source = source.sum(1, keepdim=True)
        if source.shape != target.shape:
            raise ValueError(
                f"ImageNet weight for {key!r} has shape {tuple(source.shape)}, "
                f"the trunk expects {tuple(target.shape)}"
            )
        state[key] = source
    trunk.load_state_dict(state)


def _from_torchvision(trunk: Trunk, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    norm_index = len(list(trunk.stem.children())) - 2
    named = {}
    for key, value in weights.items():
        key = re.sub(r"^layer(\d)\.", lambda m: f"stages.{int(m[1]) - 1}.", key)
        key = re.sub(r"^bn1\.", f"stem.{norm_index}.", key)
        named[re.sub(r"^conv1\.", "stem.0.", key)] = value
    return named


def from_efficientnet(trunk: EfficientNetLite, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights named as in `efficientnet-lite-pytorch` under the names of the trunk."""
    named = {"stem.conv.weight": weights["_conv_stem.weight"]}
    named |= _prefixed(weights, "_bn0.", "stem.norm.")
    parts = (
        ("_expand_conv.", "expand.0."),
        ("_bn0.", "expand.1."),
        ("_depthwise_conv.", "depthwise.0."),
        ("_bn1.", "depthwise.1."),
        ("_project_conv.", "project.0."),
        ("_bn2.", "project.1."),
    )
    for block, (stage, position) in zip(_kept_blocks(trunk), _positions(trunk), strict=True):
        for theirs, ours in parts:
            named |= _prefixed(
                weights, f"_blocks.{block}.{theirs}", f"stages.{stage}.{position}.{ours}"
            )
    return named


def _prefixed(weights: Mapping[str, Tensor], old: str, new: str) -> dict[str, Tensor]:
    return {new + k[len(old) :]: v for k, v in weights.items() if k.startswith(old)}


def _positions(trunk: Trunk) -> list[tuple[int, int]]:
    return [(s, p) for s, stage in enumerate(trunk.stages) for p, _ in enumerate(stage.children())]


def _kept_blocks(trunk: EfficientNetLite) -> list[int]:
    """Indices, in the full EfficientNet-Lite, of the blocks that the trunk has kept."""
    first = 0
    kept: list[int] = []
    for row, depth in zip(trunk.table, trunk.depths, strict=True):
        kept += range(first, first + depth)
        first += row.depth
    return kept
