"""A pair as a robot has it when one of its cameras has died."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from training.data.samples import Sample

DEAD = ("rgb", "thermal")


def without_camera(sample: Sample, camera: str) -> Sample:
    """The sample with the image of that camera, one of `DEAD`, all black."""
    return replace(sample, **{camera: np.zeros_like(getattr(sample, camera))})
