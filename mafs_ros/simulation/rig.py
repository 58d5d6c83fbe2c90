"""A thermal and an RGB camera that do not see the same rectangle, and where they stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mafs_ros.simulation.rig_camera import RigCamera, intrinsics


@dataclass(frozen=True, eq=False)
class SimulatedRig:
    """Both cameras and the true registration between them.

    rotation [3, 3] and translation [3] in metres take a point from the thermal to the RGB optical
    frame (x right, y down, z forward), as tf2's lookup_transform(rgb frame, thermal frame) does:
    the translation is where the thermal camera stands, seen from the RGB camera.
    """

    rgb: RigCamera
    thermal: RigCamera
    rotation: np.ndarray
    translation: np.ndarray

    def plane_homography(self, depth_m: float) -> np.ndarray:
        """Homography [3, 3] from thermal to RGB pixels, both without their distortion.

        Exact for the plane depth_m in front of the thermal camera, at right angles to its axis.
        """
        on_plane = self.rotation + np.outer(self.translation, [0.0, 0.0, 1.0 / depth_m])
        found = self.rgb.k @ on_plane @ np.linalg.inv(self.thermal.k)
        return np.asarray(found / found[2, 2])

    def thermal_pixels(self, depth: np.ndarray) -> np.ndarray:
        """Thermal pixel [H, W, 2] that sees what each RGB pixel shows at these depths [H, W], m.

        inf is far away; nan where it lies behind the thermal camera.
        """
        # Divided by the depth, so that inf needs no case of its own.
        seen = (
            self.rgb.rays - self.translation / np.asarray(depth, float)[..., None]
        ) @ self.rotation
        seen[seen[..., 2] <= 1e-6] = np.nan
        return self.thermal.project(seen)


def unaligned_rig(height: int = 480, width: int = 640) -> SimulatedRig:
    """A rig as found on robots: a wide RGB camera, a narrower thermal one of half its pixels.

    height, width: of the RGB image. The thermal camera stands 11 cm to the left, 4 cm higher and
    2 cm behind, and is turned by about a degree about each axis; both lenses bend lines outwards
    by several pixels in the corners.
    """
    rgb = RigCamera(
        width,
        height,
        intrinsics(0.86 * width, 0.497 * width, 0.506 * height),
        (-0.24, 0.075, 0.0006, -0.0004, -0.01),
    )
    columns, rows = max(width // 2, 16), max(round(0.8 * width / 2), 16)
    thermal = RigCamera(
        columns,
        rows,
        intrinsics(1.08 * columns, 0.492 * columns, 0.511 * rows),
        (-0.31, 0.12, -0.0005, 0.0007, 0.0),
    )
    return SimulatedRig(
        rgb, thermal, turn(roll=0.9, pitch=-0.8, yaw=1.1), np.array([-0.11, -0.04, -0.02])
    )


def turn(*, roll: float, pitch: float, yaw: float) -> np.ndarray:
    """Rotation [3, 3] from a turned camera's optical frame to the straight one's; degrees.

    roll: clockwise about z; pitch: upwards about x; yaw: to the right about y; in this order.
    """
    z, x, y = np.radians([roll, pitch, yaw])
    about_z = [[np.cos(z), -np.sin(z), 0.0], [np.sin(z), np.cos(z), 0.0], [0.0, 0.0, 1.0]]
    about_x = [[1.0, 0.0, 0.0], [0.0, np.cos(x), -np.sin(x)], [0.0, np.sin(x), np.cos(x)]]
    about_y = [[np.cos(y), 0.0, np.sin(y)], [0.0, 1.0, 0.0], [-np.sin(y), 0.0, np.cos(y)]]
    return np.array(about_y) @ np.array(about_x) @ np.array(about_z)
