"""What is told of a GPU, its driver and its board, from files and programs that were seen."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mafs_ros.base import nvidia
from mafs_ros.cli import main
from mafs_ros.commands import info
from mafs_ros.engine import gpu

CARD = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22 01:44:30 UTC 2024\n"
BOARD = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for aarch64  540.4.0  Release Build  "
    "(buildbrain@mobile-u64)\nGCC version:  collect2: error: ld returned 1 exit status\n"
)
NANO = SimpleNamespace(
    name="Orin", major=8, minor=7, multi_processor_count=8, total_memory=7990 << 20
)
L4T = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n# more\n"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts a program onto the path."""
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    def put(name: str, text: str) -> None:
        (tmp_path / name).write_text(f"#!{sys.executable}\n{text}\n")
        (tmp_path / name).chmod(0o755)

    return put


@pytest.mark.parametrize(
    ("text", "version"), [(CARD, "550.54.14"), (BOARD, "540.4.0"), ("580.65.06\n", "580.65.06")]
)
def test_the_driver_tells_its_version(text, version, tmp_path):
    (tmp_path / "version").write_text(text)
    assert nvidia.driver_version(("/no/such/file", str(tmp_path / "version"))) == version
    assert nvidia.driver_version(("/no/such/file",)) == ""


def test_no_driver_has_no_cuda():
    assert nvidia.driver_cuda("libno_such_library.so.1") == ""
    assert nvidia.driver_cuda("libc.so.6") == ""  # without its functions


@pytest.mark.parametrize(("text", "release"), [(L4T, "36.4.3"), ("# what\n", "what"), ("", "")])
def test_a_jetson_tells_its_release(text, release, tmp_path):
    (tmp_path / "release").write_text(text)
    assert nvidia.l4t_version(str(tmp_path / "release")) == release
    assert nvidia.l4t_version(str(tmp_path / "none")) == ""


def test_a_jetson_tells_its_power_mode(program):
    assert nvidia.power_mode() == ""
    program("nvpmodel", "print('NV Power Mode: MAXN_SUPER\\n2')")
    assert nvidia.power_mode() == "MAXN_SUPER (2)"
    program("nvpmodel", "raise SystemExit('NV Power Mode: root alone')")
    assert nvidia.power_mode() == ""


def test_a_program_that_hangs_and_its_children_are_ended(tmp_path):
    """A child that holds the output too; both hold a pipe, which ends with the last of them."""
    os.mkfifo(tmp_path / "held")
    script = 'exec 3>"$1"; tail -f /dev/null & echo begun; wait'
    held = os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert nvidia.ask(["sh", "-c", script, "sh", str(tmp_path / "held")], timeout_s=0.5) == ""
        os.set_blocking(held, True)
        assert os.read(held, 1) == b""
    finally:
        os.close(held)
    assert nvidia.ask(["no_such_program"]) == ""


def test_boards_of_one_name_are_told_apart(monkeypatch):
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: NANO)
    facts = gpu.gpu_facts()
    assert facts["gpu"] == "Orin (8.7), 8 SMs, 8 GB"
    assert facts["driver"] and facts["cuda"]
    for change in ({"total_memory": 15656 << 20}, {"multi_processor_count": 4}):
        other = SimpleNamespace(**{**vars(NANO), **change})
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device, o=other: o)
        assert gpu.gpu_facts()["gpu"] != facts["gpu"]
    slightly = SimpleNamespace(**{**vars(NANO), "total_memory": NANO.total_memory - (3 << 20)})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: slightly)
    assert gpu.gpu_facts() == facts  # as after the next start of the board


def test_info_says_what_is_not_here(monkeypatch, capsys):
    monkeypatch.setattr(gpu, "has_nvidia", lambda: False)
    assert main(["info"]) == 0
    text = capsys.readouterr().out.partition("\nlibraries")[0]
    rows = dict(line.split(None, 1) for line in text.partition("\ngpu\n")[2].splitlines())
    assert rows["gpu"] == "not here: no NVIDIA driver" and rows["cuda"] == "not here"
    assert rows["l4t"] == "not here: no Jetson"
    assert rows["torch-tensorrt"].startswith("not here") and "tensorrt" in rows


def test_info_tells_of_a_card_that_torch_does_not_reach(program, monkeypatch):
    """Here torch has no CUDA, or its process hangs."""
    monkeypatch.setattr(gpu, "has_nvidia", lambda: True)
    monkeypatch.setattr(gpu, "ASK_TORCH", "import signal; signal.pause()")
    monkeypatch.setattr(gpu, "TORCH_S", 0.3)
    program("nvidia-smi", "print('NVIDIA GeForce RTX 4090, 24564 MiB')")
    assert gpu.gpu_rows()["gpu"] == (
        "NVIDIA GeForce RTX 4090, 24564 MiB; PyTorch does not reach it"
    )
    program("nvidia-smi", "raise SystemExit(9)")
    assert gpu.gpu_rows()["gpu"].startswith("a driver, which does not say what it drives")


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ('print(\'{"torch": "2.8.0"}\')', "torch  2.8.0"),
        ("import os; os.abort()", "no answer  whoever asks the driver ends or hangs"),
    ],
)
def test_info_outlives_a_driver_that_ends_who_asks_it(program, said, monkeypatch, capsys):
    for module in (gpu, info):
        monkeypatch.setattr(module, "has_nvidia", lambda: True)
    monkeypatch.setattr(gpu, "ASK_TORCH", "import os; os.abort()")
    monkeypatch.setattr(info, "ASK_BACKENDS", program)
    assert main(["info"]) == 0
    assert said in capsys.readouterr().out


def test_info_tells_what_torch_sees(monkeypatch):
    monkeypatch.setattr(gpu, "has_nvidia", lambda: True)
    monkeypatch.setattr(gpu, "ASK_TORCH", "print('Orin (8.7), 8 SMs, 8 GB'); print('12.6')")
    rows = gpu.gpu_rows()
    assert rows["gpu"] == "Orin (8.7), 8 SMs, 8 GB"
    assert rows["cuda"].endswith("(driver), 12.6 (PyTorch)")
