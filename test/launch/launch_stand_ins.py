"""Stand-ins for ROS' launch: they record what a launch file makes of its arguments."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any


class Recorded:
    """Stands in for any class of launch: keeps what it was made with."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args, self.kwargs = args, kwargs


class DeclareLaunchArgument(Recorded):
    pass


class LogInfo(Recorded):
    pass


class OpaqueFunction(Recorded):
    pass


class SetEnvironmentVariable(Recorded):
    pass


class ExecuteProcess(Recorded):
    pass


class Shutdown(Recorded):
    pass


class RegisterEventHandler(Recorded):
    pass


class OnProcessExit(Recorded):
    pass


class LaunchDescription(Recorded):
    pass


class Node(Recorded):
    pass


class IncludeLaunchDescription(Recorded):
    pass


class PythonLaunchDescriptionSource(Recorded):
    pass


class ParameterValue(Recorded):
    pass


class IfCondition(Recorded):
    pass


class LaunchConfiguration(Recorded):
    def perform(self, context: dict[str, str]) -> str:
        return context[self.args[0]]


STAND_INS: dict[str, dict[str, Any]] = {
    "launch": {"LaunchContext": dict, "LaunchDescription": LaunchDescription},
    "launch.action": {"Action": Recorded},
    "launch.actions": {
        kind.__name__: kind
        for kind in (
            DeclareLaunchArgument,
            ExecuteProcess,
            IncludeLaunchDescription,
            LogInfo,
            OpaqueFunction,
            RegisterEventHandler,
            SetEnvironmentVariable,
            Shutdown,
        )
    },
    "launch.event_handlers": {"OnProcessExit": OnProcessExit},
    "launch.events": {},
    "launch.events.process": {"ProcessExited": Recorded},
    "launch.conditions": {"IfCondition": IfCondition},
    "launch.launch_description_sources": {
        "PythonLaunchDescriptionSource": PythonLaunchDescriptionSource
    },
    "launch.substitutions": {"LaunchConfiguration": LaunchConfiguration},
    "launch_ros": {},
    "launch_ros.actions": {"Node": Node},
    "launch_ros.parameter_descriptions": {"ParameterValue": ParameterValue},
}


class Launch:
    """The launch file, run with the stand-ins."""

    def __init__(self, path: Path) -> None:
        spec = importlib.util.spec_from_file_location("mafs_launch", path)
        assert spec and spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.entities = module.generate_launch_description().args[0]
        self.arguments = {
            entity.args[0]: entity.kwargs
            for entity in self.entities
            if isinstance(entity, DeclareLaunchArgument)
        }

    def start(self, **given: str) -> list[Any]:
        """The actions for arguments given on the command line."""
        unknown = set(given) - set(self.arguments)
        assert not unknown, unknown
        values = {
            name: argument["default_value"]
            for name, argument in self.arguments.items()
            if "default_value" in argument
        }
        opaque = [entity for entity in self.entities if isinstance(entity, OpaqueFunction)]
        return opaque[0].kwargs["function"]({**values, **given})

    def nodes(self, **given: str) -> list[dict[str, Any]]:
        return [action.kwargs for action in self.start(**given) if isinstance(action, Node)]
