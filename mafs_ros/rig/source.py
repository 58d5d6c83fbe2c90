"""What the cameras of a drive are told to show."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Source:
    """What is to be shown. `names`: RGB stamp (ns) -> file name, where the input has names.

    `paced`: the cameras wait until each pair is done. `cameras`, `node`: parameters of them.
    """

    description: str
    pairs: int
    height: int
    width: int
    paced: bool
    cameras: dict[str, Any]
    node: dict[str, Any]
    names: dict[int, str] = field(default_factory=dict)
    compressed: dict[str, bool] = field(default_factory=dict)
