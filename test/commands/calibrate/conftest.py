"""One simulated drive for all tests of the room."""

from __future__ import annotations

import calibration_rig as rig
import pytest


@pytest.fixture(scope="session")
def pairs():
    return rig.street(24)


@pytest.fixture(scope="session")
def frames(pairs):
    return rig.frames_of(pairs, rig.homography())
