"""What a node does with an image size that its engine is not compiled for."""

from __future__ import annotations

import logging
import threading
import time

import cv2
import numpy as np

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.engine.attempts import Attempts
from mafs_ros.engine.interface import Engine, GpuLostError, Image

log = logging.getLogger(__name__)
COMPILER = "mafs compiler"  # name of the thread
FIRST_WAIT_S = 2.0  # for the first size of all: enough where it is in the cache
LAST_WAIT_S = 1.0  # at the end, for a compilation that was told to stop
PATIENCE_S = 2.0  # until it is worth a warning that something is prepared
Size = tuple[int, int]  # height, width


class WhileCompiling(Engine):
    """Another engine, whose compilation no frame waits for where there is another way.

    At a new size a pair is resized to the size of the pair before and its results are resized
    back, while a thread compiles. The first size of all has none before: where it is not in the
    cache, or not ready in FIRST_WAIT_S, a size that is soon ready stands in. Batches of one.

    For an engine that prepares for minutes and has an engine that `stands_in`, that one perceives
    a new size as it is. What fails is tried again after a pause (`Attempts`).

    Confidence is None until its form of the graph is compiled for the size, after the size itself.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.model_info, self.gives_confidence = engine.model_info, engine.gives_confidence
        self._ready: frozenset[Size] = frozenset()
        self._confident: frozenset[Size] = frozenset()
        self._last: Size | None = None  # of the pair before
        self._attempts = Attempts()  # at sizes, and whether with confidence
        self._compiler: threading.Thread | None = None
        self._stand_in: WhileCompiling | None = None
        self._preparing: tuple[Size, float] | None = None  # since when, monotonic
        self._lost: GpuLostError | None = None
        self._lock = threading.Lock()

    @property
    def description(self) -> str:  # type: ignore[override]
        words, stand_in = self._engine.description, self._stand_in
        return words if stand_in is None else f"{words}; meanwhile {stand_in.description}"

    def preparing(self, now: float) -> str:
        """What is prepared since more than PATIENCE_S, in words; now: monotonic seconds."""
        (height, width), start = self._preparing or ((0, 0), now)
        if now - start < PATIENCE_S:
            return ""
        return f"building the engine for {width}x{height}, {now - start:.0f} s"

    def prepare(self, height: int, width: int) -> None:
        """Compile and warm up for a size, once; says so on the log."""
        if (height, width) in self._ready:
            return
        log.info("preparing the engine for %dx%d images ...", width, height)
        start = time.monotonic()
        self._preparing = (height, width), start
        try:
            self._engine.prepare(height, width)
        finally:
            self._preparing = None
        with self._lock:
            self._ready |= {(height, width)}
        seconds = time.monotonic() - start
        log.info("engine ready for %dx%d images after %.1f s", width, height, seconds)

    def prepare_confidence(self, height: int, width: int) -> None:
        """Compile the form that gives confidence for a size, once; says so on the log."""
        if (height, width) in self._confident:
            return
        log.info("preparing the confidence of %dx%d images ...", width, height)
        start = time.monotonic()
        self._engine.prepare_confidence(height, width)
        with self._lock:
            self._confident |= {(height, width)}
        seconds = time.monotonic() - start
        log.info("confidence ready for %dx%d images after %.1f s", width, height, seconds)

    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        size = rgb.shape[1], rgb.shape[2]
        if self._lost is not None:
            raise self._lost
        if not self._ready:
            self._prepare_first(size)
        if size in self._ready:
            self._last = size
            self._drop_stand_in()
            return self._engine(rgb, thermal)
        if self._engine.stands_in is not None:
            self._compile(size)
            return self._standing_in(rgb, thermal)
        other = self._last or next(iter(self._ready))
        if self._compile(size):
            say_resized(size, other)
        return resized(self._engine, other, rgb, thermal)

    def run_with_confidence(self, rgb: Image, thermal: Image) -> tuple[Image, Image, Image | None]:
        size = rgb.shape[1], rgb.shape[2]
        if size in self._confident and size in self._ready:
            self._last = size
            return self._engine.with_confidence(rgb, thermal)
        fused, labels = self.run(rgb, thermal)
        if size in self._ready:
            self._compile(size, confidence=True)
        return fused, labels, None

    def close(self) -> None:
        self._engine.close()
        if self._compiler is not None:
            self._compiler.join(LAST_WAIT_S)  # where it can be told to end, to remove what it left
        stand_in, self._stand_in = self._stand_in, None
        if stand_in is not None:
            stand_in.close()

    def _standing_in(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        """What the other engine makes of them; it is made where there is none."""
        if self._stand_in is None:
            assert self._engine.stands_in is not None
            if (failure := self._attempts.failure("stand-in")) is not None:
                raise failure
            try:
                self._stand_in = WhileCompiling(self._engine.stands_in())
            except Exception as error:
                self._attempts.fail("stand-in", error)
                raise
            log.info("until the engine is ready: %s", self._stand_in.description)
        return self._stand_in(rgb, thermal)

    def _drop_stand_in(self) -> None:
        """Free the other engine's memory, unless images of a size still need it."""
        stand_in, busy = self._stand_in, self._compiler is not None and self._compiler.is_alive()
        if stand_in is not None and not busy and not self._attempts:
            self._stand_in = None
            stand_in.close()

    def _prepare_first(self, size: Size) -> None:
        """Prepare for the first size of all or, if that takes long, for one that is soon ready."""
        stands_in = next(iter(self._engine.soon_ready), size)
        another = stands_in != size or self._engine.stands_in is not None
        if another and self._engine.is_kept(*size) and self._compile(size):
            assert self._compiler is not None
            self._compiler.join(FIRST_WAIT_S)
        if self._ready or self._engine.stands_in is not None:
            return
        if (failure := self._attempts.failure((stands_in, False))) is not None:
            raise failure
        # A conversion beside it would take its time: Python runs one thread at once.
        try:
            self.prepare(*stands_in)
        except Exception as error:
            self._attempts.fail((stands_in, False), error)
            raise
        if self._compiler is not None and self._attempts.failure((size, False)) is None:
            say_resized(size, stands_in)

    def _compile(self, size: Size, confidence: bool = False) -> bool:
        """Start to compile for a size, unless that goes on already for one, or has just failed."""
        busy = self._compiler is not None and self._compiler.is_alive()
        if busy or self._attempts.failure((size, confidence)) is not None:
            return False
        self._compiler = threading.Thread(
            target=self._prepare, args=(size, confidence), name=COMPILER, daemon=True
        )
        self._compiler.start()
        return True

    def _prepare(self, size: Size, confidence: bool) -> None:
        try:
            (self.prepare_confidence if confidence else self.prepare)(*size)
            self._attempts.succeed((size, confidence))
        except GpuLostError as error:
            self._lost = error
        except Exception as error:
            self._attempts.fail((size, confidence), error)
            another = self._engine.stands_in is not None
            log.warning(
                "the engine cannot be prepared for %dx%d images, which %s: %s",
                size[1],
                size[0],
                "come without confidence"
                if confidence
                else "another engine perceives"
                if another
                else "stay resized",
                one_line(error),
                extra=(Fault.ENGINE_BUILD if another else Fault.ENGINE_SIZE).extra,
            )


