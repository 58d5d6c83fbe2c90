"""Objects that are seen where there are none: a car on a facade, which IoU hardly shows."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

FALSE_OBJECT_PERCENT = 1.0  # from this size on a person takes one for a car


def largest_false_object(
    labels: NDArray[np.integer], predicted: NDArray[np.integer], ignore_id: int = 255
) -> float:
    """Size in percent of the image of the largest predicted object that none is behind.

    labels, predicted: integer [H, W]. An object is a region of one predicted class but the
    background (id 0), connected by edges or corners. It is false where none of its pixels is
    labelled as any object or as ignored. 0 where there is none.
    """
    objects = (labels != 0) | (labels == ignore_id)
    largest = 0
    for class_id in np.unique(predicted[predicted != 0]):
        _, regions = cv2.connectedComponents((predicted == class_id).astype(np.uint8))
        sizes = np.bincount(regions.ravel())
        sizes[np.unique(regions[objects])] = 0  # region 0, all the rest, goes too
        sizes[0] = 0
        largest = max(largest, int(sizes.max()))
    return 100 * largest / predicted.size
