"""Which flat surface every pixel of a picture shows, from which its exact depth follows.

Shapes are painted far ones first, so a depth painted with them would have to be worked out pixel
by pixel and shape by shape. Painted is the number of the shape's plane instead: on a plane 1/z is
linear over the image, so that depth is worked out once, at the end, at any point of a pixel.
"""

from __future__ import annotations

import numpy as np

from mafs_ros.simulation.camera import NEAR_M, Camera

SKY = 0


class Surfaces:
    """The number of the surface in every pixel, `numbers` int32 [H, W]; SKY where nothing is.

    A plane is kept as the vector n (right, up, forward of the camera, 1/m) with n @ p = 1 for its
    points p: a ray r meets it at r / (n @ r).
    """

    def __init__(self, camera: Camera):
        self.numbers = np.full((camera.height, camera.width), SKY, np.int32)
        self._camera = camera
        self._planes = [np.zeros((1, 3))]
        self._limits = [np.full((1, 2), np.inf)]
        self._count = 1

    def add(self, points: np.ndarray, normals: np.ndarray, reach: np.ndarray) -> list[int]:
        """Numbers of new planes through world points [N, 3] at right angles to normals [N, 3].

        reach [N]: metres from the point to the farthest corner of what is painted. No depth is
        ever outside of it: a shape's border is half a pixel too far out, where the plane of a
        surface seen at a flat angle is somewhere else.
        """
        points = self._camera.to_camera(np.asarray(points, float))
        normals = self._camera.turned(np.asarray(normals, float))
        distance = (points * normals).sum(axis=1)
        # A plane through the eye is a line in the image: any large number will do.
        distance = np.where(np.abs(distance) < 1e-6, 1e-6, distance)
        self._planes.append(normals / distance[:, None])
        near = np.maximum(points[:, 2] - reach, NEAR_M)
        self._limits.append(np.stack([near, np.maximum(points[:, 2] + reach, near)], axis=1))
        first, self._count = self._count, self._count + len(points)
        return list(range(first, self._count))

    def depth(self, numbers: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """How often each ray goes into the way to its surface, float32 [...]; inf for the sky.

        numbers int32 [...]; rays [..., 3] in axes of the camera, of any length: of rays that are 1
        long along another camera's axis the result is the depth in that camera.
        """
        planes = np.concatenate(self._planes).astype(np.float32)[numbers]
        limits = np.concatenate(self._limits).astype(np.float32)[numbers]
        inverse = np.einsum("...i,...i->...", planes, rays)
        far = np.divide(rays[..., 2], inverse, out=np.full_like(inverse, np.inf),
                        where=inverse > 1e-9)  # fmt: skip
        return np.clip(far, limits[..., 0], limits[..., 1]) / rays[..., 2]
