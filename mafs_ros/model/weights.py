"""Model files: one `.safetensors` with the weights and, as JSON metadata, what they are."""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mafs_ros.base.errors import one_line
from mafs_ros.base.write import write_bytes

if TYPE_CHECKING:
    from torch import Tensor

    from mafs_ros.model.mafs import Mafs

FORMAT = 2
# What the presets of format 1 had otherwise: a file says only what differs from its preset.
FORMAT_1: dict[str, dict[str, Any]] = {"mafs-lite": {"blend": False, "linear_output": True}}
MAX_HEADER_BYTES = 16 << 20


class WeightsError(ValueError):
    """A model file that cannot be used; the message says which, why, and what was expected."""


@dataclass(frozen=True)
class ModelInfo:
    """What a model file says of itself.

    preset, config: arguments of `build_model` (config: overrides of the preset's fields).
    class_table: `ClassTable.to_dict()` of the label ids.
    training: data, steps and commands that made the weights.
    scores: measured figures with data and protocol.
    licence: licence note and limits of use.
    confidence: 'temperature', and how it was measured; empty where it was not.
    """

    preset: str
    config: dict[str, Any]
    class_table: dict[str, Any]
    training: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    licence: str = ""
    confidence: dict[str, Any] = field(default_factory=dict)

    @property
    def num_classes(self) -> int:
        """Channels of the logits, background included."""
        return len(self.class_table["classes"])

    @property
    def temperature(self) -> float:
        """What logits are divided by before the softmax that confidence is; 1 if not measured."""
        return float(self.confidence.get("temperature", 1))


def save_weights(path: Path | str, network: Mafs, info: ModelInfo) -> None:
    """Write a network and its description atomically; auxiliary heads are left out.

    Raises OSError where the folder cannot be written.
    """
    from safetensors.torch import save

    tensors = {
        key: value.detach().cpu().contiguous()
        for key, value in network.state_dict().items()
        if not _training_only(key)
    }
    metadata = {"format": str(FORMAT), "mafs": json.dumps(dataclasses.asdict(info))}
    write_bytes(path, save(tensors, metadata))


def read_info(path: Path | str) -> ModelInfo:
    """Read the description alone, without torch.

    Raises WeightsError for a file that is missing, no safetensors file or has no description.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > MAX_HEADER_BYTES:
                raise WeightsError(f"{path}: this is not a safetensors file")
            header = json.loads(file.read(length))
        metadata = header.get("__metadata__", {})
    except OSError as error:
        raise WeightsError(f"cannot read model file {path}: {error.strerror or error}") from error
    except (struct.error, ValueError, AttributeError) as error:
        raise WeightsError(
            f"{path}: this is not a safetensors file (model files are made by "
            "`python -m training.stage2` or `mafs convert-checkpoint`)"
        ) from error
    return _parse_info(path, metadata)


def load_weights(path: Path | str) -> tuple[Mafs, ModelInfo]:
    """Build the network that a model file describes and load its weights; evaluation mode.

    Raises WeightsError for a file that cannot be read or whose entries do not fit the network
    it names.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from mafs_ros.model.mafs import build_model

    info = read_info(path)
    try:
        network = build_model(
            info.preset, **{**info.config, "num_classes": info.num_classes, "auxiliary": False}
        )
    except (ValueError, TypeError) as error:
        raise WeightsError(f"{path}: its description does not fit: {error}") from error
    try:
        tensors = load_file(str(path))
    except SafetensorError as error:
        raise WeightsError(f"{path}: damaged or truncated ({error})") from error
    _check_entries(Path(path), network.state_dict(), tensors)
    network.load_state_dict(tensors)
    return network.eval(), info


def read_torch_file(path: Path | str) -> Any:
    """Content of a torch file of tensors alone: a foreign file runs no code here.

    Raises OSError where it cannot be opened, WeightsError where it is damaged, no torch file, or
    holds more than tensors.
    """
    import pickle

    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: no torch file of plain tensors. Whatever else is in one is not read, "
            "because it could run code: save the state_dict alone where you trust the file"
        ) from error
    except (RuntimeError, ValueError, EOFError, KeyError) as error:
        raise WeightsError(
            f"{path}: damaged, or no torch file ({one_line(error)[:200]})"
        ) from error


def _parse_info(path: Path, metadata: dict[str, str]) -> ModelInfo:
    if "mafs" not in metadata:
        raise WeightsError(
            f"{path}: no mafs description in its metadata, so it is not one of our model files"
        )
    if metadata.get("format") not in ("1", "2"):
        raise WeightsError(
            f"{path}: model file format {metadata.get('format')}, this version reads 1 and 2"
        )
    try:
        info = ModelInfo(**json.loads(metadata["mafs"]))
        if metadata["format"] == "1":
            config = {**FORMAT_1.get(info.preset, {}), **info.config}
            info = dataclasses.replace(info, config=config)
        classes, temperature = info.class_table["classes"], info.temperature
    except (TypeError, ValueError, KeyError) as error:
        raise WeightsError(f"{path}: its description is incomplete: {error}") from error
    if not 0 < temperature < math.inf:
        raise WeightsError(f"{path}: got confidence temperature {temperature}, expected above 0")
    if not classes:
        raise WeightsError(f"{path}: its class table is empty")
    return info


def _check_entries(path: Path, expected: dict[str, Any], tensors: dict[str, Any]) -> None:
    if lines := misfits(expected, tensors):
        raise WeightsError(
            f"{path}: {len(lines)} entries do not fit its network: {first_few(lines)}"
        )


def misfits(expected: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[str]:
    """A line for each entry that is missing, not expected or of another shape; none if all fit."""
    lines = [f"missing: {key}" for key in expected if key not in tensors]
    lines += [f"unexpected: {key}" for key in tensors if key not in expected]
    lines += [
        f"{key}: shape {list(tensors[key].shape)}, expected {list(target.shape)}"
        for key, target in expected.items()
        if key in tensors and tensors[key].shape != target.shape
    ]
    return lines


def first_few(lines: Sequence[str]) -> str:
    """The first five lines in one, with the number of the others."""
    return "; ".join(lines[:5]) + (f"; and {len(lines) - 5} more" if len(lines) > 5 else "")


def _training_only(key: str) -> bool:
    return key.startswith("segmentation_decoder.auxiliary.")
