"""The node's parameters: one table with types, defaults, ranges and descriptions.

Everything else is made from the table: the declarations and their descriptors, the checks on
change, the default parameter file `config/mafs.yaml` (`python -m mafs_ros.parameters yaml`) and
docs/parameters.md (`python -m mafs_ros.parameters markdown`).
"""

from mafs_ros.base.stamps import LARGEST_OFFSET_S, LARGEST_QUEUE
from mafs_ros.parameters.network import NETWORK
from mafs_ros.parameters.parameter import Parameter, ParameterError, Value

__all__ = ["PARAMETERS", "TABLE", "Parameter", "ParameterError", "Value"]

CAMERA_TOPIC = "an absolute name, or one relative to the namespace of the node"
TRANSPORT = (
    "raw: sensor_msgs/Image; compressed: sensor_msgs/CompressedImage on TOPIC/compressed; "
    "compressed_as_named: CompressedImage on TOPIC itself"
)
BESIDE = "Empty: camera_info beside the images, as ROS names it"
TRANSPORTS = ("raw", "compressed", "compressed_as_named")
PARAMETERS: tuple[Parameter, ...] = (
    # pairs of cameras
    Parameter(
        "pairs",
        [""],
        "Names of the pairs of cameras, for several on one engine. Each has parameters of its "
        "own, NAME.rgb_topic and so on, which are by default as those without NAME, and outputs "
        "under ~/NAME. One empty name: one pair, without a name.",
        read_only=True,
        shared=True,
    ),
    # inputs
    Parameter("rgb_topic", "rgb/image", f"Topic of the RGB images: {CAMERA_TOPIC}."),
    Parameter("thermal_topic", "thermal/image", f"Topic of the thermal images: {CAMERA_TOPIC}."),
    Parameter("rgb_transport", "raw", f"{TRANSPORT}.", choices=TRANSPORTS),
    Parameter(
        "thermal_transport",
        "raw",
        f"{TRANSPORT} (16 bit: PNG only).",
        choices=TRANSPORTS,
    ),
    Parameter(
        "input_reliability",
        "auto",
        "Reliability requested from the cameras. auto: reliable, or best_effort from a "
        "camera that offers no more. best_effort: for lossy networks, nothing is resent. "
        "reliable: such cameras are warned of and not received.",
        choices=("auto", "best_effort", "reliable"),
    ),
    Parameter(
        "input_depth", 5, "Images of each camera that may wait in the middleware.", low=1, high=100
    ),
    Parameter(
        "stale_timeout_s",
        5.0,
        "Seconds without an image of a camera before the node warns and names the topic.",
        low=0.1,
        high=3600.0,
        live=True,
    ),
    Parameter(
        "fallback_after_s",
        0.5,
        "Seconds, and two periods of the camera, that a camera may be silent, frozen (the same "
        "bytes), black, covered or unreadable before frames are made of the other one alone. "
        "0: frames are of pairs alone.",
        low=0.0,
        high=3600.0,
        live=True,
    ),
    # pairing
    Parameter(
        "slop_s",
        0.05,
        "Largest difference in seconds between the stamps of a pair.",
        low=0.0,
        high=10.0,
        live=True,
    ),
    Parameter(
        "pair_by",
        "stamp",
        "stamp: images whose stamps are nearest. arrival: images that arrive at the same time, "
        "for cameras whose stamps are of no use; what one camera takes longer to deliver, and "
        "what the transport wavers, then is an error of the pairs (thermal_time_offset_s takes "
        "the constant part).",
        choices=("stamp", "arrival"),
        live=True,
    ),
    Parameter(
        "queue_size",
        10,
        "Images of each camera that may wait for their partner.",
        low=1,
        high=LARGEST_QUEUE,
    ),
    Parameter(
        "thermal_time_offset_s",
        0.0,
        "Seconds added to the thermal stamps before pairing; for cameras that stamp late, "
        "negative. Published stamps are not changed: they are those of the RGB camera.",
        low=-LARGEST_OFFSET_S,
        high=LARGEST_OFFSET_S,
        live=True,
    ),
    # thermal image
    Parameter(
        "thermal_scaling",
        "auto",
        "How thermal counts become 8 bit. percentile: range of the image, slowed by "
        "thermal_time_constant_s; fixed: thermal_low to thermal_high; as_is: no change, "
        "8 bit cameras only; auto: as_is for 8 bit cameras, percentile for others.",
        choices=("auto", "percentile", "fixed", "as_is"),
        live=True,
    ),
    Parameter(
        "thermal_low",
        0.0,
        "fixed: the value that becomes 0, in thermal_unit.",
        low=-1e6,
        high=1e6,
        live=True,
    ),
    Parameter(
        "thermal_high",
        65535.0,
        "fixed: the value that becomes 255, in thermal_unit.",
        low=-1e6,
        high=1e6,
        live=True,
    ),
    Parameter(
        "thermal_unit",
        "counts",
        "Unit of thermal_low and thermal_high.",
        choices=("counts", "kelvin"),
        live=True,
    ),
    Parameter(
        "thermal_kelvin_per_count",
        0.01,
        "Kelvin per count of a 16-bit radiometric camera, for thermal_unit kelvin: 0.01, or "
        "0.1 in low resolution. Counts start at 0 K; else give the range in counts.",
        low=1e-6,
        high=10.0,
        live=True,
    ),
    Parameter(
        "thermal_percentile_low",
        1.0,
        "percentile: the percentile that becomes 0.",
        low=0.0,
        high=100.0,
        live=True,
    ),
    Parameter(
        "thermal_percentile_high",
        99.8,
        "percentile: the percentile that becomes 255.",
        low=0.0,
        high=100.0,
        live=True,
    ),
    Parameter(
        "thermal_time_constant_s",
        2.0,
        "percentile: seconds after which the range has followed 63 % of a small change. "
        "0: every image has its own range (flickers).",
        low=0.0,
        high=3600.0,
        live=True,
    ),
    Parameter(
        "thermal_invalid_values",
        "auto",
        "Values that are no measurement and are left out of the percentiles. auto: found and "
        "named on the log (borders of 0, nodata, saturated pixels, telemetry rows); none: "
        "every pixel counts; or numbers apart by spaces ('0 -10000'), besides those found.",
        live=True,
        numbers=True,
    ),
    # registration
    Parameter(
        "registration",
        "auto",
        "What brings the thermal image onto the RGB image. file: the homography of "
        "registration_file; camera_info: lenses by CameraInfo, and how the cameras sit by TF or "
        "thermal_to_rgb_*; none: both cameras see the same rectangle, and the thermal image is "
        "resized; auto: file where registration_file is given, else none.",
        choices=("auto", "file", "camera_info", "none"),
    ),
    Parameter(
        "registration_file",
        "",
        "YAML file with the homography from thermal to RGB pixels. Empty: there is none.",
    ),
    Parameter(
        "rgb_camera_info_topic",
        "",
        "Topic of the RGB camera's CameraInfo, for registration: camera_info and for what is "
        f"published beside the outputs. {BESIDE}.",
    ),
    Parameter(
        "thermal_camera_info_topic",
        "",
        f"camera_info: topic of the thermal camera's CameraInfo. {BESIDE}.",
    ),
    Parameter(
        "thermal_to_rgb_translation_m",
        [0.0, 0.0, 0.0],
        "camera_info: place of the thermal camera's optical centre in the RGB camera's optical "
        "frame (x right, y down, z ahead), in metres. All 0, and thermal_to_rgb_rotation too: by "
        "TF, from the frame of one CameraInfo to that of the other.",
        low=-100.0,
        high=100.0,
    ),
    Parameter(
        "thermal_to_rgb_rotation",
        [0.0, 0.0, 0.0, 0.0],
        "camera_info: how the thermal camera is turned in the RGB camera's optical frame, a "
        "quaternion x, y, z, w. All 0: as thermal_to_rgb_translation_m says, not turned.",
        low=-1.0,
        high=1.0,
    ),
    Parameter(
        "plane_depth_m",
        10.0,
        "camera_info: distance from the RGB camera in metres, along its axis, at which the images "
        "fit where no depth is known. What is at depth z is off by f * b * (1/z - "
        "1/plane_depth_m) pixels, with f the focal length in pixels and b metres between the "
        "cameras.",
        low=0.05,
        high=1e6,
        live=True,
    ),
    Parameter(
        "depth_topic",
        "",
        "camera_info: topic of depth images on the pixels of the RGB camera (aligned, registered; "
        "another resolution of the same view will do), sensor_msgs/Image, 16UC1 in mm or 32FC1 in "
        "m. Empty: all is taken to be at plane_depth_m.",
    ),
    Parameter(
        "depth_slop_s",
        0.1,
        "Largest difference in seconds between the stamps of an RGB image and the depth image "
        "used for it; where none is so near plane_depth_m is used.",
        low=0.0,
        high=10.0,
        live=True,
    ),
    Parameter(
        "registration_warn_px",
        4.0,
        "Pixels that the thermal image may lie beside the RGB image before the node warns. "
        "Measured by the edges of 8 frames, one a second. 0: not measured.",
        low=0.0,
        high=100.0,
        live=True,
    ),
    *NETWORK,
    # outputs
    Parameter(
        "overlay_alpha",
        0.5,
        "Strength of the class colours in the overlay.",
        low=0.0,
        high=1.0,
        live=True,
    ),
    Parameter(
        "confidence_threshold",
        0.0,
        "Confidence below which a label becomes 255 (unlabelled); LabelInfo says so. 0: every "
        "pixel has a class. Above 0 confidence is computed for labels and overlay.",
        low=0.0,
        high=1.0,
        live=True,
    ),
    Parameter(
        "jpeg_quality",
        80,
        "Quality of the JPEG images on fused/image/compressed and "
        "segmentation/overlay/compressed.",
        low=1,
        high=100,
        live=True,
    ),
    Parameter(
        "autostart",
        True,
        "Configure and activate at the start. If that fails the process ends with exit "
        "code 1. false: wait for lifecycle transitions.",
        read_only=True,
        shared=True,
    ),
    Parameter(
        "bond",
        False,
        "Have a bond with Nav2's lifecycle manager while active. Needs bondpy.",
        shared=True,
    ),
)
TABLE = {parameter.name: parameter for parameter in PARAMETERS}
