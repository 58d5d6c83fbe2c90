"""One image where the other camera is dead."""

from __future__ import annotations

import numpy as np
import pytest

from mafs_ros.perception.alone import perceive
from mafs_ros.perception.perception import Perception
from mafs_ros.perception.registration import Registration
from mafs_ros.perception.thermal import ThermalScaler


class Engine:
    """Fuses to white and labels what is brighter than 100 in either image."""

    def __init__(self) -> None:
        self.seen: list[tuple[np.ndarray, np.ndarray]] = []

    def __call__(self, rgb: np.ndarray, thermal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.seen.append((rgb, thermal))
        bright = np.maximum(rgb.max(axis=3), thermal) > 100
        return np.full_like(rgb, 255), bright.astype(np.uint8)


@pytest.fixture
def perception() -> Perception:
    return Perception(Engine(), ThermalScaler(), None)  # whose registration is not known


def test_rgb_alone(perception: Perception) -> None:
    rgb = np.zeros((48, 64, 3), np.uint8)
    rgb[10:20] = (0, 200, 0)
    result = perceive(perception, rgb, None, 0.0)
    assert (result.fused == rgb).all() and not result.thermal.any()
    assert (result.labels == (rgb[..., 1] > 100)).all()
    seen_rgb, seen_thermal = perception.engine.seen[0]
    assert (seen_rgb[0] == rgb).all() and seen_thermal.shape == (1, 48, 64)
    assert not seen_thermal.any() and perception.scaler.range is None


def test_thermal_alone(perception: Perception) -> None:
    thermal = np.tile(np.linspace(28000, 30000, 80).astype(np.uint16), (60, 1))
    result = perceive(perception, None, thermal, 1.0)
    assert result.fused.shape == (60, 80, 3) and result.labels.shape == (60, 80)
    assert (result.fused == result.thermal[..., None]).all() and np.ptp(result.thermal) == 255
    seen_rgb, seen_thermal = perception.engine.seen[0]
    assert not seen_rgb.any() and (seen_thermal[0] == result.thermal).all()


@pytest.mark.parametrize("dead", [0, 29000])
def test_a_dead_thermal_image_leaves_the_range(perception: Perception, dead: int) -> None:
    perception.registration = Registration()
    rng, rgb = np.random.default_rng(2), np.zeros((60, 80, 3), np.uint8)
    scene = rng.integers(28000, 30000, (60, 80)).astype(np.uint16)
    before = perceive(perception, rgb, scene, 1.0).thermal
    low_high = perception.scaler.range
    black = np.full((60, 80), dead, np.uint16)
    remarks = perceive(perception, rgb, black, 1.1, remember=False).remarks
    assert "shows nothing" in remarks[0] and perception.scaler.range == low_high
    assert not perceive(perception, rgb, black, 1.2, remember=False).remarks  # said once
    assert np.abs(perceive(perception, rgb, scene, 1.3).thermal.astype(int) - before).max() <= 1
