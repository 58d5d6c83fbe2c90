"""What /diagnostics says of the registration."""

from typing import Any

from mafs_ros.base.faults import Fault
from mafs_ros.node.depth import DepthInput
from mafs_ros.node.diagnostics import ERROR, OK, WARN, Status, number
from mafs_ros.node.state import Session


def registration_status(
    session: Session, depth: DepthInput | None, now: float, stale_s: float
) -> Status:
    """ERROR while it is not known how the cameras see, WARN for a CameraInfo or depth of no use.

    now: monotonic time; stale_s: after that long without depth images it warns.
    """
    known = session.known
    if known is None:
        return Status("registration", OK, session.registration, {})
    level, message, fault = OK, f"by camera_info: {known.description}", None
    if known.trouble:
        level, message, fault = WARN, known.trouble, Fault.CAMERA_INFO
        if known.registration is None:
            level, fault = ERROR, Fault.NOT_REGISTERED
    values: dict[str, Any] = dict(known.facts)
    if depth is not None:
        counts = depth.counts
        silent_s = now - (depth.since if counts.newest is None else counts.newest)
        if silent_s >= stale_s and level == OK:
            level, fault = WARN, Fault.DEPTH_SILENT
            message = (
                f"no depth image on {depth.topic} for {int(silent_s)} s, plane_depth_m is used"
            )
        values |= {
            "depth_topic": depth.topic,
            "depth_received": counts.received,
            "depth_used": counts.used,
            "depth_missing": counts.missing,
            "depth_bad": counts.bad,
            "depth_last_s_ago": number(None if counts.newest is None else now - counts.newest),
        }
    return Status("registration", level, message, values, fault)
