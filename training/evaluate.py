"""Score fused images and labels by the definitions of `mafs_ros.metrics`; tables like the paper's.

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
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from mafs_ros.engine.graph import fused_image, replace_luminance
from mafs_ros.files import ImageFileError, list_images, read_rgb
from mafs_ros.labels import ClassTable
from mafs_ros.metrics import PROTOCOL, SEGMENTATION_PROTOCOL
from mafs_ros.model.mafs import Mafs, luminance
from mafs_ros.model.weights import load_weights
from training.baselines import score_baselines
from training.batches import dtype_of, images, to_tensors
from training.datasets import LABELLINGS, Dataset, Sample, open_dataset
from training.dead_camera import DEAD, without_camera
from training.recipe import add_data_argument, data_folders
from training.scores import Image, Prediction, Scores, empty_scores
from training.tables import SATURATED_PROTOCOL, fusion_table, segmentation_table


def score(
    samples: Iterable[Sample],
    predict: Callable[[Sample], Prediction],
    table: ClassTable | None,
) -> Scores:
    """Scores of `predict` over samples."""
    scores = empty_scores(table)
    for sample in samples:
        scores.accumulate(sample, predict(sample))
    return scores


# Predictors.


@torch.no_grad()
def predict_with_network(
    network: nn.Module, sample: Sample, device: torch.device | None = None
) -> Prediction:
    """The colour image and the labels that a network in evaluation gives when it is deployed."""
    batch = batch_of(sample, device)
    output = network(*images(batch, dtype_of(network)))
    fused = None
    if output.fused is not None:
        fused = fused_image(batch["rgb"].float(), output.fused.float())[0].cpu().numpy()
    return Prediction(fused, None if output.logits is None else label_map(output.logits))


@torch.no_grad()
def predict_with_teacher(teacher: nn.Module, image: Tensor) -> Prediction:
    """Labels of an image [1, 3, H, W] in 0..1."""
    return Prediction(None, label_map(teacher(image)))


def batch_of(sample: Sample, device: torch.device | None = None) -> dict[str, Tensor]:
    """A sample as a batch of one."""
    return {name: value[None].to(device) for name, value in to_tensors(sample).items()}


def grey(fused: Tensor) -> Image:
    """uint8 [H,W] of a luminance [1, 1, H, W] in 0..1, clipped and rounded, not stretched."""
    return (fused[0, 0] * 255).round().clamp(0, 255).byte().cpu().numpy()


def label_map(logits: Tensor) -> Image:
    """uint8 [H,W] of the likeliest classes of logits [1, K, H, W]."""
    return logits[0].argmax(0).byte().cpu().numpy()


def as_image(rgb: Image) -> Tensor:
    """rgb uint8 [H,W,3] as [1, 3, H, W] in 0..1."""
    return torch.from_numpy(np.ascontiguousarray(rgb)).permute(2, 0, 1)[None].float() / 255


def as_bytes(image: Tensor) -> Image:
    """rgb uint8 [H,W,3] of the first of images [B, 3, H, W] in 0..1; undoes `as_image`."""
    rgb = (image[0] * 255).round().byte().permute(1, 2, 0)
    return np.ascontiguousarray(rgb.cpu().numpy())


# The program.


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
        from training.teacher import load_teacher

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


def teacher_input(kind: str, sample: Sample, fused: Image | None) -> Tensor:
    """What a teacher sees of a sample, [1, 3, H, W] in 0..1; kind as in `TeacherTraining`."""
    if kind == "fused" and fused is not None:
        return as_image(fused)
    return teacher_image(kind, *images(batch_of(sample)), None)


def teacher_image(kind: str, visible: Tensor, infrared: Tensor, fused: Tensor | None) -> Tensor:
    """[B, 3, H, W] in 0..1 of a batch; kind as in `TeacherTraining`.

    visible; infrared three times; fused in colour; mean or maximum of luminance and infrared, in
    the colours of the visible image as the fused one is. Raises ValueError for fused images
    where there are none.
    """
    if kind == "visible":
        return visible
    if kind == "infrared":
        return infrared.expand(-1, 3, -1, -1)
    if kind == "mean":
        fused = (luminance(visible) + infrared) / 2
    elif kind == "maximum":
        fused = torch.maximum(luminance(visible), infrared)
    elif fused is None:
        raise ValueError("the teacher sees fused images, and this network fuses none")
    return replace_luminance(visible, fused).clamp(0, 1)


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
        parts += [SEGMENTATION_PROTOCOL, segmentation_table(matrices)]
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
