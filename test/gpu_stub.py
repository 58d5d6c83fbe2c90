"""A GPU that is none, so that all of a frame's way over CUDA runs here: CPU torch in its place.

What is enqueued on a stream runs when somebody waits for that stream and not before: the latest
that CUDA allows, so that a synchronisation that is missing, or a buffer that is used again too
early, shows in the results. A recording keeps what is enqueued while it goes on, and a replay
enqueues it again. Memory can be short, a recording can fail, and an error can be sticky.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest import mock

import torch

NAME = "Stub GPU"
Work = Callable[[], None]
NOT_WORK = {"__get__", "data_ptr", "size", "dim", "stride", "numel", "is_floating_point"}
WAITS = {"cpu", "item", "tolist", "numpy"}


class Stream:
    """A queue. As in torch: `cuda_stream` is what other libraries know it by."""

    def __init__(self, gpu: Gpu) -> None:
        self.gpu, self.cuda_stream = gpu, next(gpu.numbers)
        self.queue: list[Work] = []
        self.recording: Recording | None = None
        gpu.streams[self.cuda_stream] = self

    def enqueue(self, work: Work) -> None:
        self.gpu.check()
        (self.queue if self.recording is None else self.recording.work).append(work)

    def synchronize(self) -> None:
        self.gpu.check()
        queue, self.queue = self.queue, []
        with torch.inference_mode(), torch._C.DisableTorchFunctionSubclass():
            for work in queue:
                work()
                self.gpu.check()


class Recording:
    """In place of torch.cuda.CUDAGraph; torch.cuda.graph is torch's own."""

    def __init__(self) -> None:
        self.work: list[Work] = []
        self.broken = ""

    def capture_begin(self, *pool: Any, **mode: Any) -> None:
        self.stream = GPU.current
        self.stream.recording = self
        GPU.recordings.add(self)

    def capture_end(self) -> None:
        self.stream.recording = None
        GPU.recordings.discard(self)
        if self.broken:
            raise RuntimeError(f"CUDA error: the recording is void ({self.broken})")

    def replay(self) -> None:
        GPU.replays += 1
        for work in self.work:
            GPU.current.enqueue(work)


class Gpu:
    """Its state. sticky: the error of every call from now on; no_recording: why none succeeds."""

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.streams: dict[int, Stream] = {}
        self.buffers: dict[int, weakref.ref[GpuTensor]] = {}
        self.recordings: set[Recording] = set()
        self.default = Stream(self)
        self.local = threading.local()
        self.sticky = self.no_recording = self.no_kernel = ""
        self.replays = self.launches = 0

    @property
    def current(self) -> Stream:
        return getattr(self.local, "stream", self.default)

    def check(self) -> None:
        if self.sticky:
            raise RuntimeError(f"CUDA error: {self.sticky}")

    def set_stream(self, stream: Stream) -> None:
        self.local.stream = stream

    @contextlib.contextmanager
    def stream(self, stream: Stream) -> Iterator[None]:
        before = self.current
        self.set_stream(stream)
        try:
            yield
        finally:
            self.set_stream(before)

    def synchronize(self, *device: Any) -> None:
        """Of the whole device, which no recording survives."""
        for recording in self.recordings:
            recording.broken = "the device was waited for meanwhile"
        for stream in tuple(self.streams.values()):
            stream.synchronize()

    def buffer(self, pointer: int) -> torch.Tensor | None:
        """The memory at an address; None, and a sticky error, where it was freed."""
        tensor = self.buffers.get(pointer, lambda: None)()
        if tensor is None:
            self.sticky = "an illegal memory access was encountered"
            return None
        return tensor

    def call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """An operation on a tensor of this GPU, in torch's own words."""
        name = function.__name__
        if name in NOT_WORK:
            return _run(function, args, kwargs)
        self.check()
        if self.no_kernel:
            raise RuntimeError(f"CUDA error: {self.no_kernel}")
        if name in WAITS:
            self.current.synchronize()
            result = _run(function, args, kwargs)
            return result.as_subclass(torch.Tensor).clone() if name == "cpu" else result
        self.launches += 1
        args, kwargs = _map(
            lambda tensor: tensor, (args, kwargs)
        )  # lists may grow before its turn
        if name == "__setitem__" or (name.endswith("_") and not name.endswith("__")):
            self.current.enqueue(lambda: _run(function, args, kwargs))
            return args[0]
        # What it would give now has the right shape and, until its turn, the wrong values.
        found = _run(function, *_map(torch.Tensor.clone, (args, kwargs)))
        results = _map(lambda tensor: tensor.as_subclass(GpuTensor), found)

        def work() -> None:
            for kept, real in zip(
                _tensors(results), _tensors(_run(function, args, kwargs)), strict=True
            ):
                torch.Tensor.copy_(kept, real)

        self.current.enqueue(work)
        return results


