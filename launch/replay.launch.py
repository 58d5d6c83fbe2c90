r"""Evaluate the live node on a recorded drive: `mafs replay --live` with the node's parameters.

    ros2 launch mafs_ros replay.launch.py bag:=drive out:=report
    ros2 launch mafs_ros replay.launch.py bag:=drive labels:=/labels/image label_classes:=mfnet

A node of its own and a player run in a ROS domain of their own on this machine, so that nothing
else on the robot hears them; at the end `out` holds the report. An argument left empty keeps what
`params_file` or the bag says.
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction, Shutdown
from launch.substitutions import LaunchConfiguration

SHARE = Path(__file__).parents[1]

# Arguments that are options of the same name, with dashes, of `mafs replay`.
OPTIONS = {
    "rgb_topic": "RGB topic in the bag. Empty: guessed.",
    "thermal_topic": "Thermal topic in the bag. Empty: guessed.",
    "labels": "Ground truth: a mono8 topic of the bag or a folder of PNGs. Empty: none.",
    "label_classes": "Class table of the labels, a name or file. Empty: that of the network.",
    "weights": "Model file (.safetensors). Empty: the one shipped.",
    "backend": "Engine that runs the network. Empty: the fastest available.",
    "precision": "Arithmetic of the engine. Empty: the choice of the backend.",
    "compare": "Second model file or engine to evaluate beside the first. Empty: none.",
}


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "bag", description="rosbag2: a folder, or one .mcap or .db3 file."
            ),
            DeclareLaunchArgument(
                "out", default_value="mafs_replay", description="Folder of the report."
            ),
            DeclareLaunchArgument(
                "rate", default_value="1.0", description="Speed; 1.0 is that of the recording."
            ),
            DeclareLaunchArgument(
                "params_file",
                default_value=str(SHARE / "config" / "mafs.yaml"),
                description="Parameter file of the node.",
            ),
            *(
                DeclareLaunchArgument(name, default_value="", description=text)
                for name, text in OPTIONS.items()
            ),
            OpaqueFunction(function=start),
        ]
    )


def start(context: LaunchContext) -> list[ExecuteProcess]:
    """The one process, once the arguments are known."""

    def given(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    command = [
        "python3",
        "-m",
        "mafs_ros.cli",
        "replay",
        given("bag"),
        "--live",
        "--out",
        given("out"),
        "--rate",
        given("rate"),
        "--params",
        given("params_file"),
    ]
    for name in OPTIONS:
        if value := given(name):
            command += [f"--{name.replace('_', '-')}", value]
    # After Ctrl-C it still stops node and player and writes the report of what it has.
    return [
        ExecuteProcess(
            cmd=command,
            output="screen",
            emulate_tty=True,
            on_exit=Shutdown(),
            sigterm_timeout="30",
            sigkill_timeout="30",
        )
    ]
