"""The latched message that says which class every label is."""

import json
from typing import Any

from std_msgs.msg import String

from mafs_ros.perception.classes import ClassTable

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:
    LabelInfo = None


def label_info_message(table: ClassTable, threshold: float = 0.0, stamp: Any = None) -> Any:
    """The class table as vision_msgs/LabelInfo, or as JSON where vision_msgs is not installed.

    threshold: the confidence, 0..1, below which labels are 255; 0 where all pixels have one.
    stamp: builtin_interfaces/Time since when it holds. It has no frame: it is there before images.
    """
    if LabelInfo is None:
        return String(data=json.dumps({**table.to_dict(), "threshold": threshold}))
    message = LabelInfo(threshold=threshold)
    if stamp is not None:
        message.header.stamp = stamp
    message.class_map = [VisionClass(class_id=c.id, class_name=c.name) for c in table.classes]
    return message
