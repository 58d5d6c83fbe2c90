"""Label files: ids as they are stored, or one line that says what to do."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from made_files import counts, pillow, png, tiff

from mafs_ros.images.files.read import ImageFileError, read_labels

IDS = counts(np.uint8, 1) % 16
COLOURS = [0, 0, 0, 64, 0, 128, 64, 64, 0] + [9] * 39  # of MFNet's first classes


@pytest.fixture
def read(tmp_path: Path):
    def read(data: bytes) -> np.ndarray:
        (tmp_path / "label.png").write_bytes(data)
        return read_labels(tmp_path / "label.png")

    return read


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_ids_of_few_bits(read, bits) -> None:
    ids = IDS % min(16, 2**bits)
    np.testing.assert_array_equal(read(png(ids, 0, bits)), ids)
    np.testing.assert_array_equal(read(png(ids, 3, bits, before=palette(bits))), ids)


def palette(bits: int) -> bytes:
    from made_files import chunk

    return chunk(b"PLTE", bytes(COLOURS[: 3 * min(16, 2**bits)]))


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_ids_of_programs_that_save_what_they_like(read, kind) -> None:
    np.testing.assert_array_equal(read(pillow(IDS, kind)), IDS)
    np.testing.assert_array_equal(read(pillow(IDS, kind, palette=COLOURS)), IDS)
    np.testing.assert_array_equal(read(pillow((IDS % 2).astype(bool), kind)), IDS % 2)


def test_ids_in_other_types(read, tmp_path) -> None:
    for dtype in (np.uint16, np.int32, np.float32):
        np.testing.assert_array_equal(read(tiff(IDS.astype(dtype))), IDS)
    np.testing.assert_array_equal(read(png(np.dstack([IDS, IDS * 0]), 4)), IDS)  # with alpha
    np.testing.assert_array_equal(read(png(np.dstack([IDS] * 3), 2)), IDS)
    np.testing.assert_array_equal(read(pillow(IDS, "WEBP", lossless=True)), IDS)
    pgm = b"P5\n16 12\n15\n" + IDS.tobytes()
    np.testing.assert_array_equal(read(pgm), IDS)
    np.save(tmp_path / "a.npy", IDS.astype(np.int64))
    np.testing.assert_array_equal(read_labels(tmp_path / "a.npy"), IDS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pillow(IDS, "JPEG", quality=100), "lossy format (JPEG or WebP)"),
        (pillow(IDS, "WEBP"), "lossy format (JPEG or WebP)"),
        (pillow(IDS, "TIFF", compression="jpeg"), "lossy format (JPEG or WebP)"),
        (png(np.dstack([IDS, IDS, IDS // 2]), 2), "a picture in class colours"),
        (png(np.dstack([IDS, IDS, IDS // 2, IDS]), 6), "a picture in class colours"),
        (tiff(IDS.astype(np.float32) + 0.5), "ids with fractions or NaN"),
        (tiff(IDS.astype(np.float32) * np.nan), "ids with fractions or NaN"),
        (tiff(IDS.astype(np.int16) - 1), "got ids -1 to 14, expected 0 to 255"),
        (png(IDS.astype(np.uint16) * 100, 0), "got ids 0 to 1500, expected 0 to 255"),
        (tiff(IDS, bits=4, raw=bytes(96)), "TIFF of uint4"),
        (b"P2 # by hand\n2 2\n3\n0 1 2 3\n", "PGM in text form (P2) with 3 as white"),
        (png(IDS, 3)[:60], "not a label image, damaged or cut off"),
        (b"", "the file is empty"),
    ],
)
def test_what_would_change_ids_is_refused(read, data, message) -> None:
    with pytest.raises(ImageFileError, match=re.escape(message)) as error:
        read(data)
    assert "label.png: " in str(error.value) and "\n" not in str(error.value)


def test_a_picture_in_false_colours_of_the_camera_is_no_label(read) -> None:
    colours = cv2.applyColorMap(IDS * 16, cv2.COLORMAP_JET)
    with pytest.raises(ImageFileError, match="expected one channel of class ids"):
        read(cv2.imencode(".png", colours)[1].tobytes())
