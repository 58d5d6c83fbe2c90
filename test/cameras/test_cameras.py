"""The simulated cameras as a process of their own: what they say they send is what arrives."""

import csv
import signal
import time

import cv2
import numpy as np
import pytest
from camera_process import Receiver, failure, finish, receive, start
from rclpy.serialization import serialize_message
from recordings import write_bag
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from mafs_ros.bags import reader, topics
from mafs_ros.bags.writer import BagWriter

# Fast DDS acknowledges small reliable messages only every 3 s, for which the cameras wait at the
# end; images of this size it acknowledges at once.
HEIGHT, WIDTH = 480, 640


def test_folders_arrive_byte_for_byte_with_scheduled_stamps(ros_domain, folders, pairs):
    before = time.time_ns()
    receiver, summary = receive(**folders, rate_hz=50, rgb_frame_id="left", thermal_frame_id="ir")
    assert summary["rgb"] == {"topic": "/rgb/image", "sent": 6, "dropped": 0}
    for camera, (index, encoding, frame_id) in {
        "rgb": (0, "rgb8", "left"),
        "thermal": (1, "mono16", "ir"),
    }.items():
        messages = receiver.decoded(camera)
        for message, pair in zip(messages, pairs, strict=True):
            image = pair[index]
            assert (message.encoding, message.header.frame_id) == (encoding, frame_id)
            assert (message.height, message.width) == image.shape[:2]
            assert message.step == image.strides[0]
            assert message.data.tobytes() == image.tobytes()
        stamps = receiver.stamps(camera)
        assert (np.diff(stamps) == 20_000_000).all()
        assert before < stamps[0] < time.time_ns()
    assert (receiver.stamps("rgb") == receiver.stamps("thermal")).all()


def test_bag_arrives_byte_for_byte_with_its_own_stamps(ros_domain, tmp_path, pairs):
    path = write_bag(tmp_path / "bag", pairs)
    receiver, summary = receive(bag=path, speed=20.0)
    with reader.Bag(path) as bag:
        recorded = list(bag.messages(topics.choose_topics(bag)))
    for camera in ("rgb", "thermal"):
        assert receiver.raw(camera) == [m.raw for m in recorded if m.topic == f"/{camera}/image"]
    assert (np.diff(receiver.stamps("rgb")) == 100_000_000).all()


def test_bag_of_compressed_images_and_named_topics(ros_domain, tmp_path, pairs):
    sent = {"rgb": [], "ir": []}
    with BagWriter(tmp_path / "bag") as writer:
        for index, (rgb, thermal) in enumerate(pairs):
            for camera, image in (("rgb", rgb), ("ir", thermal)):
                message = CompressedImage(format="png")
                message.data.frombytes(cv2.imencode(".png", image)[1].tobytes())
                message.header.stamp.nanosec = index * 10_000_000
                sent[camera].append(serialize_message(message))
                writer.write_raw(
                    f"/{camera}/image/compressed",
                    reader.COMPRESSED_IMAGE,
                    sent[camera][-1],
                    index * 10_000_000,
                )
    with Receiver(
        ("rgb/image/compressed", CompressedImage), ("thermal/image/compressed", CompressedImage)
    ) as receiver:
        summary = finish(
            start(
                bag=tmp_path / "bag",
                bag_rgb_topic="/rgb/image/compressed",
                bag_thermal_topic="/ir/image/compressed",
                wait_for_subscribers=1,
            )
        )
        receiver.wait_for(12)
    assert summary["thermal"]["topic"] == "/thermal/image/compressed"
    assert receiver.raw("rgb") == sent["rgb"]
    assert receiver.raw("thermal") == sent["ir"]


