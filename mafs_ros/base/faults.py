"""The faults of the node and their codes: on its log, in /diagnostics and in docs/faults.md."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from mafs_ros.base.markdown import table

WARN, ERROR = 1, 2  # as in diagnostic_msgs/DiagnosticStatus


class Advice(NamedTuple):
    """level: of /diagnostics; cause; node: what it does about it; user: what is to be done."""

    level: int
    cause: str
    node: str
    user: str


class Fault(Enum):
    """Names and codes stay what they are from one release to the next: supervisors go by them."""

    # start and transitions
    START = Advice(
        ERROR,
        "Impossible parameters or arguments at the start, or ROS itself cannot start.",
        "Ends with exit code 1 and this line on stderr.",
        "Correct what the line names.",
    )
    UNKNOWN_PARAMETER = Advice(
        WARN,
        "A parameter was given that the node does not have: a typing error, or one meant for "
        "another node.",
        "Ignores it.",
        "Correct the name in `params_file`, or remove it.",
    )
    CONFIGURE = Advice(
        ERROR,
        "Parameters, weights or the engine cannot be used.",
        "Stays unconfigured; with `autostart` it ends with exit code 1.",
        "Correct what the line names, then configure again.",
    )
    ACTIVATE = Advice(
        ERROR,
        "Something cannot be subscribed or started.",
        "Stays inactive; with `autostart` it ends with exit code 1.",
        "Correct what the line names, then activate again.",
    )
    TRANSITION = Advice(
        ERROR,
        "Deactivating, cleaning up or shutting down failed.",
        "Stays in the state it was in.",
        "Restart the node, and report the line.",
    )
    TRANSITION_REFUSED = Advice(
        WARN,
        "A lifecycle transition was asked for that does not start in the present state.",
        "Answers that it failed, and goes on.",
        "Ask `ros2 lifecycle get` first; supervisors: wait for the transition before.",
    )
    CALLBACK = Advice(
        WARN,
        "Handling a message or a request failed.",
        "Drops it and goes on.",
        "Report the line; `--log-level debug` shows where it came from.",
    )
    DIAGNOSTICS = Advice(
        WARN,
        "/diagnostics cannot be made.",
        "Goes on without, and tries again every second.",
        "Report the line.",
    )
    OTHER = Advice(
        WARN,
        "A warning of a layer below the node that has no code of its own.",
        "As the line says.",
        "As the line says.",
    )
    BOND_BROKEN = Advice(
        WARN,
        "With `bond`: the lifecycle manager has ended or is not heard any more.",
        "Goes on as it is; the next activation makes a new bond.",
        "Restart the lifecycle manager.",
    )
    # cameras
    CAMERA_SILENT = Advice(
        ERROR,
        "A camera has sent nothing for `stale_timeout_s`.",
        "Waits for it, and says how its topic is published otherwise, if it is.",
        "Start the camera; correct topic, transport or network, as the line says.",
    )
    CAMERA_DEAD = Advice(
        WARN,
        "A camera has been silent, frozen, black or covered for `fallback_after_s`, or its images "
        "are at the moment.",
        "Goes on with the other camera alone, says so in `~/mode`, and pairs again by itself.",
        "Look at the camera that the line names (docs/robot.md).",
    )
    NO_CAMERA = Advice(
        WARN,
        "Neither camera has sent an image for `fallback_after_s`.",
        "Publishes nothing until one sends again.",
        "Look at both cameras and their network.",
    )
    CAMERA_IMAGE = Advice(
        WARN,
        "A message holds no image that can be read: encoding, size, damaged data.",
        "Skips the pair and counts it (`bad`, `bad_image`).",
        "Set the camera to an encoding that the line names.",
    )
    CAMERA_QOS = Advice(
        WARN,
        "A camera offers best effort while `input_reliability` is `reliable`.",
        "Gets no image of it.",
        "`input_reliability: auto` or `best_effort`.",
    )
    CAMERA_LOST = Advice(
        WARN,
        "The middleware lost messages of a camera.",
        "Goes on with those that come, and counts the others (`lost_by_middleware`).",
        "The Fast DDS profile for camera and node (docs/robot.md), or `input_reliability: "
        "reliable`.",
    )
    # pairing
    NO_PAIR = Advice(
        WARN,
        "Both cameras send, but no two images belong together.",
        "Publishes nothing.",
        "Adjust `slop_s` and `thermal_time_offset_s` to the difference that the line names.",
    )
    STAMPS = Advice(
        WARN,
        "Stamps of a camera are wrong: 0, constant, late, of another clock.",
        "Pairs what fits by them.",
        "Set what the line names; best repair the driver.",
    )
    STAMPS_DOUBTED = Advice(
        WARN,
        "Stamps may be wrong, or the images come late.",
        "Pairs by them; says it once.",
        "Move a hand before both cameras: is it in one place in the fused image?",
    )
    # frames
    FRAME_FAILED = Advice(
        WARN,
        "An error in perceiving or publishing a pair.",
        "Skips that pair and counts it (`failed`); ERROR while every pair fails.",
        "As the line says; otherwise report it.",
    )
    NO_FRAME = Advice(
        WARN,
        "Cameras are there and outputs subscribed, but no frame comes out.",
        "Waits for what the line names.",
        "Look at the statuses of cameras, pairing and registration.",
    )
    IMAGE_SHAPES = Advice(
        WARN,
        "Images of the two cameras have different shapes and there is no registration.",
        "Stretches the thermal image over the RGB image.",
        "Give a registration (docs/registration.md).",
    )
    THERMAL_PIXELS = Advice(
        WARN,
        "Pixels of the thermal image are no measurement: border, no data, telemetry.",
        "Leaves them out of the thermal range.",
        "`thermal_invalid_values: none` where they are; switch telemetry off.",
    )
    THERMAL_EQUAL = Advice(
        WARN,
        "All pixels of a thermal image are equal: shutter closed, lens covered, not ready.",
        "Perceives it as it is.",
        "Look at the camera.",
    )
    THERMAL_RANGE = Advice(
        WARN,
        "`thermal_low` and `thermal_high` leave next to nothing of the thermal image.",
        "Uses them.",
        "Set them to the scene in the unit of the camera, or `thermal_scaling: auto`.",
    )
    # registration
    NOT_REGISTERED = Advice(
        ERROR,
        "With `registration: camera_info`: CameraInfo or the transform between the cameras is "
        "missing, or cannot be used, since the start.",
        "Publishes nothing, counts pairs (`not_registered`).",
        "Publish what the line names, or give `thermal_to_rgb_*`.",
    )
    CAMERA_INFO = Advice(
        WARN,
        "A CameraInfo or transform came that cannot be used.",
        "Keeps the registration before.",
        "Correct the calibration that the line names.",
    )
    ALIGNMENT = Advice(
        WARN,
        "The thermal image lies beside the RGB image by more than `registration_warn_px`.",
        "Goes on.",
        "Calibrate anew (`mafs calibrate`), or correct what the line names.",
    )
    ALIGNMENT_UNCHECKED = Advice(
        WARN,
        "Where the thermal image lies cannot be measured.",
        "Goes on without; says it once.",
        "Report the line; `registration_warn_px: 0.0` switches it off.",
    )
    DEPTH_SILENT = Advice(
        WARN,
        "No depth image comes on `depth_topic`.",
        "Takes everything to be at `plane_depth_m`.",
        "Start the depth camera, or correct `depth_topic`.",
    )
    DEPTH_IMAGE = Advice(
        WARN,
        "A depth image cannot be read.",
        "Takes everything to be at `plane_depth_m` in that frame.",
        "16UC1 in mm or 32FC1 in m.",
    )
    DEPTH_SHAPE = Advice(
        WARN,
        "Depth images have another shape than RGB images.",
        "Does not use them.",
        "Depth on the pixels of the RGB camera (aligned, registered).",
    )
    # engine
    ENGINE_CACHE = Advice(
        WARN,
        "`cache_dir` cannot be used, or an engine in it is damaged.",
        "Compiles the engine, which takes longer.",
        "What the line says; nothing, where it says that it rebuilds.",
    )
    ENGINE_SIZE = Advice(
        WARN,
        "Images have a size for which no engine is compiled yet, or none can be.",
        "Perceives them resized, until the engine is ready.",
        "`image_height` and `image_width`; wait.",
    )
    ENGINE_CHECK = Advice(
        WARN,
        "The int8 model or its check does not belong to these weights.",
        "Uses another precision.",
        "`mafs quantize` makes a new one.",
    )
    ENGINE_PRECISION = Advice(
        WARN,
        "`precision: int8` was asked for and there is no int8 model for this size.",
        "Runs in the precision that the line names.",
        "`mafs quantize` for this size.",
    )
    ENGINE_GRAPH = Advice(
        WARN,
        "TensorRT: the engine cannot be captured as a CUDA graph.",
        "Runs it without; each frame takes longer.",
        "Report the line.",
    )
    ENGINE_BUILDING = Advice(
        WARN,
        "The engine for the size of the images is being built, which takes minutes with TensorRT.",
        "Another engine perceives them meanwhile, or they are resized.",
        "Wait; `image_height` and `image_width`, or `mafs engine build` before the drive.",
    )
    ENGINE_BUILD = Advice(
        WARN,
        "An engine cannot be built or loaded: memory is short, TensorRT refuses, a time limit.",
        "Another engine goes on in its place; it is tried again after a minute, then after twice "
        "that, up to an hour.",
        "As the line says; memory: `workspace_mb`, a smaller image, fewer programs beside it.",
    )
    ENGINE_UNEQUAL = Advice(
        ERROR,
        "An engine was built and computes something else than the network: its check against "
        "fp32 failed.",
        "Does not use it; another engine goes on in its place.",
        "Report the line with the versions of GPU, driver and TensorRT; `precision: fp32`.",
    )
    GPU_UNUSABLE = Advice(
        WARN,
        "There is a GPU, and PyTorch cannot compute on it: driver, CUDA and PyTorch do not fit "
        "each other, or its memory is taken.",
        "Takes the CPU.",
        "Install the PyTorch for this GPU and driver.",
    )
    GPU_LOST = Advice(
        ERROR,
        "After an error of CUDA no call of it works any more in this process.",
        "Ends with exit code 75; the launch file starts it again (`respawn`).",
        "Nothing if it is rare; otherwise look at `dmesg` for Xid lines, power and heat.",
    )

    @property
    def code(self) -> str:
        """MAFS_E_ and the name."""
        return f"MAFS_E_{self.name}"

    @property
    def extra(self) -> dict[str, Fault]:
        """What a log call of the layers without ROS hands to the node: `extra=Fault.X.extra`."""
        return {"fault": self}


def faults_markdown() -> str:
    """The table for docs/faults.md, as Markdown."""
    head = ("code", "level", "cause", "what the node does", "what to do")
    levels = {WARN: "WARN", ERROR: "ERROR"}
    return table(
        head,
        (
            (f"`{f.code}`", levels[f.value.level], f.value.cause, f.value.node, f.value.user)
            for f in Fault
        ),
    )


if __name__ == "__main__":
    print(faults_markdown(), end="")
