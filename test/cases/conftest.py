"""Inputs that once failed."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def cases(shared_data: Path) -> Path:
    """The folder of the inputs that failed, each with its EXPECTED.md."""
    folder = shared_data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"needs the inputs that failed, and {folder} does not exist")
    return folder
