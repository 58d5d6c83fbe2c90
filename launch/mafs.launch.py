r"""Start the fusion node on two camera topics, and rviz if asked for.

    ros2 launch mafs_ros mafs.launch.py \
        rgb_topic:=/camera/color/image_raw thermal_topic:=/flir/image_raw rviz:=true

The node configures and activates itself. An argument left empty keeps what `params_file` says.
"""

import os
from pathlib import Path

from ament_index_python.packages import PackageNotFoundError, get_package_prefix
from launch import LaunchContext, LaunchDescription
from launch.action import Action
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction, SetEnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = Path(__file__).parents[1]

# Arguments that set the parameter of the same name.
PARAMETERS = {
    "rgb_topic": "Topic of the RGB images.",
    "thermal_topic": "Topic of the thermal images.",
    "weights": "Model file (.safetensors).",
    "backend": "Engine that runs the network: auto, openvino, tensorrt or torch.",
    "precision": "Arithmetic of the engine: auto, fp32, bf16, fp16 or int8.",
    "cache_dir": "Folder for compiled engines.",
    "autostart": "Configure and activate at the start: true or false.",
}
BOOLEANS = ["true", "false", "True", "False"]  # Python and Nav2 write capitals
RESPAWN_DELAY_S = 2.0
# Fast DDS 2 (to ROS 2 Jazzy) reads the first and ignores the second; Fast DDS 3 reads the second
# and warns about the first.
PROFILE_VARIABLES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
FAST_DDS_2 = ("humble", "iron", "jazzy")


def generate_launch_description() -> LaunchDescription:
    return LaunchDescription(
        [
            DeclareLaunchArgument(
                "params_file",
                default_value=str(SHARE / "config" / "mafs.yaml"),
                description="Parameter file of the node.",
            ),
            *(
                DeclareLaunchArgument(
                    name,
                    default_value="",
                    choices=["", *BOOLEANS] if name == "autostart" else None,
                    description=f"{text} Empty: as in params_file.",
                )
                for name, text in PARAMETERS.items()
            ),
            DeclareLaunchArgument(
                "namespace",
                default_value="",
                description="Namespace of the node and of relative topic names.",
            ),
            DeclareLaunchArgument(
                "use_sim_time",
                default_value="",
                choices=["", *BOOLEANS],
                description="Take the time from /clock (bags, simulators). Empty: as in "
                "params_file or the launch file that includes this one.",
            ),
            DeclareLaunchArgument(
                "respawn",
                default_value="true",
                choices=BOOLEANS,
                description=f"Start the node again {RESPAWN_DELAY_S:g} s after it has ended: it "
                "ends where the GPU is lost to its process (exit code 75).",
            ),
            DeclareLaunchArgument(
                "rviz",
                default_value="false",
                choices=BOOLEANS,
                description="Also start rviz2 with RGB, fused and overlay images.",
            ),
            DeclareLaunchArgument(
                "shm_profile",
                default_value="true",
                choices=BOOLEANS,
                description="Use the Fast DDS profile shipped with this package, "
                "which gives images enough shared memory. Start the cameras with "
                "it too. A profile set in the environment is kept.",
            ),
            OpaqueFunction(function=start),
        ]
    )


def start(context: LaunchContext) -> list[Action]:
    """The actions, once the arguments are known; RuntimeError where one cannot be used."""
    actions = shm_profile(context) + [fusion_node(context)]
    if is_true(context, "rviz"):
        actions.append(rviz(context))
    return actions


def argument(context: LaunchContext, name: str) -> str:
    return LaunchConfiguration(name).perform(context)


def is_true(context: LaunchContext, name: str) -> bool:
    return argument(context, name).lower() == "true"


def fusion_node(context: LaunchContext) -> Node:
    params_file = argument(context, "params_file")
    if not Path(params_file).is_file():  # ROS would only warn, and take the defaults
        raise RuntimeError(f"params_file: {params_file} does not exist, or is no file")
    parameters: dict[str, str | bool] = {
        name: value for name in PARAMETERS if (value := argument(context, name))
    }
    if "autostart" in parameters:
        parameters["autostart"] = is_true(context, "autostart")
    parameters.update(sim_time(context))
    return Node(
        package="mafs_ros",
        executable="mafs_node",
        name="mafs",
        namespace=argument(context, "namespace"),
        parameters=[params_file, *([parameters] if parameters else [])],
        output="screen",
        emulate_tty=True,
        respawn=is_true(context, "respawn"),
        respawn_delay=RESPAWN_DELAY_S,
    )


def sim_time(context: LaunchContext) -> dict[str, bool]:
    """use_sim_time where it is given; else nothing, so that what was set elsewhere is kept."""
    given = argument(context, "use_sim_time")
    return {"use_sim_time": is_true(context, "use_sim_time")} if given else {}


def shm_profile(context: LaunchContext) -> list[Action]:
    """Set the shipped profile for all that this launch starts, unless there is one already."""
    if not is_true(context, "shm_profile"):
        return []
    already = [name for name in PROFILE_VARIABLES if os.environ.get(name)]
    if already:
        return [LogInfo(msg=f"{already[0]} is set: the profile of mafs_ros is not used")]
    variable = PROFILE_VARIABLES[os.environ.get("ROS_DISTRO", "jazzy") not in FAST_DDS_2]
    return [SetEnvironmentVariable(variable, str(SHARE / "config" / "fastdds_shm.xml"))]


def rviz(context: LaunchContext) -> Action:
    """rviz2, its absolute topic names remapped to this namespace and RGB topic, if it is here."""
    try:
        get_package_prefix("rviz2")
    except PackageNotFoundError:
        return LogInfo(
            msg="rviz2 is not installed (sudo apt install ros-$ROS_DISTRO-rviz2): the node "
            "starts without it"
        )
    root = argument(context, "namespace").strip("/")
    root = f"/{root}" if root else ""
    rgb = argument(context, "rgb_topic") or "rgb/image"
    outputs = ("/mafs/fused/image", "/mafs/segmentation/overlay", "/mafs/segmentation/confidence")
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz2",
        arguments=["-d", str(SHARE / "config" / "mafs.rviz")],
        parameters=[sim_time(context)] if sim_time(context) else None,
        remappings=[
            ("/rgb/image", rgb if rgb.startswith("/") else f"{root}/{rgb}"),
            *((topic, root + topic) for topic in outputs),
        ],
        output="screen",
    )
