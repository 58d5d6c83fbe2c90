"""Engines: the deployed graph, compiled by a backend."""

from mafs_ros.base.backend_names import BACKENDS, PRECISIONS
from mafs_ros.engine.choose import BackendError, available_backends, create_engine
from mafs_ros.engine.interface import Engine

__all__ = [
    "BACKENDS",
    "PRECISIONS",
    "BackendError",
    "Engine",
    "available_backends",
    "create_engine",
]
