"""A board as two cameras that are known see it, rendered."""

from __future__ import annotations

import cv2
import numpy as np

from mafs_ros.commands.calibrate.method.board import Board
from mafs_ros.perception.registration import Rig
from mafs_ros.perception.registration.grid import over_image
from mafs_ros.perception.registration.lens import Lens

RGB = Lens(
    "RGB",
    (480, 640),
    np.array([[520.0, 0, 322], [0, 524, 236], [0, 0, 1]]),
    np.array([-0.22, 0.06, 0.0008, -0.0005, 0.0]),
)
THERMAL = Lens(
    "thermal",
    (256, 320),
    np.array([[330.0, 0, 156], [0, 331, 130], [0, 0, 1]]),
    np.array([-0.18, 0.04, -0.0006, 0.0004, 0.0]),
)
RIG = Rig(
    RGB, THERMAL, cv2.Rodrigues(np.radians([1.0, -2.0, 0.7]))[0], np.array([0.08, -0.02, 0.01])
)
FINE = 2  # rays each way in a pixel
BLUR_PX = 0.7  # of a lens in focus


def poses(board: Board, count: int = 12, seed: int = 0):
    """Board to RGB camera: tilted, near and far, into the corners, whole in both images."""
    rng = np.random.default_rng(seed)
    while count:
        rotation = cv2.Rodrigues(np.radians(rng.uniform([-35, -35, -20], [35, 35, 20])))[0]
        z = rng.uniform(1.0, 1.5)
        middle = np.array([*(rng.uniform([-0.35, -0.28], [0.35, 0.28]) * z), z])
        translation = middle - rotation @ board.points.mean(0)
        rim = board.points * 1.15 - 0.075 * board.points.max(0)
        in_rgb = rim @ rotation.T + translation
        in_thermal = (in_rgb - RIG.translation) @ RIG.rotation
        if is_whole(RGB, in_rgb) and is_whole(THERMAL, in_thermal):
            count -= 1
            yield rotation, translation


def is_whole(lens: Lens, points: np.ndarray) -> bool:
    pixels = lens.pixels_of(points)
    return bool(((pixels > 8) & (pixels < np.array(lens.size[::-1]) - 9)).all())


def rays(lens: Lens):
    """What FINE x FINE parts of every pixel see."""
    whole = np.nan_to_num(np.moveaxis(over_image(lens.rays_of, lens.size), 0, -1))
    return cv2.resize(whole, None, fx=FINE, fy=FINE, interpolation=cv2.INTER_LINEAR)


RAYS = {}


def render(board, rotation, translation, lens: Lens, inverted: bool = False):
    """The board, white between and around, on grey; `inverted` as a warmed one is seen."""
    if lens.name not in RAYS:
        RAYS[lens.name] = rays(lens)
    directions = RAYS[lens.name] @ rotation  # into the board's frame
    origin = -rotation.T @ translation
    on_board = origin + directions * (-origin[2] / directions[..., 2])[..., None]
    x, y = on_board[..., 0] / board.step_m, on_board[..., 1] / board.step_m
    if board.kind == "checkerboard":
        last = np.array([board.columns, board.rows])
        dark = (np.floor(x) + np.floor(y)) % 2 == 0
        inside = (x > -1) & (y > -1) & (x < last[0]) & (y < last[1])
        dark &= inside
    else:
        nearest = np.round(y)
        shift = nearest % 2 if board.kind == "asymmetric_circles" else 0
        pitch = 2 if board.kind == "asymmetric_circles" else 1
        column = np.round((x - shift) / pitch)
        dark = (np.hypot(x - shift - pitch * column, y - nearest) < 0.3 * pitch) & (
            (nearest >= 0) & (nearest < board.rows) & (column >= 0) & (column < board.columns)
        )
        width = pitch * board.columns
        inside = (x > -2) & (y > -2) & (x < width + 1) & (y < board.rows + 1)
    image = np.where(inside, np.where(dark, 30.0, 220.0), 120.0)
    height, width = lens.size
    image = image.reshape(height, FINE, width, FINE).mean((1, 3))
    image = cv2.GaussianBlur(image, (0, 0), BLUR_PX)
    return (255 - image if inverted else image).astype(np.uint8)


def pairs(board, inverted: bool = True, count: int = 16):
    for index, (rotation, translation) in enumerate(poses(board, count)):
        rgb = render(board, rotation, translation, RGB)
        thermal = render(
            board,
            RIG.rotation.T @ rotation,
            RIG.rotation.T @ (translation - RIG.translation),
            THERMAL,
            inverted,
        )
        yield f"{index:03}", np.dstack([rgb] * 3), 30000 + 4 * thermal.astype(np.uint16)
