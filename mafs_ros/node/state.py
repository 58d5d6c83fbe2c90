"""What the node holds between its transitions."""

from dataclasses import dataclass, field
from typing import Any

from sensor_msgs.msg import CompressedImage

from mafs_ros.base.stamps import NS_PER_S, nanoseconds
from mafs_ros.node.camera_health import CameraHealth
from mafs_ros.node.health import Events, FrameHealth
from mafs_ros.node.outputs import Outputs
from mafs_ros.perception.classes import ClassTable
from mafs_ros.perception.pairing.mailbox import Mailbox
from mafs_ros.perception.pairing.policy import Pairing
from mafs_ros.perception.perception import Perception
from mafs_ros.perception.registration.known import KnownCameras


@dataclass
class Arrival:
    """A message and the monotonic time of its arrival in seconds.

    Pairing reads `header`, or `received_ns`. fault: why its image is of no use (`dead_images`).
    """

    message: Any
    at: float
    fault: str = ""
    header: Any = field(init=False)

    def __post_init__(self) -> None:
        self.header = self.message.header

    @property
    def received_ns(self) -> int:
        return round(self.at * NS_PER_S)


@dataclass
class Network:
    """What all pairs of cameras share from configure to cleanup: weights and engine."""

    engine: Any
    table: ClassTable
    facts: dict[str, Any]  # in words, for /diagnostics


@dataclass
class Session:
    """What a pair of cameras has from configure to cleanup."""

    perception: Perception
    table: ClassTable
    outputs: Outputs
    overlay_alpha: float
    facts: dict[str, Any]
    registration: str = ""  # in words
    known: KnownCameras | None = None  # with registration: camera_info


@dataclass
class Activity:
    """What a pair of cameras has from activate to deactivate.

    `inputs` comes last, when all else is ready.
    """

    rgb: CameraHealth
    thermal: CameraHealth
    pairing: Pairing
    pairs: Events
    mailbox: Mailbox
    frames: FrameHealth
    registration_watch: Any
    calibrations: Any
    fallback: Any  # CameraFallback
    depth: Any = None  # with depth_topic
    inputs: Any = None
    doubt_said: bool = False  # of stamps that may be wrong


def seconds(arrival: Arrival) -> float:
    """The stamp of a message in seconds."""
    return nanoseconds(arrival.header.stamp) / 1e9


def describe(message: Any) -> str:
    """'640x480 rgb8', or the format of a compressed image."""
    if isinstance(message, CompressedImage):
        return message.format
    return f"{message.width}x{message.height} {message.encoding}"
