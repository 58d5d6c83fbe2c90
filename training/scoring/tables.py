"""Tables of scores as Markdown, in the layout of the paper's."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mafs_ros.evaluation.metrics import FALSE_OBJECT_PERCENT, ConfusionMatrix
from training.scoring.scores import Scores

# In the order of the paper's tables; from the other AG on they are this project's additions.
COLUMNS = ("EN", "SD", "SF", "VIF", "Qabf", "AG", "AG_forward", "hot", "weaker", "glare")
SATURATED = ("saturated", "saturated source")
SATURATED_PROTOCOL = (
    "saturated = share of the pixels of 250 or more in percent, mean over images; saturated "
    "source = the same of the source, thermal or visible, that has more of them in the whole set."
)


def fusion_table(rows: dict[str, Scores]) -> str:
    """Markdown table of the fusion scores in the paper's layout (Tables I to III)."""
    lines = [
        [
            name,
            *(_number(value, 4) for value in map(scores.fusion.mean().get, COLUMNS)),
            *(_number(value, 3) for value in mean_saturation(scores)),
        ]
        for name, scores in rows.items()
    ]
    return markdown(["Method", *COLUMNS, *SATURATED], lines)


def mean_saturation(scores: Scores) -> tuple[float, float]:
    """Saturated pixels of the fused image and of its source that has more, in percent."""
    thermal, visible, fused = np.mean(scores.saturation, axis=0).tolist()
    return fused, max(thermal, visible)


def segmentation_table(rows: dict[str, ConfusionMatrix]) -> str:
    """Markdown table of IoU in percent in the paper's layout (Tables IV to VIII)."""
    (names,) = {matrix.class_names for matrix in rows.values()}
    lines = [
        [
            name,
            *(_number(100 * value, 1) for value in matrix.iou()),
            _number(100 * matrix.miou(), 2),
            _number(100 * matrix.miou(background=False), 2),
        ]
        for name, matrix in rows.items()
    ]
    table = markdown(["Method", *names, "mIoU", "mIoU without background"], lines)
    absent = {name: ", ".join(matrix.absent()) for name, matrix in rows.items()}
    if len(set(absent.values())) == 1:  # several methods on the same labels
        absent = {"": next(iter(absent.values()))}
    notes = [
        f"absent from the labels{f' of {name}' if name else ''}: {classes}"
        for name, classes in absent.items()
        if classes
    ]
    return "\n".join([table, *notes])


def false_object_line(name: str, scores: Scores) -> str:
    """One line on the objects of a method that are none, of all images with labels."""
    sizes = scores.false_objects
    worst = max(sizes, key=sizes.__getitem__)
    many = sum(size > FALSE_OBJECT_PERCENT for size in sizes.values())
    return (
        f"False objects of {name} (regions of a class without a labelled object in them): the "
        f"largest takes {sizes[worst]:.2f} % of its image ({worst}); {many} of {len(sizes)} "
        f"images have one of more than {FALSE_OBJECT_PERCENT:g} %"
    )


def markdown(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or value != value else f"{value:.{digits}f}"
