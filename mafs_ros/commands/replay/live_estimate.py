"""What the live node would do with a recorded drive at a measured speed, without running it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LiveEstimate:
    """What the node's one-slot mailbox would do at the recorded times with the measured speed."""

    pairs: int
    replaced: int
    latency_ms: list[float]


def live_estimate(received: list[int], durations_ms: list[float]) -> LiveEstimate:
    """Newest pair wins: one that waits while a newer comes is dropped.

    received: arrival of each pair in ns; durations_ms: time that its processing took.
    """
    free_at, waiting = float("-inf"), None
    replaced, latencies = 0, []
    for at_ns, duration in sorted(zip(received, durations_ms, strict=True)):
        at = at_ns / 1e6
        if waiting is not None and free_at <= at:
            free_at += waiting[1]
            latencies.append(free_at - waiting[0])
            waiting = None
        if free_at <= at:
            free_at = at + duration
            latencies.append(duration)
        else:
            replaced += waiting is not None
            waiting = (at, duration)
    if waiting is not None:
        latencies.append(free_at + waiting[1] - waiting[0])
    return LiveEstimate(len(received), replaced, latencies)
