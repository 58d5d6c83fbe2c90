"""A Ray cluster, for the programs that run there. Ray is imported where one is asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from mafs_ros.base.errors import one_line


def connected(address: str) -> Any:
    """The module ray, connected to a cluster. address: 'auto' for the one that runs here.

    Raises ImportError without Ray, ConnectionError where no cluster answers.
    """
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ImportError("--ray needs Ray: pip install 'mafs_ros[fleet]'") from error
    if not ray.is_initialized():
        try:
            ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise ConnectionError(
                f"--ray {address}: no cluster answers ({one_line(error)}); `ray start --head` "
                "makes one of this machine, `ray status` shows it; without --ray everything runs "
                "here"
            ) from error
    return ray


def fitting(ray: Any, resources: Mapping[str, float]) -> int:
    """How many tasks with these resources ('CPU', 'GPU', 'memory') the cluster can run at once."""
    needed = {name: amount for name, amount in resources.items() if amount}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return sum(
        int(min(node.get(name, 0) // amount for name, amount in needed.items())) for node in nodes
    )
