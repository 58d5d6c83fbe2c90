"""Calibration of both cameras by a board that both see: lenses, and how the cameras sit.

A checkerboard, or circles in rows or staggered (asymmetric), warmed or of two materials, so that
the thermal camera sees it too; its contrast may be inverted there. Each camera is calibrated by
all images that show the whole board, the way from one to the other by the pairs.

A board turned by 180 degrees looks the same, or the same with the contrast inverted, so the order
of its points may differ between the cameras: of both orders the one is taken by which the cameras
sit the same in most pairs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.commands.calibrate.method.errors import CalibrationError
from mafs_ros.perception.registration import Rig
from mafs_ros.perception.registration.lens import Lens

KINDS = ("checkerboard", "circles", "asymmetric_circles")
LEAST_VIEWS = 8
MOST_VIEWS = 40  # the time grows with the square of it, the accuracy no more
SMALL_PX = 400  # images less wide are searched doubled too
WORST_ERROR_PX = 1.0
WORST_FOCAL = 0.02  # standard deviation of the focal length, as a share of it
Points = NDArray[np.float32]


@dataclass(frozen=True)
class Board:
    """kind: of KINDS; columns, rows: inner corners, or circles, of a row and of a column; step_m:
    side of a square, or between circles (asymmetric: between rows, half of that in a row)."""

    kind: str
    columns: int
    rows: int
    step_m: float

    @property
    def points(self) -> Points:
        """Its points in metres, [N, 3], in the order in which OpenCV finds them."""
        row, column = np.mgrid[: self.rows, : self.columns]
        if self.kind == "asymmetric_circles":
            column = 2 * column + row % 2
        flat = np.stack([column, row, np.zeros_like(row)], -1).reshape(-1, 3)
        return (flat * self.step_m).astype(np.float32)


def board_from(text: str) -> Board:
    """'checkerboard:9x6:0.025': kind, columns x rows, metres. Raises ValueError."""
    match = re.fullmatch(r"(\w+):(\d+)x(\d+):([\d.]+)", text)
    if match is None or match[1] not in KINDS or float(match[4]) <= 0:
        raise ValueError(
            f"got the board {text!r}, expected KIND:COLUMNSxROWS:METRES, as "
            "checkerboard:9x6:0.025 (inner corners, side of a square) or circles:7x5:0.05; kinds: "
            f"{', '.join(KINDS)}"
        )
    board = Board(match[1], int(match[2]), int(match[3]), float(match[4]))
    if min(board.columns, board.rows) < 3 or board.columns == board.rows:
        raise ValueError(
            f"got a board of {match[2]}x{match[3]}, expected 3 or more each way and not as many, "
            "so that it is known which way it is turned"
        )
    return board


class View(NamedTuple):
    """The points of the board in one pair of images; None where it was not found."""

    name: str
    rgb: Points | None
    thermal: Points | None


@dataclass(frozen=True)
class BoardCalibration:
    """rig: both lenses, and what takes points from the thermal to the RGB camera; errors_px: mean
    distance of found from expected points, of 'rgb', 'thermal' and 'both'; views: how many."""

    rig: Rig
    errors_px: dict[str, float]
    views: dict[str, int]


@dataclass
class _Camera:
    """One camera calibrated alone. poses: by name of the view, rotation and translation."""

    lens: Lens
    error_px: float
    poses: dict[str, tuple[Any, Any]] = field(default_factory=dict)


def find_board(image: NDArray[Any], board: Board) -> Points | None:
    """The points of the board in an image, [N, 2] in pixels; None where it is not wholly there.

    image: uint8 [H,W,3] rgb, or [h,w] of any type; bright and dark may be the other way round.
    """
    grey = _grey(image)
    for scale in (1, 2) if grey.shape[1] < SMALL_PX else (1,):
        size = (grey.shape[1] * scale, grey.shape[0] * scale)
        large = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        for one in (large, 255 - large):
            points = _points(one, board)
            if points is not None:
                return ((points.reshape(-1, 2) + 0.5) / scale - 0.5).astype(np.float32)
    return None


def _points(image: NDArray[np.uint8], board: Board) -> NDArray[Any] | None:
    """What OpenCV finds of a board that is dark on bright; None unless it is all."""
    size = (board.columns, board.rows)
    if board.kind == "checkerboard":
        flags = cv2.CALIB_CB_NORMALIZE_IMAGE
        found, points = cv2.findChessboardCornersSB(image, size, flags=flags)
        if found:
            points = _refined(image, points, board)
    else:
        symmetric = board.kind == "circles"
        grid = cv2.CALIB_CB_SYMMETRIC_GRID if symmetric else cv2.CALIB_CB_ASYMMETRIC_GRID
        found, points = cv2.findCirclesGrid(image, size, flags=grid, blobDetector=_blobs(image))
    return np.asarray(points) if found else None


def _refined(image: NDArray[np.uint8], corners: NDArray[Any], board: Board) -> NDArray[Any]:
    """Corners where the gradients around them meet: those found lie off by parts of a pixel."""
    rows = corners.reshape(board.rows, board.columns, 2)
    sides = [np.linalg.norm(np.diff(rows, axis=axis), axis=-1).min() for axis in (0, 1)]
    reach = max(int(0.4 * min(sides)), 2)  # the next corner stays outside
    until = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 50, 0.001)
    return np.asarray(cv2.cornerSubPix(image, corners.copy(), (reach, reach), (-1, -1), until))


def calibrate_views(
    views: Iterable[View], board: Board, sizes: dict[str, tuple[int, int]]
) -> BoardCalibration:
    """Both cameras by the boards found. sizes: (height, width) by 'rgb' and 'thermal'.

    Raises CalibrationError where the views do not suffice, with counts.
    """
    views = list(views)
    both = [view for view in views if view.rgb is not None and view.thermal is not None]
    counts = {
        "rgb": sum(view.rgb is not None for view in views),
        "thermal": sum(view.thermal is not None for view in views),
        "both": len(both),
    }
    found = (
        f"the board ({board.kind}, {board.columns}x{board.rows}) was found in {counts['rgb']} of "
        f"{len(views)} RGB and {counts['thermal']} of {len(views)} thermal images, in both of "
        f"{counts['both']} pairs"
    )
    if len(both) < LEAST_VIEWS:
        raise CalibrationError(
            f"{found}; at least {LEAST_VIEWS} pairs are needed: hold it still, whole in both "
            "images, and warm it (sun, lamp, hair dryer) if the thermal camera does not see it"
        )
    cameras = {
        camera: _calibrate_alone(camera, _spread(views, camera, both), board, sizes[camera], found)
        for camera in ("rgb", "thermal")
    }
    both = [v for v in both if all(v.name in camera.poses for camera in cameras.values())]
    rig, error_px = _calibrate_together(both, cameras, board, found)
    errors = {name: camera.error_px for name, camera in cameras.items()}
    return BoardCalibration(rig, {**errors, "both": error_px}, counts)


def _grey(image: NDArray[Any]) -> NDArray[np.uint8]:
    """8 bits of whatever there is, stretched from the 1st to the 99th percentile."""
    if image.ndim == 3:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    numbers = np.nan_to_num(image.astype(np.float32))
    low, high = np.percentile(numbers, (1, 99))
    stretched = (numbers - low) * (255 / max(high - low, 1e-6))
    return np.clip(stretched, 0, 255).astype(np.uint8)


def _blobs(image: NDArray[np.uint8]) -> Any:
    opencv: Any = cv2  # its type information lacks these names
    parameters = opencv.SimpleBlobDetector_Params()
    parameters.minArea, parameters.maxArea = 10.0, image.size / 30
    parameters.minDistBetweenBlobs = 3.0
    return opencv.SimpleBlobDetector_create(parameters)


def _spread(views: list[View], camera: str, both: list[View]) -> list[View]:
    """Views with the board in this camera's image: those of pairs first, evenly over time."""
    of_pairs = {view.name for view in both}
    alone = [
        view for view in views if getattr(view, camera) is not None and view.name not in of_pairs
    ]
    return [
        group[round(index)]
        for group, room in ((both, MOST_VIEWS), (alone, max(0, MOST_VIEWS - len(both))))
        for index in np.linspace(0, len(group) - 1, min(len(group), room))
    ]


