"""Several pairs of cameras on one engine: topics, parameters, diagnostics and turns of each."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from node_bench import RELIABLE, Bench
from node_messages import header, rgb_message, stamp_of, thermal_message
from node_process import DEADLINE_S, Process
from sensor_msgs.msg import Image

from mafs_ros.base.faults import Fault
from mafs_ros.node.fault_record import FaultRecord
from mafs_ros.node.warnings import Warnings

PAIRS = ("front", "rear")
TOPICS = {
    f"{pair}.{camera}_topic": f"/{pair}/{camera}/image"
    for pair in PAIRS
    for camera in ("rgb", "thermal")
}


class Pairs(Bench):
    """Publishes and hears several pairs; `received` holds labels by pair."""

    def hear(self) -> None:
        for pair in PAIRS:
            self.received[pair] = []
            self.node.create_subscription(
                Image,
                f"/mafs/{pair}/segmentation/labels",
                lambda message, pair=pair: self._take(pair, message),
                RELIABLE,
            )

    def send(self, pair: str, stamp_ns: int) -> int:
        for camera, message in (
            ("rgb", rgb_message(stamp_ns)),
            ("thermal", thermal_message(stamp_ns)),
        ):
            message.header = header(stamp_ns, f"{pair}_{camera}_camera")
            self.publish(f"{pair}/{camera}", message)
        return stamp_ns

    def connect_pairs(self) -> None:
        """Send to both until both have answered."""
        self.hear()
        deadline = time.monotonic() + DEADLINE_S
        while not all(self.received[pair] for pair in PAIRS):
            assert time.monotonic() < deadline, f"nothing comes back; {list(self.status)}"
            for pair in PAIRS:
                self.send(pair, time.time_ns())
            with self.changed:
                self.changed.wait(0.2)


@pytest.fixture
def pairs(ros_domain: int) -> Any:
    bench = Pairs()
    yield bench
    bench.close()


def test_two_pairs(start: Callable[..., Process], pairs: Pairs) -> None:
    process = start(
        pairs=list(PAIRS),
        backend="torch",
        slop_s=0.02,
        fallback_after_s=0.0,
        stale_timeout_s=60.0,
        **TOPICS,
    )
    process.wait_for_line("rear: active: /rear/rgb/image and /rear/thermal/image")
    pairs.connect_pairs()
    for pair in PAIRS:  # each has frames of its own cameras alone
        stamp = pairs.send(pair, time.time_ns())
        found = pairs.wait_for_stamp(stamp, pair)
        assert found.header.frame_id == f"{pair}_rgb_camera" and found.encoding == "mono8"
        other = PAIRS[1 - PAIRS.index(pair)]
        assert stamp not in map(stamp_of, pairs.received[other])
    names = (
        *("rgb camera", "thermal camera", "pairing", "perception", "mode"),
        *("alignment", "registration"),
    )
    expected = {f"{pair}: {name}" for pair in PAIRS for name in names} | {"faults"}
    pairs.wait(lambda: set(pairs.status) == expected, f"the statuses {expected}")
    assert pairs.node.count_publishers("/mafs/fused/image") == 0
    assert all(pairs.node.count_publishers(f"/mafs/{pair}/mode") == 1 for pair in PAIRS)
    for pair in PAIRS:
        pairs.wait(
            lambda pair=pair: (
                pairs.counts(f"{pair}: perception")["published"] == len(pairs.received[pair])
            ),
            "the frames of this pair alone are counted",
        )
    # live parameters are of one pair
    assert pairs.set_parameters(**{"rear.slop_s": 0.3})[0].successful
    pairs.wait(lambda: pairs.values("rear: pairing")["slop_s"] == "0.3", "the new slop_s")
    assert pairs.values("front: pairing")["slop_s"] == "0.02"
    for name, value, reason in (
        (
            "slop_s",
            0.3,
            "parameter slop_s was the default of the pairs at the start: set front.sl",
        ),
        ("rear.slop_s", 11.0, "rear.slop_s"),
        ("rear.thermal_low", 70000.0, "rear.thermal_low and rear.thermal_high: got 70000.0"),
        ("front.rgb_topic", "/x", "parameter front.rgb_topic is read when the node is configured"),
    ):
        (result,) = pairs.set_parameters(**{name: value})
        assert not result.successful and reason in result.reason, result.reason


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "parameters front.rgb_topic and rear.rgb_topic: both are /rgb/image, expected the"),
        (
            {**TOPICS, "rear.slop": 0.1},
            "parameter rear.slop does not exist: did you mean rear.slo",
        ),
        (
            {"pairs": []},
            'value is an empty list, expected pairs: [""] for one pair without a name',
        ),
        ({**TOPICS, "rear.registration_file": "/nowhere.yaml"}, "/nowhere.yaml"),
    ],
)
def test_what_cannot_start_says_why(
    start: Callable[..., Process], parameters: dict[str, Any], message: str
) -> None:
    process = start(**{"pairs": list(PAIRS), **parameters})
    assert process.wait() == 1
    errors = [line for line in process.lines if "INFO" not in line]
    assert len(errors) == 1 and message in errors[0], process.lines


def test_lines_name_the_pair_and_its_parameters() -> None:
    said = []
    logger = SimpleNamespace(warning=said.append)
    node: Any = SimpleNamespace(get_logger=lambda: logger)
    faults, code = FaultRecord(), Fault.NO_PAIR
    text = "no pair: set slop_s or rgb_transport: raw (/a/slop_s)"
    Warnings(node, faults, "rear").warn(code, text)
    Warnings(node, faults).warn(code, "no pair: set slop_s")
    assert said == [
        "rear: MAFS_E_NO_PAIR: no pair: set rear.slop_s or rear.rgb_transport: raw (/a/slop_s)",
        "MAFS_E_NO_PAIR: no pair: set slop_s",
    ]
