"""`mafs calibrate` on a bag and on folders."""

from __future__ import annotations

import calibration_rig as rig
import cv2
import numpy as np
import pytest
import yaml
from command_output import one_line

from mafs_ros.bags.reader import TYPES, Bag
from mafs_ros.bags.topics import choose_topics
from mafs_ros.bags.writer import BagWriter, image_header
from mafs_ros.cli import main
from mafs_ros.commands.calibrate.camera_info import lens_of
from mafs_ros.perception.registration import load_registration
from mafs_ros.perception.registration.lens import Lens

START, STEP = 1_700_000_000_000_000_000, 200_000_000
INFO = "sensor_msgs/msg/CameraInfo"
COUNT = 16


@pytest.fixture(scope="module")
def pairs():
    where = rig.homography()
    return [(rgb, rig.seen_by(thermal, where)) for rgb, thermal in rig.street(COUNT)]


def intrinsics(size, focal, d=()):
    k = [focal, 0.0, (size[1] - 1) / 2, 0.0, focal, (size[0] - 1) / 2, 0.0, 0.0, 1.0]
    return Lens("camera", size, np.reshape(k, (3, 3)), np.array(d))


RGB_LENS = intrinsics(rig.RGB_SIZE, 300.0)
THERMAL_LENS = intrinsics(
    rig.THERMAL_SIZE, 300.0 / rig.RATIO * np.hypot(*rig.THERMAL_SIZE) / np.hypot(*rig.RGB_SIZE)
)


def write_info(writer, topic, lens, stamp):
    message = TYPES.types[INFO](
        header=image_header(stamp, "camera"),
        height=lens.size[0],
        width=lens.size[1],
        distortion_model=lens.model,
        d=lens.distortion,
        k=lens.k.ravel(),
        r=np.eye(3).ravel(),
        p=np.column_stack([lens.k, np.zeros(3)]).ravel(),
        binning_x=0,
        binning_y=0,
        roi=TYPES.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False),
    )
    writer.write_raw(topic, INFO, bytes(TYPES.serialize_cdr(message, INFO)), stamp)


def write_bag(path, pairs, lenses=(THERMAL_LENS, RGB_LENS)):
    with BagWriter(path) as writer:
        for number, (rgb, thermal) in enumerate(pairs):
            stamp = START + number * STEP
            write_info(writer, "/rgb/camera_info", lenses[1], stamp)
            write_info(writer, "/thermal/camera_info", lenses[0], stamp)
            writer.write_image("/rgb/image", rgb, stamp, "rgb")
            writer.write_image("/thermal/image", thermal, stamp + 5_000_000, "thermal")
    return path


@pytest.fixture(scope="module")
def bag(tmp_path_factory, pairs):
    return write_bag(tmp_path_factory.mktemp("calibrate") / "drive", pairs)


def calibrate(*options):
    return main(["calibrate", *map(str, options)])


def corner_error(path):
    found, true = load_registration(path).homography, rig.homography()
    box = np.array([[20, 20, 1], [140, 20, 1], [140, 110, 1], [20, 110, 1]]).T
    there, right = found @ box, true @ box
    return np.linalg.norm(there[:2] / there[2] - right[:2] / right[2], axis=0).mean()


def test_a_bag_gives_a_registration_and_a_page(bag, tmp_path, capsys):
    out, page = tmp_path / "registration.yaml", tmp_path / "report.html"
    options = "--baseline-m", 0.1, "--distance-m", 10
    assert calibrate(bag, "--out", out, "--report", page, *options) == 0
    assert capsys.readouterr().out.startswith(f"wrote {out}: {COUNT} pairs")
    assert corner_error(out) < 1.5  # pixels of 320
    data = yaml.safe_load(out.read_text())
    assert data["frames"] == COUNT
    assert data["source"] == str(bag)
    assert data["depth"]["focal_px"] == 300
    assert data["depth"]["nearest_m"] == pytest.approx(4.29, abs=0.01)
    assert data["depth"]["farthest_m"] == "infinity"
    assert "undistorted" not in data
    assert str(bag) in page.read_text()


def test_folders_give_the_same(pairs, bag, tmp_path, monkeypatch):
    """Without CameraInfo the views are searched; here among a few, for time."""
    from mafs_ros.commands.calibrate.method import calibrate as calibration

    monkeypatch.setattr(calibration, "RATIOS", (0.7, 0.8, 0.9))
    for folder in ("rgb", "thermal"):
        (tmp_path / folder).mkdir()
    for number, (rgb, thermal) in enumerate(pairs):
        cv2.imwrite(str(tmp_path / "rgb" / f"{number}.png"), rgb[..., ::-1])
        cv2.imwrite(str(tmp_path / "thermal" / f"{number}.png"), thermal)
    out = tmp_path / "registration.yaml"
    folders = "--rgb", tmp_path / "rgb", "--thermal", tmp_path / "thermal"
    assert calibrate(*folders, "--out", out) == 0
    assert corner_error(out) < 1.5


