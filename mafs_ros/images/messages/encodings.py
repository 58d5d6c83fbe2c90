"""The encodings of sensor_msgs/Image that are understood."""

from __future__ import annotations

import cv2
import numpy as np

IMAGE_ENCODINGS = {
    (np.dtype(np.uint8), 3): "rgb8",
    (np.dtype(np.uint8), 2): "mono8",
    (np.dtype(np.uint16), 2): "mono16",
    (np.dtype(np.float32), 2): "32FC1",
}
# Encoding -> channels in the message, conversion to RGB. OpenCV names a Bayer pattern by the
# second and third pixel of its second row: its BG is what ROS and camera makers call RGGB.
RGB_ENCODINGS: dict[str, tuple[int, int | None]] = {
    "rgb8": (3, None),
    "bgr8": (3, cv2.COLOR_BGR2RGB),
    "rgba8": (4, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, cv2.COLOR_BGRA2RGB),
    "mono8": (1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": (1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": (1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (1, cv2.COLOR_BayerGB2RGB),
    "yuv422": (2, cv2.COLOR_YUV2RGB_UYVY),
    "uyvy": (2, cv2.COLOR_YUV2RGB_UYVY),
    "yuv422_yuy2": (2, cv2.COLOR_YUV2RGB_YUY2),
    "yuyv": (2, cv2.COLOR_YUV2RGB_YUY2),
}
THERMAL_ENCODINGS: dict[str, type] = {
    "mono8": np.uint8,
    "8UC1": np.uint8,
    "mono16": np.uint16,
    "16UC1": np.uint16,
    "32FC1": np.float32,
}
