"""`mafs replay --live`: the real node and a player as processes, measured from outside.

The player publishes the bag at its recorded times; the node runs with the replay's parameters. Of
every output the bytes are digested, so that the offline evaluation can check that it computes the
same. Processes and reception are those of the demo.
"""

from __future__ import annotations

import hashlib
import os
import signal
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mafs_ros import demo
from mafs_ros.bags import IMAGE, TYPES
from mafs_ros.cdr import header_stamp

if TYPE_CHECKING:
    from mafs_ros.bags import ImageTopic
    from mafs_ros.perception import Perceived
    from mafs_ros.replay_evaluation import Replay

STALL_TIMEOUT_S = 60.0


class LiveError(RuntimeError):
    """The live node cannot be evaluated; the message says why in one line."""


@dataclass
class Live:
    """What the live node did.

    digests: RGB stamp -> digest of the fused image and of the labels. latency_ms: publication of
    the later image to reception of the fused one. age_ms: stamp of the RGB image, in the time of
    the replay, to the same. numbers: as in timing.json.
    """

    digests: dict[int, tuple[bytes, bytes]]
    latency_ms: list[float]
    age_ms: list[float]
    numbers: dict[str, Any]
    problems: list[str] = field(default_factory=list)

    def gave(self, stamp: int, perceived: Perceived) -> bool:
        """Whether the node published these pixels and ids for an RGB stamp."""
        return self.digests[stamp] == (digest(perceived.fused), digest(perceived.labels))


def digest(image: np.ndarray) -> bytes:
    """Of the pixels alone: stamps and frames are compared as such."""
    return hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest()


class LiveReceiver(demo.Receiver):
    """Keeps the arrival and the digest of each output, and nothing on disk."""

    def __init__(self, source: demo.Source, spool: Path) -> None:
        self.digests: dict[str, dict[int, bytes]] = {name: {} for name in demo.OUTPUTS}
        super().__init__(source, spool)

    def _take(self, name: str, raw: bytes) -> None:
        now, stamp = time.monotonic_ns(), header_stamp(raw)
        self.received[name][stamp] = now
        if name not in demo.OUTPUTS:
            return
        message: Any = TYPES.deserialize_cdr(raw, IMAGE)
        self.digests[name][stamp] = digest(message.data)
        if all(stamp in self.received[other] for other in demo.OUTPUTS):
            self.complete += 1


def run_live(replay: Replay, topics: tuple[ImageTopic, ImageTopic], rate: float) -> Live:
    """Play the bag to the node, `rate` times as fast as recorded; returns what came out.

    Raises LiveError or OSError; the logs lie in OUT/log.
    """
    out: Path = replay.args.out
    (out / "log").mkdir(exist_ok=True)
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mafs_live_")))
        source = live_source(replay, topics, rate)
        stack.callback(restore_environment, dict(os.environ))
        demo.set_environment()
        # So that no process is left behind; the command line knows Ctrl-C.
        stack.callback(
            signal.signal,
            signal.SIGTERM,
            signal.signal(signal.SIGTERM, signal.default_int_handler),
        )
        receiver = LiveReceiver(source, scratch)
        stack.callback(receiver.close)
        node = demo.Process("mafs_ros.node", source.node, out / "log" / "node.log")
        stack.callback(node.stop)
        player = demo.Process(
            "mafs_ros.cameras",
            {
                **source.cameras,
                "wait_for_subscribers": 2,
                "wait_timeout_s": demo.START_TIMEOUT_S,
                "sent_file": str(scratch / "sent.csv"),
            },
            out / "log" / "player.log",
        )
        stack.callback(player.stop)
        try:
            demo.wait_for_start(source, receiver, (node, player))
            receiver.subscribe_inputs()
            wait_for_player(source, receiver, (node, player))
        except demo.DemoError as error:
            raise LiveError(str(error)) from error
        demo.settle(receiver, player.said)
        node.stop()
        return measured(
            replay, topics, receiver, player.said, demo.read_sent(scratch / "sent.csv"), rate
        )


