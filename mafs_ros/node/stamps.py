"""What is wrong with the stamps of the two cameras of a running node."""

from mafs_ros.base.stamps import NS_PER_S
from mafs_ros.node.state import Activity
from mafs_ros.perception.pairing.stamp_faults import StampFault, find_fault


def stamp_fault(
    activity: Activity, now: float, clock_ns: int, queue_size: int
) -> StampFault | None:
    """Judged by the newest images; None where stamps are not what pairs.

    now: monotonic seconds; clock_ns: the node's clock at the same moment, 0 where it has none yet
    (use_sim_time without /clock).
    """
    pairing = activity.pairing
    if pairing.pair_by != "stamp":
        return None
    return find_fault(
        activity.rgb.recent_arrivals(now),
        activity.thermal.recent_arrivals(now),
        slop_s=pairing.slop_s,
        queue_size=queue_size,
        offset_s=pairing.thermal_time_offset_s,
        topics=(activity.rgb.topic, activity.thermal.topic),
        clock_ns=clock_ns - round(now * NS_PER_S) if clock_ns else None,
        live=True,
    )
