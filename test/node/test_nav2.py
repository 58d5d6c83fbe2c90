"""Labels and confidence by the rules of Nav2's semantic layer, and what goes beside them.

The rules are those of kiwicampus/semantic_segmentation_layer (commit a70cf6e), read in its
`semantic_segmentation_layer.cpp` and `segmentation_buffer.cpp`; vision_msgs is no wheel, so that
LabelInfo comes as JSON where it is not installed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from node_bench import RELIABLE, TOPICS, Bench
from node_messages import HEIGHT, WIDTH, header, pixels, stamp_of
from node_process import DEADLINE_S, Process
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mafs_ros.images.messages.decode import rgb_from_message, thermal_from_message
from mafs_ros.node import label_info
from mafs_ros.perception.classes import load_class_table

DOC = Path(__file__).resolve().parents[2] / "docs" / "nav2.md"
SENSOR_DATA = QoSProfile(depth=50, reliability=ReliabilityPolicy.BEST_EFFORT)
CONFIDENCE = "/mafs/segmentation/confidence"


def layer_parameters() -> dict[str, Any]:
    """Those of the source `mafs` in the document's yaml."""
    (text,) = re.findall(r"```yaml\n(.*?)```", DOC.read_text(), re.DOTALL)
    costmap = yaml.safe_load(text)["local_costmap"]["local_costmap"]["ros__parameters"]
    return costmap["semantic_layer"]["mafs"]


@dataclass
class Layer:
    """What the layer makes of one frame; a cloud has a point on tile (column // 8) per pixel."""

    parameters: dict[str, Any]
    ids: dict[int, dict[str, Any]] = field(default_factory=dict)  # -> the costs of its type
    errors: list[str] = field(default_factory=list)

    def take_label_info(self, classes: dict[int, str]) -> None:
        costs = {
            name: self.parameters[kind]
            for kind in self.parameters["class_types"]
            for name in self.parameters[kind]["classes"]
        }
        for class_id, name in classes.items():
            if name in costs:
                self.ids[class_id] = costs[name]
            else:
                self.errors.append(f"CRITICAL ERROR: Class '{name}'")

    def tiles(self, labels: Image, confidence: Image, points: int) -> dict[int, int]:
        """Tile -> cost after this frame, none where the layer refuses it or has no observation."""
        size = labels.width * labels.height
        stamps = stamp_of(labels), stamp_of(confidence)
        if stamps[0] != stamps[1] or size != points or len(labels.data) < size or not self.ids:
            return {}
        assert len(confidence.data) >= size  # not looked at, and read beyond its end
        best: dict[int, int] = {}
        for pixel in range(size):
            tile = pixel % labels.width // 8
            costs = [
                self.ids.get(labels.data[one], {}).get("max_cost", 0)
                for one in (pixel, best.get(tile, pixel))
            ]
            if tile not in best or costs[0] > costs[1]:
                best[tile] = pixel
        found = {}
        for tile, pixel in best.items():
            costs = self.ids.get(labels.data[pixel])
            if costs is None:
                continue  # an id that LabelInfo does not name: 255
            often = costs.get("samples_to_max_cost", 0) <= 1
            sure = confidence.data[pixel] > costs.get("mark_confidence", 0)
            found[tile] = costs["max_cost"] if often and sure else costs["base_cost"]
        return found


class Consumer(Bench):
    """Hears labels and confidence as the layer does, and whatever else goes beside them."""

    def hear(self, name: str, kind: Any, topic: str, qos: QoSProfile = RELIABLE) -> None:
        self.received.setdefault(name, [])
        self.node.create_subscription(
            kind, topic, lambda message, name=name: self._take(name, message), qos
        )

    def send_until(self, condition: Callable[[], Any], what: str) -> Any:
        """Send pairs with CameraInfo until that holds; returns what it gave."""
        deadline = time.monotonic() + 2 * DEADLINE_S
        while not (found := condition()):
            assert time.monotonic() < deadline, f"{what}; {self.values()}"
            stamp = time.time_ns()
            info = CameraInfo(
                header=header(stamp, "rgb_camera"), height=HEIGHT, width=WIDTH, k=[2.0] * 9
            )
            self._publish_info(info)
            self.send_pair(stamp)
            with self.changed:
                self.changed.wait(0.2)
        return found

    def _publish_info(self, info: CameraInfo) -> None:
        topic = "/rgb/camera_info"
        if topic not in self.publishers:
            self.publishers[topic] = self.node.create_publisher(CameraInfo, topic, RELIABLE)
        self.publishers[topic].publish(info)

    def together(self, *names: str) -> tuple[Any, ...]:
        """The newest messages of one stamp of all these, or nothing."""
        by_stamp = [{stamp_of(m): m for m in list(self.received[name])} for name in names]
        common = set.intersection(*(set(found) for found in by_stamp))
        return tuple(found[max(common)] for found in by_stamp) if common else ()

    def clear(self) -> None:
        with self.changed:
            for messages in self.received.values():
                messages.clear()


@pytest.fixture
def consumer(ros_domain: int) -> Any:
    consumer = Consumer()
    yield consumer
    consumer.close()


def classes_of(message: Any) -> tuple[dict[int, str], float]:
    """What LabelInfo, or the JSON in its place, says: names by id, and the threshold."""
    if label_info.LabelInfo is not None:
        return {c.class_id: c.class_name for c in message.class_map}, message.threshold
    data = json.loads(message.data)
    return {c["id"]: c["name"] for c in data["classes"]}, data["threshold"]


