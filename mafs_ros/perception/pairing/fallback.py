"""Of which images the frames are made: of pairs, or of one camera alone while the other is dead.

Without ROS. A camera is dead while none of its images was of use for longer than `after_s` and
than two of its periods: nothing came (silent), or what came was the same again (frozen), black,
covered or unreadable; who feeds `Fallback` tells which. Times are seconds on one clock.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from mafs_ros.base.stamps import FOREIGN_CLOCK_S

PAIR, RGB, THERMAL, NONE = "pair", "rgb", "thermal", "none"
OTHER = {RGB: THERMAL, THERMAL: RGB}
SILENT = "silent"
BEAT_S = 0.1  # between two calls of `beat`
STALL_S = 0.3  # nobody was served for so long: silence then says nothing of the cameras
SERVED_S = 2 * BEAT_S  # in which what came meanwhile is served
UNKNOWN_PERIOD_S = 1.0  # of a camera of which not yet FEWEST_GAPS + 1 images came
FEWEST_GAPS = 3
RESTART_S = 1.0  # where a camera's own time goes further back, time itself did (as in `policy`)


class Change(NamedTuple):
    """A mode that follows another one.

    camera: the one that died or came back, '' where both did; why: `silent`, or what is wrong with
    its images, '' where it is back; seconds: how long it has been dead.
    """

    mode: str
    before: str
    camera: str
    why: str
    seconds: float


@dataclass
class _Camera:
    """since: from then on silence counts; living: newest image of use; fault: of the newest."""

    since: float
    arrived: float | None = None
    living: float | None = None
    fault: str = ""
    taken: float = -math.inf  # acquisition of the newest image
    gaps: deque[float] = field(default_factory=lambda: deque(maxlen=9))

    def took(self, now: float, fault: str | None) -> None:
        self.arrived = now
        if fault is not None:
            self.fault = fault
        if fault == "":
            if self.living is not None:
                self.gaps.append(now - self.living)
            self.living = now

    def patience(self, after_s: float) -> float:
        """Seconds after which it is dead."""
        known = len(self.gaps) >= FEWEST_GAPS
        return max(after_s, 2 * (median(self.gaps) if known else UNKNOWN_PERIOD_S))

    def lost_s(self, now: float) -> float:
        """Seconds since its newest image of use."""
        return now - (self.since if self.living is None else self.living)


class Fallback:
    """Decides the mode by the images that arrive; not thread-safe.

    For each image call `image`, hand it to the pairing where `may_pair` says so (`pair` is asked
    about what that makes), then show it alone where `alone` says so. Call `beat` every BEAT_S.

    - The mode is that of one camera from the first of its images on that comes while the other is
      dead; an image that is frozen, black or covered counts for more than silence, and for less
      than one of use. So the node goes on in any case where images come, and where both are frozen
      (a still scene without noise) with pairs.
    - It is `pair` again with the first pair whose images are of use.
    - It is `none` while both are silent, as at the start.
    - What was shown once is not shown again: frames are never older than the newest one offered,
      except where time itself went back or the other camera has another clock.
    - A camera whose period is not known yet is taken for one of 1 Hz. Where both were dead and one
      comes back, the other's time starts anew. A stall of this process is no silence.

    after_s: 0 turns it off: pairs alone. changed: called with every `Change`.
    """

    def __init__(self, now: float, after_s: float, changed: Callable[[Change], None]) -> None:
        self._cameras = {RGB: _Camera(now), THERMAL: _Camera(now)}
        self._changed = changed
        self._attended = now
        self._newest: float | None = None  # acquisition of the newest image offered
        self._after_s = after_s
        self.mode = NONE if after_s else PAIR
        self.since = now  # of the mode
        self.changes = 0
        self.shown_alone = {RGB: 0, THERMAL: 0}
        self.pairs_left_out = 0

    @property
    def after_s(self) -> float:
        return self._after_s

    def set_after(self, after_s: float, now: float) -> None:
        """Take another limit; what was silent before does not count."""
        self._after_s = after_s
        self._restart(now)
        if not after_s and self.mode != PAIR:
            self._change(PAIR, now, "", "", now - self.since)

    def image(self, camera: str, now: float, acquired: float, fault: str | None) -> None:
        """An image came. fault: what is wrong with it, '' for nothing, None: not looked at."""
        if not self._after_s:
            return
        self._attend(now)
        me, other = self._cameras[camera], self._cameras[OTHER[camera]]
        if acquired < me.taken - RESTART_S:
            self._newest = None
            me.taken = acquired
        me.taken = max(me.taken, acquired)
        was_dead = self._is_dead(me, now)
        me.took(now, fault)
        if was_dead and not me.fault and self.mode in (PAIR, NONE):
            other.since = now
        if self.mode != camera and (1 if me.fault else 2) > self._rank(other, now):
            why = SILENT if self._is_silent(other, now) else other.fault
            self._change(camera, now, OTHER[camera], why, other.lost_s(now))

    def may_pair(self, camera: str, fault: str | None) -> bool:
        """Whether the image just told of is to go to the pairing: not one of a dead camera."""
        bad = self._cameras[camera].fault if fault is None else fault
        return not (bad and self.mode == OTHER[camera])

    def pair(self, now: float, acquired: float, rgb_fault: str, thermal_fault: str) -> bool:
        """The pairing made a pair; whether it is to be shown. acquired: of its RGB image."""
        if not self._after_s:
            return True
        if self.mode in OTHER:
            dead = OTHER[self.mode]
            fault = rgb_fault if dead == RGB else thermal_fault
            if fault or self._is_dead(self._cameras[dead], now):
                self.pairs_left_out += 1
                return False
        if self.mode != PAIR:
            back = OTHER.get(self.mode, "")
            self._change(PAIR, now, back, "", now - self.since)
        if self._offer(acquired):
            return True
        self.pairs_left_out += 1
        return False

    def alone(self, camera: str, acquired: float) -> bool:
        """Whether the image just told of is to be shown alone; it then counts as shown."""
        if self.mode != camera or not self._offer(acquired):
            return False
        self.shown_alone[camera] += 1
        return True

    def beat(self, now: float) -> None:
        """Time goes on, images or not."""
        self._attend(now)
        rgb, thermal = self._cameras.values()
        if not self._after_s or self.mode == NONE:
            return
        if self._is_silent(rgb, now) and self._is_silent(thermal, now):
            lost = min(rgb.lost_s(now), thermal.lost_s(now))
            self._change(NONE, now, "", SILENT, lost)

    def fault(self, camera: str, now: float) -> tuple[str, float]:
        """Why a camera is dead, '' where it is not, and for how many seconds it was of no use."""
        it = self._cameras[camera]
        if not self._after_s or not self._is_dead(it, now):
            return "", 0.0
        return SILENT if self._is_silent(it, now) else it.fault, it.lost_s(now)

    def _attend(self, now: float) -> None:
        if now - self._attended > max(STALL_S, self._after_s / 2):
            for camera in self._cameras.values():
                camera.since = max(camera.since, now + SERVED_S - camera.patience(self._after_s))
        self._attended = now

    def _restart(self, now: float) -> None:
        for camera in self._cameras.values():
            camera.since = now

    def _over(self, camera: _Camera, last: float | None, now: float) -> bool:
        start = camera.since if last is None else max(camera.since, last)
        return now - start > camera.patience(self._after_s)

    def _is_dead(self, camera: _Camera, now: float) -> bool:
        return self._over(camera, camera.living, now)

    def _is_silent(self, camera: _Camera, now: float) -> bool:
        return self._over(camera, camera.arrived, now)

    def _rank(self, camera: _Camera, now: float) -> int:
        """2: of use or not yet dead; 1: images of no use; 0: silent."""
        if not self._is_dead(camera, now):
            return 2
        return 0 if self._is_silent(camera, now) else 1

    def _offer(self, acquired: float) -> bool:
        newest = self._newest
        if newest is not None and 0 <= newest - acquired <= FOREIGN_CLOCK_S:
            return False
        self._newest = acquired
        return True

    def _change(self, mode: str, now: float, camera: str, why: str, seconds: float) -> None:
        before, self.mode, self.since = self.mode, mode, now
        self.changes += 1
        self._changed(Change(mode, before, camera, why, seconds))
