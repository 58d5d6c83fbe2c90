"""Stage 1: masked autoencoder, which teaches the encoder what either image says of the other.

    python -m training.stage1 --recipe mfnet --data mfnet=/data/ir_seg_dataset --out runs/stage1

Patches of both images are hidden behind noise, none in both (`training.objectives.masking`);
encoder and fusion decoder reconstruct the two from what is left (Eq. 10 to 13). Writes
`model.safetensors`, from which `python -m training.stage2 --start` takes what Algorithm 1 names.
The deeper trunk stages and their CAMs, which the reconstruction does not use, are not built.
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

from mafs_ros.model.mafs import Mafs, luminance
from mafs_ros.model.weights import save_weights
from training.data.batches import Crops
from training.data.datasets import Dataset
from training.data.tensors import Batch, dtype_of, full_precision, images, to_tensors
from training.loop.describe import model_info
from training.loop.run import Evaluation, Learner, Run
from training.loop.trainer import fit, make_fabric, setup
from training.loop.validation import PICTURES, own_samples
from training.objectives.losses import reconstruction_gradient_loss, reconstruction_intensity_loss
from training.objectives.masking import hide, make_masks
from training.recipes.options import make_parser, run_training
from training.recipes.recipe import Recipe, Stage1
from training.recipes.sources import open_sources
from training.scoring.predict import grey
from training.start.imagenet import load_imagenet_trunks

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
    for n, sample in own_samples(datasets, fabric):
        generator = torch.Generator().manual_seed(EVALUATION_SEED + n)
        item = add_masks(recipe.stage1, to_tensors(sample), generator)
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
            pictures.append([sample.rgb, sample.thermal, np.asarray(seen), thermal, grey(fused)])
    total: Any = fabric.all_reduce(sums, reduce_op="sum")
    return Evaluation({"hidden_error": (total[0] / total[1].clamp_min(1)).item()}, pictures)


def write(run: Run, scores: dict[str, float], file: str = "model.safetensors") -> None:
    """Write the network as a model file without segmentation."""
    info = model_info(run, {**run.recipe.network_overrides, "segmentation": False}, scores)
    save_weights(run.out / file, run.result, info)  # type: ignore[arg-type]


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
    run = setup(fabric, learner, recipe, "stage1", out, crops, resume=resume)
    names = ["-hidden_error"]
    return fit(run, crops, partial(validate, recipe, evaluation), write, names, on_step)


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the options say."""
    return run_training(train, make_parser("stage1", __doc__).parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
