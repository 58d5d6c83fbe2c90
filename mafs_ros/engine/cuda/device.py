"""Whether the GPU computes, before it is used and after an error."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

import torch

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.engine.interface import GpuLostError

log = logging.getLogger(__name__)


def kernel_fault() -> str:
    """Why the GPU does not compute, '' where it does: found by one kernel.

    `torch.cuda.is_available` is true as well where the driver is too old for this PyTorch, where
    PyTorch has no code for this GPU, and where another program holds all of its memory.
    """
    try:
        one = torch.ones(1, device="cuda")
        return "" if (one + one).cpu().item() == 2 else "it computes 1 + 1 wrong"
    except (RuntimeError, AssertionError) as error:
        return one_line(error)


def gpu_computes() -> bool:
    """Whether there is a GPU that computes; one that does not is a warning on the log."""
    if not torch.cuda.is_available():
        return False
    if not (fault := kernel_fault()):
        return True
    log.warning(
        "there is a GPU that PyTorch %s cannot use (%s): the CPU takes its place",
        torch.__version__,
        fault,
        extra=Fault.GPU_UNUSABLE.extra,
    )
    return False


@contextlib.contextmanager
def telling_loss() -> Iterator[None]:
    """While CUDA is used: its errors are raised as they are, or as GpuLostError."""
    try:
        yield
    except RuntimeError as error:
        raise_if_lost(error)
        raise


def raise_if_lost(error: BaseException) -> None:
    """Raise GpuLostError where after an error no call of CUDA works any more in this process.

    CUDA calls such errors sticky (CUDA Runtime API, cudaGetLastError and the errors that say "the
    only remedy is process termination"). Memory that is short is none of them.
    """
    for _ in range(2):  # an error that is not sticky can be told once to whoever asks next
        try:
            torch.cuda.synchronize()
            return
        except torch.cuda.OutOfMemoryError:
            return
        except RuntimeError as later:
            last = later
    raise GpuLostError(
        f"the GPU is lost to this process ({one_line(error)}; after it {one_line(last)}): it has "
        "to be started again"
    ) from error
