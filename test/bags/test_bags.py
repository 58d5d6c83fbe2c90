"""Real rosbag2 files, sqlite3 and mcap: read back as written, clear errors."""

import re
import resource
import signal
import sqlite3

import numpy as np
import pytest
from recordings import START, STEP, frames, write_bag

from mafs_ros.bags import reader
from mafs_ros.bags.topics import choose_topics
from mafs_ros.bags.writer import BagWriter

STORAGES = ["mcap", "sqlite3"]


@pytest.fixture
def rng():
    return np.random.default_rng(3)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("storage", STORAGES)
def test_round_trip(tmp_path, rng, storage, compress):
    pairs = frames(rng)
    path = write_bag(tmp_path / "bag", pairs, storage, compress)
    with reader.Bag(path) as bag:
        rgb, thermal = choose_topics(bag)
        assert (rgb.name, rgb.encoding, rgb.count) == ("/rgb/image", "rgb8", 4)
        assert (thermal.name, thermal.encoding, thermal.count) == ("/thermal/image", "mono16", 4)
        assert (rgb.width, rgb.height, rgb.frame_id) == (16, 12, "rgb_optical")
        messages = list(bag.messages([rgb, thermal]))
    assert [m.topic for m in messages] == ["/rgb/image", "/thermal/image"] * 4
    for index, (rgb_image, thermal_image) in enumerate(pairs):
        first, second = messages[2 * index], messages[2 * index + 1]
        assert first.stamp == first.received == START + index * STEP
        assert second.stamp == START + index * STEP + 7_000_000
        image = first.deserialize()
        assert image.header.stamp.sec * 10**9 + image.header.stamp.nanosec == first.stamp
        assert image.data.tobytes() == rgb_image.tobytes()
        image = second.deserialize()
        assert (image.encoding, image.step, image.is_bigendian) == ("mono16", 32, 0)
        assert image.data.tobytes() == thermal_image.astype("<u2").tobytes()


@pytest.mark.parametrize("storage", STORAGES)
def test_a_single_storage_file_is_a_bag_too(tmp_path, rng, storage):
    path = write_bag(tmp_path / "bag", frames(rng), storage)
    (path / "metadata.yaml").unlink()
    file = next(path.iterdir())
    with pytest.raises(reader.BagError, match=re.escape(f"or give one file: {file}")):
        reader.Bag(path)
    with reader.Bag(file) as bag:
        assert len(list(bag.messages(choose_topics(bag)))) == 8


def test_metadata_yaml_names_its_bag(tmp_path, rng):
    path = write_bag(tmp_path / "bag", frames(rng))
    with reader.Bag(path / "metadata.yaml") as bag:
        assert len(bag.image_topics) == 2


def test_sensor_stamps_may_differ_from_the_recorders(tmp_path, rng):
    rgb = frames(rng, 1)[0][0]
    with BagWriter(tmp_path / "bag") as writer:
        writer.write_image("/b", rgb, 5, "f", received=20)
        writer.write_image("/a", rgb, 9, "f", received=10)  # an earlier arrival, a later stamp
    with reader.Bag(tmp_path / "bag") as bag:
        assert [(m.stamp, m.received) for m in bag.messages(["/a", "/b"])] == [(9, 10), (5, 20)]
        assert [m.topic for m in bag.messages(["/a"])] == ["/a"]
        assert list(bag.messages([])) == []


@pytest.mark.parametrize("storage", STORAGES)
def test_cut_off_bag(tmp_path, rng, storage):
    path = write_bag(tmp_path / "bag", frames(rng, 8, 100, 100), storage)
    file = next(p for p in path.iterdir() if p.suffix != ".yaml")
    file.write_bytes(file.read_bytes()[:60_000])
    message = f"{path}: cannot be read, the bag is damaged, cut off"
    with pytest.raises(reader.BagError, match=message), reader.Bag(path) as bag:
        list(bag.messages(["/rgb/image", "/thermal/image"]))


def test_damage_in_the_middle_gives_what_lies_before(tmp_path, rng):
    """A message whose bytes are too few for a header: what came before it is not lost."""
    path = tmp_path / "bag"
    rgb = frames(rng, 1)[0][0]
    with BagWriter(path) as writer:
        writer.write_image("/rgb", rgb, START, "f")
        writer.write_raw("/rgb", reader.IMAGE, b"\0\1\0\0", START + 1)
    seen = []
    with reader.Bag(path) as bag, pytest.raises(reader.BagError, match="cannot be read"):
        for message in bag.messages(["/rgb"]):
            seen.append(message.stamp)
    assert seen == [START]