def _calibrate_alone(
    camera: str, views: list[View], board: Board, size: tuple[int, int], found: str
) -> _Camera:
    opencv: Any = cv2  # its type information knows no None
    points = [getattr(view, camera) for view in views]
    error, k, d, r, t, deviations, *_ = opencv.calibrateCameraExtended(
        [board.points] * len(points),
        points,
        size[::-1],
        None,
        None,
        flags=cv2.CALIB_FIX_K3,
    )
    name = {"rgb": "RGB"}.get(camera, camera)
    uncertain = float(deviations[0, 0] / k[0, 0])
    if not uncertain < WORST_FOCAL:
        raise CalibrationError(
            f"{found}; the focal length of the {name} camera is uncertain by {uncertain:.0%}: "
            "tilt the board by up to 45 degrees in all directions, near and far, and into the "
            "corners of the image"
        )
    if error > WORST_ERROR_PX:
        raise CalibrationError(
            f"{found}; its points lie {error:.1f} pixels from where the {name} camera should see "
            "them: is the board flat, are columns and rows right, was it held still?"
        )
    poses = {
        view.name: (cv2.Rodrigues(rotation)[0], translation.ravel())
        for view, rotation, translation in zip(views, r, t, strict=True)
    }
    return _Camera(Lens(name, size, k, d.ravel()[:5]), float(error), poses)


