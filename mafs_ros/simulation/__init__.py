"""A procedural night or day street for both cameras, with exact labels."""

from .street import SimulatedFrame, StreetSimulation

__all__ = ["SimulatedFrame", "StreetSimulation"]
