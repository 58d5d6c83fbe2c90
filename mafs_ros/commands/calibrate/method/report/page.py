"""The page of a calibration: one file that loads nothing."""

from __future__ import annotations

import base64
from dataclasses import dataclass

import cv2
import numpy as np

from mafs_ros.commands.calibrate.method.calibrate import Calibration
from mafs_ros.commands.calibrate.method.depth import DepthRange
from mafs_ros.commands.calibrate.method.frames import Frame
from mafs_ros.commands.calibrate.method.report import pictures
from mafs_ros.commands.page import page_environment
from mafs_ros.perception.registration.numbers import Matrix

SHOWN = 3  # frames, evenly spread over the drive
QUALITY = 80  # of the JPEGs


@dataclass(frozen=True)
class Shown:
    """The pictures of a frame as base64 JPEGs: checkerboards and edges before and after."""

    name: str
    boards: tuple[str, str]
    edges: tuple[str, str]
    grey: str
    thermal: tuple[str, str]


def page(found: Calibration, source: str, text: str, depth: DepthRange | None) -> str:
    """The whole page. text: that of the registration file; source: the bag or folders."""
    environment = page_environment("mafs_ros.commands.calibrate.method.report")
    before = pictures.resized(found.frames[0])
    numbers = np.linspace(0, len(found.frames) - 1, SHOWN).round().astype(int)
    return environment.get_template("report.html.jinja").render(
        source=source,
        found=found,
        depth=depth,
        text=text,
        arrow=pictures.ARROW,
        shown=[_shown(found.frames[i], before, found.homography) for i in sorted(set(numbers))],
        errors=_jpeg(pictures.errors(found.frames, found.homography)),
    )


def _shown(frame: Frame, before: Matrix, after: Matrix) -> Shown:
    def both(draw) -> tuple[str, str]:
        return _jpeg(draw(frame, before)), _jpeg(draw(frame, after))

    return Shown(
        frame.name,
        both(pictures.checkerboard),
        both(pictures.edges),
        _jpeg(pictures.grey(frame)),
        both(pictures.registered),
    )


def _jpeg(picture: pictures.Picture) -> str:
    encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return base64.b64encode(encoded.tobytes()).decode()
