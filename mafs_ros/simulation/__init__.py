"""A procedural night or day street for both cameras, with exact labels."""

from mafs_ros.simulation.rig import SimulatedRig, unaligned_rig
from mafs_ros.simulation.rig_street import RigFrame, RigStreet
from mafs_ros.simulation.street import SimulatedFrame, StreetSimulation

__all__ = [
    "RigFrame",
    "RigStreet",
    "SimulatedFrame",
    "SimulatedRig",
    "StreetSimulation",
    "unaligned_rig",
]
