"""The fusion node on two simulated cameras: a look at it without hardware.

    ros2 launch mafs_ros simulation.launch.py rviz:=true

Takes the arguments of mafs.launch.py too, which must leave the topics as they are.
"""

from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue


def generate_launch_description() -> LaunchDescription:
    rate_hz = ParameterValue(LaunchConfiguration("rate_hz"), value_type=float)
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "rate_hz", default_value="10.0", description="Rate of both simulated cameras."
            ),
            # First, for the Fast DDS profile that it sets.
            IncludeLaunchDescription(
                PythonLaunchDescriptionSource(str(Path(__file__).with_name("mafs.launch.py")))
            ),
            Node(
                package="mafs_ros",
                executable="mafs_cameras",
                name="cameras",
                namespace=LaunchConfiguration("namespace"),
                parameters=[{"rate_hz": rate_hz}],
                output="screen",
                emulate_tty=True,
            ),
        ]
    )
