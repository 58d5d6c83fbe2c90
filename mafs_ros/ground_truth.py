"""Label maps to score against: from a topic of a bag or a folder, as ids of the network's classes.

Labels of other class tables are matched by class name; classes that the network does not have
become its ignored id.
"""

from __future__ import annotations

import re
from collections import deque
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mafs_ros.bags import Bag, BagError, ImageTopic
from mafs_ros.files import ImageFileError, list_images
from mafs_ros.images import ImageError, thermal_from_message
from mafs_ros.labels import ClassTable, check_labels

Image = NDArray[np.uint8]

SAME_STAMP_NS = 1_000_000   # stamps that went through a float of seconds
KEPT = 100   # labels of a topic that wait for their frame
PNG_PALETTE = 3   # colour type of the header


def id_map(source: ClassTable, target: ClassTable) -> Image:
    """uint8 [256]: the id in `target` of each id of `source`; its ignore_id for what it lacks."""
    ids = np.full(256, target.ignore_id, np.uint8)
    for entry in source.classes:
        if entry.name in target.names:
            ids[entry.id] = target.names.index(entry.name)
    return ids


class LabelMapper:
    """Label maps of one class table as ids of another."""

    def __init__(self, source: ClassTable, target: ClassTable) -> None:
        if not set(source.names) & set(target.names[1:]):
            raise ValueError(
                f'the label classes ({", ".join(source.names)}) and those of the network '
                f'({", ".join(target.names)}) have no object in common; name the table of the '
                'labels with --label-classes')
        self.source = source
        self._ids = id_map(source, target)

    def __call__(self, labels: NDArray[Any], size: tuple[int, int]) -> Image:
        """Labels uint8 [H,W]; raises ValueError for another size or ids without a class."""
        if labels.shape != size:
            raise ValueError(f'the labels are {labels.shape[1]}x{labels.shape[0]}, expected '
                             f'{size[1]}x{size[0]} as the RGB image')
        try:
            check_labels(labels, self.source)
        except ValueError as error:
            raise ValueError(f'{error}; is --label-classes the table of these labels?') from None
        return np.asarray(cv2.LUT(labels, self._ids), np.uint8)


class LabelFolder:
    """Label files of a folder, by RGB stamp or by number of the RGB image.

    Names of 13 digits or more are stamps in nanoseconds, SECONDS.NANOSECONDS and
    SECONDS_NANOSECONDS too; shorter numbers count the RGB images of the bag from 0. Other names
    must be as many as the RGB images, and go by natural order.
    """

    def __init__(self, folder: Path, rgb_count: int) -> None:
        self.path = folder
        files = list_images(folder)
        stamps = {name: _stamp(name) for name in files}
        if all(stamp is not None for stamp in stamps.values()):
            self._by_stamp = {stamp: files[name] for name, stamp in stamps.items()
                              if stamp is not None}
            self._by_number: dict[int, Path] = {}
        elif all(name.isdecimal() for name in files):
            self._by_stamp = {}
            self._by_number = {int(name): path for name, path in files.items()}
        elif len(files) == rgb_count:
            self._by_stamp = {}
            self._by_number = dict(enumerate(files.values()))
        else:
            raise ImageFileError(
                f'{folder}: the {len(files)} names are neither stamps nor numbers, and are not as '
                f'many as the {rgb_count} RGB images; name the labels by the RGB stamp in ns, or '
                'by the number of the RGB image from 0')
        self._stamps = np.array(sorted(self._by_stamp), np.int64)

    def find(self, stamp: int, number: int) -> Image | None:
        """The labels of an RGB image, raw ids; raises OSError or ImageFileError."""
        path = self._by_number.get(number)
        if self._stamps.size:
            nearest = int(self._stamps[np.abs(self._stamps - stamp).argmin()])
            path = self._by_stamp[nearest] if abs(nearest - stamp) <= SAME_STAMP_NS else None
        return None if path is None else read_label_file(path)


class LabelTopic:
    """Labels of a topic that wait, as raw messages, for the frame with their stamp."""

    def __init__(self, topic: ImageTopic) -> None:
        self.topic = topic
        self._waiting: deque[tuple[int, Any]] = deque(maxlen=KEPT)
        self._newest = -1

    def add(self, message: Any) -> None:
        self._waiting.append((message.stamp, message))
        self._newest = max(self._newest, message.stamp)

    def is_decided(self, stamp: int) -> bool:
        """Whether the labels for this RGB stamp are here, or newer ones."""
        return self._newest >= stamp - SAME_STAMP_NS

    def find(self, stamp: int, number: int) -> Image | None:
        """The labels of an RGB image, raw ids; raises BagError or ImageError."""
        del number
        for own, message in self._waiting:
            if abs(own - stamp) <= SAME_STAMP_NS:
                labels = thermal_from_message(message.deserialize())
                if labels.dtype != np.uint8:
                    raise ImageError(f'{self.topic.name}: got labels of type {labels.dtype}, '
                                     'expected mono8 class ids')
                return np.asarray(labels, np.uint8)
        return None


def open_labels(given: str, bag: Bag, rgb: ImageTopic) -> LabelTopic | LabelFolder:
    """The labels that --labels names: a topic of the bag, or else a folder.

    Raises BagError or OSError that lists the topics there are.
    """
    for topic in bag.image_topics:
        if topic.name == '/' + given.lstrip('/'):
            return LabelTopic(topic)
    folder = Path(given)
    if not folder.is_dir():
        names = ', '.join(str(topic) for topic in bag.image_topics) or 'none'
        raise BagError(f'--labels {given}: is no folder and no image topic of {bag.path}; its '
                       f'image topics are: {names}')
    return LabelFolder(folder, rgb.count)


def read_label_file(path: Path) -> Image:
    """The ids in a label image, uint8 [H,W]; of a palette PNG its indices, not its colours.

    Raises FileNotFoundError, OSError or ImageFileError.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileNotFoundError(f'{path}: there is no such file') from None
    except OSError as error:
        raise OSError(f'{path}: cannot be read: {error.strerror}') from error
    if data[1:4] == b'PNG' and data[25:26] == bytes([PNG_PALETTE]):
        return _palette_indices(path)
    try:
        ids = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        ids = None
    if ids is None:
        raise ImageFileError(f'{path}: not a label image, damaged or cut off')
    if ids.ndim == 3:
        if np.any(ids[:, :, :3] != ids[:, :, :1]):
            raise ImageFileError(f'{path}: got a picture in class colours, expected one channel '
                                 'of class ids; most data sets hold both, in two folders')
        ids = ids[:, :, 0]
    if ids.max() > 255:
        raise ImageFileError(f'{path}: got ids up to {ids.max()}, expected 0 to 255')
    return np.asarray(ids, np.uint8)


def _palette_indices(path: Path) -> Image:
    """OpenCV gives the colours of a palette alone."""
    try:
        from PIL import Image as PillowImage
    except ImportError:
        raise ImageFileError(f'{path}: is a PNG with a palette, which needs Pillow (python3-pil) '
                             'to be read; or save it as 8-bit grey') from None
    try:
        with PillowImage.open(path) as image:
            return np.array(image, np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        raise ImageFileError(f'{path}: not a label image, damaged or cut off ({error})') from None


def _stamp(name: str) -> int | None:
    """Nanoseconds that a file name says, or None."""
    if re.fullmatch(r'\d{13,20}', name):
        return int(name)
    if match := re.fullmatch(r'(\d{1,10})[._](\d{9})', name):
        return int(match[1]) * 10 ** 9 + int(match[2])
    return None
