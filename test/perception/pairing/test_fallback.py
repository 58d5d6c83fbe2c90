"""The policy of one dead camera, with the node's own pairing, on a clock of the test's own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from mafs_ros.perception.pairing.fallback import (
    BEAT_S,
    NONE,
    PAIR,
    RGB,
    THERMAL,
    UNKNOWN_PERIOD_S,
    Change,
    Fallback,
)
from mafs_ros.perception.pairing.policy import Pairing

AFTER_S = 0.5


class Drive:
    """Cameras that send by schedule, the pairing, the policy, and the frames that come out."""

    def __init__(
        self, after_s: float = AFTER_S, rgb_s: float = 0.1, thermal_s: float = 0.1
    ) -> None:
        self.now = 100.0
        self.changes: list[tuple[float, Change]] = []
        self.frames: list[tuple[float, str, float]] = []  # now, mode, acquisition
        self.policy = Fallback(
            self.now, after_s, lambda change: self.changes.append((self.now, change))
        )
        self.pairing = Pairing(self.paired, slop_s=0.04)
        self.period = {RGB: rgb_s, THERMAL: thermal_s}
        self.delay = {RGB: 0.0, THERMAL: 0.01}
        self.next = {RGB: self.now, THERMAL: self.now}
        self.fault: dict[str, str | None] = {RGB: "", THERMAL: ""}
        self.silent: set[str] = set()
        self.withheld = 0

    def paired(self, rgb: SimpleNamespace, thermal: SimpleNamespace) -> None:
        if self.policy.pair(self.now, rgb.taken, rgb.fault, thermal.fault):
            self.frames.append((self.now, self.policy.mode, rgb.taken))

    def image(self, camera: str, taken: float, fault: str | None = None) -> None:
        """One image arrives now; fault: else that of the camera."""
        fault = self.fault[camera] if fault is None else fault
        nanoseconds = round(taken * 1e9)
        stamp = SimpleNamespace(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)
        message = SimpleNamespace(
            header=SimpleNamespace(stamp=stamp), taken=taken, fault=fault or ""
        )
        self.policy.image(camera, self.now, taken, fault)
        if self.policy.may_pair(camera, fault):
            add = self.pairing.add_rgb if camera == RGB else self.pairing.add_thermal
            add(message)
        else:
            self.withheld += 1
        if self.policy.alone(camera, taken):
            self.frames.append((self.now, self.policy.mode, taken))

    def run(self, seconds: float) -> None:
        end = self.now + seconds
        beat = self.now + BEAT_S
        while True:
            camera = min(self.next, key=lambda name: self.next[name] + self.delay[name])
            due = self.next[camera] + self.delay[camera]
            if min(due, beat) > end:
                break
            if beat < due:
                self.now, beat = beat, beat + BEAT_S
                self.policy.beat(self.now)
                continue
            self.now = due
            if camera not in self.silent:
                self.image(camera, self.next[camera])
            self.next[camera] += self.period[camera]
        self.now = end

    def modes(self) -> list[str]:
        return [change.mode for _, change in self.changes]

    def since(self, start: float) -> list[tuple[float, str, float]]:
        return [frame for frame in self.frames if frame[0] > start]


def in_order(frames: list[tuple[float, str, float]]) -> bool:
    taken = [frame[2] for frame in frames]
    return taken == sorted(set(taken))


@pytest.mark.parametrize("camera", [RGB, THERMAL])
@pytest.mark.parametrize("fault", ["silent", "frozen", "black", "covered", "unreadable"])
@pytest.mark.parametrize("phase", [0.0, 0.005, 0.05, 0.093])
def test_one_dead_camera(camera: str, fault: str, phase: float) -> None:
    drive, living = Drive(), THERMAL if camera == RGB else RGB
    drive.run(3.0 + phase)
    assert drive.modes() == [PAIR] and len(drive.frames) >= 29
    died = drive.now
    if fault == "silent":
        drive.silent.add(camera)
    else:
        drive.fault[camera] = fault
    drive.run(2.0)
    alone = [frame for frame in drive.since(died) if frame[1] == living]
    assert drive.modes() == [PAIR, living]
    assert alone[0][0] - died <= AFTER_S + drive.period[living] + 1e-9
    assert all(mode == living for now, mode, _ in drive.frames if now >= drive.changes[1][0])
    change = drive.changes[1][1]
    assert (change.camera, change.why) == (camera, fault)
    assert AFTER_S < change.seconds < AFTER_S + 0.1 + 1e-9
    assert drive.policy.fault(camera, drive.now)[0] == fault
    back = drive.now
    drive.silent.clear()
    drive.fault[camera] = ""
    drive.run(2.0)
    assert drive.modes() == [PAIR, living, PAIR]
    pairs = [frame for frame in drive.since(back) if frame[1] == PAIR]
    assert pairs[0][0] - back <= 0.25
    assert drive.changes[2][1].camera == camera
    assert in_order(drive.frames)
    assert drive.policy.fault(camera, drive.now)[0] == ""
    # every pair that was made is shown, or left out and counted
    shown = sum(mode == PAIR for _, mode, _ in drive.frames)
    assert drive.pairing.counters.paired == shown + drive.policy.pairs_left_out
    alone_count = sum(mode == living for _, mode, _ in drive.frames)
    assert drive.policy.shown_alone[living] == alone_count


def test_slow_camera_is_not_dead() -> None:
    drive = Drive(thermal_s=1.0)
    drive.next[THERMAL] += 0.4
    drive.run(20.0)
    assert drive.modes() == [PAIR]
    drive.silent.add(THERMAL)
    drive.run(5.0)
    assert drive.modes() == [PAIR, RGB]
    assert drive.changes[1][1].seconds > 2.0


def test_camera_that_never_sent() -> None:
    drive = Drive()
    drive.silent.add(THERMAL)
    start = drive.now
    drive.run(5.0)
    assert drive.modes() == [RGB] and drive.changes[0][0] - start < 2 * UNKNOWN_PERIOD_S + 0.15
    drive.silent.clear()
    drive.run(1.0)
    assert drive.modes() == [RGB, PAIR] and in_order(drive.frames)


def test_a_bag_starts_and_ends() -> None:
    """Minutes without any image, then both cameras, one of them later: no fallback."""
    drive = Drive()
    drive.silent = {RGB, THERMAL}
    drive.run(60.0)
    drive.silent = {THERMAL}
    drive.run(0.4)
    drive.silent = set()
    drive.run(3.0)
    assert drive.modes() == [PAIR]
    drive.silent = {RGB, THERMAL}
    drive.run(3.0)
    drive.silent = set()
    drive.run(3.0)
    assert drive.modes() == [PAIR, NONE, PAIR]
    assert drive.changes[1][1].why == "silent" and in_order(drive.frames)


def test_a_stalled_process_sees_no_silence() -> None:
    drive = Drive()
    drive.run(3.0)
    drive.now += 5.0  # nobody was served; now what waited comes at once
    for number in range(5):
        drive.image(RGB, drive.now - 0.1 * number)
        drive.image(THERMAL, drive.now - 0.1 * number)
    drive.next = {RGB: drive.now, THERMAL: drive.now}
    drive.run(3.0)
    assert drive.modes() == [PAIR]


def test_a_stall_delays_the_fallback_by_little() -> None:
    drive = Drive()
    drive.run(3.0)
    drive.silent.add(THERMAL)
    drive.run(0.2)
    drive.now += 0.4  # nobody is served
    served = drive.now
    drive.next[RGB] = drive.now
    drive.run(0.5)
    assert drive.modes() == [PAIR, RGB] and drive.changes[1][0] - served <= 0.31


def test_still_scene_without_noise_stays_a_pair() -> None:
    drive = Drive()
    drive.run(3.0)
    drive.fault = {RGB: "frozen", THERMAL: "frozen"}
    drive.run(10.0)
    assert drive.modes() == [PAIR]
    assert drive.policy.fault(RGB, drive.now)[0] == drive.policy.fault(THERMAL, drive.now)[0]
    drive.image(RGB, drive.now, "")  # it moves: the RGB camera sees it first
    drive.fault = {RGB: "", THERMAL: ""}
    drive.run(3.0)
    assert drive.modes() == [PAIR]


def test_frozen_camera_serves_where_the_other_is_silent() -> None:
    drive = Drive()
    drive.run(3.0)
    drive.fault[RGB] = "frozen"
    drive.run(2.0)
    drive.silent.add(THERMAL)
    drive.run(2.0)
    assert drive.modes() == [PAIR, THERMAL, RGB]
    drive.silent.clear()
    drive.run(2.0)
    assert drive.modes() == [PAIR, THERMAL, RGB, THERMAL]
    assert all(mode != PAIR for _, mode, _ in drive.since(drive.changes[1][0]))


def test_late_partner_does_not_bring_the_pair_back() -> None:
    """The last image of a camera that died comes with half a second's delay of the other."""
    drive = Drive()
    drive.delay[RGB] = 0.45
    drive.run(4.0)
    assert drive.modes() == [PAIR]
    drive.silent.add(THERMAL)
    drive.run(3.0)
    assert drive.modes() == [PAIR, RGB] and in_order(drive.frames)


