"""Whether an engine that was just built computes what the network does: one pair, both ways."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch

from mafs_ros.engine.graph import DeployedGraph
from mafs_ros.engine.interface import Image
from mafs_ros.model.mafs import Mafs
from mafs_ros.simulation import StreetSimulation

FILE = "check.json"  # in an entry of the cache
# By precision: of 255, what no value of the fused image may differ by more; share of the labels.
LIMITS = {"fp32": (2, 0.995), "fp16": (2, 0.995), "int8": (16, 0.98)}


@dataclass(frozen=True)
class SelfCheck:
    """How an engine's results differ from fp32. fused_levels: the largest difference, of 255."""

    fused_levels: int
    labels_equal: float
    precision: str = "fp32"

    @property
    def passed(self) -> bool:
        levels, share = LIMITS[self.precision]
        return self.fused_levels <= levels and self.labels_equal >= share

    def __str__(self) -> str:
        share = np.floor(1e4 * self.labels_equal) / 100  # 99.996 is not all of them
        return f"fused within {self.fused_levels} of 255 of fp32, labels equal {share:g} %"

    def write(self, folder: Path) -> None:
        told = {"passed": self.passed, **asdict(self)}
        (folder / FILE).write_text(json.dumps(told), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> SelfCheck:
        """That of an entry; raises OSError, ValueError, KeyError."""
        told = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return cls(int(told["fused_levels"]), float(told["labels_equal"]), str(told["precision"]))


def compare(
    results: tuple[Image, Image], reference: tuple[Image, Image], precision: str
) -> SelfCheck:
    """The check of fused image and labels against those of the reference."""
    apart = np.abs(results[0].astype(np.int16) - reference[0]).max()
    return SelfCheck(int(apart), float((results[1] == reference[1]).mean()), precision)


def pair(shape: tuple[int, ...]) -> tuple[Image, Image]:
    """Images of a simulated street, resized; shape: batch, height, width. Always the same."""
    batch, height, width = shape
    frame = StreetSimulation(seed=5).frame(1.0)
    low, high = np.percentile(frame.thermal, (1, 99))
    heat = np.clip(255 * (frame.thermal - low) / (high - low), 0, 255).astype(np.uint8)
    rgb, thermal = (
        cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        for image in (frame.rgb, heat)
    )
    return np.repeat(rgb[None], batch, 0), np.repeat(thermal[None], batch, 0)


def reference_of(network: Mafs, shape: tuple[int, ...]) -> tuple[Image, Image]:
    """What the network makes of `pair` in fp32 on the CPU, which no fault of the GPU reaches."""
    graph = DeployedGraph(network.cpu())
    with torch.inference_mode():
        fused, labels = graph(*map(torch.from_numpy, pair(shape)))
    return fused.numpy(), labels.numpy()
