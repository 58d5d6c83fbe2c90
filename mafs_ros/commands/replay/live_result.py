"""What a live replay gave."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mafs_ros.perception.perception import Perceived


class LiveError(RuntimeError):
    """The live node cannot be evaluated; the message says why in one line."""


@dataclass(frozen=True)
class Live:
    """What the live node did.

    digests: RGB stamp -> digest of the fused image and of the labels. latency_ms: publication of
    the later image to reception of the fused one. age_ms: stamp of the RGB image, in the time of
    the replay, to the same. numbers: as in timing.json. same, different: RGB stamps of the frames
    that the offline evaluation equals, and of those that it does not, in its order.
    """

    digests: dict[int, tuple[bytes, bytes]]
    latency_ms: list[float]
    age_ms: list[float]
    numbers: dict[str, Any]
    problems: list[str]
    same: list[int] = field(default_factory=list)
    different: list[int] = field(default_factory=list)

    def compare(self, stamp: int, perceived: Perceived) -> None:
        """Note whether the node published these pixels and ids for an RGB stamp."""
        offline = (digest(perceived.fused), digest(perceived.labels))
        (self.same if self.digests[stamp] == offline else self.different).append(stamp)


def digest(image: np.ndarray) -> bytes:
    """Of the pixels alone: stamps and frames are compared as such."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()
