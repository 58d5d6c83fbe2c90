"""What the cameras show, shot by shot."""

from __future__ import annotations

import heapq
import json
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from std_msgs.msg import Header

from mafs_ros.bags.reader import Bag
from mafs_ros.bags.rig_messages import depth_image
from mafs_ros.cameras.simulated import misalign
from mafs_ros.images.files.folders import pair_folders
from mafs_ros.images.files.read import read_fourth_channel, read_pair, read_rgb, read_thermal
from mafs_ros.images.files.stamps import read_stamps
from mafs_ros.images.messages.encode import serialised_image
from mafs_ros.images.messages.encodings import IMAGE_ENCODINGS

SECOND = 10**9
AHEAD = 16  # messages that wait ready for their time
# What is published right after a camera's image, with its stamp, where the source has it.
COMPANIONS = {"rgb": ("labels", "depth", "rgb_info"), "thermal": ("thermal_info",)}


@dataclass(frozen=True)
class Shot:
    """One image of one camera ('rgb', 'thermal'), or what goes with it (COMPANIONS).

    `due`: nanoseconds after the start at which it is published. `stamp`: nanoseconds, after the
    start where `recorded` is false. `message`: serialised, None where it is lost; it gets the
    stamp when it is published, unless it has it already.
    """

    camera: str
    due: int
    stamp: int
    message: bytes | None
    recorded: bool = False


def unstamped(image: np.ndarray, frame_id: str) -> bytes:
    """Serialised message, without stamp, of uint8 [H, W, 3] or uint8, uint16, float32 [H, W]."""
    encoding = IMAGE_ENCODINGS[image.dtype, image.ndim]
    return serialised_image(image, encoding, Header(frame_id=frame_id))


def generated_shots(
    values: dict[str, Any],
    frames: int | None,
    images: Callable[[float], dict[str, np.ndarray]],
    infos: dict[str, bytes] | None = None,
) -> Iterator[Shot]:
    """Shots of both cameras at their rates and with their faults, in the order of publication.

    frames: RGB images, None for no end. images: frame number -> camera -> array; a thermal
    camera of another rate asks for numbers between. infos: camera_info messages, always the same.
    """
    rate = values["rate_hz"]
    thermal_rate = values["thermal_rate_hz"] or rate
    cycle = values["cycle"]
    rgb_frame_id = values["rgb_frame_id"]
    unwanted = {name for name in ("labels", "depth") if not values[f"{name}_topic"]}

    @lru_cache(maxsize=max(4, cycle))
    def messages(number: float) -> dict[str, bytes]:
        arrays = images(number)
        arrays["thermal"] = misalign(arrays["thermal"], values)
        found = dict(infos or {})
        for camera in arrays.keys() - unwanted:
            frame_id = values["thermal_frame_id"] if camera == "thermal" else rgb_frame_id
            make = depth_image if camera == "depth" else unstamped
            found[camera] = make(arrays[camera], frame_id)
        return found

    def shots(camera: str, own_rate: float) -> Iterator[Shot]:
        offset = values["thermal_stamp_offset_s"] if camera == "thermal" else 0.0
        rng = np.random.default_rng((values["seed"], ord(camera[0])))
        index = 0
        while frames is None or index * rate < frames * own_rate:
            deviation, lost = rng.uniform(0.0, 2 * values["jitter_s"]), rng.random()
            due = round(SECOND * (index / own_rate + deviation))
            number = index if own_rate == rate else index * rate / own_rate
            content = messages(int(number) % cycle if cycle else number)
            stamp = due + round(SECOND * offset)
            message = None if lost < values["dropout"] else content[camera]
            yield Shot(camera, due, stamp, message)
            for name in COMPANIONS[camera] if message is not None else ():
                if name in content:
                    yield Shot(name, due, stamp, content[name])
            index += 1

    for number in range(cycle):
        messages(number)
        if number % 10 == 9 or number == cycle - 1:
            print(json.dumps({"rendered": number + 1, "of": cycle}), flush=True)
    return heapq.merge(
        shots("rgb", rate), shots("thermal", thermal_rate), key=lambda shot: shot.due
    )


def folder_shots(values: dict[str, Any]) -> Iterator[Shot]:
    """Shots of two folders, at rate_hz or with the stamps of stamps_file."""
    pairs = pair_folders(values["rgb_dir"], values["thermal_dir"])

    def images(number: float) -> dict[str, np.ndarray]:
        _, rgb, thermal = pairs[int(number) % len(pairs)]
        return dict(zip(("rgb", "thermal"), read_pair(rgb, thermal), strict=True))

    if not values["stamps_file"]:
        frames = values["frames"] or (None if values["loop"] else len(pairs))
        if not values["loop"]:
            frames = min(frames or len(pairs), len(pairs))
        return generated_shots(values, frames, images)
    stamps = read_stamps(values["stamps_file"], [name for name, _, _ in pairs])
    return repeated(values, lambda: stamped_shots(values, pairs, stamps))


def stamped_shots(
    values: dict[str, Any], pairs: list[tuple[str, Path, Path]], stamps: list[tuple[int, int]]
) -> Iterator[Shot]:
    """Shots of image files with recorded stamps (ns), in the order of the stamps."""
    order = sorted(
        [(rgb, "rgb", i) for i, (rgb, _) in enumerate(stamps)]
        + [(thermal, "thermal", i) for i, (_, thermal) in enumerate(stamps)]
    )
    for stamp, camera, index in order:
        _, rgb, thermal = pairs[index]
        read = read_fourth_channel if rgb == thermal else read_thermal
        image = read_rgb(rgb) if camera == "rgb" else read(thermal)
        yield Shot(
            camera,
            round((stamp - order[0][0]) / values["speed"]),
            stamp,
            unstamped(image, values[f"{camera}_frame_id"]),
            recorded=True,
        )


def bag_shots(values: dict[str, Any], bag: Bag, cameras: dict[str, str]) -> Iterator[Shot]:
    """Shots of a bag in the order and at the times of its recording; cameras: topic -> camera."""
    first = None
    for message in bag.messages(cameras):
        first = message.received if first is None else first
        yield Shot(
            cameras[message.topic],
            round((message.received - first) / values["speed"]),
            message.stamp,
            message.raw,
            recorded=True,
        )


def repeated(values: dict[str, Any], shots: Callable[[], Iterator[Shot]]) -> Iterator[Shot]:
    """Recorded shots, again and again where `loop` is set, until `frames` RGB images went out."""
    start, count = 0, 0
    while True:
        due, count_before = 0, count
        for shot in shots():
            count += shot.camera == "rgb"
            if values["frames"] and count > values["frames"]:
                return
            due = shot.due
            yield replace(shot, due=start + due)
        if not values["loop"] or count == count_before:
            return
        start += due + due // max(count - count_before - 1, 1)  # one period of pause


def ahead(shots: Iterator[Shot], depth: int = AHEAD) -> Generator[Shot, None, None]:
    """The same shots, with the next `depth` made meanwhile by one thread."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="shots")
    try:
        waiting = deque(pool.submit(next, shots, None) for _ in range(depth))
        waiting[-1].result()  # do not begin before there is a stock
        while (shot := waiting.popleft().result()) is not None:
            waiting.append(pool.submit(next, shots, None))
            yield shot
    finally:
        pool.shutdown(cancel_futures=True)
