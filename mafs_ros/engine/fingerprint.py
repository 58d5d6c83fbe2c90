"""Hashes that tell whether what was made of a model file still belongs to it."""

from __future__ import annotations

import hashlib
from pathlib import Path

GRAPH_CODE = (
    "graph",
    "half",
    "openvino_graph",
    "openvino_depthwise",
    "openvino_gates",
    "openvino_planes",
)


def code_hash() -> str:
    """SHA-256 of the code that defines the graph: what other code made is out of date."""
    package = Path(__file__).parents[1]
    engine = [package / "engine" / f"{name}.py" for name in GRAPH_CODE]
    return file_hash(*engine, *sorted((package / "model").glob("*.py")))


def file_hash(*files: Path) -> str:
    """SHA-256 of the contents of files, one after the other; raises OSError."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
