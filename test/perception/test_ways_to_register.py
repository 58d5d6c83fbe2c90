"""Which registration the parameters of 0.1.0 and of today name."""

from __future__ import annotations

import numpy as np
import pytest

from mafs_ros.parameters.file import read_settings
from mafs_ros.perception.build import registration_from, registration_in_words

HOMOGRAPHY = """\
homography: [[1, 0, 3], [0, 1, 0], [0, 0, 1]]
thermal_size: {width: 16, height: 12}
rgb_size: {width: 16, height: 12}
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "pair.yaml"
    path.write_text(HOMOGRAPHY, encoding="utf-8")
    return f"registration_file:={path}"


def test_a_file_alone_decides_as_it_always_did(file):
    settings = read_settings(None, [file])
    assert registration_from(settings).homography[0, 2] == 3
    assert registration_in_words(settings).startswith("by the homography in /")


def test_without_a_file_there_is_none():
    settings = read_settings(None, [])
    assert registration_from(settings).homography is None
    assert registration_in_words(settings).startswith("none: ")


def test_the_way_may_be_named(file):
    assert registration_from(read_settings(None, [file, "registration:=file"])) is not None
    none = registration_from(read_settings(None, [file, "registration:=none"]))
    image = np.zeros((12, 16), np.uint8)
    assert none(image, (12, 16)) is image
    by_messages = read_settings(None, [file, "registration:=camera_info"])
    assert registration_from(by_messages) is None  # until they have come
