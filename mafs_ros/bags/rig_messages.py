"""What a calibrated rig publishes beside its images: CameraInfo, the static transform, depth."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from mafs_ros.bags.reader import CAMERA_INFO, TF_MESSAGE, TYPES
from mafs_ros.bags.writer import image_header
from mafs_ros.images.messages.cdr import Header, Stamp
from mafs_ros.images.messages.encode import serialised_image
from mafs_ros.simulation.rig import SimulatedRig
from mafs_ros.simulation.rig_camera import RigCamera

TF_STATIC = "/tf_static"
FARTHEST_MM = 65535


def camera_info(camera: RigCamera, frame_id: str, stamp: int = 0) -> bytes:
    """A serialised sensor_msgs/CameraInfo (plumb_bob, not rectified); stamp in ns."""
    roi = TYPES.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    message = TYPES.types[CAMERA_INFO](
        header=image_header(stamp, frame_id),
        height=camera.height,
        width=camera.width,
        distortion_model="plumb_bob",
        d=np.array(camera.distortion, np.float64),
        k=np.asarray(camera.k, np.float64).ravel(),
        r=np.eye(3).ravel(),
        p=np.column_stack([camera.k, np.zeros(3)]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=roi,
    )
    return bytes(TYPES.serialize_cdr(message, CAMERA_INFO))


def static_transform(
    rig: SimulatedRig, rgb_frame_id: str, thermal_frame_id: str, stamp: int = 0
) -> bytes:
    """A serialised tf2_msgs/TFMessage: where the thermal optical frame is in the RGB one."""
    vector = cv2.Rodrigues(np.asarray(rig.rotation, float))[0].ravel()
    angle = float(np.linalg.norm(vector))
    x, y, z = vector * (np.sin(0.5 * angle) / angle if angle else 0.5)
    types: Any = TYPES.types
    transform = types["geometry_msgs/msg/Transform"](
        translation=types["geometry_msgs/msg/Vector3"](*map(float, rig.translation)),
        rotation=types["geometry_msgs/msg/Quaternion"](
            float(x), float(y), float(z), float(np.cos(0.5 * angle))
        ),
    )
    stamped = types["geometry_msgs/msg/TransformStamped"](
        header=image_header(stamp, rgb_frame_id),
        child_frame_id=thermal_frame_id,
        transform=transform,
    )
    message = types[TF_MESSAGE](transforms=[stamped])
    return bytes(TYPES.serialize_cdr(message, TF_MESSAGE))


def depth_image(depth: np.ndarray, frame_id: str, stamp: int = 0) -> bytes:
    """A serialised sensor_msgs/Image, 16UC1 in mm as REP 118, of depth float32 [H, W] in m.

    0, which is no measurement there, for the sky and what is beyond 65 m.
    """
    millimetres = np.nan_to_num(depth * 1000.0, nan=0.0, posinf=0.0)
    millimetres = np.rint(np.where(millimetres > FARTHEST_MM, 0.0, millimetres)).astype(np.uint16)
    header = Header(Stamp(*divmod(stamp, 10**9)), frame_id)
    return serialised_image(millimetres, "16UC1", header)
