"""What the node says of itself: windows, levels, messages and the diagnostics message."""

from __future__ import annotations

from types import SimpleNamespace

from diagnostic_msgs.msg import DiagnosticStatus
from node_bench import OUTCOMES
from rclpy.time import Time

from mafs_ros.node import diagnostics
from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.health import Events, FrameHealth, Samples, Throttle
from mafs_ros.perception.pairing.counters import CameraCounters, PairingCounters
from mafs_ros.perception.pairing.mailbox import Mailbox
from mafs_ros.perception.pairing.stamp_faults import StampFault


def events(*times: float) -> Events:
    result = Events()
    for time in times:
        result.add(time)
    return result


def at_rate(hz: float, start: float, end: float) -> list[float]:
    return [start + i / hz for i in range(round((end - start) * hz) + 1)]


def camera(
    name: str = "thermal",
    *,
    arrivals: tuple[float, ...] = (),
    stamp: float = 100.0,
) -> CameraHealth:
    result = CameraHealth(name, f"/{name}/image", since=0.0)
    for time in arrivals:
        result.arrived(time, "640x480 mono16", stamp)
    return result


def counters(offset_ms: float | None = None) -> PairingCounters:
    return PairingCounters(
        CameraCounters(received=7, paired=5, unpaired_slop=2),
        CameraCounters(received=5, paired=5),
        5,
        1,
        offset_ms,
    )


def test_samples() -> None:
    samples = Samples(size=100)
    assert samples.median is None and samples.p95 is None
    for value in range(1000, 1100):
        samples.add(value)
    assert samples.median == 1049.5
    assert samples.p95 == 1094  # 95 of the 100 values are no larger
    for value in range(100):
        samples.add(value)  # bounded: pushes the old ones out
    assert samples.median == 49.5
    single = Samples()
    single.add(3.0)
    assert single.median == single.p95 == 3.0


def test_rate_is_that_of_the_window() -> None:
    steady = events(*at_rate(30, 0, 60))
    assert abs(steady.rate_hz(60.0) - 30) < 0.01
    assert abs(steady.rate_hz(60.03) - 30) < 0.01  # between two events: no ripple
    assert abs(steady.rate_hz(65.0) - 15) < 0.5  # half of the window is silent
    assert steady.rate_hz(71.0) == 0
    assert steady.count(60.0) == 301
    assert events(1.0).rate_hz(1.0) == 0


def test_memory_is_bounded() -> None:
    counted = events(*at_rate(1000, 0, 10))
    assert counted.count(10.0) == 2000 and abs(counted.rate_hz(10.0) - 1000) < 1


def test_throttle() -> None:
    throttle = Throttle(period_s=5.0)
    assert throttle.take("bad", 0.0) and throttle.take("other", 1.0)
    assert not any(throttle.take("bad", now) for now in (1.0, 2.0, 4.9))
    assert throttle.take("bad", 5.0)
    assert not throttle.take("other", 5.0) and not throttle.take("bad", 9.9)


def test_camera_levels() -> None:
    healthy = camera(arrivals=(9.8, 9.9, 10.0))
    assert diagnostics.camera_status(healthy, 10.05, 5.0).level == diagnostics.OK
    silent = diagnostics.camera_status(healthy, 15.2, 5.0)
    assert silent.level == diagnostics.ERROR
    assert silent.message == "no thermal message on /thermal/image for 5 s"
    never = diagnostics.camera_status(camera(), 7.0, 5.0)
    assert never.level == diagnostics.ERROR and never.values["last_message_s_ago"] == "none yet"
    healthy.refused(10.0, "got 3 bytes, expected 8")
    bad = diagnostics.camera_status(healthy, 10.05, 5.0)
    assert bad.level == diagnostics.WARN and "1 bad images in 10 s: got 3 bytes" in bad.message
    assert bad.values["received"] == 3 and bad.values["bad"] == 1


def test_pairing_warns_where_both_send_and_nothing_pairs() -> None:
    rgb = camera("rgb", arrivals=(9.0, 10.0), stamp=100.0)
    late = camera(arrivals=(9.0, 10.0), stamp=99.4)
    status = diagnostics.pairing_status(counters(), events(2.0), 10.1, 5.0, rgb, late, 0.05)
    assert status.level == diagnostics.WARN
    assert (
        "no pair for 8 s: the newest thermal stamp is -0.600 s from the newest RGB stamp, "
        "slop_s allows 0.05 s"
    ) in status.message
    silent = camera(arrivals=(2.0,))
    assert (
        diagnostics.pairing_status(counters(), events(2.0), 10.1, 5.0, rgb, silent, 0.05).level
        == 0
    )
    good = diagnostics.pairing_status(
        counters(1.5), events(*at_rate(10, 0, 10)), 10.1, 5.0, rgb, late, 0.05
    )
    assert good.level == diagnostics.OK and good.message == "10.0 pairs/s"
    assert good.values["offset_ms"] == "1.50" and good.values["time_resets"] == 1
    assert good.values["rgb_unpaired_slop"] == 2 and good.values["thermal_received"] == 5


