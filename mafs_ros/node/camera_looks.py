"""What is wrong with the images of one camera, judged as they arrive."""

from collections import Counter
from typing import Any

from mafs_ros.images.messages.glimpse import glimpse, is_compressed
from mafs_ros.images.messages.pixels import ImageError
from mafs_ros.perception.dead_images import FROZEN, SENSORS, UNREADABLE, Repeats, without_picture

LOOK_S = 0.2  # between two images of a compressed topic that are decoded for this


class CameraLooks:
    """camera: 'rgb' or 'thermal'. counts: images by what was wrong with them."""

    def __init__(self, camera: str) -> None:
        self.counts: Counter[str] = Counter()
        self._sensor = SENSORS[camera]
        self._repeats = Repeats()
        self._looked = 0.0
        self._showed = ""  # what was wrong with what the newest image that was looked at shows

    def __call__(self, message: Any, now: float) -> str | None:
        """What is wrong with an image, '' for nothing, None where it was not looked at."""
        fault = self._fault(message, now)
        if fault:
            self.counts[fault] += 1
        return fault

    def _fault(self, message: Any, now: float) -> str | None:
        if self._repeats(message.data):
            return self._showed or FROZEN
        if is_compressed(message):
            if now - self._looked < LOOK_S:
                return None
            self._looked = now
        self._showed = ""
        try:
            plane = glimpse(message)
        except ImageError:
            return UNREADABLE
        if plane is not None:
            self._showed = without_picture(plane, self._sensor)
        return self._showed
