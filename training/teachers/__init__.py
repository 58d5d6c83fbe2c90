"""Teachers of the knowledge distillation (MAFS paper, section III-E): segmentation of one image.

A teacher sees the fused image, or one modality; the student learns from its logits. Which
publications and sizes: `TEACHERS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mafs_ros.model.layers import resize
from mafs_ros.model.weights import WeightsError, first_few, misfits, read_torch_file
from training.start.imagenet import weight_file
from training.teachers import efficientnet, feedformer, mit, segformer, segnext

TEACHERS = (
    *(f"segnext-{size}" for size in segnext.DIMENSIONS),
    *(f"segformer-{size}" for size in segformer.DIMENSIONS),
    *(f"feedformer-{size}" for size in feedformer.DIMENSIONS),
    *(f"efficientnet-{size}" for size in efficientnet.TABLES),
)
# Of ImageNet, which the published encoder weights expect; channels R, G, B in 0..1.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
STRIDE = 32
# What files hold besides the encoder: ImageNet classifiers and segmentation decoders.
_NOT_ENCODER = ("head.", "classifier.", "decode_head.", "auxiliary_head.")


Encoder = segnext.Mscan | mit.MixTransformer | efficientnet.LiteEncoder


class Teacher(nn.Module):
    """Image [B, 3, H, W] of any size, RGB or three times grey, 0..1, to logits [B, K, H, W].

    Normalises the image (EfficientNet does so itself), pads it to a multiple of 32 by repeating
    its border, and brings the decoder's logits back to H, W. Raises ValueError for an image of
    another shape.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, encoder: Encoder, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        itself = isinstance(encoder, efficientnet.LiteEncoder)
        mean, deviation = ((0.0,) * 3, (1.0,) * 3) if itself else (MEAN, DEVIATION)
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        if image.ndim != 4 or image.shape[1] != 3:
            raise ValueError(
                f"a teacher takes an image [B, 3, H, W] (a single modality repeated three "
                f"times), got {list(image.shape)}"
            )
        height, width = image.shape[-2:]
        below, right = -height % STRIDE, -width % STRIDE
        normalised = (image - self.mean) / self.deviation
        padded = F.pad(normalised, (0, right, 0, below), mode="replicate")
        logits = resize(self.decoder(self.encoder(padded)), (height + below, width + right))
        return logits[..., :height, :width]


def build_teacher(name: str, num_classes: int) -> Teacher:
    """Build a teacher with random weights, in training mode.

    name: one of `TEACHERS`. num_classes: channels of the logits, background included.
    Raises ValueError with the known names, or for fewer than two classes.
    """
    if name not in TEACHERS:
        raise ValueError(f"unknown teacher {name!r}: choose one of {', '.join(TEACHERS)}")
    if num_classes < 2:
        raise ValueError(f"num_classes is {num_classes}: background and one class make 2")
    publication, size = name.split("-")
    encoder: Encoder
    decoder: nn.Module
    if publication == "segnext":
        encoder = segnext.Mscan(size)
        decoder = segnext.LightHamHead(
            encoder.widths, segnext.DIMENSIONS[size], segnext.RANKS[size], num_classes
        )
    elif publication == "segformer":
        encoder = mit.MixTransformer(size)
        decoder = segformer.SegFormerHead(encoder.widths, segformer.DIMENSIONS[size], num_classes)
    elif publication == "efficientnet":
        encoder = efficientnet.LiteEncoder(size)
        decoder = segnext.LightHamHead(
            encoder.widths, efficientnet.DIMENSION, efficientnet.RANK, num_classes
        )
    else:
        encoder = mit.MixTransformer(size)
        decoder = feedformer.FeedFormerHead(
            encoder.widths, feedformer.DIMENSIONS[size], num_classes
        )
    return Teacher(encoder, decoder)


def load_encoder_weights(teacher: Teacher, path: Path | str) -> None:
    """Load a published ImageNet or segmentation checkpoint into the encoder, in place.

    path: a `.safetensors` file, a torch file of plain tensors, or a package of
    `training.start.imagenet`. MSCAN in the names of the release (Visual-Attention-Network/SegNeXt)
    or mmsegmentation; MiT in those of NVlabs/SegFormer or transformers (`nvidia/mit-b*`);
    EfficientNet-Lite in those of `efficientnet-lite-pytorch`. Classifiers and decoders in the
    file are left out.

    Raises WeightsError for a file that cannot be read or does not hold exactly this encoder.
    """
    path = weight_file(str(path))
    encoder = teacher.encoder
    published = {
        key.removeprefix("module.").removeprefix("backbone."): value
        for key, value in _read(path).items()
    }
    named = encoder.from_published(
        {k: v for k, v in published.items() if not k.startswith(_NOT_ENCODER)}
    )
    expected = encoder.state_dict()
    if not named.keys() & expected.keys():
        raise WeightsError(
            f"{path}: no entry of an {encoder.family} encoder in it; the first of its "
            f"{len(published)} entries are {', '.join(list(published)[:3])}"
        )
    state = {
        key: _fit(named[key], target) if key in named else target
        for key, target in expected.items()
    }
    _check(path, encoder.family, expected, named, state)
    encoder.load_state_dict(state)


def _read(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = read_torch_file(path)
    except OSError as error:
        raise WeightsError(
            f"cannot read encoder weights {path}: {error.strerror or error}"
        ) from error
    except SafetensorError as error:
        raise WeightsError(f"{path}: damaged, or no safetensors file ({error})") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    if not isinstance(content, dict) or not content:
        raise WeightsError(f"{path}: holds no named weights")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise WeightsError(
                f"{path}: entry {key!r} is {type(value).__name__}, expected a named tensor"
            )
    return content


def _fit(source: Tensor, target: Tensor) -> Tensor:
    # Linear layers of MiT are 1x1 convolutions here.
    return source[:, :, None, None] if (source.ndim, target.ndim) == (2, 4) else source


def _check(
    path: Path,
    family: str,
    expected: Mapping[str, Tensor],
    named: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
) -> None:
    counters = "num_batches_tracked"  # some files lack them, and evaluation has no use for them
    needed = {k: v for k, v in expected.items() if k in named or not k.endswith(counters)}
    if lines := misfits(needed, {key: state.get(key, value) for key, value in named.items()}):
        raise WeightsError(
            f"{path}: not the {family} encoder of this teacher's size: {first_few(lines)}"
        )
