"""replay.launch.py, with stand-ins for ROS' launch: the command line that it makes."""

from __future__ import annotations

from pathlib import Path

from launch_stand_ins import Launch, Shutdown

from mafs_ros.cli import make_parser

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "launch"


def replay_command(**given: str) -> list[str]:
    """The command line that replay.launch.py runs."""
    (process,) = Launch(LAUNCH / "replay.launch.py").start(bag="drive", **given)
    assert isinstance(process.kwargs["on_exit"], Shutdown)
    return process.kwargs["cmd"]


def test_replay_needs_a_bag_and_describes_its_arguments(stand_ins: None) -> None:
    arguments = Launch(LAUNCH / "replay.launch.py").arguments
    assert {name for name, argument in arguments.items() if "default_value" not in argument} == {
        "bag"
    }
    assert all(len(argument["description"]) > 10 for argument in arguments.values())


def test_replay_runs_the_command_of_the_same_name(stand_ins: None) -> None:
    """What the command line itself makes of the arguments."""
    command = replay_command()
    assert command[:3] == ["python3", "-m", "mafs_ros.cli"]
    args = make_parser().parse_args(command[3:])
    assert (args.bag, args.out, args.live, args.rate) == (
        Path("drive"),
        Path("mafs_replay"),
        True,
        1.0,
    )
    assert args.params == ROOT / "config" / "mafs.yaml" and args.params.is_file()
    assert (args.labels, args.weights, args.backend, args.precision, args.compare) == (
        None,
        None,
        "auto",
        "auto",
        "",
    )
    args = make_parser().parse_args(
        replay_command(
            out="o",
            rate="0.5",
            params_file="/p.yaml",
            rgb_topic="/cam",
            thermal_topic="/flir",
            labels="/labels",
            label_classes="mfnet",
            weights="/w.safetensors",
            backend="torch",
            precision="fp32",
            compare="openvino",
        )[3:]
    )
    assert (
        args.rate,
        str(args.params),
        args.rgb_topic,
        args.thermal_topic,
        args.labels,
        args.label_classes,
        str(args.weights),
        args.backend,
        args.precision,
        args.compare,
    ) == (
        0.5,
        "/p.yaml",
        "/cam",
        "/flir",
        "/labels",
        "mfnet",
        "/w.safetensors",
        "torch",
        "fp32",
        "openvino",
    )
