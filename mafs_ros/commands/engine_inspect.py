"""What `mafs engine inspect` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mafs_ros.engine.inspection import Group, Inspection

LONGEST_NAME = 80


def as_text(found: Inspection, shown: int) -> str:
    """Totals, layers by precision and by kind, and so many layers, the slowest first."""
    from mafs_ros.engine.inspection import grouped, total_ms

    whole = total_ms(found.layers)
    lines = [f"precision  {found.precision}", f"layers     {len(found.layers)}"]
    if found.frame_ms is not None:
        lines.append(f"frame      {found.frame_ms:.2f} ms, without counters")
    if whole is not None:
        lines.append(f"counted    {whole:.2f} ms, all layers together")
    lines += [f"memory     {size / 1e6:.1f} MB: {what}" for what, size in found.memory.items()]
    if found.remark:
        lines.append(f"remark     {found.remark}")
    by_precision = grouped(found.layers, lambda layer: layer.precision or "not told")
    by_kind = grouped(found.layers, lambda layer: layer.kind or "not told")
    slowest = sorted(found.layers, key=lambda layer: -(layer.ms or 0.0))[:shown]
    return "\n".join(
        [
            *lines,
            *group_table("precision", by_precision, whole),
            *group_table("kind", by_kind, whole),
            "",
            *table(
                (
                    "ms",
                    "share",
                    "precision",
                    "kind",
                    f"layer ({len(slowest)} of {len(found.layers)})",
                ),
                [
                    (ms(layer.ms), share(layer.ms, whole), layer.precision, layer.kind, layer.name)
                    for layer in slowest
                ],
            ),
        ]
    )


def group_table(title: str, groups: Sequence[Group], whole: float | None) -> list[str]:
    rows = [(ms(g.ms), share(g.ms, whole), str(g.layers), g.name) for g in groups]
    return ["", *table(("ms", "share", "layers", title), rows)]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns of even width, the last one cut where it is too long."""
    every = [header, *([*row[:-1], row[-1][:LONGEST_NAME]] for row in rows)]
    widths = [max(len(row[column]) for row in every) for column in range(len(header))]
    return [
        "  ".join(f"{text:{width}}" for text, width in zip(row, widths, strict=True)).rstrip()
        for row in every
    ]


def ms(time: float | None) -> str:
    return "-" if time is None else f"{time:.3f}"


def share(time: float | None, whole: float | None) -> str:
    return "-" if time is None or not whole else f"{100 * time / whole:.1f} %"
