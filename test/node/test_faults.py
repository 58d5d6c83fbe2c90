"""Every fault of the node is raised here by the part that raises it, and read as a robot reads it.

On the log its line begins with the code; in /diagnostics the code is a key of the status `faults`.
"""

from __future__ import annotations

import ast
import logging
import re
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
import pytest
import rclpy
from node_messages import image_message, rgb_image, thermal_image
from rclpy.clock import Clock
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo

from mafs_ros.base.faults import Fault, faults_markdown
from mafs_ros.base.resources import default_weights
from mafs_ros.engine import cache, checks, create_engine, while_compiling
from mafs_ros.node import __main__ as program
from mafs_ros.node import bond
from mafs_ros.node.camera_pair import CameraPair
from mafs_ros.node.diagnostics import diagnostic_array
from mafs_ros.node.lifecycle import MafsNode
from mafs_ros.node.outputs import Wanted
from mafs_ros.node.registration_watch import RegistrationWatch
from mafs_ros.node.state import Arrival, Network
from mafs_ros.node.worker import FrameMaker
from mafs_ros.parameters.checks import complete
from mafs_ros.perception.classes import load_class_table
from mafs_ros.perception.pairing.mailbox import Mailbox
from mafs_ros.simulation import StreetSimulation

ROOT = Path(__file__).resolve().parents[2]
CLOCK = Clock()


@pytest.fixture(scope="module")
def node() -> Iterator[MafsNode]:
    """A real node that is not configured, with one parameter that does not exist."""
    rclpy.init(args=["--ros-args", "-p", "slop:=1.0", "-p", "weights:=/nowhere.safetensors"])
    node = MafsNode()
    yield node
    node.destroy_node()
    rclpy.shutdown()


