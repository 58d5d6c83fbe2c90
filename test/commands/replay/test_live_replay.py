"""`mafs replay --live`, and the estimate of it."""

from __future__ import annotations

import json
import time

import pytest
from replay_bag import MS, START, STEP, replay, write_bag

from mafs_ros.bags.writer import BagWriter
from mafs_ros.commands.replay.live_estimate import live_estimate


def test_live_estimate_of_a_busy_node():
    received = [index * 100 * MS for index in range(5)]  # every 100 ms, 250 ms each
    estimate = live_estimate(received, [250.0] * 5)
    # 0 runs to 250; 1 is replaced by 2, which runs to 500; 3 by 4, which runs to 750.
    assert (estimate.pairs, estimate.replaced) == (5, 2)
    assert estimate.latency_ms == [250.0, 300.0, 350.0]
    assert live_estimate(received, [20.0] * 5).replaced == 0


def test_live_node_pairs_by_arrival(tmp_path, frames, demo_domain):
    """Of a thermal camera that sets no stamps; moments of arrival are no run's like another's."""
    pytest.importorskip("rclpy", reason="needs ROS 2")
    bag = without_stamps(tmp_path / "bag", frames, rgb=False)
    options = ("--live", "--rate", "0.3", "-p", "pair_by:=arrival")
    code, report = replay(bag, tmp_path / "out", *options)
    assert (code, report["problems"]) == (0, [])
    live = json.loads((tmp_path / "out" / "timing.json").read_text())["live"]
    assert live["pairs"] == 6
    assert live["published"] == report["frames"]["evaluated"] >= 1
    assert live["same_bytes"] + live["different_bytes"] == live["published"]
    said = [line for line in report["warnings"] if "no two runs have the same" in line]
    assert len(said) == bool(live["different_bytes"])
    assert live["latency_ms"]["min"] > 0


def test_frames_that_have_one_stamp_are_not_told_apart(tmp_path, frames):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    bag = without_stamps(tmp_path / "bag", frames, rgb=True)
    code, report = replay(bag, tmp_path / "out", "--live", "-p", "pair_by:=arrival")
    assert code == 1
    (problem,) = report["problems"]
    assert "5 of 6 images of /rgb/image have the stamp of another" in problem
    assert "evaluate this bag without --live" in problem
    assert replay(bag, tmp_path / "out", "-p", "pair_by:=arrival")[0] == 0


def without_stamps(path, frames, *, rgb):
    """A bag whose thermal images, and with `rgb` all images, have the stamp 0."""
    with BagWriter(path) as writer:
        for index, frame in enumerate(frames):
            received = START + index * STEP
            writer.write_image("/rgb/image", frame.rgb, 0 if rgb else received, "rgb", received)
            writer.write_image("/thermal/image", frame.thermal, 0, "thermal", received + 5 * MS)
    return path


def test_live_node_gives_the_bytes_of_the_offline_evaluation(tmp_path, frames, demo_domain):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    bag = write_bag(tmp_path / "bag", frames)
    options = ("--live", "--rate", "0.3", "-p", "confidence_threshold:=0.99")
    code, report = replay(bag, tmp_path / "out", *options)
    assert (code, report["problems"]) == (0, [])
    assert any("confidence_threshold 0.99 is left out" in line for line in report["warnings"])
    live = json.loads((tmp_path / "out" / "timing.json").read_text())["live"]
    assert live["sent"] == {"rgb": 6, "thermal": 6}
    assert live["pairs"] == 6
    assert 1 <= live["published"] == live["same_bytes"] == report["frames"]["evaluated"]
    assert (
        live["published"]
        + sum(
            count
            for cause, count in live["drops"].items()
            if not cause.startswith(("rgb", "thermal"))
        )
        == 6
    )
    assert 0 < live["latency_ms"]["median"] <= live["age_ms"]["max"]
    assert "<h2>Live node</h2>" in (tmp_path / "out" / "report.html").read_text()


def test_a_frame_without_overlay_counts_as_lost_and_not_as_published_too(tmp_path, ros_domain):
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2")
    from sensor_msgs.msg import Image

    from mafs_ros.commands.replay.live import LiveReceiver
    from mafs_ros.rig.receiver import OUTPUTS
    from mafs_ros.rig.source import Source

    source = Source("a bag", 2, 1, 1, paced=False, cameras={}, node={})
    receiver, context = LiveReceiver(source, tmp_path), rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node("mafs", context=context)
    try:
        senders = {
            name: node.create_publisher(Image, topic, 10) for name, topic in OUTPUTS.items()
        }
        assert wait_for(lambda: all(s.get_subscription_count() for s in senders.values()))
        for stamp, names in ((1, ("fused", "labels")), (2, tuple(senders))):
            message = Image(height=1, width=1, step=1, encoding="mono8", data=b"1")
            message.header.stamp.nanosec = stamp
            for name in names:
                senders[name].publish(message)
        assert wait_for(lambda: receiver.complete)
        assert receiver.whole() == [2]
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)
        receiver.close()


def wait_for(condition):
    """Whether it comes true within ten seconds."""
    deadline = time.monotonic() + 10.0
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return bool(condition())
