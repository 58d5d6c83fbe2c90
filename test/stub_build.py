"""The process that builds, over `tensorrt_stub`: stub_build.py LEVELS JOB. See `building`."""

from __future__ import annotations

import json
import sys
from unittest import mock

import tensorrt_stub


def builder(weights: str, levels: int):
    """Builds an engine that computes what the network does, or something so much brighter."""

    def build_plan(graph, shape, precision, *, workspace_mb=0) -> bytes:
        told = {"shape": shape, "weights": weights, "precision": precision, "levels": levels}
        return json.dumps(told).encode()

    return build_plan


if __name__ == "__main__":
    # At a lower priority it would wait for all other tests.
    with tensorrt_stub.installed(), mock.patch("os.nice"):
        from mafs_ros.engine.tensorrt.build_process import main

        levels, job = int(sys.argv[1]), sys.argv[2]
        sys.exit(main(job, lambda: builder(json.loads(job)["weights"], levels)))
