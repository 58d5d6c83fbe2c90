"""A frame's way over the GPU, over a stand-in that defers all work: order, threads, recordings."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import gpu_stub
import numpy as np
import pytest
import torch
from gpu_stub import Gpu

from mafs_ros.engine.cuda.device import gpu_computes
from mafs_ros.engine.cuda.frame import GpuFrame
from mafs_ros.engine.interface import GpuLostError

SHAPE = (1, 4, 6)


@pytest.fixture
def gpu() -> Iterator[Gpu]:
    with gpu_stub.installed() as stub:
        yield stub


def pair(value: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((*SHAPE, 3), value, np.uint8), np.full(SHAPE, value + 1, np.uint8)


def adding() -> GpuFrame:
    """fused: rgb + 1; labels: thermal + 2."""
    frame = GpuFrame(SHAPE, ("fused", "labels"))

    def launch() -> None:
        frame.device["fused"].copy_(frame.device["rgb"] + 1)
        frame.device["labels"].copy_(frame.device["thermal"] + 2)

    frame.launch = launch
    return frame


@pytest.mark.parametrize("recorded", [False, True])
def test_each_frame_has_its_own_results(gpu: Gpu, recorded: bool) -> None:
    """A B A B: no buffer is read before it is written, or written before it is read."""
    frame = adding()
    if recorded:
        frame.record()
    kept = [(value, frame(*pair(value))) for value in (10, 90) * 10]
    for value, (fused, labels) in kept:
        assert (fused == value + 1).all() and (labels == value + 3).all()
    assert gpu.replays == (20 if recorded else 0)


def test_the_stand_in_shows_a_missing_wait(gpu: Gpu) -> None:
    frame = adding()
    frame(*pair(10))
    frame.stream.synchronize = lambda: None
    assert (frame(*pair(90))[0] == 11).all()


def test_where_nothing_can_be_recorded_frames_go_on(
    gpu: Gpu, caplog: pytest.LogCaptureFixture
) -> None:
    frame, before = adding(), torch.cuda.current_stream()
    launch = frame.launch

    def fail_while_recording() -> None:
        if frame.stream.recording is not None:
            frame.stream.recording.broken = "operation not permitted"
            raise RuntimeError("this kernel allocates")
        launch()

    frame.launch = fail_while_recording
    frame.record()
    assert torch.cuda.current_stream() is before
    (record,) = caplog.records
    assert record.fault.name == "ENGINE_GRAPH"
    assert "operation not permitted" in record.getMessage()
    assert "this kernel allocates" in record.getMessage()  # the cause, which the other hides
    assert (frame(*pair(90))[0] == 91).all() and gpu.replays == 0


def test_recordings_of_two_threads_do_not_void_each_other(
    gpu: Gpu, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = adding(), adding()
    recording, launch = threading.Event(), first.launch
    other = threading.Thread(target=second.record)

    def slow() -> None:
        if first.stream.recording is not None:
            other.start()
            recording.set()
            other.join(0.2)  # it would be through, if it did not wait for us
        launch()

    first.launch = slow
    first.record()
    other.join()
    assert recording.is_set() and not caplog.records
    for frame in (first, second):
        assert (frame(*pair(30))[0] == 31).all()
    assert gpu.replays == 2


@pytest.mark.parametrize("recorded", [False, True])
def test_a_sticky_error_is_told_from_others(gpu: Gpu, recorded: bool) -> None:
    frame = adding()
    if recorded:
        frame.record()
    frame.stream.enqueue(lambda: setattr(gpu, "sticky", "an illegal memory access"))
    with pytest.raises(GpuLostError, match="lost to this process .*illegal memory access"):
        frame(*pair(1))


def test_an_error_of_one_launch_is_no_lost_gpu(gpu: Gpu) -> None:
    frame, launch = adding(), None
    launch, frame.launch = frame.launch, lambda: (_ for _ in ()).throw(RuntimeError("too large"))
    with pytest.raises(RuntimeError, match="too large") as raised:
        frame(*pair(1))
    assert not isinstance(raised.value, GpuLostError)
    frame.launch = launch
    assert (frame(*pair(90))[0] == 91).all()


def test_a_gpu_that_is_there_and_does_not_compute_is_not_used(
    gpu: Gpu, caplog: pytest.LogCaptureFixture
) -> None:
    assert gpu_computes() and not caplog.records
    gpu.no_kernel = "no kernel image is available for execution on the device"
    assert torch.cuda.is_available() and not gpu_computes()
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.fault.name == "GPU_UNUSABLE"
    assert "no kernel image" in record.getMessage()
