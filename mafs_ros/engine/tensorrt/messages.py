"""What TensorRT says, on our log: it has one logger in a process, and this is it."""

from __future__ import annotations

import logging
from collections import deque
from typing import Any

from mafs_ros.engine.tensorrt.library import tensorrt

log = logging.getLogger(__name__)

KEPT_ERRORS = 3


class Messages(tensorrt.ILogger):
    """Takes TensorRT's messages; its errors are kept, because its calls tell none but None."""

    def __init__(self) -> None:
        super().__init__()
        severity = tensorrt.ILogger.Severity
        self._levels = {
            severity.INTERNAL_ERROR: logging.ERROR,
            severity.ERROR: logging.ERROR,
            severity.WARNING: logging.INFO,
        }
        self._errors: deque[str] = deque(maxlen=KEPT_ERRORS)

    def log(self, severity: Any, message: str) -> None:
        level = self._levels.get(severity, logging.DEBUG)
        text = " ".join(str(message).split())
        if level == logging.ERROR:
            self._errors.append(text)
        # Errors are told by whoever meets the call that failed.
        log.log(min(level, logging.INFO), "TensorRT: %s", text)

    def last_errors(self) -> str:
        """The newest errors in words, once."""
        errors = list(dict.fromkeys(self._errors))
        self._errors.clear()
        return "; ".join(errors) or "it does not say why"


LOGGER = Messages()
