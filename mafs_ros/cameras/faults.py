"""Faults of cameras that are set while they run: parameters rgb_fault and thermal_fault."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage

from mafs_ros.images.messages.cdr import Image, read_image, write_image
from mafs_ros.images.messages.encodings import THERMAL_ENCODINGS

NONE, SILENT, FROZEN, BLACK, COVERED = CAMERA_FAULTS = (
    "none", "silent", "frozen", "black", "covered",
)  # fmt: skip
DARK, DARK_NOISE = 12.0, 2.0  # grey levels of a covered RGB camera
THERMAL_NOISE = {"uint8": 2.0, "uint16": 5.0, "float32": 0.05}


class Faults:
    """Changes the messages of cameras as the parameters say at the time.

    types: of the messages, where they are no Image. Raises ValueError for a fault that the images
    of a camera cannot have.
    """

    def __init__(self, node: Node, values: Mapping[str, Any], types: Mapping[str, type]) -> None:
        self._compressed = {name for name, kind in types.items() if kind is CompressedImage}
        self._faults = {name: values[f"{name}_fault"] for name in ("rgb", "thermal")}
        self._last: dict[str, bytes] = {}
        self._noise: dict[str, np.ndarray] = {}
        self._rng = np.random.default_rng(values["seed"])
        for name, fault in self._faults.items():
            if problem := self._problem(name, fault):
                raise ValueError(problem)
        node.add_on_set_parameters_callback(self._on_set)

    def is_silent(self, camera: str) -> bool:
        return self._faults.get(camera) == SILENT

    def __call__(self, camera: str, message: bytes) -> bytes:
        """The serialised message that a camera sends in place of this one."""
        fault = self._faults.get(camera, NONE)
        if fault == FROZEN:
            return self._last.setdefault(camera, message)
        self._last[camera] = message
        if fault in (BLACK, COVERED):
            image = read_image(message)
            black = np.zeros(len(image.data), np.uint8)
            return _with_data(image, black if fault == BLACK else self._covered(camera, image))
        return message

    def _covered(self, camera: str, image: Image) -> np.ndarray:
        """Bytes of an image of noise: dark, or for the thermal camera all of one temperature."""
        thermal = camera == "thermal" and image.encoding in THERMAL_ENCODINGS
        dtype = np.dtype(THERMAL_ENCODINGS[image.encoding] if thermal else np.uint8)
        pixels = np.frombuffer(image.data, dtype)
        if camera not in self._noise or self._noise[camera].size != pixels.size:
            level = float(pixels.mean()) if thermal else DARK
            deviation = THERMAL_NOISE[dtype.name] if thermal else DARK_NOISE
            noise = self._rng.normal(level, deviation, pixels.size)
            self._noise[camera] = noise.clip(0, None).astype(dtype)
        return np.roll(self._noise[camera], int(self._rng.integers(pixels.size))).view(np.uint8)

    def _problem(self, camera: str, fault: str) -> str:
        allowed = (NONE, SILENT, FROZEN) if camera in self._compressed else CAMERA_FAULTS
        if fault in allowed:
            return ""
        kind = "compressed images" if camera in self._compressed else "images"
        return f"parameter {camera}_fault: got {fault!r} for {kind}, expected one of " + ", ".join(
            allowed
        )

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        given = {f"{name}_fault": name for name in self._faults}
        changes = {given[p.name]: p.value for p in parameters if p.name in given}
        for camera, fault in changes.items():
            if problem := self._problem(camera, fault):
                return SetParametersResult(successful=False, reason=problem)
        self._faults.update(changes)
        return SetParametersResult(successful=True)


def _with_data(image: Image, data: np.ndarray) -> bytes:
    stamp = image.header.stamp
    return write_image(
        (stamp.sec, stamp.nanosec),
        image.header.frame_id,
        image.height,
        image.width,
        image.encoding,
        image.step,
        data.data.cast("B"),
    )