@pytest.mark.alone
def test_bag_timing_is_honoured(ros_domain, tmp_path, pairs):
    path = write_bag(tmp_path / "bag", pairs)  # 0.1 s apart
    receive(bag=path, speed=2.0, sent_file=tmp_path / "sent.csv")
    with open(tmp_path / "sent.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["/rgb/image", "/thermal/image"] * 6
    times = np.array([int(row[2]) for row in rows])
    schedule = np.array([50e6 * (index // 2) + 3.5e6 * (index % 2) for index in range(12)])
    # Never early; a busy machine may be late.
    assert (times - times[0] - schedule > -40e6).all()
    assert (times[-2] - times[0]) > 240e6


def test_dropouts_are_counted_and_the_rest_arrives(ros_domain, folders):
    receiver, summary = receive(**folders, rate_hz=200.0, loop=True, frames=100, dropout=0.3)
    for camera in ("rgb", "thermal"):
        sent, dropped = summary[camera]["sent"], summary[camera]["dropped"]
        assert sent + dropped == 100
        assert 15 <= dropped <= 45
    # A lost image leaves a gap of whole periods.
    gaps = np.diff(receiver.stamps("rgb"))
    assert (gaps % 5_000_000 == 0).all()
    assert gaps.max() >= 10_000_000


def test_paced_cameras_wait_for_each_pair(ros_domain, folders):
    with Receiver() as receiver:
        process = start(**folders, rate_hz=1000.0, pace_topic="done", wait_for_subscribers=1)
        for count in range(1, 7):
            receiver.wait_for(2 * count)
            rgb = receiver.decoded("rgb")[-1]
            assert receiver.stamps("rgb")[-1] == receiver.stamps("thermal")[-1]
            assert len(receiver.messages) == 2 * count  # nothing of the next pair
            receiver.acknowledge.publish(Header(stamp=rgb.header.stamp))
        summary = finish(process)
    assert summary["pairs"] == 6
    assert summary["pace_timeouts"] == 0


def test_paced_cameras_go_on_without_an_answer(ros_domain, folders):
    _, summary = receive(**folders, rate_hz=1000.0, pace_topic="done", pace_timeout_s=0.05)
    assert summary["pairs"] == summary["pace_timeouts"] == 6


def test_paced_bag_does_not_wait_for_what_cannot_pair(ros_domain, tmp_path, pairs):
    path = write_bag(tmp_path / "bag", pairs, lag=50_000_000)
    _, summary = receive(bag=path, speed=20.0, pace_topic="done", pace_slop_s=0.02)
    assert summary["pairs"] == summary["pace_timeouts"] == 0


@pytest.mark.alone
def test_sixty_hertz_is_reached_with_a_rendered_cycle(ros_domain):
    receiver, summary = receive(rate_hz=60.0, frames=90, cycle=12)
    assert len(receiver.raw("rgb")) == len(receiver.raw("thermal")) == 90
    assert set(np.diff(receiver.stamps("rgb"))) <= {16_666_666, 16_666_667}
    assert summary["late_ms"]["median"] < 250  # without the cycle they would be seconds late
    first, again, other = (receiver.decoded("rgb")[i].data for i in (0, 12, 1))
    assert first == again != other


def test_simulation_sends_its_frames_and_exact_labels(ros_domain):
    from mafs_ros.simulation import StreetSimulation

    values = {
        "seed": 4,
        "rate_hz": 20.0,
        "frames": 5,
        "height": HEIGHT,
        "width": WIDTH,
        "light": "night",
    }
    receiver, _ = receive(
        {"labels": ("labels/image", Image)}, labels_topic="labels/image", **values
    )
    street = StreetSimulation(seed=4, height=HEIGHT, width=WIDTH, night=True)
    for index in range(5):
        frame = street.frame(index / 20.0)
        images = {
            "rgb": (frame.rgb, "rgb8"),
            "thermal": (frame.thermal, "mono16"),
            "labels": (frame.labels, "mono8"),
        }
        for camera, (image, encoding) in images.items():
            message = receiver.decoded(camera)[index]
            assert message.encoding == encoding
            assert message.data.tobytes() == image.tobytes()
    assert (receiver.stamps("labels") == receiver.stamps("rgb")).all()


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_cleanly_and_counts(ros_domain, folders, stop):
    with Receiver() as receiver:
        process = start(**folders, loop=True, rate_hz=50.0, wait_for_subscribers=1)
        receiver.wait_for(10)
        process.send_signal(stop)
        summary = finish(process)
        assert summary["finished"] is False
        receiver.wait_for(summary["rgb"]["sent"] + summary["thermal"]["sent"])
    assert len(receiver.raw("rgb")) == summary["rgb"]["sent"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rgb_dir": "/nowhere", "thermal_dir": "/nowhere"}, "/nowhere: there is no such folder"),
        ({"rgb_dir": "/nowhere"}, "rgb_dir and thermal_dir: got one"),
        ({"bag": "/nowhere"}, "/nowhere: there is no such bag"),
        ({"bag": "/nowhere", "jitter_s": 0.01}, "parameter jitter_s: got 0.01, which does not go"),
        ({"rate_hz": 0}, "parameter rate_hz: got 0.0, expected a float from 0.01 to 1000.0"),
        ({"rate_hz": 10.0, "jitter_s": 0.05}, "expected less than half a period, 0.0500"),
        (
            {"wait_for_subscribers": 1, "wait_timeout_s": 0.1, "height": 32, "width": 32},
            "/rgb/image has 0 subscriptions after 0.1 s, expected 1",
        ),
        (
            {"height": 32, "width": 32, "frames": 1, "sent_file": "/nowhere/sent.csv"},
            "No such file or directory: '/nowhere/sent.csv'",
        ),
    ],
)
def test_errors_are_one_line(ros_domain, values, message):
    assert message in failure(**values)


# The schedule, without processes
