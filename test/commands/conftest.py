"""What the tests of the commands share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def engine_log() -> Iterator[None]:
    """`mafs engine` shows the log for the rest of its process: here, of the test."""
    logger = logging.getLogger("mafs_ros")
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)
