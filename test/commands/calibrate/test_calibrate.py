"""A known homography is found again, and what the result says of itself is true."""

from __future__ import annotations

from dataclasses import replace

import calibration_rig as rig
import numpy as np
import pytest
from browser import Browser

from mafs_ros.commands.calibrate.method.calibrate import calibrate, steps
from mafs_ros.commands.calibrate.method.coarse import RATIOS, ROTATIONS, coarse_search
from mafs_ros.commands.calibrate.method.file import registration_text
from mafs_ros.commands.calibrate.method.frames import Frame, reduced
from mafs_ros.commands.calibrate.method.geometry import mean_distance
from mafs_ros.commands.calibrate.method.report.page import page
from mafs_ros.perception.registration import load_registration


@pytest.fixture(scope="module")
def found(frames):
    return calibrate(frames, ratio=rig.RATIO)


def error(found):
    return mean_distance(found, rig.homography(), rig.THERMAL_SIZE, rig.RGB_SIZE)


def test_a_known_homography_is_found(found):
    assert error(found.start) > error(found.homography)
    assert error(found.homography) < 1.0  # pixels of 320
    assert found.disagreement_px < 2.0
    assert found.evidence > 2
    assert found.overlap > 0.9
    assert (found.thermal_size, found.rgb_size) == (rig.THERMAL_SIZE, rig.RGB_SIZE)


def test_nothing_need_be_known_of_the_views(frames):
    peak = coarse_search(frames[::3], RATIOS[::2], ROTATIONS[::2]).all
    assert 0.7 < peak.ratio < 0.9
    assert abs(peak.degrees - 2) <= 2
    assert error(peak.homography) < 8


def test_progress_is_told(frames):
    calls = []
    calibrate(frames[:10], ratio=rig.RATIO, step=lambda: calls.append(1))
    assert len(calls) == steps(rig.RATIO)


def test_large_images_are_measured_reduced(frames, found):
    """The same images, said to be four times as large: the homography is that between those."""
    large = [Frame(f.name, reduced(f.rgb), f.thermal, (960, 1280), f.thermal_size) for f in frames]
    homography = calibrate(large, ratio=rig.RATIO).homography
    there = homography @ [79.5, 63.5, 1]
    at = found.homography @ [79.5, 63.5, 1]
    np.testing.assert_allclose(there[:2] / there[2], 4 * at[:2] / at[2] + 1.5, atol=0.01)


def test_the_file_is_read_by_the_node(found, tmp_path):
    path = tmp_path / "registration.yaml"
    path.write_text(registration_text(found, "drive"))
    registration = load_registration(path)
    np.testing.assert_allclose(registration.homography, found.homography, rtol=1e-6)
    assert registration.thermal_size == rig.THERMAL_SIZE
    assert registration.rgb_size == rig.RGB_SIZE
    assert "uncertain: false" in path.read_text()
    for word in ("date:", "frames: 24", "disagreement_px:", "evidence:", "overlap:"):
        assert word in path.read_text()


def test_halves_that_lie_apart_make_it_uncertain(found):
    """From 4 pixels of 640 on, here 2 of 320."""
    apart = replace(found, disagreement_px=2.1)
    assert apart.uncertain and not found.uncertain
    assert "uncertain: true" in registration_text(apart, "drive")
    assert "<b>uncertain</b>" in page(apart, "drive", "", None)


def test_the_page_holds_its_pictures_and_loads_nothing(found):
    text = page(found, 'a <b> & "drive"', "homography: ...", None)
    assert "a &lt;b&gt; &amp; &#34;drive&#34;" in text
    assert text.count("data:image/jpeg;base64,") == 3 * 6 + 1
    assert "http://" not in text and "https://" not in text


def test_the_page_in_a_browser(found, tmp_path):
    """Without errors or requests; its sliders lay one picture over the other."""
    path = tmp_path / "report.html"
    path.write_text(page(found, "drive", registration_text(found, "drive"), None))
    slide = """for (const slider of document.querySelectorAll("input[type=range]")) {
        slider.value = 100; slider.dispatchEvent(new Event("input")); }"""
    with Browser(tmp_path, "--disable-gpu", height=3000) as shown:
        shown.open(path.as_uri())
        before = shown.screenshot()
        shown.call("Runtime.evaluate", expression=slide)
        after = shown.screenshot()
    assert not shown.errors
    assert shown.urls <= {path.as_uri()}
    assert len(np.unique(before.reshape(-1, 3), axis=0)) > 2000  # photographs
    assert (np.abs(before.astype(int) - after).max(axis=2) > 30).mean() > 0.01
