"""Transitions of a lifecycle node that end in a line on the log, whatever goes wrong in them."""

import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from mafs_ros.base.errors import one_line


def attempt(
    node: LifecycleNode,
    name: str,
    action: Callable[[], None],
    undo: Callable[[], None] | None = None,
) -> TransitionCallbackReturn:
    """Make a transition; whatever it raises becomes one line on the log and a FAILURE."""
    try:
        action()
    except Exception as error:
        node.get_logger().error(f"cannot {name}: {one_line(error)}")
        node.get_logger().debug(traceback.format_exc())
        if undo:
            undo()
        return TransitionCallbackReturn.FAILURE
    return TransitionCallbackReturn.SUCCESS


def refuse_impossible_transitions(node: LifecycleNode) -> None:
    """Answer requests for impossible transitions, which would end the process in rclpy."""
    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = partial(_change_state, node, service.callback)


def _change_state(
    node: LifecycleNode, change_state: Callable[..., Any], request: Any, response: Any
) -> Any:
    try:
        return change_state(request, response)
    except Exception as error:
        node.get_logger().warning(f"transition refused: {one_line(error)}")
        response.success = False
        return response
