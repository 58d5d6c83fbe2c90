"""Scores of fused images and of label maps, and the definitions to print with them."""

from mafs_ros.evaluation.metrics.calibration import CalibrationError
from mafs_ros.evaluation.metrics.false_objects import FALSE_OBJECT_PERCENT, largest_false_object
from mafs_ros.evaluation.metrics.fusion import (
    FUSION_METRICS,
    VIF_MIN_SIZE,
    FusionScores,
    average_gradient,
    entropy,
    glare,
    hot,
    qabf,
    saturated,
    spatial_frequency,
    standard_deviation,
    vif,
    weaker,
)
from mafs_ros.evaluation.metrics.grey import as_luminance, luminance
from mafs_ros.evaluation.metrics.protocol import PROTOCOL, SEGMENTATION_PROTOCOL
from mafs_ros.evaluation.metrics.segmentation import ConfusionMatrix

__all__ = [
    "FALSE_OBJECT_PERCENT",
    "FUSION_METRICS",
    "PROTOCOL",
    "SEGMENTATION_PROTOCOL",
    "VIF_MIN_SIZE",
    "CalibrationError",
    "ConfusionMatrix",
    "FusionScores",
    "as_luminance",
    "average_gradient",
    "entropy",
    "glare",
    "hot",
    "largest_false_object",
    "luminance",
    "qabf",
    "saturated",
    "spatial_frequency",
    "standard_deviation",
    "vif",
    "weaker",
]
