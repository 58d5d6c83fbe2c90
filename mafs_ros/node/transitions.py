"""Transitions of a lifecycle node that end in a line on the log, whatever goes wrong in them."""

import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

from mafs_ros.base.errors import one_line
from mafs_ros.base.faults import Fault
from mafs_ros.engine.interface import GpuLostError
from mafs_ros.node.warnings import Warnings

_FAULTS = {"configure": Fault.CONFIGURE, "activate": Fault.ACTIVATE}


def attempt(
    warnings: Warnings,
    name: str,
    action: Callable[[], None],
    undo: Callable[[], None] | None = None,
) -> TransitionCallbackReturn:
    """Make a transition; whatever it raises becomes one line on the log and a FAILURE."""
    try:
        action()
    except Exception as error:
        fault = _FAULTS.get(name, Fault.TRANSITION)
        if isinstance(error, GpuLostError):
            fault = Fault.GPU_LOST
        warnings.error(fault, f"cannot {name}: {one_line(error)}")
        warnings.logger.debug(traceback.format_exc())
        if undo:
            undo()
        return TransitionCallbackReturn.FAILURE
    return TransitionCallbackReturn.SUCCESS


def refuse_impossible_transitions(node: LifecycleNode, warnings: Warnings) -> None:
    """Answer requests for impossible transitions, which would end the process in rclpy."""
    for service in node.services:
        if service.srv_type is ChangeState:
            service.callback = partial(_change_state, warnings, service.callback)


def _change_state(
    warnings: Warnings, change_state: Callable[..., Any], request: Any, response: Any
) -> Any:
    asked, errors = request.transition.label or request.transition.id, warnings.errors
    try:
        answer = change_state(request, response)
        reason = "impossible in this state"
    except Exception as error:
        answer, reason = response, one_line(error)
        answer.success = False
    if not answer.success and warnings.errors == errors:  # else it was tried, and has failed
        warnings.warn_once(Fault.TRANSITION_REFUSED, f"transition {asked} refused: {reason}")
    return answer