def test_lens_distortion_is_taken_out(pairs, tmp_path):
    """The RGB images are bent by a known lens; the file holds both homographies."""
    lens = intrinsics(rig.RGB_SIZE, 300.0, (-0.25, 0.05, 0.0, 0.0, 0.0))
    bent = [(bent_by(lens, rgb), thermal) for rgb, thermal in pairs]
    bag = write_bag(tmp_path / "drive", bent, (THERMAL_LENS, lens))
    assert calibrate(bag, "--out", tmp_path / "registration.yaml") == 0
    data = yaml.safe_load((tmp_path / "registration.yaml").read_text())
    assert data["undistorted"]["rgb"]["d"] == lens.distortion.tolist()
    assert data["lens_error_px"] > 0.3
    straight = tmp_path / "straight.yaml"
    straight.write_text(yaml.safe_dump({**data, **data["undistorted"]}))
    assert corner_error(straight) < 1.5
    assert corner_error(tmp_path / "registration.yaml") > corner_error(straight)


def test_a_camera_that_is_not_calibrated_is_left_out(pairs, tmp_path, caplog):
    """As drivers without a calibration file publish it: all zeros."""
    uncalibrated = Lens("camera", rig.THERMAL_SIZE, np.zeros((3, 3)))
    with Bag(write_bag(tmp_path / "drive", pairs[:2], (uncalibrated, RGB_LENS))) as bag:
        rgb, thermal = choose_topics(bag)
        assert lens_of(bag, rgb, "RGB").k[0, 0] == 300
        assert lens_of(bag, thermal, "thermal") is None
    line = one_line("\n".join(caplog.messages) + "\n")
    assert "/thermal/camera_info is left out: the CameraInfo of the thermal camera" in line
    assert "the camera is not calibrated" in line


def bent_by(lens, image):
    """What a camera with this lens shows of what an ideal one shows."""
    rows, columns = np.indices(lens.size, np.float32)
    points = np.stack([columns, rows], -1).reshape(-1, 1, 2)
    there = cv2.undistortPoints(points, lens.k, lens.distortion, P=lens.k)
    x, y = there.reshape(*lens.size, 2).transpose(2, 0, 1)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def test_a_refusal_is_one_line_and_writes_nothing(bag, pairs, tmp_path, capsys):
    out = tmp_path / "registration.yaml"
    few = write_bag(tmp_path / "few", pairs[:3])
    assert calibrate(few, "--out", out) == 1
    assert "there are 3 pairs" in one_line(capsys.readouterr().err)
    swapped = "--rgb-topic", "/thermal/image", "--thermal-topic", "/rgb/image"
    assert calibrate(bag, *swapped, "--out", out) == 1
    assert "swapped" in one_line(capsys.readouterr().err)
    assert not out.exists()


def test_swapped_folders(pairs, tmp_path, capsys):
    for folder in ("rgb", "thermal"):
        (tmp_path / folder).mkdir()
    for number, (rgb, thermal) in enumerate(pairs[:2]):
        cv2.imwrite(str(tmp_path / "rgb" / f"{number}.png"), rgb[..., ::-1])
        cv2.imwrite(str(tmp_path / "thermal" / f"{number}.png"), (thermal // 256).astype(np.uint8))
    out = tmp_path / "registration.yaml"
    swapped = "--rgb", tmp_path / "thermal", "--thermal", tmp_path / "rgb"
    assert calibrate(*swapped, "--out", out) == 1
    assert "swapped" in one_line(capsys.readouterr().err)


def test_an_output_that_cannot_be_written_is_found_first(bag, tmp_path, capsys):
    assert calibrate(bag, "--out", tmp_path / "nowhere" / "registration.yaml") == 1
    assert "there is no such folder" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["drive", "--rgb", "a", "--thermal", "b"],
        ["--rgb", "a"],
        ["drive", "--baseline-m", "0.1"],
        ["--rgb", "a", "--thermal", "b", "--rgb-topic", "/c"],
    ],
)
def test_wrong_usage(options):
    with pytest.raises(SystemExit, match="2"):
        calibrate(*options, "--out", "registration.yaml")