def test_time_that_goes_back_is_shown() -> None:
    drive = Drive()
    drive.silent.add(THERMAL)
    drive.run(5.0)
    shown = len(drive.frames)
    drive.image(RGB, drive.now - 0.3)  # overtaken on the way
    assert len(drive.frames) == shown
    drive.image(RGB, 3.0)  # the bag begins again
    assert len(drive.frames) == shown + 1


def test_backlog_of_a_stopped_camera_is_not_shown() -> None:
    """It goes on with all that it has missed; long queues hold the partners."""
    drive = Drive()
    drive.pairing = Pairing(drive.paired, slop_s=0.04, queue_size=100)
    drive.run(3.0)
    stopped = drive.next[RGB]
    drive.silent.add(RGB)
    drive.run(4.0)
    drive.silent.clear()
    while stopped < drive.next[RGB]:
        drive.image(RGB, stopped)
        stopped += 0.1
    drive.run(2.0)
    assert drive.modes() == [PAIR, THERMAL, PAIR] and in_order(drive.frames)


def test_cameras_of_two_clocks_serve_each_alone() -> None:
    drive = Drive()
    drive.next[THERMAL] -= 99.0  # counts from its start
    drive.delay[THERMAL] = 99.0
    drive.run(3.0)
    assert drive.modes() == [] and not drive.frames  # nothing pairs, neither is dead
    for dead, living in ((RGB, THERMAL), (THERMAL, RGB)):
        drive.silent = {dead}
        start = drive.now
        drive.run(4.0)
        assert drive.policy.mode == living and len(drive.since(start)) > 20


def test_off_and_on_again() -> None:
    drive = Drive(after_s=0.0)
    drive.silent.add(THERMAL)
    drive.run(5.0)
    assert drive.policy.mode == PAIR and not drive.changes and not drive.frames
    drive.policy.set_after(AFTER_S, drive.now)
    drive.run(4.0)
    assert drive.modes() == [RGB] and drive.frames
    drive.policy.set_after(0.0, drive.now)
    assert drive.modes() == [RGB, PAIR]


def test_images_not_looked_at_change_nothing() -> None:
    """Of a compressed topic only some are decoded."""
    drive = Drive()
    drive.run(3.0)
    drive.fault[THERMAL] = None
    drive.run(0.4)
    assert drive.modes() == [PAIR]
    drive.fault[THERMAL] = "covered"
    drive.run(1.0)
    assert drive.modes() == [PAIR, RGB]
