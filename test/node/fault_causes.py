"""What raises each fault of the node: the part of it that does, made to."""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from unittest import mock

import numpy as np
import rclpy
from engine_fault_causes import ENGINE_CAUSES
from fault_rig import Rig
from node_messages import thermal_image
from sensor_msgs.msg import CameraInfo

from mafs_ros.base.faults import Fault
from mafs_ros.node import __main__ as program
from mafs_ros.node import bond
from mafs_ros.node.lifecycle import MafsNode
from mafs_ros.node.registration_watch import RegistrationWatch
from mafs_ros.simulation import StreetSimulation

Make = Callable[..., Rig]


def wall(at: float) -> float:
    """The time of day at a monotonic time."""
    return time.time() - time.monotonic() + at


def camera_info(focal: float) -> CameraInfo:
    k = [focal, 0.0, 79.5, 0.0, focal, 63.5, 0.0, 0.0, 1.0]
    return CameraInfo(
        height=128, width=160, distortion_model="plumb_bob", d=[0.0] * 5, k=k, r=np.eye(3).ravel()
    )


FIXED = {"registration": "camera_info", "thermal_to_rgb_translation_m": [0.2, 0.0, 0.0]}


# What raises each; `make` makes a Rig.


def unknown_parameter(node: MafsNode, make: Make) -> MafsNode:
    another = MafsNode()  # says it while it is made
    another.destroy_node()
    return another


def configure(node: MafsNode, make: Make) -> None:
    assert node.trigger_configure() == rclpy.lifecycle.TransitionCallbackReturn.FAILURE


def activate(node: MafsNode, make: Make) -> None:
    with mock.patch.object(node, "_activate", side_effect=OSError("no memory")):
        node.on_activate(None)  # type: ignore[arg-type]


def transition(node: MafsNode, make: Make) -> None:
    with mock.patch.object(node, "_clean_up", side_effect=OSError("no memory")):
        node.on_cleanup(None)  # type: ignore[arg-type]


def transition_refused(node: MafsNode, make: Make) -> None:
    (service,) = (s for s in node.services if s.srv_name.endswith("/change_state"))
    request = service.srv_type.Request()
    request.transition.label = "activate"
    assert not service.callback(request, service.srv_type.Response()).success


def callback(node: MafsNode, make: Make) -> None:
    stop = threading.Event()

    def fail() -> None:
        stop.set()
        raise RuntimeError("of a message")

    timer, interval = node.create_timer(0.01, fail), sys.getswitchinterval()
    with mock.patch.object(node, "get_parameter", return_value=SimpleNamespace(value=False)):
        program.live(node, stop)
    sys.setswitchinterval(interval)
    node.destroy_timer(timer)


def diagnostics(node: MafsNode, make: Make) -> None:
    with mock.patch.object(node, "_statuses", side_effect=KeyError("rgb")):
        node.say_health()


def other(node: MafsNode, make: Make) -> None:
    logging.getLogger("mafs_ros.below").warning("something new")


def bond_broken(node: MafsNode, make: Make) -> None:
    constants = SimpleNamespace(DISABLE_HEARTBEAT_TIMEOUT_PARAM="/bond_disable_heartbeat_timeout")
    with mock.patch.multiple(bond, create=True, Bond=mock.MagicMock(), Constants=constants):
        bond.ManagerBond(node, node.warnings)
        on_broken = bond.Bond.call_args.args[3]
    on_broken()


def camera_silent(node: MafsNode, make: Make) -> None:
    make().after(10)


def cameras_of(rig: Rig, *, both_s: float, rgb_s: float, none_s: float) -> None:
    """Tell what decides the mode of images at 10 Hz of both cameras, of one, then of none."""
    policy, now = rig.activity.fallback._policy, time.monotonic()
    for step in np.arange(0, both_s + rgb_s + none_s, 0.1):
        at = now + step
        for camera in ("rgb", "thermal")[: int(step < both_s + rgb_s) + int(step < both_s)]:
            policy.image(camera, at, at, "")
        if step < both_s:
            policy.pair(at, at, "", "")
        policy.beat(at)


def camera_dead(node: MafsNode, make: Make) -> None:
    cameras_of(make(), both_s=2, rgb_s=1, none_s=0)


def no_camera(node: MafsNode, make: Make) -> None:
    cameras_of(make(), both_s=2, rgb_s=0, none_s=3)


def camera_image(node: MafsNode, make: Make) -> None:
    activity = make().activity
    activity.inputs._on_raw_image(activity.thermal, b"\0\1\0\0 of no use")


def camera_qos(node: MafsNode, make: Make) -> None:
    activity = make(input_reliability="reliable").activity
    activity.inputs._on_incompatible_qos(activity.rgb, None)


def camera_lost(node: MafsNode, make: Make) -> None:
    activity = make().activity
    activity.inputs._on_lost(activity.rgb, SimpleNamespace(total_count_change=3))


def no_pair(node: MafsNode, make: Make) -> None:
    rig = make(stale_timeout_s=1.0)
    rig.activity.rgb.since = time.monotonic() - 10
    rig.activity.rgb.arrived(time.monotonic(), "160x128 rgb8", 100.0)
    rig.activity.thermal.arrived(time.monotonic(), "160x128 mono16", 10.0)
    rig.after(0)


