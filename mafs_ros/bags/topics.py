"""Which two topics of a bag are the RGB and the thermal camera."""

from __future__ import annotations

import re
from typing import Any

from mafs_ros.bags.reader import Bag, BagError, ImageTopic

# What the name of a topic says about its images; where several words match, the last one does:
# /rgbt_rig/thermal/image is thermal, /thermal/labels neither.
NAME_HINTS = re.compile(
    r"(?P<thermal>thermal|thermo|infrared|lwir|mwir|flir|boson|lepton|optris"
    r"|(?<![a-z])(?:ir|tir|tau|seek)(?![a-z]))"
    r"|(?P<rgb>rgb|colou?r|visible)"
    r"|(?P<other>depth|disparity|confidence|label|mask|semantic|segment|overlay|fused|fusion)"
)
DEEP_GREY = ("mono16", "16UC1", "16SC1", "32FC1")
GREY = ("mono8", "8UC1", *DEEP_GREY)
OPTION = "--{}-topic"  # of every command that reads a bag
NAMED = 5  # topics of other types that are named
PICTURE_FORMATS = ("jpeg", "jpg", "png")  # compressed messages may name no encoding


def choose_topics(bag: Bag, rgb: str = "", thermal: str = "") -> tuple[ImageTopic, ImageTopic]:
    """The RGB and the thermal topic of a bag: those named, else guessed.

    A guess goes by encoding (grey, deeper than 8 bit: thermal) and by words in the name
    (NAME_HINTS). Raises BagError, which lists the image topics
    there are, where a named one is missing or a guess finds none or several.
    """
    found_rgb = _named(bag, rgb) if rgb else None
    found_thermal = _named(bag, thermal) if thermal else None
    found_rgb = found_rgb or _best(bag, "rgb", _rgb_score, found_thermal)
    found_thermal = found_thermal or _best(bag, "thermal", _thermal_score, found_rgb)
    if found_rgb.name == found_thermal.name:
        raise BagError(f"{bag.path}: {rgb} is named as RGB and as thermal topic, expected two")
    return found_rgb, found_thermal


def topic_parameters(camera: str, topic: ImageTopic) -> dict[str, str]:
    """The node's parameters that subscribe a topic; camera: 'rgb' or 'thermal'."""
    name, transport = topic.name, "raw"
    if topic.compressed:
        name = topic.name.removesuffix("/compressed")
        transport = "compressed_as_named" if name == topic.name else "compressed"
    return {f"{camera}_topic": name, f"{camera}_transport": transport}


def _named(bag: Bag, name: str) -> ImageTopic:
    for topic in bag.image_topics:
        if topic.name == "/" + name.lstrip("/"):
            if not topic.encoding:
                raise BagError(f"{bag.path}: the topic {topic} holds no readable image")
            return topic
    raise BagError(f"{bag.path}: no image topic {name}; {_listing(bag)}")


def _best(bag: Bag, what: str, score: Any, taken: ImageTopic | None) -> ImageTopic:
    scores = {topic: score(topic) for topic in bag.image_topics if topic != taken}
    best = max(scores.values(), default=0)
    found = [topic for topic in scores if best > 0 and scores[topic] == best]
    found = [t for t in found if not any(_is_same(t, o) and _rank(o) < _rank(t) for o in found)]
    if len(found) == 1:
        return found[0]
    if not bag.image_topics:
        raise BagError(f"{bag.path}: {_listing(bag)}")
    trouble = f"several topics may be the {what} one" if found else f"no topic looks {what}"
    option = f"{OPTION.format(what)} TOPIC names it"
    raise BagError(f"{bag.path}: {trouble}, name it; {_listing(bag)}; {option}")


def _rank(topic: ImageTopic) -> int:
    """Of several transports of a camera the raw one is taken, compressedDepth last."""
    return topic.compressed + topic.name.endswith("/compressedDepth")


def _is_same(topic: ImageTopic, other: ImageTopic) -> bool:
    """Whether two topics are transports of the same camera."""
    names = [
        t.name.removesuffix("/compressedDepth").removesuffix("/compressed") for t in (topic, other)
    ]
    return names[0] == names[1]


def _listing(bag: Bag) -> str:
    if not bag.image_topics:
        others = ", ".join(bag.other_topics[:NAMED]) or "nothing"
        more = ", ..." * (len(bag.other_topics) > NAMED)
        return (
            "there are no image topics in this bag, expected sensor_msgs/Image or "
            f"CompressedImage; it holds {others}{more}"
        )
    return "the image topics are: " + ", ".join(str(topic) for topic in bag.image_topics)


def _name_hint(topic: ImageTopic) -> str | None:
    name = topic.name.removesuffix("/compressedDepth").lower()  # the transport is no hint
    hints = [match.lastgroup for match in NAME_HINTS.finditer(name)]
    return hints[-1] if hints else None


def _rgb_score(topic: ImageTopic) -> int:
    hint = _name_hint(topic)
    if not topic.encoding or topic.encoding in GREY or hint in ("thermal", "other"):
        return 0
    return 2 if hint == "rgb" else 1


def _thermal_score(topic: ImageTopic) -> int:
    hint = _name_hint(topic)
    grey = topic.encoding in GREY or (topic.compressed and topic.encoding in PICTURE_FORMATS)
    if hint in ("rgb", "other"):
        return 0
    if not grey:  # some drivers write grey images in colour encodings
        return int(hint == "thermal" and bool(topic.encoding))
    return 2 * (hint == "thermal") + (topic.encoding in DEEP_GREY)
