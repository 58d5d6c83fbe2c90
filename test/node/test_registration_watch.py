"""The live node says where the thermal image lies beside the RGB image."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from node_bench import Bench
from node_messages import image_message
from node_process import Process

from mafs_ros.simulation import StreetSimulation

HEIGHT, WIDTH = 240, 320
RATE_HZ = 4


def test_a_bump_is_named_within_ten_seconds(start: Callable[..., Process], bench: Bench) -> None:
    """The drive goes on while the thermal camera has turned by 6 of 320 pixels."""
    process = start(backend="torch", image_height=HEIGHT, image_width=WIDTH)
    street = StreetSimulation(seed=3, height=HEIGHT, width=WIDTH)
    moments = itertools.count()

    def turned() -> dict[str, Any]:
        frame = street.frame(next(moments) / RATE_HZ)
        thermal = np.roll(frame.thermal, 6, axis=1)
        return {
            "rgb": image_message(frame.rgb, "rgb8"),
            "thermal": image_message(thermal, "mono16"),
        }

    stamp = bench.connect("fused", make=turned)
    began = time.monotonic()
    bench.wait(lambda: "alignment" in bench.status, "the statuses of an active node")
    assert "not known before 8 frames" in bench.status["alignment"].message
    while bench.status["alignment"].level != b"\x01":
        assert time.monotonic() - began < 10, bench.values("alignment")
        stamp = bench.send_pair(stamp + 10**9 // RATE_HZ, **turned())
        with bench.changed:
            bench.changed.wait(1 / RATE_HZ)
    process.wait_for_line(r"the thermal image lies [5-7]\.\d pixels right of .* mafs calibrate")
    assert 5 <= float(bench.values("alignment")["offset_x_px"]) <= 7
    (result,) = bench.set_parameters(registration_warn_px=0.0)
    assert result.successful, result.reason
    bench.wait(lambda: bench.status["alignment"].level == b"\x00", "an OK status")
