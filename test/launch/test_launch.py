"""The launch file, rviz configuration, executables and DDS profile.

The wheels that the tests run on have no `launch`: stand-ins record what the launch file makes of
its arguments. What they cannot show is how the real one behaves.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from launch_stand_ins import (
    DeclareLaunchArgument,
    Launch,
    LogInfo,
    Node,
    RegisterEventHandler,
    SetEnvironmentVariable,
    Shutdown,
)

from mafs_ros.cameras.parameters import PARAMETERS as CAMERA_PARAMETERS
from mafs_ros.parameters.file import read_values
from mafs_ros.parameters.pairs import pair_names, values_of
from mafs_ros.parameters.table import TABLE

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "launch"
DEFAULTS = {parameter.name: parameter.default for parameter in CAMERA_PARAMETERS}


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch, stand_ins: None) -> Launch:
    for variable in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setattr("ament_index_python.packages.get_package_prefix", "/opt/ros/{}".format)
    return Launch(LAUNCH / "mafs.launch.py")


@pytest.fixture
def params_file(tmp_path: Path) -> str:
    file = tmp_path / "my.yaml"
    file.write_text("/**:\n  ros__parameters: {}\n", encoding="utf-8")
    return str(file)


def test_arguments_are_described_and_optional(launch: Launch) -> None:
    assert {
        "rgb_topic",
        "thermal_topic",
        "params_file",
        "weights",
        "backend",
        "precision",
        "cache_dir",
        "rviz",
        "use_sim_time",
        "shm_profile",
        "namespace",
        "autostart",
        "respawn",
    } == set(launch.arguments)
    for name, argument in launch.arguments.items():
        assert len(argument["description"]) > 10, name
        assert isinstance(argument["default_value"], str), name


def test_by_default_the_parameter_file_decides(launch: Launch) -> None:
    (node,) = launch.nodes()
    assert (node["package"], node["executable"], node["name"]) == ("mafs_ros", "mafs_node", "mafs")
    assert node["namespace"] == ""
    (file,) = node["parameters"]
    assert Path(file) == ROOT / "config" / "mafs.yaml" and Path(file).is_file()


def test_arguments_become_parameters_of_their_type(launch: Launch, params_file: str) -> None:
    (node,) = launch.nodes(
        rgb_topic="/cam/image",
        thermal_topic="/flir/image",
        weights="/w.safetensors",
        backend="torch",
        autostart="false",
        use_sim_time="true",
        namespace="robot",
        params_file=params_file,
    )
    file, parameters = node["parameters"]
    assert file == params_file and node["namespace"] == "robot"
    assert parameters == {
        "rgb_topic": "/cam/image",
        "thermal_topic": "/flir/image",
        "weights": "/w.safetensors",
        "backend": "torch",
        "autostart": False,
        "use_sim_time": True,
    }
    for name, value in parameters.items():
        assert name == "use_sim_time" or type(value) is type(TABLE[name].default)


def test_use_sim_time_not_given_is_what_was_set_elsewhere(
    launch: Launch, params_file: str
) -> None:
    """A params_file that says use_sim_time, or a SetParameter of a parent launch, is kept."""
    assert launch.arguments["use_sim_time"]["default_value"] == ""
    node, rviz = launch.nodes(params_file=params_file, backend="torch", rviz="true")
    assert node["parameters"] == [params_file, {"backend": "torch"}]
    assert rviz["parameters"] is None


@pytest.mark.parametrize(
    ("given", "value"), [("true", True), ("True", True), ("false", False), ("False", False)]
)
def test_booleans_are_taken_in_capitals_too(launch: Launch, given: str, value: bool) -> None:
    node, *others = launch.nodes(use_sim_time=given, rviz=given, autostart=given)
    assert node["parameters"][1] == {"use_sim_time": value, "autostart": value}
    assert [rviz["parameters"] for rviz in others] == [[{"use_sim_time": True}]] * value
    for name in ("use_sim_time", "rviz", "shm_profile", "respawn", "autostart"):
        assert given in launch.arguments[name]["choices"]


def test_a_parameter_file_that_is_not_there_is_refused(launch: Launch, tmp_path: Path) -> None:
    for missing in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(RuntimeError, match=f"params_file: {missing} does not exist"):
            launch.start(params_file=str(missing))


def test_the_node_starts_without_rviz_where_that_is_not_installed(
    stand_ins: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real index of a prefix that has no rviz2."""
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(ROOT))
    launch = Launch(LAUNCH / "mafs.launch.py")
    *_, node, said = launch.start(rviz="true")
    assert isinstance(node, Node) and isinstance(said, LogInfo)
    assert "rviz2 is not installed" in said.kwargs["msg"]


def test_the_node_is_started_again_unless_that_is_switched_off(launch: Launch) -> None:
    (node,) = launch.nodes()
    assert node["respawn"] and node["respawn_delay"] > 0
    assert not launch.nodes(respawn="false")[0]["respawn"]
    simulation = Launch(LAUNCH / "simulation.launch.py")
    assert simulation.arguments["respawn"]["default_value"] == "false"


