"""Real rosbag2 files, sqlite3 and mcap: read back as written, clear errors."""

import re
import resource
import signal
import sqlite3

import numpy as np
import pytest

from mafs_ros import bags

STORAGES = ["mcap", "sqlite3"]
STEP = 10**8  # nanoseconds between frames
START = 1_700_000_000_123_456_789


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def frames(rng, count=4, height=12, width=16):
    return [
        (
            rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
            rng.integers(0, 65536, (height, width), dtype=np.uint16),
        )
        for _ in range(count)
    ]


def write_bag(
    path,
    pairs,
    storage="mcap",
    compress=False,
    lag=7_000_000,
    topics=("/rgb/image", "/thermal/image"),
):
    """A bag of (rgb, thermal) pairs; the thermal stamps lag behind the RGB ones."""
    with bags.BagWriter(path, storage, compress) as writer:
        for index, (rgb, thermal) in enumerate(pairs):
            stamp = START + index * STEP
            writer.write_image(topics[0], rgb, stamp, "rgb_optical")
            writer.write_image(topics[1], thermal, stamp + lag, "thermal_optical")
    return path


def write_topics(path, topics):
    """A bag with one image per topic, name -> (image, encoding or compressed format)."""
    with bags.BagWriter(path) as writer:
        for name, (image, encoding) in topics.items():
            if name.endswith("/compressed"):
                message = bags.TYPES.types[bags.COMPRESSED_IMAGE](
                    header=bags._header(START, "c"), format=encoding, data=image.reshape(-1)
                )
                raw = bytes(bags.TYPES.serialize_cdr(message, bags.COMPRESSED_IMAGE))
                writer.write_raw(name, bags.COMPRESSED_IMAGE, raw, START)
                continue
            message = bags.TYPES.types[bags.IMAGE](
                header=bags._header(START, "c"),
                height=image.shape[0],
                width=image.shape[1],
                encoding=encoding,
                is_bigendian=0,
                step=image.strides[0],
                data=image.reshape(-1).view(np.uint8),
            )
            raw = bytes(bags.TYPES.serialize_cdr(message, bags.IMAGE))
            writer.write_raw(name, bags.IMAGE, raw, START)
    return path


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("storage", STORAGES)
def test_round_trip(tmp_path, rng, storage, compress):
    pairs = frames(rng)
    path = write_bag(tmp_path / "bag", pairs, storage, compress)
    with bags.Bag(path) as bag:
        rgb, thermal = bags.choose_topics(bag)
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
    with pytest.raises(bags.BagError, match=re.escape(f"or give one file: {file}")):
        bags.Bag(path)
    with bags.Bag(file) as bag:
        assert len(list(bag.messages(bags.choose_topics(bag)))) == 8


def test_metadata_yaml_names_its_bag(tmp_path, rng):
    path = write_bag(tmp_path / "bag", frames(rng))
    with bags.Bag(path / "metadata.yaml") as bag:
        assert len(bag.image_topics) == 2


def test_sensor_stamps_may_differ_from_the_recorders(tmp_path, rng):
    rgb = frames(rng, 1)[0][0]
    with bags.BagWriter(tmp_path / "bag") as writer:
        writer.write_image("/b", rgb, 5, "f", received=20)
        writer.write_image("/a", rgb, 9, "f", received=10)  # an earlier arrival, a later stamp
    with bags.Bag(tmp_path / "bag") as bag:
        assert [(m.stamp, m.received) for m in bag.messages(["/a", "/b"])] == [(9, 10), (5, 20)]
        assert [m.topic for m in bag.messages(["/a"])] == ["/a"]
        assert list(bag.messages([])) == []


@pytest.mark.parametrize("storage", STORAGES)
def test_cut_off_bag(tmp_path, rng, storage):
    path = write_bag(tmp_path / "bag", frames(rng, 8, 100, 100), storage)
    file = next(p for p in path.iterdir() if p.suffix != ".yaml")
    file.write_bytes(file.read_bytes()[:60_000])
    message = f"{path}: cannot be read, the bag is damaged, cut off"
    with pytest.raises(bags.BagError, match=message), bags.Bag(path) as bag:
        list(bag.messages(["/rgb/image", "/thermal/image"]))


def test_damage_in_the_middle_gives_what_lies_before(tmp_path, rng):
    """A message whose bytes are too few for a header: what came before it is not lost."""
    path = tmp_path / "bag"
    rgb = frames(rng, 1)[0][0]
    with bags.BagWriter(path) as writer:
        writer.write_image("/rgb", rgb, START, "f")
        writer.write_raw("/rgb", bags.IMAGE, b"\0\1\0\0", START + 1)
    seen = []
    with bags.Bag(path) as bag, pytest.raises(bags.BagError, match="cannot be read"):
        for message in bag.messages(["/rgb"]):
            seen.append(message.stamp)
    assert seen == [START]


