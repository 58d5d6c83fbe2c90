"""What every engine is: one deployed graph, compiled per image size, called with numpy arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mafs_ros.model.weights import ModelInfo

Image = NDArray[np.uint8]


class GpuLostError(RuntimeError):
    """No call of CUDA works any more in this process: another one has to take its place."""


class Engine(ABC):
    """Turns batches of image pairs into fused images and label maps.

    name: backend name. description: one line for people. model_info: what the weights are.
    soon_ready: sizes (height, width) that it takes a second or two to prepare for.
    gives_confidence: whether it has `with_confidence`.
    stands_in: makes an engine that serves any size at once; for one that prepares for minutes.
    One thread at a time may call an engine; another may `prepare` it for another size meanwhile.
    """

    name: str
    description: str
    model_info: ModelInfo
    soon_ready: tuple[tuple[int, int], ...] = ()
    gives_confidence = False
    stands_in: Callable[[], Engine] | None = None

    def __call__(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        """Fuse and segment.

        rgb uint8 [B, H, W, 3], thermal uint8 [B, H, W] (scaled and registered to rgb) ->
        fused uint8 [B, H, W, 3], labels uint8 [B, H, W] class ids. Any H and W; the first call at
        a new size compiles, so call `prepare` where that must not happen in a frame.

        Raises ValueError with what was got and expected.
        """
        check_images(rgb, thermal)
        return self.run(rgb, thermal)

    def is_kept(self, height: int, width: int) -> bool:
        """Whether the cache seems to hold what `prepare` takes long to build for this size."""
        return False

    def preparing(self, now: float) -> str:
        """What has been prepared for long in another thread, in words; now: monotonic seconds."""
        return ""

    def prepare(self, height: int, width: int) -> None:
        """Compile for images of this size and run once to warm up."""
        self(np.zeros((1, height, width, 3), np.uint8), np.zeros((1, height, width), np.uint8))

    def with_confidence(self, rgb: Image, thermal: Image) -> tuple[Image, Image, Image | None]:
        """As `__call__`, and how sure the labels are.

        That is uint8 [B, H, W]: 255 times the largest softmax of the pixel's logits, divided by
        the temperature of the weights. It is a second form of the graph, compiled at the first
        call or by `prepare_confidence`; None from an engine that has not compiled it yet.

        Raises ValueError as `__call__` does, and from an engine that gives none.
        """
        check_images(rgb, thermal)
        return self.run_with_confidence(rgb, thermal)

    def prepare_confidence(self, height: int, width: int) -> None:
        """As `prepare`, for `with_confidence`."""
        self.with_confidence(
            np.zeros((1, height, width, 3), np.uint8), np.zeros((1, height, width), np.uint8)
        )

    def run_with_confidence(self, rgb: Image, thermal: Image) -> tuple[Image, Image, Image | None]:
        """Run on checked images; shapes as in `with_confidence`."""
        raise ValueError(f"backend {self.name!r} gives no confidence: choose openvino or torch")

    @abstractmethod
    def run(self, rgb: Image, thermal: Image) -> tuple[Image, Image]:
        """Run on checked images; shapes as in `__call__`."""

    def close(self) -> None:  # noqa: B027 - nothing to free by default
        """Free what the engine holds, and end what another thread prepares, where that can be.

        It cannot be called afterwards.
        """


def check_images(rgb: Image, thermal: Image) -> None:
    """Raise ValueError unless rgb is uint8 [B, H, W, 3] and thermal uint8 [B, H, W]."""
    if rgb.dtype != np.uint8 or rgb.ndim != 4 or rgb.shape[3] != 3 or 0 in rgb.shape:
        raise ValueError(f"rgb must be uint8 [B, H, W, 3], got {rgb.dtype} {list(rgb.shape)}")
    if thermal.dtype != np.uint8 or thermal.shape != rgb.shape[:3]:
        raise ValueError(
            f"thermal must be uint8 {list(rgb.shape[:3])} to go with rgb {list(rgb.shape)}, got "
            f"{thermal.dtype} {list(thermal.shape)}: scale and register it first"
        )
