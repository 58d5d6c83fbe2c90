"""Stage 1: masked autoencoder, which teaches the encoder what either image says of the other.

    python -m training.stage1 --recipe mfnet --data mfnet=/data/ir_seg_dataset --out runs/stage1

Patches of both images are hidden behind noise, none in both (`training.masking`); encoder and
fusion decoder reconstruct the two from what is left (Eq. 10 to 13). Writes `model.safetensors`,
from which `python -m training.stage2 --start` takes what Algorithm 1 names. The deeper trunk
stages and their CAMs, which the reconstruction does not use, are not built.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from mafs_ros.model.backbones import build_backbone, load_imagenet
from mafs_ros.model.mafs import Mafs, luminance
from mafs_ros.model.weights import ModelInfo, save_weights
from training.batches import (
    Batch,
    Crops,
    dtype_of,
    full_precision,
    images,
    open_sources,
    preload,
    to_tensors,
)
from training.datasets import Dataset
from training.evaluate import grey
from training.imagenet import weight_file
from training.losses import reconstruction_gradient_loss, reconstruction_intensity_loss
from training.masking import hide, make_masks
from training.program import make_parser, run_training
from training.recipe import Recipe, Stage1
from training.trainer import Evaluation, Learner, Run, fit, make_fabric, setup

PICTURES = 4
EVALUATION_SEED = 1


class Reconstruction(Learner):
    """The network without segmentation, and the loss of one reconstruction of both images."""

    def __init__(self, network: Mafs, stage: Stage1) -> None:
        super().__init__()
        self.network = network
        self.stage = stage

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        visible, infrared = images(batch)
        fused = full_precision(self.network(batch["hidden_rgb"], batch["hidden_thermal"]).fused)
        terms = reconstruction_terms(self.stage, fused, visible, infrared, batch)
        return torch.stack(list(terms.values())).sum(), terms


def reconstruction_terms(
    stage: Stage1, fused: Tensor, visible: Tensor, infrared: Tensor, batch: Batch
) -> dict[str, Tensor]:
    """Weighted terms of the loss. The release has one tensor for both reconstructions."""
    targets = {
        "visible": (luminance(visible), 1 - batch["rgb_mask"]),
        "infrared": (infrared, 1 - batch["thermal_mask"]),
    }
    terms = {}
    for name, (image, hidden) in targets.items():
        intensity = reconstruction_intensity_loss(fused, image, hidden)
        gradient = reconstruction_gradient_loss(fused, image, hidden, stage.gradient)
        terms[f"{name}_intensity"] = stage.intensity_weight * intensity
        terms[f"{name}_gradient"] = stage.gradient_weight * gradient
    return terms


def add_masks(stage: Stage1, item: Batch, generator: torch.Generator) -> Batch:
    """Add masks [1, H, W] and what the network sees of one sample: floats in 0..1."""
    height, width = item["thermal"].shape[-2:]
    masks = make_masks(1, height, width, generator, patch=stage.patch, ratio=stage.ratio)
    for name, mask in zip(("rgb", "thermal"), masks, strict=True):
        image = item[name][None].float() / 255
        item[f"{name}_mask"] = mask[0]
        item[f"hidden_{name}"] = hide(image, mask, generator)[0]
    return item


def validate(
    recipe: Recipe, datasets: Sequence[Dataset], fabric: Fabric, network: nn.Module
) -> Evaluation:
    """Mean error of hidden pixels in grey levels (0..255), and pictures.

    Every evaluation hides the same patches.
    """
    sums = torch.zeros(2, dtype=torch.float64)
    pictures: list[list[Any]] = []
    samples = [(dataset, i) for dataset in datasets for i in range(len(dataset))]
    for n in range(fabric.global_rank, len(samples), fabric.world_size):
        dataset, index = samples[n]
        generator = torch.Generator().manual_seed(EVALUATION_SEED + n)
        item = add_masks(recipe.stage1, to_tensors(dataset[index]), generator)
        batch = {name: value[None].to(fabric.device) for name, value in item.items()}
        visible, infrared = images(batch)
        inputs = (batch[f"hidden_{name}"].to(dtype_of(network)) for name in ("rgb", "thermal"))
        fused = network(*inputs).fused
        targets = (
            (luminance(visible), 1 - batch["rgb_mask"]),
            (infrared, 1 - batch["thermal_mask"]),
        )
        for target, hidden in targets:
            sums[0] += ((fused - target).abs() * hidden).sum().item() * 255
            sums[1] += hidden.sum().item()
        if len(pictures) < PICTURES:
            seen = (batch["hidden_rgb"][0] * 255).byte().permute(1, 2, 0).cpu().numpy()
            thermal = grey(batch["hidden_thermal"])
            sample = dataset[index]
            pictures.append([sample.rgb, sample.thermal, np.asarray(seen), thermal, grey(fused)])
    total: Any = fabric.all_reduce(sums, reduce_op="sum")
    return Evaluation({"hidden_error": (total[0] / total[1].clamp_min(1)).item()}, pictures)


def write(run: Run, scores: dict[str, float], file: str = "model.safetensors") -> None:
    """Write the network as a model file without segmentation."""
    recipe = run.recipe
    info = ModelInfo(
        preset=recipe.network["preset"],
        config={**recipe.network_overrides, "segmentation": False},
        class_table=recipe.class_table.to_dict(),
        training=describe(run),
        scores=scores,
        licence=recipe.licence,
    )
    save_weights(run.out / file, run.result, info)  # type: ignore[arg-type]


def describe(run: Run) -> dict[str, Any]:
    """What the model file says of the training."""
    recipe, plan = run.recipe, run.plan
    return {
        "program": f"training.{run.stage}",
        "about": recipe.about,
        "data": [f"{source.kind} {source.split}" for source in recipe.train],
        "scored_on": [f"{source.kind} {source.split}" for source in recipe.evaluation],
        "imagenet": Path(recipe.imagenet).name if recipe.imagenet else None,
        "steps": run.step,
        "batch": plan.batch,
        "optimizer": plan.optimizer,
        "learning_rate": plan.lr,
        "seed": recipe.seed,
    }


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
            file = weight_file(source)
            weights = torch.load(file, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise FileNotFoundError(f"{source}: there is no such file (imagenet)") from None
        except Exception as error:
            raise ValueError(f"{source}: not a file of plain weights: {error}") from error
    config, encoder = network.config, network.encoder
    stems = (None, None) if config.own_stem else (3, 1)
    for trunk, channels in zip(
        (encoder.visible_trunk, encoder.infrared_trunk), stems, strict=True
    ):
        whole = build_backbone(config.backbone, channels)  # a network may have its first stages
        load_imagenet(whole, weights)
        loaded = whole.state_dict()
        trunk.load_state_dict({key: loaded[key] for key in trunk.state_dict()})


def train(
    recipe: Recipe,
    folders: Mapping[str, Path],
    out: Path,
    *,
    resume: bool,
    on_step: Callable[[], None] | None = None,
) -> dict:
    """Run stage 1; returns the last scores. on_step: see `fit`.

    Raises ValueError or OSError before it starts.
    """
    fabric = make_fabric(recipe.stage1.optimisation)
    datasets = open_sources(recipe, recipe.train, folders)
    evaluation = open_sources(recipe, recipe.evaluation, folders)
    torch.manual_seed(recipe.seed)
    network = recipe.build_network(segmentation=False)
    load_imagenet_trunks(network, recipe.imagenet)
    learner = Reconstruction(network, recipe.stage1)
    crops = Crops(datasets, recipe.augmentation, recipe.seed, partial(add_masks, recipe.stage1))
    run = setup(fabric, learner, recipe, "stage1", out, len(crops), resume=resume)
    if recipe.cache:
        preload(datasets)
    names = ["-hidden_error"]
    return fit(run, crops, partial(validate, recipe, evaluation), write, names, on_step)


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the options say."""
    return run_training(train, make_parser("stage1", __doc__).parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
