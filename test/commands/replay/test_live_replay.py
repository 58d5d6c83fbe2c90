"""`mafs replay --live`, and the estimate of it."""

from __future__ import annotations

import json

import pytest
from replay_bag import MS, replay, write_bag

from mafs_ros.commands.replay.live_estimate import live_estimate


def test_live_estimate_of_a_busy_node():
    received = [index * 100 * MS for index in range(5)]  # every 100 ms, 250 ms each
    estimate = live_estimate(received, [250.0] * 5)
    # 0 runs to 250; 1 is replaced by 2, which runs to 500; 3 by 4, which runs to 750.
    assert (estimate.pairs, estimate.replaced) == (5, 2)
    assert estimate.latency_ms == [250.0, 300.0, 350.0]
    assert live_estimate(received, [20.0] * 5).replaced == 0


def test_live_node_gives_the_bytes_of_the_offline_evaluation(tmp_path, frames, demo_domain):
    pytest.importorskip("rclpy", reason="needs ROS 2")
    bag = write_bag(tmp_path / "bag", frames)
    code, report = replay(bag, tmp_path / "out", "--live", "--rate", "0.3")
    assert (code, report["problems"]) == (0, [])
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