def restore_environment(before: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(before)


def live_source(replay: Replay, topics: tuple[ImageTopic, ImageTopic], rate: float) -> demo.Source:
    """The bag, and the parameters of node and player."""
    from mafs_ros.resources import default_weights

    rgb, thermal = topics
    settings = dict(replay.settings)
    node = {
        **settings,
        "weights": str((replay.args.weights or default_weights()).resolve()),
        "backend": replay.args.backend,
        "precision": replay.args.precision,
        "input_reliability": "reliable",
        "input_depth": 20,
        "rgb_transport": "compressed" if rgb.compressed else "raw",
        "thermal_transport": "compressed" if thermal.compressed else "raw",
        "image_height": rgb.height,
        "image_width": rgb.width,
    }
    cameras = {
        "bag": str(replay.args.bag),
        "bag_rgb_topic": rgb.name,
        "bag_thermal_topic": thermal.name,
        "speed": rate,
    }
    return demo.Source(
        f"bag {replay.args.bag}",
        min(rgb.count, thermal.count),
        rgb.height,
        rgb.width,
        paced=False,
        cameras=cameras,
        node=node,
        compressed={"rgb": rgb.compressed, "thermal": thermal.compressed},
    )


def wait_for_player(
    source: demo.Source, receiver: LiveReceiver, processes: tuple[demo.Process, ...]
) -> None:
    """Return when everything has been played; raises DemoError if a process fails or stalls."""
    player = processes[1]
    newest, since = 0, time.monotonic()
    with demo.progress(source.pairs, "live") as bar:
        while player.code is None:
            for process in processes:
                process.check()
            if receiver.error:
                raise demo.DemoError(str(receiver.error)) from receiver.error
            arrived = len(receiver.received["rgb"])
            bar.update(arrived - bar.n)
            if arrived != newest:
                newest, since = arrived, time.monotonic()
            if time.monotonic() - since > STALL_TIMEOUT_S:
                raise demo.DemoError(f"no image for {STALL_TIMEOUT_S:.0f} s; see {player.log}")
            time.sleep(0.05)
        player.check()


def measured(
    replay: Replay,
    topics: tuple[ImageTopic, ImageTopic],
    receiver: LiveReceiver,
    sent: dict[str, Any],
    published: dict[str, dict[int, int]],
    rate: float,
) -> Live:
    """Latencies, ages, throughput, drops by cause, and whether the counters add up."""
    pairing = receiver.diagnostics.get("pairing", {})
    perception = receiver.diagnostics.get("perception", {})
    arrivals = receiver.received["fused"]
    stamps = sorted(set(receiver.digests["fused"]) & set(receiver.digests["labels"]))
    latency = demo.latencies_ms({s: arrivals[s] for s in stamps}, published).tolist()
    causes = demo.drops(sent, receiver, pairing, perception)
    span_s = (max(arrivals.values()) - min(arrivals.values())) / 1e9 if len(arrivals) > 1 else 0.0
    numbers = {
        "rate": rate,
        "sent": {camera: sent[camera]["sent"] for camera in ("rgb", "thermal")},
        "pairs": demo.integer(pairing.get("paired")),
        "published": len(stamps),
        "frames_per_second": (len(arrivals) - 1) / span_s if span_s else None,
        "drops": causes,
        "player_late_ms": sent["late_ms"],
    }
    return Live(
        {s: (receiver.digests["fused"][s], receiver.digests["labels"][s]) for s in stamps},
        latency,
        ages_ms(stamps, arrivals, published, replay, topics),
        numbers,
        account(numbers),
    )


def ages_ms(
    stamps: list[int],
    arrivals: dict[int, int],
    published: dict[str, dict[int, int]],
    replay: Replay,
    topics: tuple[ImageTopic, ImageTopic],
) -> list[float]:
    """From the stamp of each RGB image, its recorded delay included, to its fused image."""
    from mafs_ros.bag_info import read_times
    from mafs_ros.bags import Bag

    with Bag(replay.args.bag, salvage=True) as bag:
        times = read_times(bag, topics[:1])[0][topics[0].name]
    delay = {int(s): int(r) - int(s) for s, r in zip(times.stamps, times.received, strict=True)}
    return [(arrivals[s] - published["rgb"][s] + delay[s]) / 1e6 for s in stamps]


def account(numbers: dict[str, Any]) -> list[str]:
    """What does not add up between what was sent and what the node counted."""
    drops, problems = numbers["drops"], []
    for camera in ("rgb", "thermal"):
        lost = sum(count for cause, count in drops.items() if cause.startswith(camera))
        if numbers["sent"][camera] != numbers["pairs"] + lost:
            problems.append(
                f"live: {numbers['sent'][camera]} {camera} images were sent, the node "
                f"accounts for {numbers['pairs'] + lost}"
            )
    lost = sum(
        drops[cause]
        for cause in (
            "replaced_while_busy",
            "failed",
            "bad_image",
            "not_subscribed",
            "output_lost",
        )
    )
    if numbers["pairs"] != numbers["published"] + lost:
        problems.append(
            f"live: {numbers['pairs']} pairs, of which the node accounts for "
            f"{numbers['published'] + lost}"
        )
    if any(count < 0 for count in drops.values()):
        problems.append("live: a counter is negative, diagnostics were lost on the way")
    return problems