def _calibrate_together(
    views: list[View], cameras: dict[str, _Camera], board: Board, found: str
) -> tuple[Rig, float]:
    """The way from the thermal to the RGB camera, and its error in pixels."""
    thermal, turned_ok = _same_order(views, cameras, board)
    if turned_ok < LEAST_VIEWS:
        raise CalibrationError(
            f"{found}; only in {turned_ok} of these pairs do the cameras sit the same to each "
            "other: hold the board still, and check that the pairs were taken at the same time"
        )
    rgb_points = [v.rgb for v in views if v.name in thermal and v.rgb is not None]
    thermal_points = [thermal[view.name] for view in views if view.name in thermal]
    lenses = cameras["thermal"].lens, cameras["rgb"].lens
    error, _, _, _, _, r, t, *_ = cv2.stereoCalibrate(
        [board.points] * len(rgb_points),
        thermal_points,
        rgb_points,
        lenses[0].k,
        lenses[0].distortion,
        lenses[1].k,
        lenses[1].distortion,
        lenses[0].size[::-1],
        flags=cv2.CALIB_FIX_INTRINSIC,
    )
    return Rig(
        lenses[1], lenses[0], np.asarray(r, np.float64), np.asarray(t, np.float64).ravel()
    ), float(error)


def _same_order(
    views: list[View], cameras: dict[str, _Camera], board: Board
) -> tuple[dict[str, Points], int]:
    """Thermal points by view in the order of the RGB points, for the views that agree."""
    middle_turn = np.diag([-1.0, -1.0, 1.0])
    span = board.points[-1].astype(np.float64) + board.points[0]
    candidates = []
    for view in views:
        r_rgb, t_rgb = cameras["rgb"].poses[view.name]
        r, t = cameras["thermal"].poses[view.name]
        for turned in (False, True):
            if turned:  # the board turned by half about its middle
                r, t = r @ middle_turn, t + r @ span
            rotation = r_rgb @ r.T
            candidates.append(
                (view, turned, rotation, t_rgb - rotation @ t, np.linalg.norm(t_rgb))
            )
    best: list[Any] = []
    for _, _, rotation, translation, _ in candidates:
        agree = [
            c
            for c in candidates
            if _angle(c[2] @ rotation.T) < 5 and np.linalg.norm(c[3] - translation) < 0.05 * c[4]
        ]
        if (len(agree), -_angle(rotation)) > (len(best), -_angle(best[0][2]) if best else 0.0):
            best = agree
    chosen = {
        view.name: view.thermal[::-1].copy() if turned else view.thermal
        for view, turned, *_ in best
    }
    return chosen, len(chosen)


def _angle(rotation: Any) -> float:
    """Degrees that a rotation turns by."""
    return float(np.degrees(np.linalg.norm(cv2.Rodrigues(rotation)[0])))