class Eyes:
    """An engine that sees nothing."""

    gives_confidence = False

    def __call__(self, rgb: np.ndarray, thermal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return rgb, np.zeros(rgb.shape[:3], np.uint8)


class Rig:
    """An active pair of cameras of the node, with an output that somebody subscribes to."""

    def __init__(self, node: MafsNode, **parameters: Any) -> None:
        self.values = complete(parameters)
        self.pair = CameraPair(node, self.values, node.warnings.faults)
        self.pair.configure(Network(Eyes(), load_class_table("street"), {}))
        self.pair.activate(Mailbox())
        self.pair.subscribe()
        assert self.pair.activity is not None and self.pair.session is not None
        self.activity, self.session = self.pair.activity, self.pair.session
        wanted = Wanted(frozenset({"fused"}), frozenset())
        self.session.outputs.wanted = lambda: wanted  # type: ignore[method-assign]

    def frame(self, rgb: np.ndarray | None = None, thermal: np.ndarray | None = None) -> None:
        """Perceive a pair."""
        now = time.monotonic()
        FrameMaker(self.pair, CLOCK).make(
            Arrival(image_message(rgb_image() if rgb is None else rgb, "rgb8"), now),
            Arrival(image_message(thermal_image() if thermal is None else thermal, "mono16"), now),
        )

    def arrivals(self, rgb: Callable[[float], float], thermal: Callable[[float], float]) -> None:
        """Images at 10 Hz of the last seconds; the functions make stamps of times of reception."""
        now = time.monotonic()
        for at in np.arange(now - 3, now, 0.1):
            self.activity.rgb.arrived(at, "160x128 rgb8", rgb(at))
            self.activity.thermal.arrived(at, "160x128 mono16", thermal(at))

    def after(self, seconds: float) -> None:
        """What it says of itself then."""
        self.pair.statuses(time.monotonic() + seconds)

    def close(self) -> None:
        self.pair.unsubscribe()
        self.pair.deactivate()
        self.pair.clean_up()


@pytest.fixture
def rig(node: MafsNode) -> Iterator[Callable[..., Rig]]:
    rigs = []

    def make(**parameters: Any) -> Rig:
        rigs.append(Rig(node, **parameters))
        return rigs[-1]

    yield make
    for one in rigs:
        one.close()


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


def unknown_parameter(node: MafsNode, make: Callable[..., Rig]) -> MafsNode:
    another = MafsNode()  # says it while it is made
    another.destroy_node()
    return another


def configure(node: MafsNode, make: Callable[..., Rig]) -> None:
    assert node.trigger_configure() == rclpy.lifecycle.TransitionCallbackReturn.FAILURE


def activate(node: MafsNode, make: Callable[..., Rig]) -> None:
    with mock.patch.object(node, "_activate", side_effect=OSError("no memory")):
        node.on_activate(None)  # type: ignore[arg-type]


def transition(node: MafsNode, make: Callable[..., Rig]) -> None:
    with mock.patch.object(node, "_clean_up", side_effect=OSError("no memory")):
        node.on_cleanup(None)  # type: ignore[arg-type]


def transition_refused(node: MafsNode, make: Callable[..., Rig]) -> None:
    (service,) = (s for s in node.services if s.srv_name.endswith("/change_state"))
    request = service.srv_type.Request()
    request.transition.label = "activate"
    assert not service.callback(request, service.srv_type.Response()).success


def callback(node: MafsNode, make: Callable[..., Rig]) -> None:
    stop = threading.Event()

    def fail() -> None:
        stop.set()
        raise RuntimeError("of a message")

    timer, interval = node.create_timer(0.01, fail), sys.getswitchinterval()
    with mock.patch.object(node, "get_parameter", return_value=SimpleNamespace(value=False)):
        program.live(node, stop)
    sys.setswitchinterval(interval)
    node.destroy_timer(timer)


def diagnostics(node: MafsNode, make: Callable[..., Rig]) -> None:
    with mock.patch.object(node, "_statuses", side_effect=KeyError("rgb")):
        node._every_second()


def other(node: MafsNode, make: Callable[..., Rig]) -> None:
    logging.getLogger("mafs_ros.below").warning("something new")


def bond_broken(node: MafsNode, make: Callable[..., Rig]) -> None:
    constants = SimpleNamespace(DISABLE_HEARTBEAT_TIMEOUT_PARAM="/bond_disable_heartbeat_timeout")
    with mock.patch.multiple(bond, create=True, Bond=mock.MagicMock(), Constants=constants):
        bond.ManagerBond(node, node.warnings)
        on_broken = bond.Bond.call_args.args[3]
    on_broken()


def camera_silent(node: MafsNode, make: Callable[..., Rig]) -> None:
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


def camera_dead(node: MafsNode, make: Callable[..., Rig]) -> None:
    cameras_of(make(), both_s=2, rgb_s=1, none_s=0)


def no_camera(node: MafsNode, make: Callable[..., Rig]) -> None:
    cameras_of(make(), both_s=2, rgb_s=0, none_s=3)


def camera_image(node: MafsNode, make: Callable[..., Rig]) -> None:
    activity = make().activity
    activity.inputs._on_raw_image(activity.thermal, b"\0\1\0\0 of no use")


def camera_qos(node: MafsNode, make: Callable[..., Rig]) -> None:
    activity = make(input_reliability="reliable").activity
    activity.inputs._on_incompatible_qos(activity.rgb, None)


def camera_lost(node: MafsNode, make: Callable[..., Rig]) -> None:
    activity = make().activity
    activity.inputs._on_lost(activity.rgb, SimpleNamespace(total_count_change=3))


def no_pair(node: MafsNode, make: Callable[..., Rig]) -> None:
    rig = make(stale_timeout_s=1.0)
    rig.activity.rgb.since = time.monotonic() - 10
    rig.activity.rgb.arrived(time.monotonic(), "160x128 rgb8", 100.0)
    rig.activity.thermal.arrived(time.monotonic(), "160x128 mono16", 10.0)
    rig.after(0)


def stamps(node: MafsNode, make: Callable[..., Rig]) -> None:
    rig = make()
    rig.arrivals(wall, lambda at: 0.0)
    rig.after(0)


def stamps_doubted(node: MafsNode, make: Callable[..., Rig]) -> None:
    rig = make(queue_size=30)
    rig.arrivals(wall, lambda at: wall(at) - 0.5)
    rig.activity.pairs.add(time.monotonic())
    rig.after(0)


def frame_failed(node: MafsNode, make: Callable[..., Rig]) -> None:
    rig = make()
    rig.session.perception.engine = mock.Mock(side_effect=RuntimeError("out of memory"))
    rig.frame()


def no_frame(node: MafsNode, make: Callable[..., Rig]) -> None:
    make().after(10)


def image_shapes(node: MafsNode, make: Callable[..., Rig]) -> None:
    make().frame(thermal=np.ascontiguousarray(thermal_image()[:, :128]))


def thermal_pixels(node: MafsNode, make: Callable[..., Rig]) -> None:
    thermal = thermal_image()
    thermal[:10] = 0
    make().frame(thermal=thermal)


def thermal_equal(node: MafsNode, make: Callable[..., Rig]) -> None:
    make().frame(thermal=np.full_like(thermal_image(), 7))


def thermal_range(node: MafsNode, make: Callable[..., Rig]) -> None:
    make(thermal_scaling="fixed").frame()


def not_registered(node: MafsNode, make: Callable[..., Rig]) -> None:
    make(**FIXED).after(10)


def bad_camera_info(node: MafsNode, make: Callable[..., Rig]) -> None:
    rig = make(**FIXED)
    for camera in ("rgb", "thermal"):
        rig.activity.calibrations._on_info(camera, camera_info(150.0))
    assert rig.session.perception.registration is not None
    rig.activity.calibrations._on_info("rgb", camera_info(0.0))


def alignment(node: MafsNode, make: Callable[..., Rig]) -> None:
    rig, street = make(), StreetSimulation(seed=3, height=240, width=320)
    for second in range(8):
        frame = street.frame(second / 4)
        moved = np.roll(frame.thermal, 6, axis=1)
        rig.activity.registration_watch._watch.add(frame.rgb, moved, float(second))
    rig.after(0)


def alignment_unchecked(node: MafsNode, make: Callable[..., Rig]) -> None:
    watch = RegistrationWatch(node.warnings, 4.0)
    frames = [(np.zeros(3), np.zeros(3)), None]
    with mock.patch.object(watch._frames, "take", side_effect=frames):
        watch.run()


def depth_silent(node: MafsNode, make: Callable[..., Rig]) -> None:
    rig = make(**FIXED, depth_topic="/depth")
    for camera in ("rgb", "thermal"):
        rig.activity.calibrations._on_info(camera, camera_info(150.0))
    rig.after(10)


def depth_image(node: MafsNode, make: Callable[..., Rig]) -> None:
    make(**FIXED, depth_topic="/depth").activity.depth._on_raw(b"\0\1\0\0 of no use")


def depth_shape(node: MafsNode, make: Callable[..., Rig]) -> None:
    rig = make(**FIXED, depth_topic="/depth")
    for camera in ("rgb", "thermal"):
        rig.activity.calibrations._on_info(camera, camera_info(150.0))
    depth = np.ones((160, 128), np.float32)
    with mock.patch.object(rig.activity.depth, "nearest", return_value=depth):
        rig.frame(thermal=thermal_image())


def engine_cache(node: MafsNode, make: Callable[..., Rig]) -> None:
    assert cache.usable(Path("/dev/null/engines")) is None


def engine_size(node: MafsNode, make: Callable[..., Rig]) -> None:
    while_compiling.say_resized((96, 128), (480, 640))


def engine_check(node: MafsNode, make: Callable[..., Rig]) -> None:
    with mock.patch.object(checks, "_fault", return_value="it was made for other weights"):
        checks.read_checks(default_weights())


def engine_precision(node: MafsNode, make: Callable[..., Rig]) -> None:
    engine: Any = create_engine("openvino", default_weights(), precision="int8")
    with mock.patch.object(engine, "_graph"):
        engine.source((32, 64))


def engine_graph(node: MafsNode, make: Callable[..., Rig]) -> None:
    """The engine's own code, beside libraries that are not here."""
    absent = ("tensorrt", "torch_tensorrt", "torch_tensorrt.dynamo.conversion")
    with mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in absent}):
        sys.modules.pop("mafs_ros.engine.tensorrt", None)
        from mafs_ros.engine import tensorrt
    with mock.patch("torch.cuda.CUDAGraph", side_effect=RuntimeError("not captured")):
        assert tensorrt.CompiledGraph._capture(mock.MagicMock()) is None


