"""Weights with the names and shapes of released encoders, filled by a formula, and an image."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from training.teachers import Teacher

Shapes = dict[str, tuple[int, ...]]


def wave(shape: tuple[int, ...], phase: float) -> Tensor:
    """Numbers in -1..1 that every implementation can make."""
    steps = torch.arange(math.prod(shape), dtype=torch.float64)
    return torch.sin(12.9898 * steps + phase).reshape(shape).float()


def fill(shapes: Shapes) -> dict[str, Tensor]:
    """Weights of sensible magnitude for entries of these names and shapes."""
    weights = {}
    for i, (name, shape) in enumerate(sorted(shapes.items())):
        values = wave(shape, i)
        if len(shape) > 1:
            values = values * math.sqrt(2 / math.prod(shape[1:]))
        elif name.endswith(("weight", "running_var")):
            values = 1 + 0.3 * values
        elif "layer_scale" in name:
            values = 0.5 + 0.3 * values
        else:
            values = 0.2 * values
        weights[name] = values
    return weights


def layer(name: str, *shape: int) -> Shapes:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def batch_norm(name: str, width: int) -> Shapes:
    return layer(name, width) | {
        f"{name}.running_mean": (width,),
        f"{name}.running_var": (width,),
    }


def mscan_t() -> Shapes:
    """What the released mscan_t.pth holds, its classifier included."""
    shapes = layer("head", 10, 256)
    shapes |= layer("patch_embed1.proj.0", 16, 3, 3, 3) | batch_norm("patch_embed1.proj.1", 16)
    shapes |= layer("patch_embed1.proj.3", 32, 16, 3, 3) | batch_norm("patch_embed1.proj.4", 32)
    widths = (32, 64, 160, 256)
    for s, (width, depth, expansion) in enumerate(
        zip(widths, (3, 3, 5, 2), (8, 8, 4, 4), strict=True), 1
    ):
        if s > 1:
            shapes |= layer(f"patch_embed{s}.proj", width, widths[s - 2], 3, 3)
            shapes |= batch_norm(f"patch_embed{s}.norm", width)
        shapes |= layer(f"norm{s}", width)
        for b in range(depth):
            block = f"block{s}.{b}"
            gate = f"{block}.attn.spatial_gating_unit"
            hidden = expansion * width
            shapes |= batch_norm(f"{block}.norm1", width) | batch_norm(f"{block}.norm2", width)
            shapes |= {f"{block}.layer_scale_{i}": (width,) for i in (1, 2)}
            shapes |= layer(f"{block}.attn.proj_1", width, width, 1, 1)
            shapes |= layer(f"{block}.attn.proj_2", width, width, 1, 1)
            shapes |= layer(f"{gate}.conv0", width, 1, 5, 5)
            for i, length in enumerate((7, 11, 21)):
                shapes |= layer(f"{gate}.conv{i}_1", width, 1, 1, length)
                shapes |= layer(f"{gate}.conv{i}_2", width, 1, length, 1)
            shapes |= layer(f"{gate}.conv3", width, width, 1, 1)
            shapes |= layer(f"{block}.mlp.fc1", hidden, width, 1, 1)
            shapes |= layer(f"{block}.mlp.dwconv.dwconv", hidden, 1, 3, 3)
            shapes |= layer(f"{block}.mlp.fc2", width, hidden, 1, 1)
    return shapes


def mit_b0() -> Shapes:
    """What the released mit_b0.pth holds, its classifier included."""
    shapes = layer("head", 10, 256)
    widths = (32, 64, 160, 256)
    for s, (inputs, width, reduction) in enumerate(
        zip((3, *widths), widths, (8, 4, 2, 1), strict=False), 1
    ):
        kernel = 7 if s == 1 else 3
        shapes |= layer(f"patch_embed{s}.proj", width, inputs, kernel, kernel)
        shapes |= layer(f"patch_embed{s}.norm", width) | layer(f"norm{s}", width)
        for block in (f"block{s}.0", f"block{s}.1"):
            shapes |= layer(f"{block}.norm1", width) | layer(f"{block}.norm2", width)
            shapes |= layer(f"{block}.attn.q", width, width)
            shapes |= layer(f"{block}.attn.kv", 2 * width, width)
            shapes |= layer(f"{block}.attn.proj", width, width)
            if reduction > 1:
                shapes |= layer(f"{block}.attn.sr", width, width, reduction, reduction)
                shapes |= layer(f"{block}.attn.norm", width)
            shapes |= layer(f"{block}.mlp.fc1", 4 * width, width)
            shapes |= layer(f"{block}.mlp.dwconv.dwconv", 4 * width, 1, 3, 3)
            shapes |= layer(f"{block}.mlp.fc2", width, 4 * width)
    return shapes


def as_transformers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The released MiT weights under the names of `nvidia/mit-b0` on the Hugging Face hub."""
    named = {}
    for key, value in weights.items():
        key = re.sub(r"^head", "classifier", key)
        stage = r"(\d)"
        for pattern, replacement in (
            (f"^patch_embed{stage}.proj", "patch_embeddings.#.proj"),
            (f"^patch_embed{stage}.norm", "patch_embeddings.#.layer_norm"),
            (f"^block{stage}", "block.#"),
            (f"^norm{stage}", "layer_norm.#"),
        ):
            key = re.sub(
                pattern,
                lambda m, r=replacement: "segformer.encoder." + r.replace("#", str(int(m[1]) - 1)),
                key,
            )
        for official, theirs in (
            (".norm1.", ".layer_norm_1."),
            (".norm2.", ".layer_norm_2."),
            (".attn.q.", ".attention.self.query."),
            (".attn.sr.", ".attention.self.sr."),
            (".attn.norm.", ".attention.self.layer_norm."),
            (".attn.proj.", ".attention.output.dense."),
            (".mlp.fc", ".mlp.dense"),
        ):
            key = key.replace(official, theirs)
        if ".attn.kv." in key:
            for name, half in zip(("key", "value"), value.chunk(2), strict=True):
                named[key.replace(".attn.kv.", f".attention.self.{name}.")] = half.clone()
        else:
            named[key] = value
    return named


def safetensors_file(folder: Path, weights: dict[str, Tensor]) -> Path:
    path = folder / "encoder.safetensors"
    save_file(weights, path)
    return path


def torch_file(folder: Path, content: Any) -> Path:
    path = folder / "encoder.pth"
    torch.save(content, path)
    return path


def image(height: int = 64, width: int = 64, batch: int = 2) -> Tensor:
    return 0.5 + 0.5 * wave((batch, 3, height, width), 0.3)


def encoder_samples(teacher: Teacher) -> list[list[float]]:
    """Four numbers of each encoder map of one image."""
    with torch.no_grad():
        maps = teacher.eval().encoder(image(64, 96, batch=1) - 0.5)
    return [x.flatten()[:: x.numel() // 4][:4].tolist() for x in maps]
