"""`mafs bag make` and `mafs bag info` on real files."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import yaml

from mafs_ros.bags import reader
from mafs_ros.bags.fit import fit, nearest_offsets_ms
from mafs_ros.bags.times import Times
from mafs_ros.bags.writer import BagWriter
from mafs_ros.cli import main
from mafs_ros.simulation import StreetSimulation

START = 1_700_000_000_000_000_000
MS = 1_000_000


@pytest.fixture
def folders(tmp_path):
    """rgb, thermal (16 bit) and labels (of two of the three) with names that count."""
    rng = np.random.default_rng(0)
    images = {}
    for folder in ("rgb", "thermal", "labels"):
        (tmp_path / folder).mkdir()
    for name in ("f1", "f2", "f10"):
        images[name] = (
            rng.integers(0, 256, (12, 16, 3), dtype=np.uint8),
            rng.integers(29_000, 30_000, (6, 8)).astype(np.uint16),
            rng.integers(0, 4, (12, 16), dtype=np.uint8),
        )
        rgb, thermal, labels = images[name]
        assert cv2.imwrite(str(tmp_path / "rgb" / f"{name}.png"), rgb[..., ::-1])
        assert cv2.imwrite(str(tmp_path / "thermal" / f"{name}.tiff"), thermal)
        if name != "f2":
            assert cv2.imwrite(str(tmp_path / "labels" / f"{name}.png"), labels)
    return tmp_path, images


def make(folder, *options, out="bag"):
    return main(
        [
            "bag",
            "make",
            "--rgb",
            str(folder / "rgb"),
            "--thermal",
            str(folder / "thermal"),
            *map(str, options),
            str(folder / out),
        ]
    )


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_bag_holds_the_images_as_they_are(folders, storage):
    folder, images = folders
    assert make(folder, "--labels", folder / "labels", "--fps", 4, "--storage", storage) == 0
    with reader.Bag(folder / "bag") as bag:
        assert {t.name: (t.encoding, t.count) for t in bag.image_topics} == {
            "/rgb/image": ("rgb8", 3),
            "/thermal/image": ("mono16", 3),
            "/labels/image": ("mono8", 2),
        }
        stamps = [START + index * 250 * MS for index in range(3)]
        for topic, which in (("/rgb/image", 0), ("/thermal/image", 1)):
            for message, stamp, name in zip(bag.messages([topic]), stamps, images, strict=True):
                assert message.stamp == message.received == stamp
                assert message.deserialize().data.tobytes() == images[name][which].tobytes()
        assert [m.stamp for m in bag.messages(["/labels/image"])] == [stamps[0], stamps[2]]


def test_recorded_stamps_give_the_order(folders):
    folder, _ = folders
    (folder / "s.csv").write_text("name,rgb,thermal\nf1,3.25,3.0\nf2,1.0,1.000000007\nf10,2,2\n")
    assert make(folder, "--stamps", folder / "s.csv", "--compress") == 0
    with reader.Bag(folder / "bag") as bag:
        found = [(m.topic, m.stamp) for m in bag.messages(["/rgb/image", "/thermal/image"])]
    assert found == [
        ("/rgb/image", 1_000_000_000),
        ("/thermal/image", 1_000_000_007),
        ("/rgb/image", 2_000_000_000),
        ("/thermal/image", 2_000_000_000),
        ("/thermal/image", 3_000_000_000),
        ("/rgb/image", 3_250_000_000),
    ]


def test_same_images_give_the_same_bag(folders, monkeypatch):
    folder, _ = folders
    found = []
    for name in "ab":
        (folder / name).mkdir()
        assert make(folder, "--fps", 10, out=f"{name}/drive") == 0
        found.append((folder / name / "drive" / "drive.mcap").read_bytes())
    assert found[0] == found[1]


def test_a_damaged_image_leaves_no_half_bag(folders, capsys):
    folder, _ = folders
    (folder / "rgb" / "f10.png").write_bytes(b"no image")
    assert make(folder, "--fps", 10) == 1
    assert "f10.png: not an image" in capsys.readouterr().err
    assert not (folder / "bag").exists()


def test_an_earlier_bag_is_not_touched(folders, capsys):
    folder, _ = folders
    assert make(folder, "--fps", 10) == make(folder, "--fps", 10) - 1 == 0
    assert "exists already and is not overwritten" in capsys.readouterr().err
    with reader.Bag(folder / "bag") as bag:
        assert len(bag.image_topics) == 2


def test_labels_without_an_image(folders, capsys):
    folder, _ = folders
    (folder / "rgb" / "f1.png").unlink()
    (folder / "thermal" / "f1.tiff").unlink()
    assert make(folder, "--fps", 10, "--labels", folder / "labels") == 1
    assert "1 of 2 labels have no image of the same name: f1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [[], ["--fps", 0], ["--fps", "x"], ["--fps", 5, "--stamps", "s.csv"]]
)
def test_wrong_usage(folders, options):
    with pytest.raises(SystemExit, match="2"):
        make(folders[0], *options)


# info


def write(path, stamps, thermal_stamps, *, thermal=None):
    image = np.zeros((4, 6, 3), np.uint8)
    thermal = np.full((4, 6), 29_815, np.uint16) if thermal is None else thermal
    shots = sorted([(s, 0) for s in stamps] + [(s, 1) for s in thermal_stamps])
    with BagWriter(path) as writer:
        for stamp, which in shots:
            if which:
                writer.write_image("/boson/image16", thermal, stamp, "boson", stamp + 20 * MS)
            else:
                writer.write_image("/cam/image", image, stamp, "cam", stamp + 20 * MS)
    return path


def parameters_in(text):
    found = yaml.safe_load(
        text[text.index("/**:") : text.find("problem:") if "problem:" in text else None]
    )
    return found["/**"]["ros__parameters"]


def test_info_proposes_parameters_that_fit(tmp_path, capsys):
    stamps = [START + i * 100 * MS for i in range(20)]
    late = [stamp + 130 * MS + (i % 3) * MS for i, stamp in enumerate(stamps)]
    bag = write(tmp_path / "bag", stamps, late)
    assert main(["bag", "info", str(bag)]) == 0
    text = capsys.readouterr().out
    assert "/cam/image (rgb8 6x4, 20 messages)" in text
    assert "10.00 Hz" in text
    assert "received 20.0 ms after the stamp" in text
    assert "as hundredths of a kelvin: 25.0 to 25.0 degrees" in text
    found = parameters_in(text)
    assert (found["rgb_topic"], found["thermal_topic"]) == ("/cam/image", "/boson/image16")
    assert found["thermal_time_offset_s"] == -0.031  # to the nearest thermal image
    assert found["slop_s"] == 0.01
    assert found["thermal_scaling"] == "percentile" and "thermal_unit" not in found
    assert '# thermal_unit: "kelvin"' in text  # for those who know that the camera is radiometric


def test_info_says_where_a_registration_is_needed(tmp_path, capsys):
    other_shape = np.full((4, 5), 29_815, np.uint16)
    bag = write(tmp_path / "bag", [START], [START], thermal=other_shape)
    assert main(["bag", "info", str(bag)]) == 0
    warning = next(x for x in capsys.readouterr().out.splitlines() if x.startswith("warning: "))
    assert "RGB 6x4 (1.50) and thermal 5x4 (1.25)" in warning
    assert "measure the homography between them with mafs calibrate" in warning
    assert main(["bag", "info", str(write(tmp_path / "same", [START], [START]))]) == 0
    assert "registration" not in capsys.readouterr().out


def test_info_lists_the_topics_where_none_match(tmp_path, capsys):
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_image("/a", np.zeros((4, 4, 3), np.uint8), START, "f")
    assert main(["bag", "info", str(tmp_path / "bag")]) == 1
    text = capsys.readouterr().out
    assert "/a (rgb8 4x4, 1 messages)" in text
    assert "problem:" in text
    assert "no topic looks thermal" in text


def test_info_of_a_bag_without_metadata(tmp_path, capsys):
    bag = write(tmp_path / "bag", [START], [START])
    (bag / "metadata.yaml").unlink()
    assert main(["bag", "info", str(bag)]) == 1
    text = capsys.readouterr().out
    assert "pairs: 1 of 1" in text
    assert "problem: " in text
    assert "metadata.yaml is missing" in text


def test_info_says_where_stamps_go_back(tmp_path, capsys):
    with BagWriter(tmp_path / "bag") as writer:
        for index, stamp in enumerate((3, 4, 1)):
            for topic, image in (
                ("/rgb", np.zeros((4, 4, 3), np.uint8)),
                ("/thermal", np.zeros((4, 4), np.uint8)),
            ):
                writer.write_image(topic, image, START + stamp * MS, "f", START + index)
    main(["bag", "info", str(tmp_path / "bag")])
    text = capsys.readouterr().out
    assert text.count("1 stamps go BACK in time") == 2
    assert parameters_in(text)["thermal_scaling"] == "as_is"


def times(*milliseconds):
    stamps = START + np.array(milliseconds, np.int64) * MS
    return Times(stamps, stamps)


def test_nearest_offsets():
    rgb, thermal = times(0, 100, 200), times(-30, 90, 210)
    assert nearest_offsets_ms(rgb.stamps, thermal.stamps).tolist() == [-30.0, -10.0, 10.0]


def test_fit_of_scattered_stamps():
    rng = np.random.default_rng(0)
    steady = np.arange(50) * 100
    fitted = fit(times(*steady), times(*(steady + rng.integers(-20, 21, 50))))
    assert fitted.thermal_time_offset_s == 0.0
    assert 0.02 <= fitted.slop_s <= 0.05
    assert fitted.counters.paired == 50


def test_slop_stays_below_half_a_period():
    fitted = fit(times(*range(0, 1000, 100)), times(*range(40, 1040, 100)))
    assert fitted.slop_s <= 0.05
    assert fitted.counters.paired == 10


def test_a_camera_that_arrives_late_needs_a_longer_queue():
    stamps = START + np.arange(40, dtype=np.int64) * 33 * MS
    fitted = fit(Times(stamps, stamps), Times(stamps, stamps + 700 * MS))
    assert fitted.most_waiting >= 20
    assert fitted.queue_size >= 40
    assert fitted.counters.paired == 40


def test_info_looks_whether_the_images_lie_on_each_other(tmp_path, capsys):
    """The thermal camera sees a part of what the RGB camera sees, in the same shape."""
    street = StreetSimulation(seed=3, height=120, width=160, night=True)
    frames = [street.frame(3.0 * index) for index in range(8)]
    for name, view in (("same", np.s_[:, :]), ("part", np.s_[20:92, 30:126])):
        with BagWriter(tmp_path / name) as writer:
            for index, frame in enumerate(frames):
                stamp = START + index * 1000 * MS
                thermal = np.ascontiguousarray(frame.thermal[view])
                writer.write_image("/rgb/image", frame.rgb, stamp, "rgb")
                writer.write_image("/thermal/image", thermal, stamp, "thermal")
        assert main(["bag", "info", str(tmp_path / name)]) == 0
        assert ("warning: no registration is given" in capsys.readouterr().out) == (name == "part")
