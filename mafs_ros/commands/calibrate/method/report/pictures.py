"""Pictures of how two images lie on each other. All are uint8 [h, w, 3] in BGR order."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.commands.calibrate.method.frames import Frame
from mafs_ros.commands.calibrate.method.surfaces import CELLS, cell_surfaces
from mafs_ros.perception.alignment.orientation import STRONGEST, orientation
from mafs_ros.perception.registration.numbers import Matrix, rescaling

Picture = NDArray[np.uint8]
TILES = 8  # of a checkerboard, across
WIDTH, REACH = 320, 6  # of the surfaces of the errors: up to 12 pixels at 640
CLEAR = 4.0  # deviations from which on a peak of a cell tells something
ARROW = 4  # times the true length


def resized(frame: Frame) -> Matrix:
    """The homography of no registration: the thermal image is resized to the RGB image."""
    return rescaling(frame.thermal_size, frame.rgb_size)


def registered(frame: Frame, homography: Matrix) -> Picture:
    """The thermal image in colours on the RGB image, black where it sees nothing.

    homography: thermal to RGB pixels of the images as they came.
    """
    height, width = frame.rgb.shape
    warped = cv2.warpPerspective(frame.thermal, on_frame(frame, homography), (width, height))
    return np.asarray(cv2.applyColorMap(warped, cv2.COLORMAP_INFERNO), np.uint8)


def on_frame(frame: Frame, homography: Matrix) -> Matrix:
    """The homography for the reduced images of a frame."""
    to_full = rescaling(_size(frame.thermal), frame.thermal_size)
    return np.asarray(rescaling(frame.rgb_size, _size(frame.rgb)) @ homography @ to_full)


def grey(frame: Frame) -> Picture:
    """The RGB image as it was measured."""
    return np.asarray(cv2.cvtColor(frame.rgb, cv2.COLOR_GRAY2BGR), np.uint8)


def checkerboard(frame: Frame, homography: Matrix) -> Picture:
    """Tiles of the RGB and of the thermal image in turn."""
    height, width = frame.rgb.shape
    side = max(width // TILES, 1)
    rows, columns = np.indices((height, width)) // side
    odd = ((rows + columns) % 2 == 1)[..., None]
    return np.where(odd, registered(frame, homography), grey(frame))


def edges(frame: Frame, homography: Matrix) -> Picture:
    """The edges of the RGB image in cyan, those of the thermal image in red; white is both."""
    height, width = frame.rgb.shape
    warp = on_frame(frame, homography)
    warped = cv2.warpPerspective(frame.thermal, warp, (width, height))
    seen = cv2.warpPerspective(np.ones(frame.thermal.shape, np.float32), warp, (width, height))
    mask = cv2.erode((seen > 0.999).astype(np.float32), np.ones((7, 7)))
    red, cyan = (
        255 * np.linalg.norm(vectors, axis=2) / STRONGEST
        for vectors in (orientation(warped, mask), orientation(frame.rgb))
    )
    return np.dstack([cyan, cyan, red * mask]).astype(np.uint8)


def errors(frames: list[Frame], homography: Matrix) -> Picture:
    """Where the thermal image still lies beside the RGB image, summed over the frames.

    An arrow in each part of the image that tells something, ARROW times as long as it is.
    """
    frame = frames[0]
    surfaces, size = cell_surfaces(frames, on_frame(frame, homography), WIDTH, REACH)
    picture = grey(frame) // 2
    scale = frame.rgb.shape[1] / size[1]
    for number, surface in enumerate(surfaces):
        shift = _clear_peak(surface)
        if shift is None:
            continue
        row, column = divmod(number, CELLS[1])
        x = (column + 0.5) * frame.rgb.shape[1] / CELLS[1]
        y = (row + 0.5) * frame.rgb.shape[0] / CELLS[0]
        start = np.array([x, y])
        end = start + ARROW * scale * np.array(shift)
        cv2.circle(picture, (round(x), round(y)), 2, (80, 220, 255), -1, cv2.LINE_AA)
        tip = (round(float(end[0])), round(float(end[1])))
        cv2.arrowedLine(picture, (round(x), round(y)), tip, (80, 220, 255), 1, cv2.LINE_AA)
    return picture


def _clear_peak(surface: NDArray[np.float32]) -> tuple[float, float] | None:
    smooth = cv2.GaussianBlur(surface, (0, 0), 1.0, borderType=cv2.BORDER_REPLICATE)
    y, x = np.unravel_index(int(smooth.argmax()), smooth.shape)
    spread = 1.4826 * float(np.median(np.abs(smooth - np.median(smooth)))) + 1e-9
    at_border = not (0 < x < 2 * REACH and 0 < y < 2 * REACH)
    if at_border or (smooth[y, x] - np.median(smooth)) / spread < CLEAR:
        return None
    return float(x - REACH), float(y - REACH)


def _size(image: NDArray[np.uint8]) -> tuple[int, int]:
    return image.shape[0], image.shape[1]
