"""The fusion node on two simulated cameras: a look at it without hardware.

    ros2 launch mafs_ros simulation.launch.py rviz:=true

Takes the arguments of mafs.launch.py too, which must leave the topics as they are.
"""

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    RegisterEventHandler,
    Shutdown,
)
from launch.event_handlers import OnProcessExit
from launch.events.process import ProcessExited
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue


def end_with_the_node(event: ProcessExited, context: LaunchContext) -> list[Action] | None:
    """Cameras alone are of no use: end where the node has ended, unless it is started again."""
    respawn = LaunchConfiguration("respawn").perform(context).lower() == "true"
    if respawn or not event.process_name.startswith("mafs_node"):
        return None
    reason = f"the node has ended with exit code {event.returncode}"
    return [LogInfo(msg=f"{reason}: the cameras end too"), Shutdown(reason=reason)]


def generate_launch_description() -> LaunchDescription:
    rate_hz = ParameterValue(LaunchConfiguration("rate_hz"), value_type=float)
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "rate_hz", default_value="10.0", description="Rate of both simulated cameras."
            ),
            # Before mafs.launch.py, which has another default.
            DeclareLaunchArgument(
                "respawn",
                default_value="false",
                choices=["true", "false", "True", "False"],
                description="Start the node again after it has ended, instead of ending too.",
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
                on_exit=Shutdown(reason="the cameras have ended"),
            ),
            RegisterEventHandler(OnProcessExit(on_exit=end_with_the_node)),
        ]
    )