def test_message_cut_off_behind_its_header(tmp_path, rng):
    path = tmp_path / "bag"
    with bags.BagWriter(path) as writer:
        writer.write_image("/rgb", frames(rng, 1)[0][0], START, "f")
    with bags.Bag(path) as bag:
        message = next(bag.messages(["/rgb"]))
    cut = bags.BagMessage(message.topic, message.message_type, message.stamp, 5, message.raw[:60])
    with pytest.raises(bags.BagError, match="a message of /rgb at 5 ns cannot be read"):
        cut.deserialize()


def test_not_a_bag(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no such bag"):
        bags.Bag(tmp_path / "none")
    with pytest.raises(bags.BagError, match="no metadata.yaml and no .mcap or .db3 file"):
        bags.Bag(tmp_path)
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    with pytest.raises(bags.BagError, match="is a ROS 1 bag"):
        bags.Bag(tmp_path / "old.bag")
    (tmp_path / "a.txt").write_bytes(b"hello")
    with pytest.raises(bags.BagError, match="expected a rosbag2 folder"):
        bags.Bag(tmp_path / "a.txt")
    for suffix in ("mcap", "db3"):
        (tmp_path / f"a.{suffix}").write_bytes(b"hello" * 100)
        with pytest.raises(bags.BagError, match="cannot be read"):
            bags.Bag(tmp_path / f"a.{suffix}")
    (tmp_path / "metadata.yaml").write_text("rosbag2_bagfile_information: {version: 99}")
    with pytest.raises(bags.BagError, match="version 99 not supported"):
        bags.Bag(tmp_path)
    (tmp_path / "metadata.yaml").write_text("{")
    with pytest.raises(bags.BagError, match="cannot be read"):
        bags.Bag(tmp_path)


def test_storage_file_missing_beside_its_metadata(tmp_path, rng):
    path = write_bag(tmp_path / "bag", frames(rng))
    next(path.glob("*.mcap")).unlink()
    with pytest.raises(bags.BagError, match="files are missing"):
        bags.Bag(path)


def test_bag_older_than_iron_has_no_definitions(tmp_path, rng):
    """Humble's sqlite3 schema: no message definitions, no type hashes."""
    path = write_bag(tmp_path / "bag", frames(rng), "sqlite3")
    with sqlite3.connect(next(path.glob("*.db3"))) as database:
        database.execute("DROP TABLE message_definitions")
        database.execute("DROP TABLE schema")
        database.execute("ALTER TABLE topics DROP COLUMN type_description_hash")
    with bags.Bag(path) as bag:
        rgb, thermal = bags.choose_topics(bag)
        assert [m.deserialize().encoding for m in bag.messages([rgb])] == ["rgb8"] * 4


U8, U16 = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint16)
RGB, F32 = np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.float32)


@pytest.mark.parametrize(
    ("topics", "expected"),
    [
        (
            {"/cam0/image_raw": (RGB, "bgr8"), "/cam1/image_raw": (U16, "16UC1")},
            ("/cam0/image_raw", "/cam1/image_raw"),
        ),
        ({"/visible": (RGB, "rgb8"), "/ir": (U8, "mono8")}, ("/visible", "/ir")),
        (
            {"/rgbt_rig/rgb/image": (RGB, "rgb8"), "/rgbt_rig/thermal/image": (U8, "mono8")},
            ("/rgbt_rig/rgb/image", "/rgbt_rig/thermal/image"),
        ),
        (
            {
                "/camera/color/image_raw": (RGB, "rgb8"),
                "/camera/depth/image_rect_raw": (U16, "16UC1"),
                "/camera/aligned_depth_to_color/image_raw": (U16, "16UC1"),
                "/camera/infra1/image_rect_raw": (U8, "mono8"),
                "/flir_boson/image16": (U16, "mono16"),
            },
            ("/camera/color/image_raw", "/flir_boson/image16"),
        ),
        (
            {
                "/rgb/image": (RGB, "rgb8"),
                "/thermal/image": (F32, "32FC1"),
                "/mafs/fused/image": (RGB, "rgb8"),
                "/mafs/segmentation/labels": (U8, "mono8"),
                "/mafs/segmentation/overlay": (RGB, "rgb8"),
            },
            ("/rgb/image", "/thermal/image"),
        ),
        (
            {"/image_raw": (U8, "bayer_rggb8"), "/lepton": (U16, "mono16")},
            ("/image_raw", "/lepton"),
        ),
        (
            {
                "/image_raw": (RGB, "rgb8"),
                "/image_raw/compressed": (U8, "rgb8; jpeg compressed bgr8"),
                "/thermal": (U16, "mono16"),
                "/thermal/compressed": (U8, "16UC1; png compressed"),
            },
            ("/image_raw", "/thermal"),
        ),
        (
            {"/rgb/compressed": (U8, "jpeg"), "/thermal/compressed": (U8, "png")},
            ("/rgb/compressed", "/thermal/compressed"),
        ),
    ],
)
def test_guessed_topics(tmp_path, topics, expected):
    with bags.Bag(write_topics(tmp_path / "bag", topics)) as bag:
        rgb, thermal = bags.choose_topics(bag)
        assert (rgb.name, thermal.name) == expected


