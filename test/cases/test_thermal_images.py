"""Thermal images that spoilt the range or the picture once: what is right."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from mafs_ros.cli import main
from mafs_ros.images.files.read import read_thermal
from mafs_ros.perception.thermal import ThermalScaler


def fuse(capsys: pytest.CaptureFixture, *arguments: object) -> list[str]:
    """Run `mafs fuse` with the backend that starts at once; the lines on stderr."""
    assert main(["fuse", *map(str, arguments), "--backend", "torch"]) == 0
    return [line for line in capsys.readouterr().err.splitlines() if "mafs fuse: " in line]


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("rectified.png", ["exactly 0, apart"]),
        ("lepton_160x122.png", ["exactly 0, apart", "2 bottom rows of 160x122 pixels"]),
        ("nodata.tif", ["exactly -10000, apart"]),
    ],
)
def test_invalid_pixels(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture, name: str, named: list[str]
) -> None:
    folder = cases / "invalid_pixels"
    scaled = ThermalScaler()(read_thermal(folder / name), 0.0).astype(float)
    assert scaled[45:85, 25:45].mean() - scaled[45:85, 80:120].mean() >= 200
    said = fuse(capsys, folder / "rgb.png", folder / name, "--out", tmp_path)
    assert len(said) == len(named)
    assert all(text in line for text, line in zip(named, said, strict=True))


@pytest.mark.parametrize("level", [8_000, 8_020, 8_100, 8_600, 12_000])
@pytest.mark.parametrize("first", [0, 50])
def test_ffc_shutter(level: int, first: int) -> None:
    """Five frames of a closed shutter at 10 Hz, as in ffc.py."""
    rng, scaler = np.random.default_rng(1), ThermalScaler()
    for index in range(first + 6):
        shut = first <= index < first + 5
        image = rng.normal(level, 3, (120, 160)) if shut else rng.normal(8_000, 300, (120, 160))
        if not shut:
            image[40:90, 20:50] = 9_500
        scaled = scaler(image.astype(np.uint16), index / 10)
    assert np.mean((scaled == 0) | (scaled == 255)) < 0.12
    assert scaler.range == pytest.approx((7_310, 9_500), abs=60)


def test_ffc_wall() -> None:
    """3 s before a wall of 1 kelvin at 10 Hz, as in wall.py."""
    rng, scaler = np.random.default_rng(1), ThermalScaler()
    y, x = np.mgrid[:120, :160]
    room = 29_215 + 500 * x / 160
    room[(y > 40) & (y < 90) & (x > 20) & (x < 50)] = 30_615
    for index in range(81):
        image = 29_405 + 100 * x / 160 if 50 <= index < 80 else room
        scaled = scaler((image + rng.normal(0, 4, room.shape)).astype(np.uint16), index / 10)
    assert scaler.range == pytest.approx((29_217, 30_622), abs=10)
    assert np.mean((scaled == 0) | (scaled == 255)) < 0.05


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("287", "315"), "100 % of the pixels lie above .* set thermal_unit to kelvin"),
        (("0", "65535"), "fills 7 of 256 grey levels"),
        (("287", "315", "--thermal-unit", "kelvin"), ""),
    ],
)
def test_fixed_without_range(
    cases: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    options: tuple[str, ...],
    expected: str,
) -> None:
    folder = cases / "fixed_without_range"
    said = fuse(
        capsys,
        folder / "rgb.png",
        folder / "thermal.png",
        *("--out", tmp_path, "--thermal-scaling", "fixed", "--thermal-range", *options),
    )
    assert len(said) == bool(expected)
    assert re.search(expected, "\n".join(said)), said


def test_counts_not_kelvin(cases: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["bag", "info", str(cases / "counts_not_kelvin" / "boson_counts")]) == 0
    text = capsys.readouterr().out.partition("\n")[2]  # without the path
    assert 'thermal_scaling: "percentile"' in text
    assert "kelvin" not in text and "fixed" not in text


def test_all_nan_float(cases: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["bag", "info", str(cases / "all_nan_float" / "all_nan")]) == 1
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    lines = [line for line in said.out.splitlines() if "finite" in line]
    assert len(lines) == 1 and "no thermal image has a finite value" in lines[0]


def test_aspect_ratio(cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    folder = cases / "aspect_ratio"
    (line,) = fuse(capsys, folder / "rgb.png", folder / "thermal.png", "--out", tmp_path)
    assert "(1.78)" in line and "(1.33)" in line and "stretched" in line
    assert "registration_file (mafs fuse: --registration-file)" in line
