"""The way of a pair through scaling, registration and engine."""

import time

import numpy as np
import pytest

from mafs_ros.perception.perception import Perception
from mafs_ros.perception.registration import Registration
from mafs_ros.perception.thermal import ThermalScaler


class MaximumEngine:
    """Pixel-wise maximum of both images; warm pixels are labelled 2."""

    def __init__(self):
        self.calls = []

    def __call__(self, rgb, thermal):
        self.calls.append((rgb, thermal))
        time.sleep(0.002)
        return np.maximum(rgb, thermal[..., None]), np.where(thermal > 200, 2, 0).astype(np.uint8)


class UnsureEngine(MaximumEngine):
    """Less and less sure from left to right; not ready at first."""

    ready = False

    def with_confidence(self, rgb, thermal):
        falling = np.linspace(255, 0, rgb.shape[2]).round().astype(np.uint8)
        sure = np.broadcast_to(falling, thermal.shape)
        return (*self(rgb, thermal), sure if self.ready else None)


@pytest.fixture
def engine():
    return MaximumEngine()


def test_a_16_bit_pair_of_two_sizes(engine):
    perception = Perception(engine, ThermalScaler("fixed", low=28000, high=30000), Registration())
    rgb = np.full((48, 64, 3), 60, np.uint8)
    thermal = np.full((24, 32), 28000, np.uint16)
    thermal[:, 20:] = 31000
    result = perception(rgb, thermal, 12.5)
    assert result.fused.shape == (48, 64, 3)
    assert result.labels.shape == result.thermal.shape == (48, 64)
    images = (result.fused, result.labels, result.thermal)
    assert {image.dtype.name for image in images} == {"uint8"}
    assert (result.fused[:, :38] == 60).all()
    assert (result.fused[:, 42:] == 255).all()
    assert (result.labels[:, 42:] == 2).all()
    assert (result.thermal[:, 42:] == 255).all()


