"""Two cameras without hardware: publishes a simulation, folders of images or a bag.

    python3 -m mafs_ros.cameras --ros-args -p rate_hz:=30.0
    python3 -m mafs_ros.cameras --ros-args -p rgb_dir:=vi -p thermal_dir:=ir
    python3 -m mafs_ros.cameras --ros-args -p bag:=drive.mcap -p speed:=0.5
    python3 -m mafs_ros.cameras --ros-args -p rig:=unaligned -p depth_topic:=depth/image

Simulated cameras may be late, jitter, drop images and look askew. Stamps are those of the
scheduled acquisition, never of the publication; a bag keeps its own. On stdout come lines of JSON:
the progress of rendering, and at the end what was sent.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from mafs_ros.bags.reader import Bag, BagError
from mafs_ros.bags.topics import choose_topics
from mafs_ros.base.memory import IMAGE_BUFFERS, keep_freed_memory
from mafs_ros.cameras.parameters import read_parameters
from mafs_ros.cameras.publisher import Cameras
from mafs_ros.cameras.shots import Shot, ahead, bag_shots, folder_shots, generated_shots, repeated
from mafs_ros.cameras.simulated import simulated_images, simulated_infos, simulated_rig
from mafs_ros.cameras.transform import publish_transform
from mafs_ros.cameras.waiting import Pacer


def open_source(
    values: dict[str, Any], stack: ExitStack
) -> tuple[str, Iterator[Shot], dict[str, type]]:
    """Name of the source, its shots, and the message types of its cameras.

    stack: closes the bag. Raises OSError or ValueError where it cannot be read.
    """
    if values["bag"]:
        bag = stack.enter_context(Bag(values["bag"], salvage=True))
        try:
            topics = choose_topics(bag, values["bag_rgb_topic"], values["bag_thermal_topic"])
        except BagError as error:  # which names the options of a command
            text = re.sub(r"--(\w+)-topic", r"the parameter bag_\1_topic", str(error))
            raise BagError(text) from None
        cameras = {
            topic.name: camera for topic, camera in zip(topics, ("rgb", "thermal"), strict=True)
        }
        types = {
            camera: CompressedImage if topic.compressed else Image
            for topic, camera in zip(topics, ("rgb", "thermal"), strict=True)
        }
        shots = repeated(values, lambda: bag_shots(values, bag, cameras))
        damage = f"; what can be salvaged, since {bag.damage}" if bag.damage else ""
        return f"bag {values['bag']}: {topics[0]} and {topics[1]}{damage}", shots, types
    if values["rgb_dir"]:
        name = f"folders {values['rgb_dir']} and {values['thermal_dir']}"
        return name, folder_shots(values), {}
    name = f"simulated street, seed {values['seed']}"
    infos = simulated_infos(values)
    types = dict.fromkeys(infos, CameraInfo)
    shots = generated_shots(values, values["frames"] or None, simulated_images(values), infos)
    return name, shots, types


def run(node: Node, values: dict[str, Any]) -> None:
    """Publish everything, then print the summary; also after Ctrl-C."""
    with ExitStack() as stack:
        source, shots, types = open_source(values, stack)
        sent_file = None
        if values["sent_file"]:
            sent_file = stack.enter_context(open(values["sent_file"], "w", newline=""))
        cameras = Cameras(node, values, types)
        if rig := simulated_rig(values):
            publish_transform(node, rig, values["rgb_frame_id"], values["thermal_frame_id"])
        pacer = Pacer(node, values) if values["pace_topic"] else None
        stack.enter_context(spinning(node))
        ready = stack.enter_context(closing(ahead(shots)))
        node.get_logger().info(f"publishing {source}")
        finished = False
        try:
            if values["wait_for_subscribers"]:
                cameras.wait_for_subscribers(
                    values["wait_for_subscribers"], values["wait_timeout_s"]
                )
            if pacer:
                pacer.wait_for_receiver(values["wait_timeout_s"])
            cameras.play(ready, pacer, sent_file)
            cameras.finish()
            finished = True
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C while ending
            paced = {"pairs": pacer.pairs, "pace_timeouts": pacer.timeouts} if pacer else {}
            print(json.dumps({**cameras.summary(), **paced, "finished": finished}), flush=True)


@contextmanager
def spinning(node: Node) -> Iterator[None]:
    """Serve the node's subscriptions and parameters in a thread of their own."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            pass

    thread = threading.Thread(target=spin, name="spin")
    thread.start()
    try:
        yield
    finally:
        executor.shutdown()
        thread.join()


def main(args: list[str] | None = None) -> int:
    """Exit code 0 at the end of the images or after Ctrl-C, 1 after an error, in one line."""
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background ignores the first
        signal.signal(number, signal.default_int_handler)
    keep_freed_memory(IMAGE_BUFFERS)
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    node = Node("cameras", automatically_declare_parameters_from_overrides=True)
    try:
        run(node, read_parameters(node))
    except KeyboardInterrupt:
        pass
    except (OSError, ValueError) as error:
        print(f"cameras: {error}", file=sys.stderr)
        return 1
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
