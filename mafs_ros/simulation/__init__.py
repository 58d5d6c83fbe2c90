"""A procedural night or day street for both cameras, with exact labels."""

from mafs_ros.simulation.street import SimulatedFrame, StreetSimulation

__all__ = ["SimulatedFrame", "StreetSimulation"]
