"""Kinds of images of a pair, one of which takes the place of the visible image.

A camera's own image, the mean or maximum of both, or a fused image: a network's, or one that lies
in a folder. Images are made of whole pairs, before anything is cut out or augmented, so that what
is drawn at random is the same for every kind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray

from mafs_ros.engine.fingerprint import file_hash
from mafs_ros.images.files.folders import list_images
from mafs_ros.model.weights import load_weights
from training.data.datasets import Dataset
from training.data.samples import Files, Load, Sample
from training.evaluate import read_fused
from training.recipes.recipe import TeacherImages
from training.scoring.predict import as_bytes, predict_with_network, teacher_input

SIMPLE: dict[str, TeacherImages] = {
    "visible": "visible",
    "thermal": "infrared",
    "mean": "mean",
    "maximum": "maximum",
}
CAMERAS = ("visible", "thermal")
MakeImage = Callable[[Sample], NDArray[Any]]


@dataclass(frozen=True)
class Kind:
    """name: of its folder and its row. images: as in `TeacherTraining`, 'fused' with a path.

    path: of a network (.safetensors), or of a folder of fused images named like the pairs.
    """

    name: str
    images: TeacherImages
    path: Path | None = None


def parse_kinds(texts: Sequence[str]) -> list[Kind]:
    """Kinds of names in `SIMPLE` and NAME=PATH. Raises ValueError, FileNotFoundError."""
    kinds = []
    for text in texts:
        name, equals, path = text.partition("=")
        if not equals and name not in SIMPLE:
            raise ValueError(
                f"--images {text}: expected {', '.join(SIMPLE)}, NAME=model.safetensors or "
                "NAME=FOLDER"
            )
        if not equals:
            kinds.append(Kind(name, SIMPLE[name]))
            continue
        if name in SIMPLE or not re.fullmatch(r"\w[\w.+-]*", name):
            raise ValueError(
                f"--images {text}: a folder gets the name {name!r}; choose another, of letters, "
                f"digits, '.', '+', '-' and '_', and none of {', '.join(SIMPLE)}"
            )
        kinds.append(Kind(name, "fused", Path(path).expanduser()))
        if not kinds[-1].path.exists():  # type: ignore[union-attr]
            raise FileNotFoundError(f"{path}: there is no such file or folder (--images {text})")
    names = [kind.name for kind in kinds]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"--images has {twice[0]!r} more than once; give each its own name")
    return kinds


def facts_of(kind: Kind) -> dict[str, str]:
    """What the images of a kind come from: its name in recipes and a hash of the files."""
    if kind.path is None:
        return {"images": kind.images}
    files = list_images(kind.path).values() if kind.path.is_dir() else [kind.path]
    return {"images": kind.images, "sha256": file_hash(*files)}


def image_maker(kind: Kind) -> MakeImage:
    """The function that makes the image rgb uint8 [H,W,3] of a pair.

    Raises WeightsError, ValueError or ImageFileError for a network or folder that does not fit;
    the function raises ImageFileError where the folder lacks a pair.
    """
    if kind.path is None:
        return lambda sample: as_bytes(teacher_input(kind.images, sample, None))
    if kind.path.is_dir():
        return partial(read_fused, kind.path, list_images(kind.path))
    network = load_weights(kind.path)[0].eval()
    if network.fusion_decoder is None:
        raise ValueError(f"{kind.path}: this network does not fuse")
    network.segmentation_decoder = None  # not asked for
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def fuse(sample: Sample) -> NDArray[Any]:
        fused = predict_with_network(network, sample, device).fused
        assert fused is not None
        return fused

    return fuse


def with_images(dataset: Dataset, make: MakeImage) -> Dataset:
    """The same pairs and labels with the image that `make` makes in the place of the visible one.

    Images are kept once made. A pair that is there twice, with two labellings, has one image, made
    of the first: so that a folder needs one file for it.
    """
    first: dict[Any, int] = {}
    for index, entry in enumerate(dataset.entries):
        first.setdefault(pair_of(entry), index)

    def image(index: int) -> NDArray[Any]:
        return make(dataset[index])

    def read(index: int, load: Load) -> Sample:
        return replace(dataset[index], rgb=load(image, first[pair_of(dataset.entries[index])]))

    return Dataset(range(len(dataset)), read, dataset.class_table, cache=True)


def pair_of(entry: Any) -> Any:
    """What tells the pair of an entry of a data set from others, whatever its labels."""
    return entry.rgb if isinstance(entry, Files) else entry


def check_kinds(kinds: Sequence[Kind], datasets: Sequence[Dataset]) -> None:
    """Make the first image of every kind and data set, and read all of folders.

    So that what does not fit is an error before hours of training. Raises as `image_maker`.
    """
    for kind in kinds:
        make = image_maker(kind)
        for dataset in datasets:
            images = with_images(dataset, make)
            whole = kind.path is not None and kind.path.is_dir()
            for index in range(len(images) if whole else 1):
                images[index]
