"""The MAFS network: torch only, imported when first asked for.

`mafs_ros.model.weights` reads the description of a model file without torch, which an engine with
a cached graph relies on for its fast start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mafs_ros.model.config import PRESETS, MafsConfig
    from mafs_ros.model.mafs import Mafs, MafsOutput, build_model

__all__ = ["PRESETS", "Mafs", "MafsConfig", "MafsOutput", "build_model"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from mafs_ros.model import config, mafs

    return getattr(config if name in ("PRESETS", "MafsConfig") else mafs, name)
