"""What is to be built: what one process tells another of it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field

PLAN = "engine.plan"  # in an entry of the cache


@dataclass(frozen=True)
class Job:
    """An engine to be built.

    weights: model file. shape: batch, height, width. folder: where `PLAN` and the check go.
    workspace_mb: memory in MiB that it may work in, 0 for TensorRT's choice. parent: the process
    that waits for it.
    """

    weights: str
    shape: tuple[int, ...]
    precision: str
    folder: str
    workspace_mb: int = 0
    parent: int = field(default_factory=os.getpid)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Job:
        return cls(**json.loads(text))