def test_the_layer_takes_what_the_node_publishes(
    start: Callable[..., Process], consumer: Consumer
) -> None:
    """Also labels with a threshold, of which LabelInfo says so."""
    process = start(image_height=HEIGHT, image_width=WIDTH)
    consumer.subscribe_label_info()
    for name, topic in (("labels", TOPICS["labels"]), ("confidence", CONFIDENCE)):
        consumer.hear(name, Image, topic, SENSOR_DATA)
    labels, confidence = consumer.send_until(
        lambda: consumer.together("labels", "confidence"), "no labels with confidence"
    )
    process.wait_for_line(f"confidence ready for {WIDTH}x{HEIGHT} images")
    for message in (labels, confidence):
        assert (message.encoding, message.height, message.width) == ("mono8", HEIGHT, WIDTH)
        assert message.step == WIDTH and message.header.frame_id == "rgb_camera"
    assert min(confidence.data) >= 255 // 4  # the largest of four parts
    classes, threshold = classes_of(consumer.received["label_info"][-1])
    assert threshold == 0 and 255 not in classes
    layer = Layer(layer_parameters())
    assert layer.tiles(labels, confidence, HEIGHT * WIDTH) == {}  # no LabelInfo yet
    layer.take_label_info(classes)
    assert not layer.errors
    assert layer.tiles(labels, confidence, HEIGHT * WIDTH - 1) == {}
    tiles = layer.tiles(labels, confidence, HEIGHT * WIDTH)
    assert len(tiles) == WIDTH // 8 and set(tiles.values()) <= {0, 100, 200, 254}

    middle = float(np.median(confidence.data)) / 255
    (result,) = consumer.set_parameters(confidence_threshold=middle)
    assert result.successful, result.reason
    consumer.send_until(
        lambda: len(consumer.received["label_info"]) > 1, "LabelInfo stays as it was"
    )
    assert classes_of(consumer.received["label_info"][-1])[1] == pytest.approx(middle)
    consumer.clear()
    labels, confidence = consumer.send_until(
        lambda: consumer.together("labels", "confidence"), "no labels with a threshold"
    )
    below = pixels(confidence) < 255 * middle
    assert below.any() and (pixels(labels)[below] == 255).all()
    assert pixels(labels)[~below].max() < len(classes)
    unlabelled = Image(
        header=labels.header, height=HEIGHT, width=WIDTH, step=WIDTH, data=[255] * HEIGHT * WIDTH
    )
    assert layer.tiles(unlabelled, confidence, HEIGHT * WIDTH) == {}


def test_compressed_images_and_camera_info(
    start: Callable[..., Process], consumer: Consumer
) -> None:
    start(image_height=HEIGHT, image_width=WIDTH, jpeg_quality=95)
    for name in ("fused", "labels"):
        consumer.hear(f"{name} jpeg or png", CompressedImage, f"{TOPICS[name]}/compressed")
    found = consumer.send_until(
        lambda: consumer.together("fused jpeg or png", "labels jpeg or png"), "nothing compressed"
    )
    assert [m.format for m in found] == ["rgb8; jpeg compressed bgr8", "mono8; png compressed "]
    assert "overlay_ms_median" not in consumer.values()
    consumer.subscribe("fused", "labels", "overlay")
    consumer.hear("overlay jpeg", CompressedImage, f"{TOPICS['overlay']}/compressed")
    for folder in ("fused", "segmentation"):
        consumer.hear(f"{folder} info", CameraInfo, f"/mafs/{folder}/camera_info")
    names = ("fused", "labels", "overlay", "fused jpeg or png", "labels jpeg or png")
    messages = consumer.send_until(
        lambda: consumer.together(*names, "overlay jpeg", "fused info", "segmentation info"),
        "no frame with everything",
    )
    fused, labels, overlay, fused_jpeg, labels_png, overlay_jpeg, *infos = messages
    np.testing.assert_array_equal(thermal_from_message(labels_png), pixels(labels)[..., 0])
    for raw, jpeg in ((fused, fused_jpeg), (overlay, overlay_jpeg)):
        assert jpeg.header == raw.header
        assert np.abs(rgb_from_message(jpeg).astype(int) - pixels(raw)).mean() < 8
    for info in infos:
        assert info.header == fused.header and (info.height, info.width) == (HEIGHT, WIDTH)
        assert list(info.k) == [2.0] * 9


def test_label_info_as_vision_msgs_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """vision_msgs/LabelInfo: header, class_map of VisionClass, threshold in 0..1."""

    @dataclass
    class VisionClass:
        class_id: int = 0
        class_name: str = ""

    @dataclass
    class LabelInfo:
        header: Any = None
        class_map: list[VisionClass] = field(default_factory=list)
        threshold: float = 0.0

    monkeypatch.setattr(label_info, "LabelInfo", LabelInfo)
    monkeypatch.setattr(label_info, "VisionClass", VisionClass, raising=False)
    message = label_info.label_info_message(load_class_table("street"), 0.4)
    assert message.threshold == 0.4
    names = {c.class_id: c.class_name for c in message.class_map}
    assert names == {0: "background", 1: "car", 2: "person", 3: "bike"}