def test_it_uses_the_stamp_the_scaler_and_the_registration(engine):
    stamps = []

    def scaler(thermal, stamp_s):
        stamps.append(stamp_s)
        return (thermal // 256).astype(np.uint8)

    shift = Registration([[1, 0, 5], [0, 1, 0], [0, 0, 1]])
    perception = Perception(engine, scaler, shift)
    result = perception(np.zeros((20, 30, 3), np.uint8), np.full((20, 30), 25600, np.uint16), 7.25)
    assert stamps == [7.25]
    assert not result.thermal[:, :5].any()
    assert (result.thermal[:, 5:] == 100).all()
    assert (engine.calls[0][1] == result.thermal).all()


def test_parts_may_be_replaced_while_it_runs(engine):
    perception = Perception(engine, ThermalScaler("as_is"), Registration())
    rgb, thermal = np.zeros((20, 30, 3), np.uint8), np.full((20, 30), 100, np.uint8)
    assert (perception(rgb, thermal, 0.0).thermal == 100).all()
    perception.scaler = ThermalScaler("fixed", low=0, high=100)
    assert (perception(rgb, thermal, 0.1).thermal == 255).all()


def test_timings(engine):
    perception = Perception(engine, ThermalScaler(), Registration())
    start = time.perf_counter()
    result = perception(np.zeros((20, 30, 3), np.uint8), np.zeros((10, 15), np.uint16), 0.0)
    elapsed_ms = 1e3 * (time.perf_counter() - start)
    assert list(result.timings_ms) == ["thermal", "registration", "engine"]
    assert min(result.timings_ms.values()) > 0
    assert result.timings_ms["engine"] >= 2
    assert sum(result.timings_ms.values()) <= elapsed_ms


def test_the_engine_gets_contiguous_batches_of_one(engine):
    perception = Perception(engine, ThermalScaler("as_is"), Registration())
    bgr = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    padded = np.zeros((20, 40), np.uint8)
    perception(bgr[..., ::-1], padded[:, :30], 0.0)
    rgb, thermal = engine.calls[0]
    assert (rgb.shape, thermal.shape) == ((1, 20, 30, 3), (1, 20, 30))
    assert rgb.flags.c_contiguous
    assert thermal.flags.c_contiguous
    assert (rgb[0] == bgr[..., ::-1]).all()


def test_fitting_images_are_not_copied(engine):
    perception = Perception(engine, ThermalScaler("as_is"), Registration())
    rgb, thermal = np.zeros((20, 30, 3), np.uint8), np.zeros((20, 30), np.uint8)
    result = perception(rgb, thermal, 0.0)
    assert np.shares_memory(engine.calls[0][0], rgb)
    assert np.shares_memory(engine.calls[0][1], thermal)
    assert result.thermal is thermal


@pytest.mark.parametrize(
    ("rgb", "thermal", "message"),
    [
        (np.zeros((4, 5), np.uint8), None, r"rgb must be uint8 \[H,W,3\].*got uint8 \[4, 5\]"),
        (np.zeros((4, 5, 4), np.uint8), None, r"rgb must be .*got uint8 \[4, 5, 4\]"),
        (np.zeros((4, 5, 3), np.float32), None, r"rgb must be .*got float32 \[4, 5, 3\]"),
        (np.zeros((0, 5, 3), np.uint8), None, r"rgb must be .*got uint8 \[0, 5, 3\]"),
        (None, np.zeros((4, 5, 3), np.uint8), r"thermal image must be .*got uint8 \[4, 5, 3\]"),
        (None, np.zeros((4, 5), np.int16), r"thermal image must be .*got int16 \[4, 5\]"),
        (None, np.zeros((4, 0), np.uint16), r"thermal image must be .*got uint16 \[4, 0\]"),
    ],
)
def test_images_that_do_not_fit_are_named(engine, rgb, thermal, message):
    rgb = np.zeros((4, 5, 3), np.uint8) if rgb is None else rgb
    thermal = np.zeros((4, 5), np.uint16) if thermal is None else thermal
    with pytest.raises(ValueError, match=message):
        Perception(engine, ThermalScaler(), Registration())(rgb, thermal, 0.0)
    assert not engine.calls


def test_what_is_odd_about_the_images_is_passed_on_once(engine):
    perception = Perception(engine, ThermalScaler("fixed"), Registration())
    rgb = np.zeros((36, 64, 3), np.uint8)
    thermal = np.linspace(28_000, 31_000, 30 * 40).reshape(30, 40).astype(np.uint16)
    first, second = (perception(rgb, thermal, stamp).remarks for stamp in (0.0, 6.0))
    assert ["grey levels" in line for line in first] == [True, False]
    assert "the shapes of the images differ" in first[1]
    assert second == ()


def test_labels_below_the_threshold_are_unlabelled():
    engine = UnsureEngine()
    perception = Perception(engine, ThermalScaler("as_is"), Registration())
    images = np.zeros((4, 256, 3), np.uint8), np.full((4, 256), 210, np.uint8)
    perception.confidence_threshold = 0.6
    result = perception(*images, 0.0)  # not asked for
    assert (result.labels == 2).all() and result.confidence is None and result.threshold == 0
    result = perception(*images, 0.0, confidence=True)  # not compiled yet
    assert (result.labels == 2).all() and result.confidence is None and result.threshold == 0
    engine.ready = True
    result = perception(*images, 0.0, confidence=True)
    assert result.threshold == 0.6
    assert set(result.labels[result.confidence >= 153]) == {2}  # .6 of 255
    assert set(result.labels[result.confidence < 153]) == {255}
    perception.confidence_threshold = 0.0
    result = perception(*images, 0.0, confidence=True)
    assert (result.labels == 2).all() and result.threshold == 0
    assert result.confidence[0, 0] == 255 and result.confidence[0, -1] == 0