@pytest.mark.parametrize(
    ("given", "rgb", "root"),
    [
        ({}, "/rgb/image", ""),
        ({"rgb_topic": "/cam/image"}, "/cam/image", ""),
        ({"namespace": "/robot", "rgb_topic": "eye"}, "/robot/eye", "/robot"),
        ({"namespace": "robot"}, "/robot/rgb/image", "/robot"),
    ],
)
def test_rviz_shows_the_topics_of_this_launch(
    launch: Launch, given: dict[str, str], rgb: str, root: str
) -> None:
    _, rviz = launch.nodes(rviz="true", **given)
    assert rviz["package"] == rviz["executable"] == "rviz2"
    assert Path(rviz["arguments"][1]).is_file()
    shown = dict(rviz["remappings"])
    config = yaml.safe_load(Path(rviz["arguments"][1]).read_text(encoding="utf-8"))
    topics = {
        display["Name"]: shown[display["Topic"]["Value"]]
        for display in config["Visualization Manager"]["Displays"]
    }
    assert topics == {
        "RGB": rgb,
        "Fused": f"{root}/mafs/fused/image",
        "Overlay": f"{root}/mafs/segmentation/overlay",
        "Confidence": f"{root}/mafs/segmentation/confidence",
    }


@pytest.mark.parametrize(
    ("distribution", "variable"),
    [
        ("humble", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("jazzy", "FASTRTPS_DEFAULT_PROFILES_FILE"),
        ("kilted", "FASTDDS_DEFAULT_PROFILES_FILE"),
    ],
)
def test_the_profile_is_set_before_the_node_starts(
    launch: Launch, monkeypatch: pytest.MonkeyPatch, distribution: str, variable: str
) -> None:
    monkeypatch.setenv("ROS_DISTRO", distribution)
    first, second = launch.start()
    assert isinstance(first, SetEnvironmentVariable) and isinstance(second, Node)
    assert first.args == (variable, str(ROOT / "config" / "fastdds_shm.xml"))


def test_the_profile_can_be_declined_and_never_replaces_another(
    launch: Launch, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [type(action) for action in launch.start(shm_profile="false")] == [Node]
    monkeypatch.setenv("FASTRTPS_DEFAULT_PROFILES_FILE", "/mine.xml")
    assert [type(action) for action in launch.start()] == [LogInfo, Node]


def test_simulation_starts_the_cameras_after_the_profile_is_set(stand_ins: None) -> None:
    simulation = Launch(LAUNCH / "simulation.launch.py")
    include, node, handler = [
        entity for entity in simulation.entities if not isinstance(entity, DeclareLaunchArgument)
    ]
    assert isinstance(node.kwargs["on_exit"], Shutdown)
    assert include.args[0].args[0] == str(LAUNCH / "mafs.launch.py")
    assert (node.kwargs["package"], node.kwargs["executable"]) == ("mafs_ros", "mafs_cameras")
    table = {parameter.name: parameter for parameter in CAMERA_PARAMETERS}
    for name, value in node.kwargs["parameters"][0].items():
        assert value.kwargs["value_type"] is type(table[name].default)
        assert value.args[0].args[0] in simulation.arguments


@pytest.mark.parametrize(
    ("process", "respawn", "ends"),
    [
        ("mafs_node-1", "false", True),
        ("mafs_node-1", "true", False),
        ("rviz2-3", "false", False),
    ],
)
def test_the_simulation_ends_with_its_node(
    stand_ins: None, process: str, respawn: str, ends: bool
) -> None:
    simulation = Launch(LAUNCH / "simulation.launch.py")
    (handler,) = (one for one in simulation.entities if isinstance(one, RegisterEventHandler))
    on_exit = handler.args[0].kwargs["on_exit"]
    actions = on_exit(SimpleNamespace(process_name=process, returncode=1), {"respawn": respawn})
    assert [type(action) for action in actions or ()] == [LogInfo, Shutdown][: 2 * ends]


def test_two_pairs_are_those_of_the_parameter_file(stand_ins: None) -> None:
    """The file's topics are those of the simulated cameras, in whatever namespace."""
    example = Launch(LAUNCH / "two_pairs.launch.py")
    file = Path(example.arguments["params_file"]["default_value"])
    values = read_values(file, ())
    cameras = [entity.kwargs for entity in example.entities if isinstance(entity, Node)]
    spaces = [node["namespace"][1].strip("/") for node in cameras]
    assert pair_names(values) == spaces == ["front", "rear"]
    for pair in spaces:
        own = values_of(pair, values)
        assert own["rgb_topic"] == f"{pair}/{DEFAULTS['rgb_topic']}"
        assert own["thermal_topic"] == f"{pair}/{DEFAULTS['thermal_topic']}"
    for node in cameras:
        assert node["namespace"][0].args[0] == "namespace"
        assert node["condition"].args[0].args[0] == "simulated"
    first = example.entities[0]  # declared before mafs.launch.py declares another default
    assert first.args[0] == "params_file"


@pytest.mark.alone  # it looks for the new segments, and other nodes make some too
def test_the_profile_takes_effect(ros_domain: int) -> None:
    """A process with it has a shared memory segment of 16 MiB; without, of half a MiB."""
    script = (
        'import os, rclpy; before = set(os.listdir("/dev/shm")); rclpy.init(); '
        'node = rclpy.create_node("profile"); '
        'print(max(os.stat("/dev/shm/" + name).st_size '
        'for name in set(os.listdir("/dev/shm")) - before)); '
        "node.destroy_node(); rclpy.shutdown()"
    )
    profile = str(ROOT / "config" / "fastdds_shm.xml")
    run = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={
            **os.environ,
            "FASTRTPS_DEFAULT_PROFILES_FILE": profile,
            "FASTDDS_DEFAULT_PROFILES_FILE": profile,
        },
    )
    assert int(run.stdout) >= 16 << 20


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("mafs", "cli"),
        ("mafs_node", "node.__main__"),
        ("mafs_cameras", "cameras.__main__"),
    ],
)
def test_executables_run_their_module(name: str, module: str) -> None:
    path = ROOT / "scripts" / name
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#!/usr/bin/env python3\n")
    assert f"from mafs_ros.{module} import main" in text
    assert path.stat().st_mode & 0o777 == 0o755
