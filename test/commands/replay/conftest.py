"""The frames of the small bags."""

from __future__ import annotations

import pytest
from replay_bag import HEIGHT, WIDTH

from mafs_ros.simulation import StreetSimulation


@pytest.fixture(scope="session")
def frames():
    """Six frames of a street at night."""
    street = StreetSimulation(seed=1, height=HEIGHT, width=WIDTH, night=True)
    return [street.frame(0.5 * index) for index in range(6)]
