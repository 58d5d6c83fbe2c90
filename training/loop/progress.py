"""How far a run of several stages is, and how long it still takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping

from tqdm import tqdm

LINE_EVERY_S = 60


class Progress:
    """Steps over all stages, on stderr: a bar on a terminal, else a line a minute.

    steps: of each stage in order; done: those of each that an earlier process did. clock: seconds.
    """

    def __init__(
        self,
        steps: Mapping[str, int],
        done: Mapping[str, int],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.steps, self.done, self.clock = dict(steps), dict(done), clock
        self.stage = ""
        self.measured: dict[str, tuple[int, float]] = {}  # steps and seconds of this process
        self.began = self.shown = clock()
        self.bar = tqdm(
            total=sum(self.steps.values()),
            initial=sum(self.done.values()),
            bar_format="{desc} |{bar}|",
            disable=None,
        )

    def start(self, stage: str) -> None:
        """The steps that follow are of this stage."""
        self.stage = stage
        tqdm.write(str(self), file=sys.stderr)

    def step(self) -> None:
        """A step is done. Time counts from the first one on: reading images is no step."""
        now = self.clock()
        self.done[self.stage] += 1
        if self.stage not in self.measured:
            self.measured[self.stage], self.began = (0, 0.0), now
        else:
            count, _ = self.measured[self.stage]
            self.measured[self.stage] = count + 1, now - self.began
        self.bar.set_description_str(str(self), refresh=False)
        self.bar.update()
        if self.bar.disable and now - self.shown >= LINE_EVERY_S:
            self.shown = now
            print(self, file=sys.stderr, flush=True)

    def seconds_left(self) -> float | None:
        """Of the training: a measured stage by its own rate, others by the mean rate so far.

        None before any rate is known.
        """
        count = sum(steps for steps, _ in self.measured.values())
        seconds = sum(seconds for _, seconds in self.measured.values())
        if not count:
            return None
        left = 0.0
        for stage, steps in self.steps.items():
            own = self.measured.get(stage, (0, 0.0))
            count_here, seconds_here = own if own[0] else (count, seconds)
            left += (steps - self.done[stage]) * seconds_here / count_here
        return left

    def __str__(self) -> str:
        left = self.seconds_left()
        done, steps = sum(self.done.values()), sum(self.steps.values())
        time_left = "time left not known yet" if left is None else f"{duration(left)} left"
        return (
            f"{self.stage}: step {self.done[self.stage]} of {self.steps[self.stage]}; "
            f"all stages: {done} of {steps}, {time_left}"
        )

    def close(self) -> None:
        self.bar.close()


def duration(seconds: float) -> str:
    """45 s, 12 min or 3 h 05 min."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return f"{round(seconds)} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
