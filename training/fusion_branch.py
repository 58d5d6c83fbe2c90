"""Train the fusion branch of a light network alone, on top of trained segmentation.

    python -m training.fusion_branch --recipe street_lite --data street_rgbt=DIR \\
        --start runs/stage2/model.safetensors --out runs/fusion

What the labels depend on keeps its weights, and statistics of batch normalisation stay as they
are. The branch starts as the clearer maximum of both images (`training.fusion_start`) and learns
with the fusion loss of Eq. 15 and 16 against that target. Writes `model.safetensors`, the whole
network; --start may be a network that was trained without fusion.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from mafs_ros.model import build_model
from mafs_ros.model.mafs import Mafs
from mafs_ros.model.weights import ModelInfo, load_weights, save_weights
from training.batches import Batch, Crops, full_precision, images, luminance, open_sources, preload
from training.fusion_start import start_as_clear_maximum
from training.fusion_target import clear_maximum, tone
from training.losses import gradient_loss
from training.program import make_parser, run_training
from training.recipe import FusionBranch, Recipe
from training.stage1 import describe
from training.stage2 import validate
from training.trainer import Learner, Run, fit, make_fabric, setup


class FusionLearner(Learner):
    """A network without segmentation of which only the fusion branch learns."""

    def __init__(self, network: Mafs, stage: FusionBranch) -> None:
        super().__init__()
        self.network = network
        self.stage = stage
        freeze_all_but_fusion(network)

    def train(self, mode: bool = True) -> FusionLearner:
        super().train(False)  # statistics of batch normalisation stay
        decoder = self.network.fusion_decoder
        assert isinstance(decoder, nn.Module)
        decoder.training = mode  # its output is unclamped in training
        return self

    def forward(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        visible, infrared = images(batch)
        fused = full_precision(self.network(visible, infrared).fused)
        y = luminance(visible)
        intensity = nn.functional.l1_loss(fused, clear_maximum(y, infrared))
        gradient = self.stage.gradient * gradient_loss(fused, tone(y), tone(infrared))
        return intensity + gradient, {"intensity": intensity, "gradient": gradient}


def freeze_all_but_fusion(network: Mafs) -> None:
    """Leave gradients to what nothing but the fused image depends on. Raises ValueError."""
    encoder, decoder = network.encoder, network.fusion_decoder
    if decoder is None:
        raise ValueError("this network has no fusion decoder")
    network.requires_grad_(False)
    for module in (
        encoder.visible_sfe.detail,
        encoder.infrared_sfe.detail,
        encoder.detail_fusion,
        encoder.detail_progressive,
        encoder.refinement,
        decoder,
    ):
        module.requires_grad_(True)


def with_fusion(path: Path) -> tuple[Mafs, ModelInfo]:
    """The network of a model file with a fusion branch, a new one where it has none.

    Raises WeightsError for the file.
    """
    trained, info = load_weights(path)
    config = {key: value for key, value in info.config.items() if key != "fusion"}
    network = build_model(
        info.preset, **{**config, "num_classes": info.num_classes, "auxiliary": False}
    )
    network.load_state_dict({**network.state_dict(), **trained.state_dict()})
    return network.eval(), dataclasses.replace(info, config=config)


def fusion_half(network: Mafs, info: ModelInfo) -> Mafs:
    """A copy of the network without segmentation, its branch at its start."""
    half = build_model(
        info.preset,
        **{**info.config, "num_classes": info.num_classes, "auxiliary": False},
        segmentation=False,
    )
    weights = network.state_dict()
    half.load_state_dict({key: weights[key] for key in half.state_dict()})
    start_as_clear_maximum(half)
    return half


def write(run: Run, scores: dict[str, float], network: Mafs, info: ModelInfo) -> None:
    """Write the whole network with the branch as it is now."""
    network.load_state_dict({**network.state_dict(), **run.result.state_dict()})
    fusion = {key: value for key, value in describe(run).items() if key != "imagenet"}
    rounded = {name: round(value, 5) for name, value in scores.items() if value == value}
    info = dataclasses.replace(
        info,
        training={**info.training, "fusion_branch": fusion},
        scores={**info.scores, **rounded},
    )
    save_weights(run.out / "model.safetensors", network, info)


def train(
    recipe: Recipe,
    folders: Mapping[str, Path],
    out: Path,
    *,
    start: Path,
    resume: bool = False,
) -> dict:
    """Train the branch; returns the last scores. Raises ValueError or OSError before it starts."""
    fabric = make_fabric(recipe.fusion_branch.optimisation)
    datasets = open_sources(recipe, recipe.train, folders)
    evaluation = open_sources(recipe, recipe.evaluation, folders)
    torch.manual_seed(recipe.seed)
    network, info = with_fusion(start)
    learner = FusionLearner(fusion_half(network, info), recipe.fusion_branch)
    crops = Crops(datasets, recipe.augmentation, recipe.seed)
    run = setup(fabric, learner, recipe, "fusion_branch", out, len(crops), resume=resume)
    if recipe.cache:
        preload(datasets)
    finish = partial(write, network=network, info=info)
    return fit(run, crops, partial(validate, evaluation), finish)


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the options say."""
    parser = make_parser("fusion_branch", __doc__)
    parser.add_argument("--start", type=Path, required=True, help="model file to start from")
    args = parser.parse_args(argv)
    return run_training(train, args, start=args.start)


if __name__ == "__main__":
    sys.exit(main())