def test_named_topics(tmp_path):
    path = write_topics(
        tmp_path / "bag",
        {
            "/left": (RGB, "rgb8"),
            "/right": (RGB, "rgb8"),
            "/a": (U8, "mono8"),
            "/b": (U8, "mono8"),
        },
    )
    with bags.Bag(path) as bag:
        rgb, thermal = bags.choose_topics(bag, rgb="right", thermal="/b")  # slash or none
        assert (rgb.name, thermal.name) == ("/right", "/b")
        with pytest.raises(bags.BagError, match="as RGB and as thermal topic"):
            bags.choose_topics(bag, rgb="/a", thermal="/a")


@pytest.mark.parametrize(
    ("topics", "names", "message"),
    [
        (
            {"/left": (RGB, "rgb8"), "/right": (RGB, "rgb8"), "/ir": (U8, "mono8")},
            {},
            "several topics may be the rgb one, name it; the image topics are: "
            "/ir (mono8 4x4, 1 messages), /left (rgb8 4x4, 1 messages), /right (rgb8 4x4, 1 messages)",
        ),
        (
            {"/rgb": (RGB, "rgb8"), "/grey": (U8, "mono8")},
            {},
            "no topic looks thermal, name it; the image topics are: /grey (mono8",
        ),
        (
            {"/rgb": (RGB, "rgb8"), "/ir": (U8, "mono8")},
            {"thermal": "/flir"},
            "no image topic /flir; the image topics are: /ir (mono8",
        ),
        (
            {"/rgb/compressed": (U8, "jpeg")},
            {},
            "no topic looks thermal, name it; the image topics are: /rgb/compressed (jpeg compressed, 1",
        ),
    ],
)
def test_wrong_topics_are_answered_with_those_that_exist(tmp_path, topics, names, message):
    path = write_topics(tmp_path / "bag", topics)
    with bags.Bag(path) as bag, pytest.raises(bags.BagError, match=re.escape(message)):
        bags.choose_topics(bag, **names)


def test_bag_without_images(tmp_path):
    text = bags.TYPES.types["std_msgs/msg/String"](data="hello")
    with bags.BagWriter(tmp_path / "bag") as writer:
        writer.write_raw(
            "/chatter",
            "std_msgs/msg/String",
            bytes(bags.TYPES.serialize_cdr(text, "std_msgs/msg/String")),
            START,
        )
    with bags.Bag(tmp_path / "bag") as bag, pytest.raises(bags.BagError, match="no image topics"):
        bags.choose_topics(bag)


@pytest.mark.parametrize("storage", STORAGES)
def test_writer_ended_by_an_error_leaves_a_readable_bag(tmp_path, rng, storage):
    rgb = frames(rng, 1)[0][0]
    with pytest.raises(KeyboardInterrupt), bags.BagWriter(tmp_path / "bag", storage) as writer:
        writer.write_image("/rgb", rgb, START, "f")
        raise KeyboardInterrupt
    with bags.Bag(tmp_path / "bag") as bag:
        assert len(list(bag.messages(["/rgb"]))) == 1


def test_writer_refuses(tmp_path, rng):
    with pytest.raises(bags.BagError, match="exists already and is not overwritten"):
        bags.BagWriter(tmp_path)
    with pytest.raises(bags.BagError, match="got the bag storage 'hdf5'"):
        bags.BagWriter(tmp_path / "b", "hdf5")
    with pytest.raises(OSError, match="/proc/bag: this bag cannot be written"):
        bags.BagWriter("/proc/bag")
    with bags.BagWriter(tmp_path / "c") as writer:
        for image in (np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4), np.int32)):
            with pytest.raises(bags.BagError, match="/rgb: cannot write"):
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
            bags.BagWriter(tmp_path / "bag", storage) as writer,
        ):
            for index in range(5):
                writer.write_image("/rgb", image, START + index, "f")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
