"""What is inside a compiled engine: its layers, their arithmetic and times, its memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple


class Layer(NamedTuple):
    """One layer of the compiled graph. precision: of its outputs, '' where the engine does not
    tell; ms: median, None where it was not run."""

    name: str
    kind: str
    precision: str
    ms: float | None


class Group(NamedTuple):
    """Layers of one kind or precision; ms: of all of them, None where they were not run."""

    name: str
    layers: int
    ms: float | None


@dataclass(frozen=True)
class Inspection:
    """precision: of the engine. memory: what of it -> bytes. frame_ms: a call without counters, so
    less than the layers add up to; None where it was not run. remark: what could not be had, why.
    """

    precision: str
    layers: list[Layer]
    memory: dict[str, int]
    frame_ms: float | None = None
    remark: str = ""


def grouped(layers: list[Layer], name: Callable[[Layer], str]) -> list[Group]:
    """Layers by kind or precision, those that take longest first; else the most frequent."""
    found: dict[str, list[Layer]] = {}
    for layer in layers:
        found.setdefault(name(layer), []).append(layer)
    groups = [Group(key, len(same), total_ms(same)) for key, same in found.items()]
    return sorted(groups, key=lambda group: (-(group.ms or 0.0), -group.layers, group.name))


def total_ms(layers: list[Layer]) -> float | None:
    times = [layer.ms for layer in layers if layer.ms is not None]
    return sum(times) if times else None
