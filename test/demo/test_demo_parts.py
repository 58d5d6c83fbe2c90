"""Parts of the demo, without processes."""

import cv2
import numpy as np
import pytest

from mafs_ros.demo import picture_writer
from mafs_ros.images import mosaic, video
from mafs_ros.perception.classes import ClassTable, LabelClass
from mafs_ros.rig import account

TABLE = ClassTable(
    "t",
    (
        LabelClass(0, "background", (0, 0, 0)),
        LabelClass(1, "car", (0, 0, 255)),
        LabelClass(2, "person", (255, 0, 0)),
    ),
)


def test_latency_counts_from_the_later_image():
    published = {
        "rgb": {100: 1_000_000, 200: 11_000_000},
        "thermal": {90: 3_000_000, 205: 10_000_000},
    }
    received = {100: 8_000_000, 200: 31_000_000}
    assert account.latencies_ms(received, published).tolist() == [5.0, 20.0]


def test_latency_with_stamps_that_are_off():
    """Thermal stamps 37 ns behind, made good by the offset; or none at all."""
    published = {
        "rgb": {100: 1_000_000, 200: 11_000_000},
        "thermal": {53: 3_000_000, 168: 10_000_000},
    }
    received = {100: 8_000_000, 200: 31_000_000}
    assert account.latencies_ms(received, published, 37e-9).tolist() == [5.0, 20.0]
    thermal = sorted(published["thermal"].values())
    by_arrival = account.latencies_by_arrival_ms(received, published["rgb"], thermal)
    assert by_arrival.tolist() == [5.0, 20.0]


def test_publications_with_one_stamp_are_all_kept(tmp_path):
    sent = tmp_path / "sent.csv"
    sent.write_text("/rgb/image,5,30\n/thermal/image,0,20\n/thermal/image,0,10\n")
    assert account.publications(sent, "thermal") == [10, 20]
    assert account.read_sent(sent) == {"rgb": {5: 30}, "thermal": {0: 20}}


def test_mosaic_shows_four_labelled_pictures_of_even_size():
    rng = np.random.default_rng(0)
    images = {
        name: rng.integers(0, 256, (61, 91, 3), dtype=np.uint8)
        for name in ("rgb", "fused", "overlay")
    }
    images["thermal"] = np.full((30, 40), 77, np.uint8)
    picture = mosaic.mosaic(images, 91, TABLE)
    assert picture.shape == (124, 184, 3)
    assert (picture[50:62, 92 + 60 :] == 77).all()  # the thermal one, top right, beside its label
    images["overlay"][:] = 128
    legend = mosaic.mosaic(images, 640, TABLE)[-30:, 640:].astype(int)
    for row in TABLE.classes[1:]:
        assert np.abs(legend - row.colour).max(axis=2).min() < 60


def test_video_can_be_read_back(tmp_path):
    film = video.open_video(tmp_path / "v.webm", 120, 160)
    for level in range(0, 250, 25):
        film.write(np.full((120, 160, 3), (level, 255 - level, 40), np.uint8))
    film.release()
    assert picture_writer.count_video_frames(tmp_path / "v.webm") == 10
    frame = cv2.VideoCapture(str(tmp_path / "v.webm")).read()[1]
    assert np.abs(frame.mean(axis=(0, 1)) - (0, 255, 40)).max() < 6


def test_video_into_a_missing_folder(tmp_path):
    with pytest.raises(OSError, match="cannot write this video"):
        video.open_video(tmp_path / "none" / "v.webm", 120, 160)
