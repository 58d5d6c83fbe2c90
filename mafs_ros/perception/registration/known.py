"""What calibrations and transforms have said of the cameras, and the registration that follows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mafs_ros.base.errors import one_line
from mafs_ros.perception.registration.camera_info import content, lens_from
from mafs_ros.perception.registration.cameras import CameraRegistration, Rig
from mafs_ros.perception.registration.lens import Lens
from mafs_ros.perception.registration.transforms import Pose, TransformTree, rotation_of

CAMERAS = {"rgb": "RGB", "thermal": "thermal"}


class KnownCameras:
    """Takes CameraInfo and TF messages as they come; `registration` is there once all is known.

    topics: of CameraInfo by camera ('rgb', 'thermal'); rectified: whether its images are; fixed:
    the transform from the thermal to the RGB camera, None where TF tells it; plane_depth_m and
    with_depth: as for CameraRegistration.

    A CameraInfo that cannot be used, and one that fits no more, leave the registration as it was;
    `trouble` then says what is wrong.
    """

    def __init__(
        self,
        topics: Mapping[str, str],
        rectified: Mapping[str, bool],
        fixed: Pose | None,
        plane_depth_m: float,
        with_depth: bool = False,
    ) -> None:
        self.registration: CameraRegistration | None = None
        self._topics, self._rectified, self._fixed = topics, rectified, fixed
        self._plane_depth_m, self._with_depth = plane_depth_m, with_depth
        self._tree = TransformTree()
        self._contents: dict[str, Any] = {}
        self._lenses: dict[str, Lens] = {}
        self._frames: dict[str, str] = {}
        self._refused: dict[str, str] = {}  # camera, or 'rig' -> why
        self._pose: Pose | None = fixed

    @property
    def needs_transform(self) -> bool:
        """Whether TF is still to tell how the cameras sit."""
        return self._pose is None

    @property
    def is_fixed(self) -> bool:
        """Whether the transform was given, so that TF is not needed."""
        return self._fixed is not None

    @property
    def is_refused(self) -> bool:
        """Whether something was said that cannot be used."""
        return bool(self._refused)

    @property
    def facts(self) -> dict[str, str]:
        """What is known, for /diagnostics."""
        facts = {f"{camera}_camera_info": topic for camera, topic in self._topics.items()}
        facts |= {f"{camera}_frame": frame for camera, frame in self._frames.items()}
        facts |= {f"{camera}_lens": str(lens) for camera, lens in self._lenses.items()}
        facts["plane_depth_m"] = f"{self._plane_depth_m:g}"
        if self.registration is not None:
            facts["baseline_m"] = f"{self.registration.rig.baseline_m:.3f}"
        return facts

    @property
    def description(self) -> str:
        """The registration there is, in a line."""
        if self.registration is None:
            return "none yet"
        rig = self.registration.rig
        return (
            f"{rig.rgb} and {rig.thermal}, {rig.baseline_m:.3f} m apart by "
            f"{'parameters' if self.is_fixed else 'TF'}, plane at {self._plane_depth_m:g} m"
        )

    @property
    def trouble(self) -> str:
        """Why there is no registration, or why it is not by the newest CameraInfo; '' if it is."""
        if self._refused:
            return "; ".join(self._refused.values())
        waiting = [self._topics[camera] for camera in CAMERAS if camera not in self._lenses]
        if waiting:
            return f"no CameraInfo on {' and '.join(waiting)} yet"
        if self._pose is None:
            return (
                f"no transform from {self._frames['thermal']!r} to {self._frames['rgb']!r} on "
                "/tf_static or /tf yet: publish it (static_transform_publisher, "
                "robot_state_publisher), or set thermal_to_rgb_translation_m and "
                "thermal_to_rgb_rotation"
            )
        return ""

    def take_info(self, camera: str, info: Any) -> bool:
        """Take a sensor_msgs/CameraInfo; whether it says something new."""
        new = content(info)
        if self._contents.get(camera) == new:
            return False
        self._contents[camera] = new
        try:
            rectified = self._rectified[camera]
            lens = lens_from(info, CAMERAS[camera], rectified=rectified)
        except ValueError as error:
            self._refused[camera] = f"{one_line(error)} ({self._topics[camera]})"
            return True
        self._refused.pop(camera, None)
        self._lenses[camera] = lens
        if self._frames.get(camera) != info.header.frame_id:
            self._frames[camera] = info.header.frame_id
            self._pose = self._fixed  # of other frames
        self._find_pose()
        self._build()
        return True

    def take_transforms(self, transforms: Iterable[Any]) -> bool:
        """Take geometry_msgs/TransformStamped; whether they say something new of the cameras."""
        self._tree.take(transforms)
        if not self._find_pose():
            return False
        self._build()
        return True

    def set_plane(self, plane_depth_m: float) -> None:
        """Register at another distance from now on."""
        if plane_depth_m != self._plane_depth_m:
            self._plane_depth_m = plane_depth_m
            self._build()

    def _find_pose(self) -> bool:
        """Whether the transform between the cameras is another than before."""
        if self._fixed is not None or len(self._frames) < len(CAMERAS):
            return False
        pose = self._tree.between(self._frames["rgb"], self._frames["thermal"])
        if pose is None or (self._pose is not None and _same(pose, self._pose)):
            return False
        self._pose = pose
        return True

    def _build(self) -> None:
        if self._pose is None or len(self._lenses) < len(CAMERAS):
            return
        self._refused.pop("rig", None)
        try:
            rig = Rig(self._lenses["rgb"], self._lenses["thermal"], *self._pose)
            self.registration = CameraRegistration(
                rig, self._plane_depth_m, with_depth=self._with_depth
            )
        except ValueError as error:
            self._refused["rig"] = one_line(error)


def fixed_pose(translation: Iterable[float], quaternion: Iterable[float]) -> Pose | None:
    """The transform that parameters give; None where both are all 0, which leaves it to TF.

    translation: x, y, z in metres; quaternion: x, y, z, w, all 0 for no rotation.
    """
    t, q = np.array(list(translation), np.float64), np.array(list(quaternion), np.float64)
    if not t.any() and not q.any():
        return None
    return rotation_of(q.tolist()) if q.any() else np.eye(3), t


def _same(pose: Pose, other: Pose) -> bool:
    """Within 0.1 mm and 0.006 degrees: transforms of /tf waver in their last digits."""
    return all(
        np.allclose(one, two, rtol=0, atol=1e-4) for one, two in zip(pose, other, strict=True)
    )
