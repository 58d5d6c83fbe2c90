"""What the check of an int8 model holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def provenance(weights: Path, size: tuple[int, int]) -> dict[str, Any]:
    """What a record belongs to."""
    from mafs_ros.engine.checks import FORMAT
    from mafs_ros.engine.fingerprint import code_hash, file_hash

    return {
        "format": FORMAT,
        "weights": weights.name,
        "weights_sha256": file_hash(weights),
        "code_sha256": code_hash("openvino"),
        "size": list(size),
    }


def unchecked_record(weights: Path, size: tuple[int, int], model: Path) -> dict[str, Any]:
    """A record for an int8 model whose accuracy nobody has looked at: `auto` does not take it."""
    from mafs_ros.engine.fingerprint import file_hash

    return {
        **provenance(weights, size),
        "precisions": {
            "int8": {"passed": False, "sha256": file_hash(model, model.with_suffix(".bin"))}
        },
    }