def test_message_cut_off_behind_its_header(tmp_path, rng):
    path = tmp_path / "bag"
    with BagWriter(path) as writer:
        writer.write_image("/rgb", frames(rng, 1)[0][0], START, "f")
    with reader.Bag(path) as bag:
        message = next(bag.messages(["/rgb"]))
    cut = reader.BagMessage(
        message.topic, message.message_type, message.stamp, 5, message.raw[:60]
    )
    with pytest.raises(reader.BagError, match="a message of /rgb at 5 ns cannot be read"):
        cut.deserialize()


def test_not_a_bag(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such bag"):
        reader.Bag(tmp_path / "none")
    with pytest.raises(reader.BagError, match="no metadata.yaml and no .mcap or .db3 file"):
        reader.Bag(tmp_path)
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(reader.BagError, match="is a ROS 1 bag"):
        reader.Bag(tmp_path / "old.bag")
    (tmp_path / "a.txt").write_bytes(b"hello")
    with pytest.raises(reader.BagError, match="expected a rosbag2 folder"):
        reader.Bag(tmp_path / "a.txt")
    for suffix in ("mcap", "db3"):
        (tmp_path / f"a.{suffix}").write_bytes(b"hello" * 100)
        with pytest.raises(reader.BagError, match="cannot be read"):
            reader.Bag(tmp_path / f"a.{suffix}")
    (tmp_path / "metadata.yaml").write_text("rosbag2_bagfile_information: {version: 99}")
    with pytest.raises(reader.BagError, match="version 99 not supported"):
        reader.Bag(tmp_path)
    (tmp_path / "metadata.yaml").write_text("{")
    with pytest.raises(reader.BagError, match="cannot be read"):
        reader.Bag(tmp_path)


def test_storage_file_missing_beside_its_metadata(tmp_path, rng):
    path = write_bag(tmp_path / "bag", frames(rng))
    next(path.glob("*.mcap")).unlink()
    with pytest.raises(reader.BagError, match="files are missing"):
        reader.Bag(path)


def test_bag_older_than_iron_has_no_definitions(tmp_path, rng):
    """Humble's sqlite3 schema: no message definitions, no type hashes."""
    path = write_bag(tmp_path / "bag", frames(rng), "sqlite3")
    with sqlite3.connect(next(path.glob("*.db3"))) as database:
        database.execute("DROP TABLE message_definitions")
        database.execute("DROP TABLE schema")
        database.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
    with reader.Bag(path) as bag:
        rgb, thermal = choose_topics(bag)
        assert [m.deserialize().encoding for m in bag.messages([rgb])] == ["rgb8"] * 4


@pytest.mark.parametrize("storage", STORAGES)
def test_writer_ended_by_an_error_leaves_a_readable_bag(tmp_path, rng, storage):
    rgb = frames(rng, 1)[0][0]
    with pytest.raises(KeyboardInterrupt), BagWriter(tmp_path / "bag", storage) as writer:
        writer.write_image("/rgb", rgb, START, "f")
        raise KeyboardInterrupt
    with reader.Bag(tmp_path / "bag") as bag:
        assert len(list(bag.messages(["/rgb"]))) == 1


def test_writer_refuses(tmp_path, rng):
    with pytest.raises(reader.BagError, match="exists already and is not overwritten"):
        BagWriter(tmp_path)
    with pytest.raises(reader.BagError, match="got the bag storage 'hdf5'"):
        BagWriter(tmp_path / "b", "hdf5")
    with pytest.raises(OSError, match="/proc/bag: this bag cannot be written"):
        BagWriter("/proc/bag")
    with BagWriter(tmp_path / "c") as writer:
        for image in (np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.int32)):
            with pytest.raises(reader.BagError, match="/rgb: cannot write"):
                writer.write_image("/rgb", image, START, "f")


@pytest.mark.parametrize("storage", STORAGES)
def test_a_full_disk_is_one_clear_error(tmp_path, rng, storage):
    image = rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)
    old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, old_limit[1]))
        message = f"{tmp_path}/bag: this bag cannot be"
        with (
            pytest.raises(OSError, match=message),
            BagWriter(tmp_path / "bag", storage) as writer,
        ):
            for index in range(5):
                writer.write_image("/rgb", image, START + index, "f")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
