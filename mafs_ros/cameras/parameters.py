"""The parameters of the cameras, and which of them go together."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from mafs_ros.cameras.faults import CAMERA_FAULTS
from mafs_ros.node.declare import declare_parameters
from mafs_ros.parameters.table import TABLE, Parameter, ParameterError

FAULT = (
    "What is wrong with the camera. silent: it sends nothing; frozen: the last image again, with "
    "new stamps; black; covered: noise alone (the last two: raw images only)."
)
PARAMETERS: tuple[Parameter, ...] = (
    # topics
    Parameter(
        "rgb_topic",
        "rgb/image",
        "Topic of the RGB images (compressed ones of a bag go to TOPIC/compressed). Empty: the "
        "thermal camera alone.",
    ),
    Parameter("thermal_topic", "thermal/image", "Topic of the thermal images, likewise."),
    Parameter(
        "labels_topic",
        "",
        "Topic of the exact labels of the simulation, mono8 class ids "
        "with the RGB stamps. Empty: not published.",
    ),
    Parameter(
        "depth_topic",
        "",
        "Topic of the exact depth of the RGB image's pixels, 16UC1 in mm, 0 for the sky and "
        "beyond 65 m, with the RGB stamps; goes with rig unaligned. Empty: not published.",
    ),
    Parameter("rgb_frame_id", "rgb_camera", "frame_id of the RGB images; a bag keeps its own."),
    Parameter("thermal_frame_id", "thermal_camera", "frame_id of the thermal images, likewise."),
    Parameter(
        "reliability", "reliable", "Reliability offered.", choices=("reliable", "best_effort")
    ),
    Parameter("depth", 10, "Images of each camera kept for resending.", low=1, high=1000),
    # source: a bag, two folders, or else the simulation
    Parameter("bag", "", "rosbag2 to publish: a folder, or one .mcap or .db3 file."),
    Parameter("bag_rgb_topic", "", "RGB topic in the bag. Empty: guessed."),
    Parameter("bag_thermal_topic", "", "Thermal topic in the bag. Empty: guessed."),
    Parameter("rgb_dir", "", "Folder of RGB images to publish, paired by name with thermal_dir."),
    Parameter("thermal_dir", "", "Folder of thermal images."),
    Parameter(
        "stamps_file",
        "",
        "CSV name,rgb,thermal with the stamps of the folders in seconds. "
        "Empty: stamped as taken now, at rate_hz.",
    ),
    Parameter("height", 480, "Height of the simulated images in pixels.", low=32, high=4096),
    Parameter("width", 640, "Width of the simulated images in pixels.", low=32, high=4096),
    Parameter(
        "light",
        "seeded",
        "Light of the simulated street. seeded: the seed decides.",
        choices=("seeded", "day", "night"),
    ),
    Parameter(
        "rig",
        "aligned",
        "Cameras of the simulated street. aligned: both see the same rectangle. unaligned: other "
        "lenses, sizes and places (thermal: half as wide, 5:4), with camera_info beside both "
        "image topics and the transform between their frames on /tf_static.",
        choices=("aligned", "unaligned"),
    ),
    Parameter("seed", 0, "Seed of the street, the jitter and the dropouts.", low=0, high=2**31),
    Parameter(
        "cycle",
        0,
        "Render this many simulated frames before the start and repeat them, "
        "for high rates. 0: render while publishing.",
        low=0,
        high=10_000,
    ),
    # time
    Parameter("rate_hz", 10.0, "Rate of the RGB camera.", low=0.01, high=1000.0),
    Parameter(
        "thermal_rate_hz", 0.0, "Rate of the thermal camera. 0: as rate_hz.", low=0.0, high=1000.0
    ),
    Parameter(
        "speed",
        1.0,
        "Speed of a bag or stamps_file. 2: twice as fast as recorded.",
        low=0.001,
        high=1000.0,
    ),
    Parameter(
        "frames",
        0,
        "RGB images after which to end. 0: all there are; a simulation or "
        "loop then goes on until stopped.",
        low=0,
        high=2**31,
    ),
    Parameter(
        "loop",
        False,
        "Begin again at the end of the folders or the bag. Recorded stamps then jump back.",
    ),
    Parameter(
        "wait_for_subscribers",
        0,
        "Subscriptions of both topics to wait for before the start.",
        low=0,
        high=100,
    ),
    Parameter(
        "wait_timeout_s", 60.0, "Seconds to wait for them before giving up.", low=0.0, high=3600.0
    ),
    # faults of simulated cameras and folders
    Parameter(
        "jitter_s",
        0.0,
        "Largest deviation of an acquisition from its schedule; both "
        "cameras deviate for themselves.",
        low=0.0,
        high=10.0,
    ),
    Parameter(
        "thermal_stamp_offset_s",
        0.0,
        "Seconds added to the thermal stamps; the images themselves are taken at the right time.",
        low=-10.0,
        high=10.0,
    ),
    Parameter(
        "dropout",
        0.0,
        "Probability that an image is lost, each camera for itself.",
        low=0.0,
        high=1.0,
    ),
    Parameter(
        "thermal_shift_x_px",
        0.0,
        "The thermal camera sees everything this much further right than the RGB camera.",
        low=-4096.0,
        high=4096.0,
    ),
    Parameter("thermal_shift_y_px", 0.0, "The same, further down.", low=-4096.0, high=4096.0),
    Parameter(
        "thermal_rotation_deg",
        0.0,
        "The thermal camera sees everything turned this much clockwise about the image centre.",
        low=-180.0,
        high=180.0,
    ),
    # faults of any camera, to be set while it runs
    Parameter("rgb_fault", "none", FAULT, choices=CAMERA_FAULTS, live=True),
    Parameter("thermal_fault", "none", "The same.", choices=CAMERA_FAULTS, live=True),
    # for programs that measure
    Parameter(
        "sent_file",
        "",
        "CSV file to write: topic, stamp in ns, and time of publication in "
        "ns of CLOCK_MONOTONIC, which all processes of a machine share.",
    ),
    Parameter(
        "pace_topic",
        "",
        "Topic of std_msgs/Header: after each pair wait for the header "
        "that says it is done, so that none is too much. Empty: no waiting.",
    ),
    Parameter(
        "pace_slop_s", TABLE["slop_s"].default, "slop_s of that receiver.", low=0.0, high=10.0
    ),
    Parameter(
        "pace_timeout_s",
        10.0,
        "Seconds after which the wait for one pair ends.",
        low=0.0,
        high=3600.0,
    ),
)
FAULTS = (
    "jitter_s",
    "thermal_stamp_offset_s",
    "dropout",
    "thermal_shift_x_px",
    "thermal_shift_y_px",
    "thermal_rotation_deg",
)
SIMULATION_ONLY = ("labels_topic", "depth_topic", "rig", "cycle")
DEFAULTS = {row.name: row.default for row in PARAMETERS}


def read_parameters(node: Node) -> dict[str, Any]:
    """Declare all parameters; returns name -> value. Raises ParameterError (parameters.py)."""
    for warning in declare_parameters(node, PARAMETERS):
        node.get_logger().warning(warning)
    values = {row.name: node.get_parameter(row.name).value for row in PARAMETERS}
    check_together(values)
    return values


def check_together(values: dict[str, Any]) -> None:
    """Raise ParameterError where values are fine one by one but not together."""
    if not values["rgb_topic"] and not values["thermal_topic"]:
        raise ParameterError("parameters rgb_topic and thermal_topic: both are empty")
    if bool(values["rgb_dir"]) != bool(values["thermal_dir"]):
        raise ParameterError("parameters rgb_dir and thermal_dir: got one, expected both or none")
    if values["bag"] and values["rgb_dir"]:
        raise ParameterError("parameters bag and rgb_dir: got both, expected one source of images")
    if values["stamps_file"] and not values["rgb_dir"]:
        raise ParameterError("parameter stamps_file: goes with rgb_dir and thermal_dir")
    recorded = "bag" if values["bag"] else "rgb_dir" if values["rgb_dir"] else ""
    refused = SIMULATION_ONLY if recorded else ()
    if values["bag"] or values["stamps_file"]:
        refused = (*refused, *FAULTS)
    for name in refused:
        if values[name] != DEFAULTS[name]:
            raise ParameterError(
                f"parameter {name}: got {values[name]!r}, which does not go "
                f"with recorded images (see parameter {recorded})"
            )
    if values["depth_topic"] and values["rig"] == "aligned":
        raise ParameterError("parameter depth_topic: goes with rig unaligned, got rig aligned")
    fastest = max(values["rate_hz"], values["thermal_rate_hz"])
    if values["jitter_s"] >= 0.5 / fastest:
        raise ParameterError(
            f"parameter jitter_s: got {values['jitter_s']}, expected less than half a period, "
            f"{0.5 / fastest:.4f}, so that stamps keep their order"
        )
