"""A drive of the simulated rig: distorting lenses, parallax, things from 3 m away on."""

from __future__ import annotations

import numpy as np
import pytest

from mafs_ros.commands.calibrate.method.calibrate import Calibration, calibrate
from mafs_ros.commands.calibrate.method.frames import frame_of
from mafs_ros.commands.calibrate.method.geometry import moved
from mafs_ros.commands.calibrate.method.lens import (
    Undistortion,
    for_images_as_they_come,
    view_ratio,
)
from mafs_ros.perception.registration.lens import Lens
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.simulation import RigStreet, unaligned_rig

RIG = unaligned_rig(240, 320)
COUNT, STEP_S = 24, 2.5


def lens(name: str) -> Lens:
    camera = getattr(RIG, name)
    return Lens(name, (camera.height, camera.width), camera.k, np.array(camera.distortion))


@pytest.fixture(scope="module")
def drive() -> tuple[Calibration, list[np.ndarray]]:
    """What the drive is calibrated to, and the depths of its RGB images."""
    street, scaler = RigStreet(RIG, 4, night=False), ThermalScaler(time_constant_s=0.0)
    rgb_view, thermal_view = Undistortion(lens("rgb")), Undistortion(lens("thermal"))
    frames, depths = [], []
    for number in range(COUNT):
        seen = street.frame(number * STEP_S)
        thermal = thermal_view(scaler(seen.thermal, 0.0))
        frames.append(frame_of(str(number), rgb_view(seen.rgb), thermal))
        depths.append(seen.depth)
    return calibrate(frames, view_ratio(lens("thermal"), lens("rgb"))), depths


@pytest.mark.parametrize(
    ("nearest_m", "farthest_m", "most_px"),
    [(9, 15, 1.5), (15, 25, 2.5), (25, 45, 1.5)],
)
def test_what_lies_at_the_distance_of_the_drive_fits(drive, nearest_m, farthest_m, most_px):
    """Half of the pixels of images as they come, at these distances; pixels of 640."""
    found, depths = drive
    sizes = found.thermal_size, found.rgb_size
    lenses = lens("thermal"), lens("rgb")
    homography, _ = for_images_as_they_come(found.homography, *lenses, sizes)
    pixels = np.stack(np.meshgrid(*map(np.arange, sizes[1][::-1])), -1)
    errors = []
    for depth in depths[::4]:
        true = RIG.thermal_pixels(depth)
        with np.errstate(invalid="ignore"):
            seen = ((true >= 0) & (true <= np.array(sizes[0][::-1]) - 1)).all(-1)
        these = seen & (depth > nearest_m) & (depth < farthest_m)
        errors.append(np.linalg.norm(moved(homography, true[these]) - pixels[these], axis=1))
    off = 2 * np.concatenate(errors)
    print(f"{nearest_m} to {farthest_m} m: {np.median(off):.1f}, {np.percentile(off, 90):.1f}")
    assert off.size > 5_000
    assert np.median(off) < most_px
