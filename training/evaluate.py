"""Score fused images and labels as `mafs_ros.evaluation.metrics` defines; the paper's tables.

    python -m training.evaluate --weights model.safetensors --data mfnet=/data/mfnet
    python -m training.evaluate --fused out/fused --name SeAFusion --data m3fd=/data/M3FD_Fusion
    python -m training.evaluate --fused out/fused --teacher teacher.safetensors --data mfnet=...
    python -m training.evaluate --baselines --data m3fd=/data/M3FD_Fusion

The first gives the fusion scores (Tables I to III) and IoU (VI to VIII) of a MAFS network; with
--teacher, IoU of the teacher on its fused images too (MAFS-T). The third segments a folder of
fused images by one teacher (Tables IV, V), so that fusion methods compare. --baselines, with
any of them or alone, adds the rows of what needs no network: copies, mean and maximum. --dead,
with --weights, adds IoU of the network with one image black, as when a camera has died.

Scored is the luminance of the fused colour image that the deployed graph makes and the node
publishes, so that anybody can compute the same from the images; `mafs replay` does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn
from tqdm import tqdm

from mafs_ros.evaluation.metrics import PROTOCOL, SEGMENTATION_PROTOCOL
from mafs_ros.images.files.folders import list_images
from mafs_ros.images.files.read import ImageFileError, read_rgb
from mafs_ros.model.mafs import Mafs
from mafs_ros.model.weights import load_weights
from mafs_ros.perception.classes import ClassTable
from training.data.datasets import Dataset, open_dataset
from training.data.layouts import LABELLINGS
from training.data.samples import Sample
from training.recipes.options import add_data_argument, data_folders
from training.scoring.baselines import score_baselines
from training.scoring.dead_camera import DEAD, without_camera
from training.scoring.predict import (
    as_image,
    predict_with_network,
    predict_with_teacher,
    score,
    teacher_input,
)
from training.scoring.scores import Image, Prediction, Scores, empty_scores
from training.scoring.tables import (
    SATURATED_PROTOCOL,
    false_object_line,
    fusion_table,
    segmentation_table,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Score what the options name and print protocol and tables."""
    args = _parse(argv)
    try:
        print(run(args))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def run(args: argparse.Namespace) -> str:
    """The report. Raises ValueError or OSError that says what is wrong."""
    _check_what_to_score(args)
    folders = data_folders(args.data)
    kinds = list(folders) or ["simulation"]
    if len(kinds) > 1:
        raise ValueError(f"one data set at a time; got {', '.join(kinds)}")
    network, network_table = None, None
    if args.weights is not None:
        network, info = load_weights(args.weights)
        # As the torch engine holds it, so that both compute the same to the last bit.
        network = network.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        network_table = ClassTable.from_dict(info.class_table)
    teacher, teacher_table, teacher_images = None, None, "fused"
    if args.teacher is not None:
        from training.teachers.file import load_teacher

        teacher, about = load_teacher(args.teacher)
        teacher_table, teacher_images = ClassTable.from_dict(about["class_table"]), about["images"]
    dataset = open_dataset(
        kinds[0],
        folders.get(kinds[0]),
        args.split,
        labels=args.labels,
        class_table=args.classes,
        count=args.count,
    )
    for table in (network_table, teacher_table):
        if table is not None and dataset.class_table is not None:
            check_tables(table, dataset.class_table)
    heading = f"{kinds[0]} {args.split}, {len(dataset)} pairs at their own size"
    rows: dict[str, Scores] = {}
    if network is not None:
        name = args.name or "MAFS"
        rows = _score_network(name, network, teacher, teacher_images, dataset)
        if args.dead:
            rows |= _score_with_dead_cameras(name, network, dataset)
    elif args.fused is not None:
        rows = _score_folder(args.name or args.fused.name, args.fused, teacher, dataset)
    if args.baselines:
        rows |= score_baselines(dataset)
    return "\n\n".join([heading, *_report(rows)])


def _check_what_to_score(args: argparse.Namespace) -> None:
    """Raise ValueError unless the options name something, and one network or folder at most."""
    if args.weights is not None and args.fused is not None:
        raise ValueError("give either --weights FILE or --fused DIR, not both")
    if args.dead and args.weights is None:
        raise ValueError("--dead blackens an image of a network: give --weights FILE")
    if args.weights is None and args.fused is None:
        if args.teacher is not None:
            raise ValueError("--teacher segments fused images: give --weights FILE or --fused DIR")
        if not args.baselines:
            raise ValueError(
                "give --weights FILE (a network), --fused DIR (fused images) or --baselines"
            )


