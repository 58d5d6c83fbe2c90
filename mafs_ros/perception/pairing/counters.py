"""What became of every message."""

from dataclasses import dataclass


@dataclass
class CameraCounters:
    """What became of the messages of one camera: `received` is the sum of all the others.

    paired: went out in a pair.
    unpaired_slop: no partner within the slop, or a neighbour was its nearer partner.
    unpaired_overflow: queue full before the other camera got this far (it is silent or slow).
    duplicate: a stamp that had been there already (all of them: the camera sets no stamps).
    late: older than what had been paired or given up before it came.
    cleared: waiting when time went back, the thermal offset changed, or on reset().
    pending: waiting now.
    """

    received: int = 0
    paired: int = 0
    unpaired_slop: int = 0
    unpaired_overflow: int = 0
    duplicate: int = 0
    late: int = 0
    cleared: int = 0
    pending: int = 0


@dataclass
class PairingCounters:
    """Counters of both cameras.

    paired: pairs handed out. resets: how often time went back (once for both cameras).
    newest_offset_ms: thermal minus RGB stamp of the newest pair, thermal offset included; None
    before the first pair.
    """

    rgb: CameraCounters
    thermal: CameraCounters
    paired: int
    resets: int
    newest_offset_ms: float | None
