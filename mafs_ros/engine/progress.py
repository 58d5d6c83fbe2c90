"""What the log says while something takes long."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator

log = logging.getLogger(__name__)
PROGRESS_S = 5.0  # between two lines on the log


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Say on the log that something starts, every few seconds that it goes on, and its end."""
    start = time.monotonic()
    done = threading.Event()

    def tell() -> None:
        while not done.wait(PROGRESS_S):
            log.info("%s: %.0f s", what, time.monotonic() - start)

    log.info("%s ...", what)
    teller = threading.Thread(target=tell, name="mafs progress", daemon=True)
    teller.start()
    try:
        yield
        log.info("%s: done in %.1f s", what, time.monotonic() - start)
    finally:
        done.set()
        teller.join()
