"""What is odd about the images comes once on the log of the node."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from node_bench import Bench
from node_messages import SECOND, image_message, thermal_image
from node_process import Process


def odd_images() -> dict[str, object]:
    """A square thermal image with a border of 0; the RGB image is not square."""
    thermal = np.ascontiguousarray(thermal_image()[:, :128])
    thermal[:10] = 0
    return {"thermal": image_message(thermal, "mono16")}


def test_each_line_comes_once(start: Callable[..., Process], bench: Bench) -> None:
    process = start(thermal_scaling="percentile")
    process.wait_for_line("active")
    stamp = bench.connect("fused", make=odd_images)
    for _ in range(4):
        stamp = bench.send_pair(stamp + SECOND // 10, **odd_images())
        bench.wait_for_stamp(stamp)
    process.wait_for_line("pixels are exactly 0, apart from all others")
    process.wait_for_line("shapes of the images differ, RGB 160x128 .* thermal 128x128")
    before = len(process.lines)
    (result,) = bench.set_parameters(thermal_scaling="fixed")
    assert result.successful, result.reason
    for _ in range(3):
        stamp = bench.send_pair(max(time.time_ns(), stamp + SECOND), **odd_images())
        bench.wait_for_stamp(stamp)
    process.wait_for_line("grey levels of the fixed thermal range 0 to 65535 counts", before)
    lines = "\n".join(process.lines)
    assert lines.count("shapes of the images differ") == 1
    assert lines.count("grey levels of the fixed thermal range") == 1
    assert "\n".join(process.lines[:before]).count("are exactly 0") == 1
    (result,) = bench.set_parameters(thermal_invalid_values="nothing")
    assert not result.successful
    assert "thermal_invalid_values: got 'nothing', expected auto, none, or" in result.reason
