"""What the node knows about itself: counters, rates, latencies, and the /diagnostics message.

Counting and judging run without ROS; only `diagnostic_array` makes a message. All memory is
bounded. Times are seconds of `time.monotonic()` unless said.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from mafs_ros.base.faults import Fault
from mafs_ros.base.stamps import FOREIGN_CLOCK_S
from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.health import WINDOW_S, Events, FrameHealth
from mafs_ros.node.state import Activity, Session
from mafs_ros.perception.pairing.counters import PairingCounters
from mafs_ros.perception.pairing.mailbox import Mailbox
from mafs_ros.perception.pairing.stamp_faults import StampFault
from mafs_ros.perception.thermal import ThermalScaler

OK, WARN, ERROR = 0, 1, 2
NOTHING_ALONE = {"rgb_alone": 0, "thermal_alone": 0, "left_out": 0}


@dataclass
class Status:
    """One line of /diagnostics."""

    name: str
    level: int
    message: str
    values: dict[str, Any]
    fault: Fault | None = None  # where the level is not OK


def statuses(
    session: Session,
    activity: Activity,
    now: float,
    stale_s: float,
    fault: StampFault | None = None,
) -> list[Status]:
    """All that is said of an active pair: cameras, pairing, perception, alignment.

    fault: what is wrong with the stamps.
    """
    scaler = cast(ThermalScaler, session.perception.scaler)
    low, high = scaler.range or (None, None)
    return [
        camera_status(activity.rgb, now, stale_s),
        camera_status(activity.thermal, now, stale_s),
        pairing_status(
            activity.pairing.counters,
            activity.pairs,
            now,
            stale_s,
            activity.rgb,
            activity.thermal,
            activity.pairing.slop_s,
            fault,
            activity.pairing.pair_by,
            activity.fallback.alone,
        ),
        perception_status(
            activity.frames,
            activity.mailbox,
            now,
            {
                **session.facts,
                "engine": session.perception.engine.description,
                "thermal_scaling": scaler.mode,
                "thermal_low": number(low),
                "thermal_high": number(high),
            },
            idle_reason(activity, now, stale_s),
            activity.fallback.counts(),
            session.perception.engine.preparing(now),
        ),
        activity.fallback.status(activity.frames),
        activity.registration_watch.status(),
    ]


def idle_reason(activity: Activity, now: float, stale_s: float) -> str:
    """Why no frame comes out; '' where frames do, or nobody wants them, or one is in work."""
    frames, newest_pair = activity.frames, activity.pairs.newest
    newest_frame = frames.publications.newest
    last = activity.rgb.since if newest_frame is None else newest_frame
    if now - last < stale_s:
        return ""
    if not activity.fallback.alone and (newest_pair is None or now - newest_pair >= stale_s):
        return "no pair comes (see the cameras and the pairing)"
    if not frames.subscribed or activity.mailbox.counters.taken > sum(frames.counts().values()):
        return ""
    if frames.not_registered and not frames.published:
        return "it is not known how the cameras see (see the registration)"
    return "of no pair both images can be read (see the cameras)"


def camera_status(camera: CameraHealth, now: float, stale_s: float) -> Status:
    """ERROR for a silent camera, WARN for bad images in the last WINDOW_S seconds."""
    rate = camera.arrivals.rate_hz(now)
    level, message, fault = OK, f"{rate:.1f} Hz", None
    if (bad := camera.bad_arrivals.count(now)) > 0:
        level, fault = WARN, Fault.CAMERA_IMAGE
        message = f"{bad} bad images in {WINDOW_S:.0f} s: {camera.bad_reason}"
    if camera.silent_s(now) >= stale_s:
        level, message, fault = ERROR, silence(camera, now), Fault.CAMERA_SILENT
    newest = camera.arrivals.newest
    return Status(
        f"{camera.name} camera",
        level,
        message,
        {
            "topic": camera.topic,
            "image": camera.image,
            "rate_hz": number(rate),
            "received": camera.received,
            "bad": camera.bad,
            "lost_by_middleware": camera.lost,
            "last_message_s_ago": "none yet" if newest is None else number(now - newest),
        },
        fault,
    )


def silence(camera: CameraHealth, now: float) -> str:
    """'no thermal message on /thermal/image for 5 s'."""
    return f"no {camera.name} message on {camera.topic} for {int(camera.silent_s(now))} s"


def pairing_status(
    counters: PairingCounters,
    pairs: Events,
    now: float,
    stale_s: float,
    rgb: CameraHealth,
    thermal: CameraHealth,
    slop_s: float,
    fault: StampFault | None = None,
    pair_by: str = "stamp",
    alone: bool = False,
) -> Status:
    """WARN where both cameras send but nothing pairs, or the stamps are wrong.

    counters: those of the pairing; pairs: the times of its pairs; slop_s, pair_by: its own;
    fault: what is wrong with the stamps; alone: one camera is dead, so that none is expected.
    """
    level, message, found = OK, f"{pairs.rate_hz(now):.1f} pairs/s", None
    unpaired_s = now - (rgb.since if pairs.newest is None else pairs.newest)
    both_send = max(rgb.silent_s(now), thermal.silent_s(now)) < stale_s
    if fault is not None and (not fault.in_doubt or (fault.queue_short and unpaired_s >= 1)):
        level, message, found = WARN, str(fault), Fault.STAMPS
    if unpaired_s >= stale_s and both_send and not alone:
        level, found = WARN, Fault.STAMPS if fault else Fault.NO_PAIR
        message = f"no pair for {unpaired_s:.0f} s: {unpaired(rgb, thermal, slop_s, pair_by)}" + (
            f"; {fault}" if fault else " (see slop_s and thermal_time_offset_s)"
        )
    values: dict[str, Any] = {
        "rate_hz": number(pairs.rate_hz(now)),
        "offset_ms": number(counters.newest_offset_ms),
        "slop_s": f"{slop_s:g}",
        "paired": counters.paired,
        "time_resets": counters.resets,
    }
    for camera, of_camera in (("rgb", counters.rgb), ("thermal", counters.thermal)):
        values.update({f"{camera}_{cause}": count for cause, count in asdict(of_camera).items()})
    return Status("pairing", level, message, values, found)


def unpaired(rgb: CameraHealth, thermal: CameraHealth, slop_s: float, pair_by: str) -> str:
    """How far images that both come are from a pair."""
    if pair_by == "arrival":
        return f"the images of the two cameras arrive further apart than slop_s {slop_s:g} s"
    apart_s = (thermal.stamp_s or 0.0) - (rgb.stamp_s or 0.0)
    return (
        f"the newest thermal stamp is {apart_s:+.3f} s from the newest RGB stamp, slop_s "
        f"allows {slop_s:g} s"
    )


def perception_status(
    frames: FrameHealth,
    mailbox: Mailbox,
    now: float,
    facts: dict[str, Any],
    idle: str = "",
    alone: Mapping[str, int] = NOTHING_ALONE,
    building: str = "",
) -> Status:
    """ERROR while every frame fails, WARN where some of the last WINDOW_S seconds failed.

    WARN as well while an engine is built. building: which, in words.

    facts: what else is to be shown (engine, weights, thermal range, ...); idle: why nothing comes
    out; alone: `CameraFallback.counts`. The counters add up:
    pairs + rgb_alone + thermal_alone = waiting + in_progress + published + failed + bad_image
    + not_subscribed + not_registered + replaced_while_busy + left_out + discarded.
    """
    rate = frames.publications.rate_hz(now)
    level, message, fault = OK, f"{rate:.1f} frames/s", None
    if idle:
        level, message, fault = WARN, f"{message}: {idle}", Fault.NO_FRAME
    elif not frames.subscribed:
        message += ": nobody subscribes to the outputs"
    if building:
        level, message, fault = WARN, f"{rate:.1f} frames/s: {building}", Fault.ENGINE_BUILDING
    if (failed := frames.failures.count(now)) > 0:
        level = WARN if frames.publications.count(now) else ERROR
        fault = Fault.FRAME_FAILED
        message = f"{failed} frames failed in {WINDOW_S:.0f} s: {frames.failure}"
    # In this order: what the worker does meanwhile only adds to what is in progress.
    done, pairs = frames.counts(), mailbox.counters
    values = {
        "rate_hz": number(rate),
        "pairs": pairs.put - alone["rgb_alone"] - alone["thermal_alone"] + alone["left_out"],
        **alone,
        **done,
        "replaced_while_busy": pairs.replaced,
        "waiting": pairs.waiting,
        "in_progress": pairs.taken - sum(done.values()),
        "discarded": pairs.discarded,
        "latency_ms_median": number(frames.latency_ms.median),
        "latency_ms_p95": number(frames.latency_ms.p95),
        "age_ms_median": age_text(frames.age_ms.median),
        "age_ms_p95": age_text(frames.age_ms.p95),
    }
    for name, samples in list(frames.steps_ms.items()):
        values[f"{name}_ms_median"] = number(samples.median)
        values[f"{name}_ms_p95"] = number(samples.p95)
    values["image_warnings"] = "; ".join(tuple(frames.remarks)) or "none"
    return Status("perception", level, message, {**values, **facts}, fault)


def age_text(age_ms: float | None) -> str:
    """Age against the RGB stamp; says so where the stamps are not of the node's clock."""
    if age_ms is not None and abs(age_ms) > 1000 * FOREIGN_CLOCK_S:
        return "unknown: the RGB stamps are not of this clock (see use_sim_time)"
    return number(age_ms)


def number(value: float | None) -> str:
    return "none yet" if value is None else f"{value:.2f}"


def diagnostic_array(node: str, statuses: list[Status], stamp: Any) -> DiagnosticArray:
    """The statuses as 'NODE: NAME', the form that diagnostic_aggregator groups by.

    node: the node's full name; stamp: builtin_interfaces/Time of the node's clock.
    """
    array = DiagnosticArray()
    array.header.stamp = stamp
    for status in statuses:
        code = status.fault.code if status.fault else "none"
        array.status.append(
            DiagnosticStatus(
                level=bytes([status.level]),
                name=f"{node.lstrip('/')}: {status.name}",
                message=status.message,
                hardware_id="mafs_ros",
                values=[
                    KeyValue(key=key, value=str(value))
                    for key, value in {**status.values, "fault": code}.items()
                ],
            )
        )
    return array
