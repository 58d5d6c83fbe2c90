"""The command `mafs` on real files with the shipped weights."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from command_output import one_line

import mafs_ros
from mafs_ros.cli import main

ROOT = Path(__file__).resolve().parents[2]
HEIGHT, WIDTH = 96, 128


def write_pair(folder: Path, name: str, seed: int = 0, depth: type = np.uint16) -> None:
    """One smooth random pair: folder/rgb/NAME.png and folder/thermal/NAME.png (half the size)."""
    rng = np.random.default_rng(seed)
    rgb = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (WIDTH, HEIGHT))
    high = 30000 + 500 * seed if depth is np.uint16 else 255
    thermal = cv2.resize(rng.integers(0, high, (6, 8)).astype(depth), (WIDTH // 2, HEIGHT // 2))
    for kind, image in (("rgb", rgb), ("thermal", thermal)):
        (folder / kind).mkdir(exist_ok=True)
        assert cv2.imwrite(str(folder / kind / f"{name}.png"), image)


def read(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert image is not None, path
    return image


def outputs(out: Path) -> set[str]:
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A folder with three pairs."""
    for seed, name in enumerate(("a", "b", "c")):
        write_pair(tmp_path, name, seed)
    return tmp_path


def fuse(folder: Path, *options: str, out: str = "out", name: str = "") -> int:
    """Fuse the folders, or the pair `name`, by the backend that starts at once."""
    files = [str(folder / kind / name) for kind in ("rgb", "thermal")]
    return main(["fuse", *files, "--out", str(folder / out), "--backend", "torch", *options])


# mafs


@pytest.mark.parametrize(
    "command", ["fuse", "info", "convert-checkpoint", "complexity", "benchmark"]
)
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert "example" in (text := capsys.readouterr().out)
    assert f"\n  mafs {command}" in text


def test_no_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as stop:
        main([])
    assert stop.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_a_missing_library_is_one_line(pairs, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "mafs_ros.engine", None)
    assert fuse(pairs) == 1
    assert "README.md" in one_line(capsys.readouterr().err)


