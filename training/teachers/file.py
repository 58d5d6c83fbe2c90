"""A teacher's file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import nn

from mafs_ros.base.write import write_bytes
from mafs_ros.model.weights import WeightsError
from training.teachers import Teacher, build_teacher

FILE = "teacher.safetensors"


def save_teacher(path: Path, teacher: nn.Module, about: Mapping[str, Any]) -> None:
    """Write a teacher with its description, atomically. Raises OSError."""
    tensors = {key: value.cpu().contiguous() for key, value in teacher.state_dict().items()}
    write_bytes(path, to_safetensors(tensors, {"teacher": json.dumps(dict(about))}))


def load_teacher(path: Path | str) -> tuple[Teacher, dict[str, Any]]:
    """A teacher in evaluation mode, and its description: name, images, class_table, training.

    Raises WeightsError for a file that cannot be read or is none of `save_teacher`.
    """
    path = Path(path)
    try:
        with safe_open(path, "pt") as file:
            about = json.loads((file.metadata() or {})["teacher"])
        teacher = build_teacher(about["name"], len(about["class_table"]["classes"]))
        teacher.load_state_dict(load_file(path))
    except FileNotFoundError:
        raise WeightsError(f"{path}: there is no such file") from None
    except (OSError, SafetensorError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{path}: not a teacher that `python -m training.teacher` wrote ({error!r})"
        ) from error
    return teacher.eval(), about