RAISED: dict[Fault, Callable[[MafsNode, Callable[..., Rig]], MafsNode | None]] = {
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
    Fault.ENGINE_CACHE: engine_cache,
    Fault.ENGINE_SIZE: engine_size,
    Fault.ENGINE_CHECK: engine_check,
    Fault.ENGINE_PRECISION: engine_precision,
    Fault.ENGINE_GRAPH: engine_graph,
}
# In /diagnostics alone: the log has its cause, which has a code of its own.
NOT_LOGGED = {Fault.NO_FRAME}


@pytest.fixture
def handler(node: MafsNode) -> Iterator[None]:
    """The layers without ROS log to the node, as in a node of its own."""
    handler = program.RosLogHandler(node)
    logging.getLogger("mafs_ros").addHandler(handler)
    yield
    logging.getLogger("mafs_ros").removeHandler(handler)


@pytest.mark.parametrize("fault", RAISED, ids=lambda fault: fault.name)
def test_each_fault_is_on_the_log_and_in_diagnostics(
    fault: Fault,
    node: MafsNode,
    rig: Callable[..., Rig],
    handler: None,
    capfd: pytest.CaptureFixture[str],
) -> None:
    node.warnings.faults._newest.clear()
    capfd.readouterr()
    record = (RAISED[fault](node, rig) or node).warnings.faults
    log = capfd.readouterr().err
    line = rf"\[(WARN|ERROR)\] \[[\d.]+\] \[mafs\]: {fault.code}: .+"
    assert bool(re.search(line, log)) is (fault not in NOT_LOGGED), log
    array = diagnostic_array("/mafs", [record.status(time.monotonic())], Time(seconds=1).to_msg())
    (shown,) = array.status
    assert shown.name == "mafs: faults" and shown.level >= bytes([fault.value.level])
    assert fault.code in shown.message.split()
    assert re.match(r"0 s ago: .+", {item.key: item.value for item in shown.values}[fault.code])


