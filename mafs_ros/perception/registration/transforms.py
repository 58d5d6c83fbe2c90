"""Transforms between frames: quaternions, and a chain through a tree of TF messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from mafs_ros.perception.registration.numbers import Matrix, numbers

Pose = tuple[Matrix, Matrix]  # rotation 3x3 and translation 3 in metres: p -> R p + t


def rotation_of(quaternion: Sequence[float]) -> Matrix:
    """The 3x3 rotation of a quaternion x, y, z, w, of whatever length; ValueError for none."""
    q = numbers("a quaternion", quaternion, (4,))
    length = np.linalg.norm(q)
    if length < 1e-6:
        raise ValueError(f"a quaternion x, y, z, w must not be all 0, got {q.tolist()}")
    x, y, z, w = q / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


class TransformTree:
    """The newest transform of each frame to its parent, of /tf_static and /tf messages."""

    def __init__(self) -> None:
        self._parents: dict[str, tuple[str, Pose]] = {}  # child -> parent, pose in the parent

    def take(self, transforms: Iterable[Any]) -> None:
        """Take geometry_msgs/TransformStamped messages; those without a rotation are left out."""
        for transform in transforms:
            t, q = transform.transform.translation, transform.transform.rotation
            try:
                pose = (
                    rotation_of((q.x, q.y, q.z, q.w)),
                    numbers("a translation", (t.x, t.y, t.z), (3,)),
                )
            except ValueError:
                continue
            child, parent = (
                name.lstrip("/") for name in (transform.child_frame_id, transform.header.frame_id)
            )
            self._parents[child] = (parent, pose)

    def between(self, target: str, source: str) -> Pose | None:
        """What takes a point from the frame `source` to `target`; None where no chain does."""
        to_target, to_source = self._ancestors(target), self._ancestors(source)
        for frame, (r_source, t_source) in to_source.items():
            if frame in to_target:
                r_target, t_target = to_target[frame]
                return r_target.T @ r_source, r_target.T @ (t_source - t_target)
        return None

    def _ancestors(self, frame: str) -> dict[str, Pose]:
        """The frame itself and all above it -> what takes a point of the frame there."""
        frame = frame.lstrip("/")
        pose: Pose = (np.eye(3), np.zeros(3))
        found = {frame: pose}
        while frame in self._parents:
            frame, (r, t) = self._parents[frame]
            if frame in found:  # a circle
                break
            pose = found[frame] = (r @ pose[0], r @ pose[1] + t)
        return found
