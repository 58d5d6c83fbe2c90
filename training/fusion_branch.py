"""Train the fusion branch of a light network alone, on top of trained weights.

    python -m training.fusion_branch --start runs/street/model.safetensors --data street_rgbt \\
        --out runs/street/fused.safetensors --steps 160

What the labels depend on keeps its weights. The branch starts as the pixel-wise maximum
(`training.fusion_start`) and learns with the fusion loss of Eq. 15 and 16. Statistics of batch
normalisation stay as they are.
"""

from __future__ import annotations

import argparse
import copy
import dataclasses
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from mafs_ros.model import build_model
from mafs_ros.model.mafs import Mafs
from mafs_ros.model.weights import load_weights, save_weights
from training.batches import luminance
from training.data import CropSampler, Pair, read_pairs
from training.datasets import open_dataset
from training.fusion_start import start_as_maximum
from training.losses import gradient_loss, intensity_loss
from training.trainer import schedule, update_average

# Against 1 for the intensity term. With 0.5 the branch drew dark dotted lines along bright edges:
# an overshoot is the cheapest way to a gradient of the stronger source's size.
GRADIENT_WEIGHT = 0.05


def main() -> None:
    """Train and write the whole network again as a model file."""
    args = _parse()
    torch.manual_seed(args.seed)
    network, info = load_weights(args.start)
    branch = build_model(
        info.preset,
        **{**info.config, "num_classes": info.num_classes, "auxiliary": False},
        segmentation=False,
    )
    weights = network.state_dict()
    branch.load_state_dict({key: weights[key] for key in branch.state_dict()})
    start_as_maximum(branch)
    parameters = freeze_all_but_fusion(branch)
    optimizer = torch.optim.AdamW(parameters, lr=args.lr, weight_decay=0.0)
    average = copy.deepcopy(branch)
    pairs = read_pairs(args.data / "train") + simulated_pairs(args.simulated)
    sampler = CropSampler(pairs, args.crop, args.seed)
    progress = tqdm(range(args.steps), unit="step")
    for step in progress:
        for group in optimizer.param_groups:
            group["lr"] = args.lr * schedule(step, args.steps)
        rgb, thermal, _ = sampler.batch(args.batch)
        fused, visible = branch(rgb, thermal).fused, luminance(rgb)
        loss = intensity_loss(fused, visible, thermal)
        loss = loss + GRADIENT_WEIGHT * gradient_loss(fused, visible, thermal)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        update_average(average, branch, min(0.99, step / (step + 10)))
        progress.set_postfix(loss=f"{loss.item():.4f}")
    network.load_state_dict(average.state_dict(), strict=False)
    training = {
        **info.training,
        "fusion_branch": f"then alone from the pixel-wise maximum, {args.steps} steps, "
        f"batch {args.batch}, learning rate {args.lr}, street_rgbt train and "
        f"{args.simulated} simulated pairs",
    }
    save_weights(args.out, network, dataclasses.replace(info, training=training))


def simulated_pairs(count: int) -> list[Pair]:
    """Return simulated pairs: their hard edges show what photographs forgive."""
    if not count:
        return []
    dataset = open_dataset("simulation", None, "train", count=count)
    samples = [dataset[index] for index in range(len(dataset))]
    return [Pair(s.rgb, s.thermal, (s.labels,)) for s in samples if s.labels is not None]


def freeze_all_but_fusion(branch: Mafs) -> list[nn.Parameter]:
    """Return what is trained: the parameters on which nothing but the fused image depends."""
    branch.eval().requires_grad_(False)
    encoder, decoder = branch.encoder, branch.fusion_decoder
    if decoder is None:
        raise ValueError("this network has no fusion decoder")
    decoder.train()  # its output stays unclamped
    modules: list[nn.Module] = [
        encoder.visible_sfe.detail,
        encoder.infrared_sfe.detail,
        encoder.detail_fusion,
        encoder.detail_progressive,
        encoder.refinement,
        decoder,
    ]
    for module in modules:
        module.requires_grad_(True)
    return [parameter for parameter in branch.parameters() if parameter.requires_grad]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--start", type=Path, required=True, help="model file to start from")
    parser.add_argument("--data", type=Path, required=True, help="folder street_rgbt")
    parser.add_argument("--out", type=Path, required=True, help="model file to write")
    parser.add_argument("--steps", type=int, default=160)
    parser.add_argument("--simulated", type=int, default=40, help="simulated pairs to add")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