def test_perception_counts_add_up() -> None:
    frames = FrameHealth(bad_image=1, not_subscribed=1, not_registered=1)
    for now in (1.0, 1.1, 1.2):
        frames.publish(now, latency_ms=40.0, age_ms=60.0, steps_ms={"engine": 30.0})
    frames.fail(1.3, "thermal scaling as_is takes 8-bit images")
    frames.remarks.append("the shapes of the images differ")
    mailbox = Mailbox()
    for _ in range(8):
        mailbox.put("pair")
        mailbox.take()
    for _ in range(6):
        mailbox.put("pair")
    status = diagnostics.perception_status(frames, mailbox, 1.4, {"engine": "openvino"})
    values = status.values
    assert values["pairs"] == sum(values[outcome] for outcome in OUTCOMES)
    assert values["pairs"] == 14 and values["replaced_while_busy"] == 5
    assert values["waiting"] == values["in_progress"] == 1
    assert values["engine_ms_median"] == "30.00" and values["latency_ms_p95"] == "40.00"
    assert values["engine"] == "openvino"
    assert values["image_warnings"] == "the shapes of the images differ"
    assert status.level == diagnostics.WARN and "as_is" in status.message


def test_perception_is_in_error_while_every_frame_fails() -> None:
    frames = FrameHealth()
    frames.fail(1.0, "boom")
    assert diagnostics.perception_status(frames, Mailbox(), 2.0, {}).level == diagnostics.ERROR
    assert diagnostics.perception_status(frames, Mailbox(), 20.0, {}).level == diagnostics.OK


def test_age_of_another_clock_is_not_shown() -> None:
    assert diagnostics.age_text(None) == "none yet"
    assert diagnostics.age_text(83.21) == "83.21"
    assert "not of this clock" in diagnostics.age_text(1.7e12)
    assert "not of this clock" in diagnostics.age_text(-1.7e12)


def test_diagnostic_array() -> None:
    status = diagnostics.Status("rgb camera", diagnostics.WARN, "hm", {"received": 3})
    array = diagnostics.diagnostic_array("/robot/mafs", [status], Time(seconds=5).to_msg())
    assert array.header.stamp.sec == 5
    assert array.status[0].name == "robot/mafs: rgb camera"
    assert array.status[0].level == DiagnosticStatus.WARN
    assert [(v.key, v.value) for v in array.status[0].values] == [
        ("received", "3"),
        ("fault", "none"),
    ]


def test_wrong_stamps_are_a_warning_whether_pairs_come_or_not() -> None:
    rgb = camera("rgb", arrivals=(9.0, 10.0), stamp=0.0)
    thermal = camera(arrivals=(9.0, 10.0), stamp=0.0)
    pairs = events(*at_rate(10, 0, 10))
    fault = StampFault("the stamps of the RGB camera are all 0", {"pair_by": "arrival"})

    def status(fault: StampFault | None, pairs: Events = pairs) -> diagnostics.Status:
        return diagnostics.pairing_status(counters(), pairs, 10.1, 5.0, rgb, thermal, 0.05, fault)

    assert status(None).level == diagnostics.OK
    assert status(fault).level == diagnostics.WARN
    assert status(fault).message.endswith("are all 0; set pair_by: arrival")
    nothing = status(fault, events(2.0))
    assert nothing.message.startswith("no pair for 8 s: the newest thermal stamp is +0.000 s")
    assert nothing.message.endswith("set pair_by: arrival")
    late = StampFault("late", {"queue_size": 34}, in_doubt=True, queue_short=True)
    assert status(late).level == diagnostics.OK  # pairs come
    assert "set queue_size: 34" in status(late, events(9.0)).message


def test_perception_is_not_ok_while_no_frame_comes_out() -> None:
    frames, mailbox = FrameHealth(bad_image=3), Mailbox()
    for _ in range(3):
        mailbox.put("pair")
        mailbox.take()

    def reason(now: float, *pairs: float, alone: bool = False) -> str:
        activity = SimpleNamespace(
            rgb=camera("rgb"),
            pairs=events(*pairs),
            mailbox=mailbox,
            frames=frames,
            fallback=SimpleNamespace(alone=alone),
        )
        return diagnostics.idle_reason(activity, now, 5.0)

    assert reason(4.0) == ""  # just started
    assert "no pair comes" in reason(6.0)
    assert "no pair comes" in reason(20.0, 14.0)
    assert "no pair comes" not in reason(20.0, 14.0, alone=True)
    assert "both images can be read" in reason(20.0, 19.9)
    status = diagnostics.perception_status(frames, mailbox, 20.0, {}, reason(20.0, 19.9))
    assert status.level == diagnostics.WARN and status.message.startswith("0.0 frames/s: of no")
    frames.publish(19.0, 1.0, 1.0, {})
    assert reason(20.0, 19.9) == ""
    frames.subscribed = False
    assert reason(40.0, 39.9) == ""
    assert "nobody subscribes" in diagnostics.perception_status(frames, mailbox, 40.0, {}).message