def test_faults_of_several_pairs_bear_their_names(
    node: MafsNode, rig: Callable[..., Rig], capfd: pytest.CaptureFixture[str]
) -> None:
    pair = CameraPair(node, complete({}), node.warnings.faults, "rear")
    pair.warnings.warn(Fault.NO_PAIR, "no pair for 5 s (see slop_s)")
    assert "rear: MAFS_E_NO_PAIR: no pair for 5 s (see rear.slop_s)" in capfd.readouterr().err
    status = node.warnings.faults.status(time.monotonic())
    assert status.values["MAFS_E_NO_PAIR"].endswith("rear: no pair for 5 s (see rear.slop_s)")


def test_what_ends_the_program_is_on_stderr(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest's own stay
    assert program.main(["mafs_node", "rgb_topic:=/rgb"]) == 1
    assert f"mafs_node: {Fault.START.code}: got arguments rgb_topic" in capfd.readouterr().err


def test_no_fault_is_without_a_test_and_a_line_in_the_docs() -> None:
    assert set(RAISED) | {Fault.START} == set(Fault)
    page = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    table = re.search(r"<!-- python3 -m mafs_ros.base.faults -->\n(.*)<!-- end -->", page, re.S)
    assert table and table[1] == faults_markdown()
    codes = re.findall(r"^\| `(MAFS_E_\w+)` ", page, re.M)
    assert len(set(codes)) == len(codes) == len(Fault)
    assert all(len(part) > 5 for fault in Fault for part in fault.value[1:])


def calls_of(folder: str, pattern: str) -> list[tuple[str, ast.Call]]:
    """File and call of each call in a room whose function's source matches."""
    return [
        (path.name, call)
        for path in (ROOT / "mafs_ros" / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call) and re.fullmatch(pattern, ast.unparse(call.func))
    ]


def test_nothing_is_logged_without_a_code() -> None:
    """What gets onto the node's log goes through Warnings; what engines log names its fault."""
    said = calls_of("node", r".*(logger|get_logger\(\))\.(warn|warning|error|fatal)")
    assert {file for file, _ in said} == {"warnings.py"}
    logged = calls_of("engine", r"log\.(warning|error)")
    assert len(logged) >= 7
    assert [f for f, call in logged if "extra" not in {k.arg for k in call.keywords}] == []


def test_a_status_that_is_not_ok_has_a_fault() -> None:
    """A call with a level other than OK has a fault as its fifth argument."""
    statuses = calls_of("node", "Status")
    assert len(statuses) >= 9
    for file, call in statuses:
        level = call.args[1]
        ok = isinstance(level, ast.Name) and level.id == "OK"
        assert ok or len(call.args) == 5 or file == "fault_record.py", (file, call.lineno)
