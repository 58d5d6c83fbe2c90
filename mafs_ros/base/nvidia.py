"""What the system tells of NVIDIA's GPU and driver, without CUDA: files and programs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

ASK_S = 10.0  # for a program that asks the driver, which may not answer at all
DRIVER_FILES = ("/proc/driver/nvidia/version", "/sys/module/nvidia/version")
L4T_FILE = "/etc/nv_tegra_release"
# Any of these, and there is a driver: of a card, of a Jetson, of WSL.
BOARD_DEVICES = ("/dev/nvmap", "/dev/nvgpu", "/dev/nvhost-gpu")  # in a container too
SIGNS = (*DRIVER_FILES, L4T_FILE, "/dev/nvidiactl", *BOARD_DEVICES, "/dev/dxg")


def has_nvidia() -> bool:
    """Whether there is any sign of an NVIDIA driver."""
    return any(os.path.exists(sign) for sign in SIGNS)


def driver_version(files: Sequence[str] = DRIVER_FILES) -> str:
    """The kernel module's version, such as 540.4.0; '' where there is none."""
    for file in files:
        with contextlib.suppress(OSError):
            text = Path(file).read_text(encoding="utf-8", errors="replace")
            if match := re.search(r"(?:Kernel Module.*?|^)\s*\b(\d+\.\d+(?:\.\d+)*)", text):
                return match[1]
    return ""


def driver_cuda(library: str = "libcuda.so.1") -> str:
    """The newest CUDA that the driver serves, such as 12.6; '' where there is no driver."""
    version = ctypes.c_int(0)
    try:
        if ctypes.CDLL(library).cuDriverGetVersion(ctypes.byref(version)) != 0:
            return ""
    except (OSError, AttributeError):
        return ""
    return f"{version.value // 1000}.{version.value % 1000 // 10}" if version.value else ""


def l4t_version(file: str = L4T_FILE) -> str:
    """The release of a Jetson's Linux, such as 36.4.3 (JetPack 6.2); '' on other machines."""
    try:
        line = Path(file).read_text(encoding="utf-8", errors="replace").partition("\n")[0]
    except OSError:
        return ""
    match = re.search(r"R(\d+)\b.*?REVISION:\s*([\d.]+)", line)
    return f"{match[1]}.{match[2]}" if match else line.strip("# ")[:100]


def power_mode() -> str:
    """A Jetson's power mode, such as 'MAXN (0)'; '' where nvpmodel says nothing."""
    said = ask(["nvpmodel", "-q"])
    match = re.search(r"NV Power Mode:\s*(\S+)(?:\s+(\d+))?", said)
    return (match[1] + (f" ({match[2]})" if match[2] else "")) if match else ""


def ask(command: Sequence[str], timeout_s: float = ASK_S) -> str:
    """What a program says on stdout; '' where it is not there, fails, or has not ended in time.

    Nothing waits for one that the kernel does not let end, as where a driver hangs.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return ""
    try:
        said, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        return ""
    return said.decode(errors="replace").strip() if process.returncode == 0 else ""