def test_it_runs_as_a_module():
    run = subprocess.run(
        [sys.executable, "-m", "mafs_ros.cli", "--version"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == f"mafs_ros {mafs_ros.__version__}\n"


# mafs fuse


def test_two_folders_give_three_images_per_pair(pairs, capsys):
    assert fuse(pairs) == 0
    out = pairs / "out"
    assert outputs(out) == {
        f"{kind}/{name}.png" for name in "abc" for kind in ("fused", "labels", "overlay")
    }
    for name in "abc":
        fused, labels = read(out / f"fused/{name}.png"), read(out / f"labels/{name}.png")
        assert fused.shape == (HEIGHT, WIDTH, 3) and fused.dtype == np.uint8
        assert labels.shape == (HEIGHT, WIDTH) and labels.dtype == np.uint8
        assert labels.max() < 4
        overlay = read(out / f"overlay/{name}.png")
        assert np.array_equal(overlay[labels == 0], fused[labels == 0])
    assert f"fused 3 of 3 pairs into {out} (torch)" in capsys.readouterr().out


def test_the_default_engine_makes_nearly_the_same_bytes(pairs):
    assert fuse(pairs, name="a.png") == 0
    for precision, most in (("fp32", 1), ("auto", 4)):  # auto: bf16, where the CPU has it
        assert (
            fuse(pairs, "--backend", "auto", "--precision", precision, name="a.png", out=precision)
            == 0
        )
        one, other = (read(pairs / out / "fused/a.png").astype(int) for out in ("out", precision))
        assert np.abs(one - other).max() <= most


def test_fused_keeps_the_colours_of_the_rgb_image(tmp_path):
    (tmp_path / "rgb").mkdir()
    (tmp_path / "thermal").mkdir()
    red = np.full((HEIGHT, WIDTH, 3), (40, 40, 200), np.uint8)  # OpenCV's order: b, g, r
    cv2.imwrite(str(tmp_path / "rgb/red.png"), red)
    cv2.imwrite(str(tmp_path / "thermal/red.png"), np.full((HEIGHT, WIDTH), 90, np.uint8))
    assert fuse(tmp_path) == 0
    blue, _, redness = read(tmp_path / "out/fused/red.png").reshape(-1, 3).mean(0)
    assert redness > blue + 40


def test_two_files_give_the_same_bytes_as_their_folder(pairs):
    """Stills are scaled one by one: what came before changes nothing."""
    assert fuse(pairs) == 0
    assert fuse(pairs, name="c.png", out="single") == 0
    for name in ("fused/c.png", "labels/c.png", "overlay/c.png"):
        assert (pairs / "single" / name).read_bytes() == (pairs / "out" / name).read_bytes()


def test_16_bit_thermal_is_scaled_as_asked(tmp_path):
    write_pair(tmp_path, "a")
    assert fuse(tmp_path) == 0
    automatic = read(tmp_path / "out/fused/a.png")
    assert fuse(tmp_path, "--thermal-scaling", "percentile") == 0
    assert np.array_equal(read(tmp_path / "out/fused/a.png"), automatic)
    assert fuse(tmp_path, "--thermal-scaling", "fixed", "--thermal-range", "0", "1e6") == 0
    assert not np.array_equal(read(tmp_path / "out/fused/a.png"), automatic)


def test_a_range_in_kelvin(tmp_path):
    write_pair(tmp_path, "a")
    fixed = "--thermal-scaling", "fixed", "--thermal-range"
    assert fuse(tmp_path, *fixed, "0", "300", "--thermal-unit", "kelvin") == 0
    in_kelvin = read(tmp_path / "out/fused/a.png")
    assert fuse(tmp_path, *fixed, "0", "30000") == 0
    assert np.array_equal(read(tmp_path / "out/fused/a.png"), in_kelvin)


def test_what_is_odd_is_said_once_for_a_folder(tmp_path, capsys):
    for seed, name in enumerate("abc"):
        write_pair(tmp_path, name, seed)
        thermal = read(tmp_path / f"thermal/{name}.png") // 16 + np.uint16(29_000)
        thermal[:12] = 0
        assert cv2.imwrite(str(tmp_path / f"thermal/{name}.png"), thermal[:, :48])
    assert fuse(tmp_path) == 0
    said = capsys.readouterr().err
    assert said.count("mafs fuse: a: thermal image: 25.0 % of its pixels are exactly 0") == 1
    assert said.count("mafs fuse: a: the shapes of the images differ") == 1
    assert sum(line.count("mafs fuse: ") > 0 for line in said.splitlines()) == 2
    (tmp_path / "registration.yaml").write_text(
        "homography: [[2.6, 0, 0], [0, 2, 0], [0, 0, 1]]\n"
        "thermal_size: {width: 48, height: 48}\nrgb_size: {width: 128, height: 96}\n"
    )
    options = "--registration-file", str(tmp_path / "registration.yaml")
    assert fuse(tmp_path, *options, "--thermal-invalid-values", "0") == 0
    assert "mafs fuse: " not in capsys.readouterr().err


def test_8_bit_thermal_is_taken_as_it_is(tmp_path):
    write_pair(tmp_path, "a", depth=np.uint8)
    assert fuse(tmp_path) == 0
    automatic = read(tmp_path / "out/fused/a.png")
    assert fuse(tmp_path, "--thermal-scaling", "as_is") == 0
    assert np.array_equal(read(tmp_path / "out/fused/a.png"), automatic)


def test_a_bad_image_is_skipped_and_counted(pairs, capsys):
    image = pairs / "thermal/b.png"
    image.write_bytes(image.read_bytes()[:20])
    assert fuse(pairs) == 1
    said = capsys.readouterr()
    assert "fused 2 of 3 pairs" in said.out
    assert "skipped b: " in said.err and str(image) in said.err
    assert "Traceback" not in said.err
    assert outputs(pairs / "out") == {
        f"{kind}/{name}.png" for name in "ac" for kind in ("fused", "labels", "overlay")
    }


def test_16_bit_as_is_says_what_to_do(pairs, capsys):
    assert fuse(pairs, "--thermal-scaling", "as_is") == 1
    said = capsys.readouterr()
    assert said.err.count("skipped") == 3 and "uint16" in said.err


def test_an_image_without_partner_stops_before_any_work(pairs, capsys):
    (pairs / "thermal/b.png").unlink()
    assert fuse(pairs) == 1
    assert " b" in one_line(capsys.readouterr().err)
    assert not (pairs / "out").exists()


@pytest.mark.parametrize(
    ("rgb", "thermal", "expected"),
    [
        ("rgb", "nowhere", "nowhere: there is no such file or folder"),
        ("rgb", "thermal/a.png", "two files or two folders"),
        ("rgb/a.png", "thermal", "two files or two folders"),
    ],
)
def test_impossible_inputs_are_one_line(pairs, capsys, rgb, thermal, expected):
    code = main(["fuse", str(pairs / rgb), str(pairs / thermal), "--out", str(pairs / "out")])
    assert code == 1
    assert expected in one_line(capsys.readouterr().err)
    assert not (pairs / "out").exists()


def test_inputs_are_never_overwritten(pairs, capsys):
    (pairs / "rgb").rename(pairs / "fused")
    before = (pairs / "fused/a.png").read_bytes()
    code = main(["fuse", str(pairs / "fused"), str(pairs / "thermal"), "--out", str(pairs)])
    assert code == 1
    assert "choose another --out" in one_line(capsys.readouterr().err)
    assert (pairs / "fused/a.png").read_bytes() == before


def test_an_output_folder_that_is_a_file_is_one_line(pairs, capsys):
    (pairs / "out").write_text("mine")
    assert fuse(pairs) == 1
    assert str(pairs / "out") in one_line(capsys.readouterr().err)
    assert (pairs / "out").read_text() == "mine"


def test_an_output_that_cannot_be_written_ends_the_work(pairs, capsys):
    (pairs / "out/labels/a.png").mkdir(parents=True)  # a folder where the file should go
    assert fuse(pairs) == 1
    assert str(pairs / "out/labels/a.png") in one_line(capsys.readouterr().err)


def test_wrong_weights_are_one_line(pairs, capsys):
    assert fuse(pairs, "--weights", str(pairs / "rgb/a.png")) == 1
    assert "a.png" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    "options",
    [
        ("--thermal-scaling", "fixed"),
        ("--thermal-range", "1", "2"),
        ("--thermal-unit", "kelvin"),
        ("--thermal-scaling", "fixed", "--thermal-range", "2", "1"),
        ("--backend", "abacus"),
    ],
)
def test_impossible_options_are_usage_errors(pairs, capsys, options):
    with pytest.raises(SystemExit) as stop:
        fuse(pairs, *options)
    assert stop.value.code == 2
    assert "mafs fuse: error: " in capsys.readouterr().err
    assert not (pairs / "out").exists()


def test_ctrl_c_leaves_whole_files_and_exit_code_130(pairs):
    for kind in ("rgb", "thermal"):
        for i in range(500):
            os.link(pairs / kind / "a.png", pairs / kind / f"x{i}.png")
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "mafs_ros.cli",
            "fuse",
            pairs / "rgb",
            pairs / "thermal",
            "--out",
            pairs / "out",
            "--backend",
            "torch",
        ],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not list((pairs / "out/overlay").glob("*.png")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert one_line(said) == "mafs fuse: interrupted\n"
    written = outputs(pairs / "out")
    assert len(written) < 3 * 503
    for name in written:
        read(pairs / "out" / name)


# mafs info


# engine, export
