"""Starts and ends the viewer's own process."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
MEMORY_LIMIT = "200MB"  # of pictures kept for a browser that is opened later
START_TIMEOUT_S = 20.0


def start_rerun(home: Path, data_port: int, web_port: int) -> subprocess.Popen[bytes]:
    """Rerun's own program, which unlike its Python functions can listen on one address alone.

    home: where it keeps its settings, so that the user's stay as they are. Raises OSError or
    RuntimeError where it does not start.
    """
    import rerun_cli

    binary = str(Path(rerun_cli.__file__).with_name("rerun"))
    environment = {
        **os.environ,
        "HOME": str(home),
        "XDG_DATA_HOME": str(home),
        "XDG_CONFIG_HOME": str(home),
        "RUST_LOG": "error",
    }
    subprocess.run(
        [binary, "analytics", "disable"], env=environment, check=True, capture_output=True
    )
    process = subprocess.Popen(
        [
            binary,
            "--serve-web",
            "--bind",
            HOST,
            "--port",
            str(data_port),
            "--web-viewer-port",
            str(web_port),
            "--server-memory-limit",
            MEMORY_LIMIT,
        ],
        env=environment,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + START_TIMEOUT_S
    while not (is_open(data_port) and is_open(web_port)):
        if process.poll() is not None:
            raise RuntimeError(
                f"rerun ended with exit code {process.returncode}; is the port "
                f"{data_port} taken? --data-port chooses another"
            )
        if time.monotonic() > deadline:
            stop(process)
            raise RuntimeError(f"rerun does not answer after {START_TIMEOUT_S:.0f} s")
        time.sleep(0.05)
    return process


def is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def stop(process: subprocess.Popen[bytes]) -> None:
    """End it, and return when it is gone."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def connect(data: str, panels: Sequence[str]) -> Any:
    """A recording that goes to rerun, with a panel for each kind of picture."""
    import rerun
    import rerun.blueprint as blueprint

    recording = rerun.RecordingStream("mafs")
    recording.connect_grpc(data)
    views = [blueprint.Spatial2DView(origin=name, name=name) for name in panels]
    recording.send_blueprint(blueprint.Blueprint(blueprint.Grid(*views), collapse_panels=True))
    return recording