def stamps(node: MafsNode, make: Make) -> None:
    rig = make()
    rig.arrivals(wall, lambda at: 0.0)
    rig.after(0)


def stamps_doubted(node: MafsNode, make: Make) -> None:
    rig = make(queue_size=30)
    rig.arrivals(wall, lambda at: wall(at) - 0.5)
    rig.activity.pairs.add(time.monotonic())
    rig.after(0)


def frame_failed(node: MafsNode, make: Make) -> None:
    rig = make()
    rig.session.perception.engine = mock.Mock(side_effect=RuntimeError("out of memory"))
    rig.frame()


def no_frame(node: MafsNode, make: Make) -> None:
    make().after(10)


def image_shapes(node: MafsNode, make: Make) -> None:
    make().frame(thermal=np.ascontiguousarray(thermal_image()[:, :128]))


def thermal_pixels(node: MafsNode, make: Make) -> None:
    thermal = thermal_image()
    thermal[:10] = 0
    make().frame(thermal=thermal)


def thermal_equal(node: MafsNode, make: Make) -> None:
    make().frame(thermal=np.full_like(thermal_image(), 7))


def thermal_range(node: MafsNode, make: Make) -> None:
    make(thermal_scaling="fixed").frame()


def not_registered(node: MafsNode, make: Make) -> None:
    make(**FIXED).after(10)


def bad_camera_info(node: MafsNode, make: Make) -> None:
    rig = make(**FIXED)
    for camera in ("rgb", "thermal"):
        rig.activity.calibrations._on_info(camera, camera_info(150.0))
    assert rig.session.perception.registration is not None
    rig.activity.calibrations._on_info("rgb", camera_info(0.0))


def alignment(node: MafsNode, make: Make) -> None:
    rig, street = make(), StreetSimulation(seed=3, height=240, width=320)
    for second in range(8):
        frame = street.frame(second / 4)
        moved = np.roll(frame.thermal, 6, axis=1)
        rig.activity.registration_watch._watch.add(frame.rgb, moved, float(second))
    rig.after(0)


def alignment_unchecked(node: MafsNode, make: Make) -> None:
    watch = RegistrationWatch(node.warnings, 4.0)
    frames = [(np.zeros(3), np.zeros(3)), None]
    with mock.patch.object(watch._frames, "take", side_effect=frames):
        watch.run()


def depth_silent(node: MafsNode, make: Make) -> None:
    rig = make(**FIXED, depth_topic="/depth")
    for camera in ("rgb", "thermal"):
        rig.activity.calibrations._on_info(camera, camera_info(150.0))
    rig.after(10)


def depth_image(node: MafsNode, make: Make) -> None:
    make(**FIXED, depth_topic="/depth").activity.depth._on_raw(b"\0\1\0\0 of no use")


def depth_shape(node: MafsNode, make: Make) -> None:
    rig = make(**FIXED, depth_topic="/depth")
    for camera in ("rgb", "thermal"):
        rig.activity.calibrations._on_info(camera, camera_info(150.0))
    depth = np.ones((160, 128), np.float32)
    with mock.patch.object(rig.activity.depth, "nearest", return_value=depth):
        rig.frame(thermal=thermal_image())


RAISED: dict[Fault, Callable[[MafsNode, Make], MafsNode | None]] = {
    Fault.UNKNOWN_PARAMETER: unknown_parameter,
    Fault.CONFIGURE: configure,
    Fault.ACTIVATE: activate,
    Fault.TRANSITION: transition,
    Fault.TRANSITION_REFUSED: transition_refused,
    Fault.CALLBACK: callback,
    Fault.DIAGNOSTICS: diagnostics,
    Fault.OTHER: other,
    Fault.BOND_BROKEN: bond_broken,
    Fault.CAMERA_SILENT: camera_silent,
    Fault.CAMERA_DEAD: camera_dead,
    Fault.NO_CAMERA: no_camera,
    Fault.CAMERA_IMAGE: camera_image,
    Fault.CAMERA_QOS: camera_qos,
    Fault.CAMERA_LOST: camera_lost,
    Fault.NO_PAIR: no_pair,
    Fault.STAMPS: stamps,
    Fault.STAMPS_DOUBTED: stamps_doubted,
    Fault.FRAME_FAILED: frame_failed,
    Fault.NO_FRAME: no_frame,
    Fault.IMAGE_SHAPES: image_shapes,
    Fault.THERMAL_PIXELS: thermal_pixels,
    Fault.THERMAL_EQUAL: thermal_equal,
    Fault.THERMAL_RANGE: thermal_range,
    Fault.NOT_REGISTERED: not_registered,
    Fault.CAMERA_INFO: bad_camera_info,
    Fault.ALIGNMENT: alignment,
    Fault.ALIGNMENT_UNCHECKED: alignment_unchecked,
    Fault.DEPTH_SILENT: depth_silent,
    Fault.DEPTH_IMAGE: depth_image,
    Fault.DEPTH_SHAPE: depth_shape,
    **ENGINE_CAUSES,
}
