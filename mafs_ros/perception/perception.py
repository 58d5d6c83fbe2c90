"""One pair of images in, fused image and label map out: scaling, registration, engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mafs_ros.base.remarks import Remark

if TYPE_CHECKING:
    from mafs_ros.engine import Engine

Image = NDArray[np.uint8]
UNLABELLED = 255  # by vision_msgs/LabelInfo: the largest id of a mono8 label map


@dataclass(frozen=True)
class Perceived:
    """What was made of one pair; all of the RGB image's height and width.

    fused: uint8 [H,W,3] rgb; labels: uint8 [H,W] class ids; thermal: uint8 [H,W], the thermal
    image as the network saw it; timings_ms: wall time of 'thermal' (scaling), 'registration' and
    'engine'; remarks: what was noticed about the images, for whoever reads the log, each once;
    confidence: uint8 [H,W], see `Engine.with_confidence`, None where it was not asked for or is
    not compiled yet; threshold: the confidence, 0..1, below which labels were made UNLABELLED.
    """

    fused: Image
    labels: Image
    thermal: Image
    timings_ms: dict[str, float]
    remarks: tuple[Remark, ...] = ()
    confidence: Image | None = None
    threshold: float = 0.0


class Perception:
    """Scales a thermal image, registers it to the RGB image and runs the engine on the pair.

    engine: see `mafs_ros.engine`; scaler: `ThermalScaler`, or another function of a thermal image
    and its stamp; registration: `Registration` or `CameraRegistration`, None while it is not known
    how the cameras see; confidence_threshold: 0..1, of the labels where confidence is asked for.
    Each may be replaced between two calls (live parameters): a call uses those it found at its
    start.
    """

    def __init__(
        self,
        engine: Engine,
        scaler: Callable[[NDArray[Any], float], Image],
        registration: Callable[..., Image] | None,
    ) -> None:
        self.engine = engine
        self.scaler = scaler
        self.registration = registration
        self.confidence_threshold = 0.0

    def __call__(
        self,
        rgb: Image,
        thermal: NDArray[Any],
        stamp_s: float,
        depth: NDArray[np.float32] | None = None,
        confidence: bool = False,
        remember: bool = True,
    ) -> Perceived:
        """Perceive one pair.

        rgb: uint8 [H,W,3]; thermal: uint8, uint16 or float32 [h,w]; stamp_s: acquisition time of
        the thermal image in seconds; depth: float32, metres of the RGB camera's view, for a
        `CameraRegistration`; confidence: ask the engine for it; remember: False for a thermal
        image that shows nothing and must not move the range of those to come. Raises ValueError
        that says which image does not fit and why; the pair is then to be skipped.
        """
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0 or rgb.dtype != np.uint8:
            raise ValueError(
                f"rgb must be uint8 [H,W,3] and not empty, got {rgb.dtype} {list(rgb.shape)}"
            )
        scaler, registration = self.scaler, self.registration
        if registration is None:
            raise ValueError("it is not known yet how the cameras see (registration: camera_info)")
        start = time.perf_counter()
        scaled = scaled_by(scaler, remember)(thermal, stamp_s)
        scaled_at = time.perf_counter()
        size = (rgb.shape[0], rgb.shape[1])
        registered = (
            registration(scaled, size) if depth is None else registration(scaled, size, depth)
        )
        registered_at = time.perf_counter()
        fused, labels, sure, threshold = self.run(rgb, registered, confidence)
        end = time.perf_counter()
        timings_ms = {
            "thermal": 1e3 * (scaled_at - start),
            "registration": 1e3 * (registered_at - scaled_at),
            "engine": 1e3 * (end - registered_at),
        }
        remarks = (*remarks_of(scaler), *remarks_of(registration))
        return Perceived(fused, labels, registered, timings_ms, remarks, sure, threshold)

    def run(
        self, rgb: Image, thermal: Image, confidence: bool
    ) -> tuple[Image, Image, Image | None, float]:
        """What the engine makes of rgb uint8 [H,W,3] and thermal uint8 [H,W]: see `Perceived`.

        fused, labels, confidence and threshold.
        """
        engine, threshold = self.engine, self.confidence_threshold
        # A batch of one: views, unless an image came as a mirrored or padded view.
        images = np.ascontiguousarray(rgb)[None], np.ascontiguousarray(thermal)[None]
        fused, labels, sure = (
            engine.with_confidence(*images) if confidence else (*engine(*images), None)
        )
        if sure is None:
            return fused[0], labels[0], None, 0.0
        if threshold > 0:
            labels = np.where(sure < 255 * threshold, np.uint8(UNLABELLED), labels)
        return fused[0], labels[0], sure[0], threshold


def scaled_by(scaler: Any, remember: bool) -> Callable[[NDArray[Any], float], Image]:
    """The scaler, or what scales as it does now and leaves it as it is."""
    return scaler if remember else getattr(scaler, "once", scaler)


def remarks_of(part: Any) -> tuple[Remark, ...]:
    """The new remarks of a scaler or registration; another function has none."""
    return part.remarks.take() if hasattr(part, "remarks") else ()