def check_tables(predicted: ClassTable, labelled: ClassTable) -> None:
    """Raise ValueError where predicted ids mean other classes than those of the labels."""
    if predicted.names != labelled.names:
        raise ValueError(
            f"the weights predict {', '.join(predicted.names)}, but the labels are "
            f"{', '.join(labelled.names)}; choose the table of the weights with --classes"
        )


def _score_network(
    name: str, network: Mafs, teacher: nn.Module | None, images_kind: str, dataset: Dataset
) -> dict[str, Scores]:
    table = dataset.class_table
    of_network, of_teacher = empty_scores(table), empty_scores(table)
    for sample in tqdm(dataset, unit="pair", disable=None):
        prediction = predict_with_network(network, sample)
        of_network.accumulate(sample, prediction)
        if teacher is not None:
            image = teacher_input(images_kind, sample, prediction.fused)
            of_teacher.accumulate(sample, predict_with_teacher(teacher, image))
    rows = {name: of_network}
    if teacher is not None:
        rows[f"{name}-T"] = of_teacher
    return rows


def _score_with_dead_cameras(name: str, network: Mafs, dataset: Dataset) -> dict[str, Scores]:
    """IoU alone: a fused image of one image has nothing to keep of the other."""

    def labels_without(camera: str, sample: Sample) -> Prediction:
        prediction = predict_with_network(network, without_camera(sample, camera))
        return Prediction(None, prediction.labels)

    return {
        f"{name}, {camera} black": score(
            tqdm(dataset, unit="pair", disable=None),
            partial(labels_without, camera),
            dataset.class_table,
        )
        for camera in DEAD
    }


def _score_folder(
    name: str, folder: Path, teacher: nn.Module | None, dataset: Dataset
) -> dict[str, Scores]:
    files = list_images(folder)
    scores = empty_scores(dataset.class_table)
    for sample in tqdm(dataset, unit="pair", disable=None):
        fused = read_fused(folder, files, sample)
        labels = None if teacher is None else predict_with_teacher(teacher, as_image(fused)).labels
        scores.accumulate(sample, Prediction(fused, labels))
    return {name: scores}


def read_fused(folder: Path, files: Mapping[str, Path], sample: Sample) -> Image:
    """The fused image of a pair, rgb uint8 [H,W,3]; files: `list_images(folder)`.

    Raises ImageFileError where there is none of the pair's name and size.
    """
    if sample.name not in files:
        raise ImageFileError(
            f"{folder}: no fused image named {sample.name}; expected one for each of the pairs"
        )
    fused = read_rgb(files[sample.name])
    if fused.shape[:2] != sample.thermal.shape:
        raise ImageFileError(
            f"{files[sample.name]}: {fused.shape[1]}x{fused.shape[0]}, but the pair is "
            f"{sample.thermal.shape[1]}x{sample.thermal.shape[0]}; scores need one size"
        )
    return fused


def _report(rows: dict[str, Scores]) -> list[str]:
    """Protocols and tables: of fusion and of IoU, each with the rows that have such scores."""
    parts = []
    if fusion := {name: scores for name, scores in rows.items() if scores.fusion.per_image}:
        parts += [PROTOCOL, SATURATED_PROTOCOL, fusion_table(fusion)]
    matrices = {
        name: scores.segmentation
        for name, scores in rows.items()
        if scores.segmentation is not None and scores.segmentation.matrix.any()
    }
    if matrices:
        lines = [false_object_line(name, rows[name]) for name in matrices]
        parts += [SEGMENTATION_PROTOCOL, segmentation_table(matrices), "\n".join(lines)]
    return parts


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_data_argument(parser)
    parser.add_argument("--weights", type=Path, help="model file (.safetensors) of a network")
    parser.add_argument("--fused", type=Path, help="folder of fused images named like the pairs")
    parser.add_argument(
        "--baselines", action="store_true", help="rows of copies, mean and maximum of the sources"
    )
    parser.add_argument("--teacher", type=Path, help="teacher.safetensors, to segment with")
    parser.add_argument("--split", default="test", help="default: test")
    parser.add_argument(
        "--labels", default="network", choices=LABELLINGS, help="labelling; default: network"
    )
    parser.add_argument("--dead", action="store_true", help="rows of IoU with either image black")
    parser.add_argument("--classes", help="class table of the labels; default: the data set's")
    parser.add_argument("--count", type=int, default=50, help="pairs of the simulation")
    parser.add_argument("--name", help="of the row in the tables")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