def say_resized(size: Size, other: Size) -> None:
    """Warn that pictures of a size are perceived at another one for now."""
    log.warning(
        "images are %dx%d now: until the engine is ready for them they are perceived at %dx%d "
        "and resized",
        *reversed(size),
        *reversed(other),
        extra=Fault.ENGINE_SIZE.extra,
    )


def resized(engine: Engine, size: Size, rgb: Image, thermal: Image) -> tuple[Image, Image]:
    """Run an engine at another size (height, width) than that of its images, a batch of one.

    The images keep their shape: what is left at the right or the bottom repeats their border.
    """
    height, width = rgb.shape[1:3]
    scale = min(size[0] / height, size[1] / width)
    inner = max(1, round(height * scale)), max(1, round(width * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR

    def fit(image: Image) -> Image:
        small = cv2.resize(image, inner[::-1], interpolation=how)
        rest = size[0] - inner[0], size[1] - inner[1]
        whole: Image = cv2.copyMakeBorder(small, 0, rest[0], 0, rest[1], cv2.BORDER_REPLICATE)  # type: ignore[assignment]
        return whole[None]

    def back(image: Image, interpolation: int) -> Image:
        seen = np.ascontiguousarray(image[0, : inner[0], : inner[1]])
        large: Image = cv2.resize(seen, (width, height), interpolation=interpolation)  # type: ignore[assignment]
        return large[None]

    fused, labels = engine(fit(rgb[0]), fit(thermal[0]))
    return back(fused, cv2.INTER_LINEAR), back(labels, cv2.INTER_NEAREST)
