"""`mafs replay --live`: the real node and a player as processes, measured from outside.

The player publishes the bag at its recorded times; the node runs with the replay's parameters. Of
every output the bytes are digested, so that the offline evaluation can check that it computes the
same. Processes and reception are those of `mafs_ros.rig`.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mafs_ros.bags.reader import IMAGE, TYPES, Bag, ImageTopic
from mafs_ros.bags.times import read_times
from mafs_ros.base.resources import default_weights
from mafs_ros.commands.replay.live_result import Live, LiveError, digest
from mafs_ros.commands.replay.options import Options
from mafs_ros.images.messages.cdr import header_stamp
from mafs_ros.rig.account import (
    drops,
    integer,
    latencies_by_arrival_ms,
    latencies_ms,
    publications,
    read_sent,
)
from mafs_ros.rig.processes import START_TIMEOUT_S, Process, RigError, set_environment
from mafs_ros.rig.receiver import OUTPUTS, Receiver
from mafs_ros.rig.source import Source
from mafs_ros.rig.start_and_end import settle, wait_for_cameras, wait_for_start

Topics = tuple[ImageTopic, ImageTopic]  # RGB and thermal
STALL_TIMEOUT_S = 60.0


class LiveReceiver(Receiver):
    """Keeps the arrival and the digest of each output, and nothing on disk."""

    def __init__(self, source: Source, spool: Path) -> None:
        self.digests: dict[str, dict[int, bytes]] = {name: {} for name in OUTPUTS}
        super().__init__(source, spool)

    def _take(self, name: str, raw: bytes) -> None:
        now, stamp = time.monotonic_ns(), header_stamp(raw)
        self.received[name][stamp] = now
        if name not in OUTPUTS:
            return
        message: Any = TYPES.deserialize_cdr(raw, IMAGE)
        self.digests[name][stamp] = digest(message.data)
        if all(stamp in self.received[other] for other in OUTPUTS):
            self.complete += 1

    def whole(self) -> list[int]:
        """RGB stamps of which all outputs came, in their order: those that `complete` counts."""
        return sorted(set.intersection(*(set(stamps) for stamps in self.digests.values())))


def run_live(options: Options, settings: dict[str, Any], topics: Topics) -> Live:
    """Play the bag to the node, `rate` times as fast as recorded; returns what came out.

    settings: parameters of the node. Raises LiveError or OSError; the logs lie in OUT/log.
    """
    out = options.out
    if settings["pair_by"] == "arrival":
        check_told_apart(options.bag, topics[0])
    (out / "log").mkdir(exist_ok=True)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mafs_live_")))
        source = live_source(options, settings, topics)
        stack.callback(restore_environment, dict(os.environ))
        set_environment()
        # So that no process is left behind; the command line knows Ctrl-C.
        stack.callback(
            signal.signal,
            signal.SIGTERM,
            signal.signal(signal.SIGTERM, signal.default_int_handler),
        )
        receiver = LiveReceiver(source, scratch)
        stack.callback(receiver.close)
        node = Process("mafs_ros.node", source.node, out / "log" / "node.log")
        stack.callback(node.stop)
        player = Process(
            "mafs_ros.cameras",
            {
                **source.cameras,
                "wait_for_subscribers": 2,
                "wait_timeout_s": START_TIMEOUT_S,
                "sent_file": str(scratch / "sent.csv"),
            },
            out / "log" / "player.log",
        )
        stack.callback(player.stop)
        try:
            wait_for_start(source, receiver, (node, player))
            receiver.subscribe_inputs()
            wait_for_cameras(
                (node, player),
                source.pairs,
                "live",
                shown=lambda: len(receiver.received["rgb"]),
                arrived=lambda: len(receiver.received["rgb"]),
                error=lambda: receiver.error,
                stall_s=STALL_TIMEOUT_S,
            )
        except RigError as error:
            raise LiveError(str(error)) from error
        settle(receiver, player.said)
        node.stop()
        sent = scratch / "sent.csv"
        times = {
            "latency": live_latencies_ms(receiver, sent, settings),
            "age": ages_ms(receiver, read_sent(sent), options.bag, topics[0]),
        }
        return measured(receiver, player.said, times, options.rate)


def check_told_apart(bag: Path, rgb: ImageTopic) -> None:
    """Frames are told by their RGB stamps; raises LiveError where several have one."""
    with Bag(bag, salvage=True) as reader:
        stamps = read_times(reader, (rgb,))[0][rgb.name].stamps
    if different := len(stamps) - len(set(stamps.tolist())):
        raise LiveError(
            f"{different} of {len(stamps)} images of {rgb.name} have the stamp of another, and "
            "--live tells frames by them; evaluate this bag without --live"
        )


def live_latencies_ms(receiver: LiveReceiver, sent: Path, settings: dict[str, Any]) -> list[float]:
    """From the publication of the later image of each pair to its fused image."""
    arrivals = receiver.received["fused"]
    received, published = {s: arrivals[s] for s in receiver.whole()}, read_sent(sent)
    if settings["pair_by"] == "arrival":
        thermal = publications(sent, "thermal")
        return latencies_by_arrival_ms(received, published["rgb"], thermal).tolist()
    return latencies_ms(received, published, settings["thermal_time_offset_s"]).tolist()


def restore_environment(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


def live_source(options: Options, settings: dict[str, Any], topics: Topics) -> Source:
    """The bag, and the parameters of node and player."""
    rgb, thermal = topics
    node = {
        **settings,
        "weights": str((options.weights or default_weights()).resolve()),
        "backend": options.backend,
        "precision": options.precision,
        "input_reliability": "reliable",
        "fallback_after_s": 0.0,  # pairs alone, as offline
        "confidence_threshold": 0.0,  # as offline
        "input_depth": 20,
        "rgb_transport": "compressed" if rgb.compressed else "raw",
        "thermal_transport": "compressed" if thermal.compressed else "raw",
        "image_height": rgb.height,
        "image_width": rgb.width,
    }
    cameras = {
        "bag": str(options.bag),
        "bag_rgb_topic": rgb.name,
        "bag_thermal_topic": thermal.name,
        "speed": options.rate,
    }
    return Source(
        f"bag {options.bag}",
        min(rgb.count, thermal.count),
        rgb.height,
        rgb.width,
        paced=False,
        cameras=cameras,
        node=node,
        compressed={"rgb": rgb.compressed, "thermal": thermal.compressed},
    )


def measured(
    receiver: LiveReceiver, sent: dict[str, Any], times: dict[str, list[float]], rate: float
) -> Live:
    """Throughput, drops by cause, and whether the counters add up.

    times: 'latency' and 'age' of the frames in ms.
    """
    pairing = receiver.diagnostics.get("pairing", {})
    perception = receiver.diagnostics.get("perception", {})
    arrivals = receiver.received["fused"]
    stamps = receiver.whole()
    causes = drops(sent, receiver, pairing, perception)
    span_s = (max(arrivals.values()) - min(arrivals.values())) / 1e9 if len(arrivals) > 1 else 0.0
    numbers = {
        "rate": rate,
        "sent": {camera: sent[camera]["sent"] for camera in ("rgb", "thermal")},
        "pairs": integer(pairing.get("paired")),
        "published": len(stamps),
        "frames_per_second": (len(arrivals) - 1) / span_s if span_s else None,
        "drops": causes,
        "player_late_ms": sent["late_ms"],
    }
    return Live(
        {s: (receiver.digests["fused"][s], receiver.digests["labels"][s]) for s in stamps},
        times["latency"],
        times["age"],
        numbers,
        unaccounted(numbers),
    )


def ages_ms(
    receiver: LiveReceiver,
    published: dict[str, dict[int, int]],
    path: Path,
    rgb: ImageTopic,
) -> list[float]:
    """From the stamp of each RGB image, its recorded delay included, to its fused image."""
    with Bag(path, salvage=True) as bag:
        times = read_times(bag, (rgb,))[0][rgb.name]
    delay = {int(s): int(r) - int(s) for s, r in zip(times.stamps, times.received, strict=True)}
    arrivals = receiver.received["fused"]
    return [(arrivals[s] - published["rgb"][s] + delay[s]) / 1e6 for s in receiver.whole()]


def unaccounted(numbers: dict[str, Any]) -> list[str]:
    """What does not add up between what was sent and what the node counted."""
    counted, problems = numbers["drops"], []
    for camera in ("rgb", "thermal"):
        lost = sum(count for cause, count in counted.items() if cause.startswith(camera))
        if numbers["sent"][camera] != numbers["pairs"] + lost:
            problems.append(
                f"live: {numbers['sent'][camera]} {camera} images were sent, the node "
                f"accounts for {numbers['pairs'] + lost}"
            )
    lost = sum(
        counted[cause]
        for cause in (
            "replaced_while_busy",
            "failed",
            "bad_image",
            "not_subscribed",
            "not_registered",
            "output_lost",
        )
    )
    if numbers["pairs"] != numbers["published"] + lost:
        problems.append(
            f"live: {numbers['pairs']} pairs, of which the node accounts for "
            f"{numbers['published'] + lost}"
        )
    if any(count < 0 for count in counted.values()):
        problems.append("live: a counter is negative, diagnostics were lost on the way")
    return problems
