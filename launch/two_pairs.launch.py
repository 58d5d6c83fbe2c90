"""One node with two pairs of cameras, by a parameter file: an example to copy.

    ros2 launch mafs_ros two_pairs.launch.py simulated:=true
    ros2 launch mafs_ros two_pairs.launch.py params_file:=my_pairs.yaml

Takes the arguments of mafs.launch.py too, but for the topics, which are those of the file.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.conditions import IfCondition
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

SHARE = Path(__file__).parents[1]
PAIRS = ("front", "rear")  # as in config/two_pairs.yaml


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            # Before mafs.launch.py, which has another default.
            DeclareLaunchArgument(
                "params_file",
                default_value=str(SHARE / "config" / "two_pairs.yaml"),
                description="Parameter file of the node, with the pairs and their topics.",
            ),
            DeclareLaunchArgument(
                "simulated",
                default_value="false",
                choices=["true", "false", "True", "False"],
                description="Also start simulated cameras, in a namespace for each pair.",
            ),
            DeclareLaunchArgument(
                "rate_hz", default_value="5.0", description="Rate of the simulated cameras."
            ),
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(Path(__file__).with_name("mafs.launch.py")))
            ),
            *(simulated_cameras(pair, seed) for seed, pair in enumerate(PAIRS)),
        ]
    )


def simulated_cameras(pair: str, seed: int) -> Node:
    """Two cameras whose topics lie in the namespace of their pair, each pair with its street."""
    rate_hz = ParameterValue(LaunchConfiguration("rate_hz"), value_type=float)
    return Node(
        package="mafs_ros",
        executable="mafs_cameras",
        name="cameras",
        namespace=[LaunchConfiguration("namespace"), f"/{pair}"],
        parameters=[{"rate_hz": rate_hz, "seed": seed}],
        condition=IfCondition(LaunchConfiguration("simulated")),
        output="screen",
        emulate_tty=True,
    )