class GpuTensor(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None):
        return GPU.call(function, args, kwargs or {})


def _run(function: Any, args: Any, kwargs: Any) -> Any:
    with torch._C.DisableTorchFunctionSubclass():
        return function(*args, **kwargs)


def _map(change: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return _run(change, (value,), {})
    if type(value) in (tuple, list):
        return type(value)(_map(change, item) for item in value)
    return (
        {key: _map(change, item) for key, item in value.items()} if type(value) is dict else value
    )


def _tensors(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    return (
        [t for item in value for t in _tensors(item)] if isinstance(value, (tuple, list)) else []
    )


GPU: Gpu


def _creator(create: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
    def made(*args: Any, device: Any = None, pin_memory: bool = False, **kwargs: Any) -> Any:
        if str(device or "cpu") != "cuda":
            return create(*args, device=device, **kwargs)
        GPU.check()
        tensor = create(*args, **kwargs)
        # Zeroes and ones are written by a kernel of the current stream.
        values = tensor.clone()
        tensor.fill_(113)
        on_gpu = tensor.as_subclass(GpuTensor)
        GPU.buffers[tensor.data_ptr()] = weakref.ref(on_gpu)
        GPU.current.enqueue(lambda: tensor.copy_(values))
        return on_gpu

    return made


def _module_to(module: Any, *args: Any, **kwargs: Any) -> Any:
    """A module's numbers stay where they are: what reads them here is the CPU."""
    if args and str(args[0]) in ("cuda", "cpu"):
        return module
    return MODULE_TO(module, *args, **kwargs)


MODULE_TO = torch.nn.Module.to


@contextlib.contextmanager
def installed() -> Iterator[Gpu]:
    """A GPU of its own, for as long as this lasts; in this process alone."""
    global GPU
    GPU = gpu = Gpu()
    cuda = {
        "is_available": lambda: True,
        "Stream": lambda: Stream(gpu),
        "stream": gpu.stream,
        "current_stream": lambda: gpu.current,
        "set_stream": gpu.set_stream,
        "synchronize": gpu.synchronize,
        "CUDAGraph": Recording,
        "empty_cache": lambda: None,
        "get_device_name": lambda *_: NAME,
        "get_device_capability": lambda *_: (8, 7),
        "get_device_properties": lambda *_: SimpleNamespace(
            name=NAME, major=8, minor=7, multi_processor_count=16, total_memory=16 << 30
        ),
        "get_arch_list": lambda: ["sm_87"],
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "mem_get_info": lambda *_: (12 << 30, 16 << 30),
    }
    with contextlib.ExitStack() as stack:
        for name, value in cuda.items():
            stack.enter_context(mock.patch.object(torch.cuda, name, value))
        stack.enter_context(mock.patch("mafs_ros.base.nvidia.SIGNS", ("/dev/null",)))
        for name in ("zeros", "ones", "empty"):
            stack.enter_context(mock.patch.object(torch, name, _creator(getattr(torch, name))))
        stack.enter_context(
            mock.patch.object(torch._C, "_host_emptyCache", lambda: None, create=True)
        )
        stack.enter_context(mock.patch.object(torch.nn.Module, "to", _module_to))
        stack.enter_context(mock.patch.object(torch.nn.Module, "cuda", lambda module: module))
        yield gpu
