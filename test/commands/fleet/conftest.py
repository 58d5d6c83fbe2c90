"""The fleet of the tests, and what one process makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from fleet_bags import arguments, write_fleet_of

from mafs_ros.cli import main


@pytest.fixture(scope="session")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with seven bags, of which two are damaged, one unreadable, one a copy."""
    folder = tmp_path_factory.mktemp("fleet")
    write_fleet_of(folder, 7)
    return folder


@pytest.fixture(scope="session")
def serial(fleet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one process makes of it."""
    out = tmp_path_factory.mktemp("serial") / "out"
    assert main(arguments(fleet, out, "--jobs", 1)) == 1
    return out
