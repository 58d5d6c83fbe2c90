"""What the node says of the engine's confidence."""

from collections.abc import Mapping
from typing import Any

from mafs_ros.engine.interface import Engine
from mafs_ros.parameters.table import ParameterError


def check_confidence(engine: Engine, values: Mapping[str, Any]) -> None:
    """Raise ParameterError where labels shall have a threshold that the engine cannot give."""
    threshold = values["confidence_threshold"]
    if threshold > 0 and not engine.gives_confidence:
        raise ParameterError(
            f"parameter confidence_threshold: got {threshold:g}, expected 0 with backend "
            f"{engine.name}, which gives no confidence: choose openvino or torch"
        )


def confidence_in_words(engine: Engine) -> str:
    """What confidence there is, for whoever reads /diagnostics."""
    if not engine.gives_confidence:
        return f"none: backend {engine.name} gives none"
    if not engine.model_info.confidence:
        return "not calibrated: the model file has no temperature"
    return f"calibrated, temperature {engine.model_info.temperature:g}"
