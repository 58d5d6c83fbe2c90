"""Bags that tests record."""

import numpy as np

from mafs_ros.bags import reader
from mafs_ros.bags.writer import BagWriter, image_header

STEP = 10**8  # nanoseconds between frames
START = 1_700_000_000_123_456_789


def frames(rng, count=4, height=12, width=16):
    return [
        (
            rng.integers(0, 256, (height, width, 3), dtype=np.uint8),
            rng.integers(0, 65536, (height, width), dtype=np.uint16),
        )
        for _ in range(count)
    ]


def write_bag(
    path,
    pairs,
    storage="mcap",
    compress=False,
    lag=7_000_000,
    topics=("/rgb/image", "/thermal/image"),
):
    """A bag of (rgb, thermal) pairs; the thermal stamps lag behind the RGB ones."""
    with BagWriter(path, storage, compress) as writer:
        for index, (rgb, thermal) in enumerate(pairs):
            stamp = START + index * STEP
            writer.write_image(topics[0], rgb, stamp, "rgb_optical")
            writer.write_image(topics[1], thermal, stamp + lag, "thermal_optical")
    return path


def write_topics(path, topics):
    """A bag with one image per topic, name -> (image, encoding or compressed format)."""
    with BagWriter(path) as writer:
        for name, (image, encoding) in topics.items():
            if name.endswith("/compressed"):
                message = reader.TYPES.types[reader.COMPRESSED_IMAGE](
                    header=image_header(START, "c"), format=encoding, data=image.reshape(-1)
                )
                raw = bytes(reader.TYPES.serialize_cdr(message, reader.COMPRESSED_IMAGE))
                writer.write_raw(name, reader.COMPRESSED_IMAGE, raw, START)
                continue
            message = reader.TYPES.types[reader.IMAGE](
                header=image_header(START, "c"),
                height=image.shape[0],
                width=image.shape[1],
                encoding=encoding,
                is_bigendian=0,
                step=image.strides[0],
                data=image.reshape(-1).view(np.uint8),
            )
            raw = bytes(reader.TYPES.serialize_cdr(message, reader.IMAGE))
            writer.write_raw(name, reader.IMAGE, raw, START)
    return path
