"""Files that are no sound rosbag2 are named as what they are, with the step that helps."""

from __future__ import annotations

import re
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from mcap.writer import Writer
from recordings import frames, write_bag

from mafs_ros.bags.reader import Bag, BagError, NotARosbag2


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    return write_bag(tmp_path / "bag", frames(np.random.default_rng(0)))


@pytest.fixture
def sqlite_bag(tmp_path: Path) -> Path:
    return write_bag(tmp_path / "sqlite", frames(np.random.default_rng(0)), "sqlite3")


def mcap(path: Path, encoding: str, schema: str) -> Path:
    with open(path, "wb") as file:
        writer = Writer(file)
        writer.start()
        number = writer.register_schema(schema, "x", b"x")
        channel = writer.register_channel("/cam", encoding, number)
        writer.add_message(channel, 0, b"\0" * 40, 0)
        writer.finish()
    return path


def message_of(path: Path, *, salvage: bool = True) -> str:
    with pytest.raises(BagError) as caught:
        Bag(path, salvage=salvage)
    return str(caught.value)


@pytest.mark.parametrize(
    ("encoding", "schema", "words"),
    [
        ("protobuf", "foxglove.CompressedImage", "protobuf messages (foxglove.CompressedImage)"),
        ("ros1", "sensor_msgs/Image", "ROS 1 messages (sensor_msgs/Image)"),
        ("json", "foxglove.RawImage", "json messages (foxglove.RawImage)"),
    ],
)
def test_mcap_of_other_messages(tmp_path: Path, encoding: str, schema: str, words: str) -> None:
    text = message_of(mcap(tmp_path / "a.mcap", encoding, schema))
    assert f"holds {words}, expected those of ROS 2" in text
    assert "`mafs bag make`" in text


def test_ros_1_bag_under_any_name(tmp_path: Path) -> None:
    for name in ("a.bag", "b.mcap", "folder/c.bag"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"#ROSBAG V2.0\n" + bytes(40))
        text = message_of(file.parent if "/" in name else file)
        assert f"{file}: is a ROS 1 bag" in text
        assert f"rosbags-convert --src {file.with_suffix('.bag')} --dst NEW" in text


def test_git_lfs_pointer(bag: Path) -> None:
    next(bag.glob("*.mcap")).write_text("version https://git-lfs.github.com/spec/v1\noid x\n")
    assert "is a Git LFS pointer, not the file itself: `git lfs pull`" in message_of(bag)


@pytest.mark.parametrize(
    ("name", "start", "command"),
    [
        ("drive.zip", b"PK\x03\x04", "unzip"),
        ("drive.tar.gz", b"\x1f\x8b", "tar xf"),
        ("drive.mcap.gz", b"\x1f\x8b", "gunzip"),
        ("drive.mcap.zst", b"\x28\xb5\x2f\xfd", "zstd -d"),
        ("drive.mcap", b"BZh9", "bunzip2"),
    ],
)
def test_packed_files(tmp_path: Path, name: str, start: bytes, command: str) -> None:
    (tmp_path / name).write_bytes(start + bytes(100))
    text = message_of(tmp_path / name)
    assert text.endswith(
        f"is packed: unpack it (`{command} {tmp_path / name}`) and give what comes out"
    )


def test_folder_of_bags(bag: Path, sqlite_bag: Path) -> None:
    text = message_of(bag.parent)
    assert f"is not a bag but a folder of 2: give one of them ({bag}, {sqlite_bag})" in text
    with pytest.raises(NotARosbag2):
        Bag(bag.parent)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace("storage_identifier: mcap", 'storage_identifier: ""'), "''"),
        (lambda text: text.replace("storage_identifier: mcap", "storage_identifier: sqlite3"), ""),
        (lambda text: text[:90] + "\n\t{: x", "metadata.yaml is damaged"),
        (lambda text: "", "metadata.yaml is damaged"),
        (lambda text: "[1]", "metadata.yaml is damaged"),
        (lambda text: text.replace("version: ", "version: 4"), "has a Rosbag2 version 4"),
    ],
)
def test_damaged_metadata_costs_no_message(bag: Path, change, words: str) -> None:
    file = bag / "metadata.yaml"
    file.write_text(change(file.read_text()))
    text = message_of(bag, salvage=False)
    assert words in text
    assert f"`ros2 bag reindex -s mcap {bag}` writes it anew" in text
    assert "\n" not in text
    with Bag(bag, salvage=True) as read:
        assert read.damage == text
        assert sum(topic.count for topic in read.image_topics) == 8


def test_metadata_that_is_no_text_or_a_pointer(bag: Path) -> None:
    for content, words in (
        (bytes(range(256)), f"metadata.yaml is damaged; `ros2 bag reindex -s mcap {bag}`"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid x\n",
            "a Git LFS pointer, not the file",
        ),
    ):
        (bag / "metadata.yaml").write_bytes(content)
        with Bag(bag, salvage=True) as read:
            assert words in read.damage and "codec" not in read.damage
            assert sum(topic.count for topic in read.image_topics) == 8


def test_counts_and_duration_do_not_come_of_a_wrong_metadata(bag: Path) -> None:
    file = bag / "metadata.yaml"
    file.write_text(re.sub(r"message_count: \d+", "message_count: 0", file.read_text()))
    with Bag(bag) as read:
        assert [topic.count for topic in read.image_topics] == [4, 4]
        assert read.duration_s == pytest.approx(0.307, abs=1e-3)


def test_write_ahead_log(sqlite_bag: Path, tmp_path: Path) -> None:
    """Lost, or there: then its messages are read too."""
    copy, lost = tmp_path / "copy", tmp_path / "lost"
    file = next(sqlite_bag.glob("*.db3"))
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(
            "INSERT INTO messages (topic_id, timestamp, data) SELECT topic_id, "
            "timestamp, data FROM messages"
        )
        database.commit()
        shutil.copytree(sqlite_bag, copy)
    assert "newest messages lie in " in message_of(copy, salvage=False)
    with Bag(copy, salvage=True) as read:
        assert sum(topic.count for topic in read.image_topics) == 16
    lost.mkdir()
    with sqlite3.connect(lost / "drive_0.db3") as database:
        database.execute("PRAGMA journal_mode = WAL")
    before = sorted(lost.iterdir())
    text = message_of(lost)
    assert "drive_0.db3 holds no tables" in text
    assert "copy drive_0.db3-wal too" in text
    assert sorted(lost.iterdir()) == before  # reading writes nothing


def test_empty_and_misnamed_files(bag: Path, sqlite_bag: Path) -> None:
    file = next(bag.glob("*.mcap"))
    shutil.copy(next(sqlite_bag.glob("*.db3")), file)
    assert f"{file} is an SQLite file: name it so" in message_of(bag, salvage=False)
    file.write_bytes(b"")
    assert f"{file} is empty (0 bytes)" in message_of(bag)


def test_topics_of_other_types_are_named(tmp_path: Path) -> None:
    from mafs_ros.bags.topics import choose_topics

    path = mcap(tmp_path / "a.mcap", "cdr", "sensor_msgs/msg/Imu")
    with Bag(path, salvage=True) as read, pytest.raises(BagError, match=r"holds /cam \(sensor_"):
        choose_topics(read)
