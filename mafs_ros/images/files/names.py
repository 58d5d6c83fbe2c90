"""Which names of two folders mean the same picture: alike, or alike but for the camera's name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

# Words for a camera at the beginning or the end of a name: 0001_rgb and 0001_th, ir-7 and vis-7.
CAMERA_WORDS = {
    "rgb": ("rgb", "visible", "vis", "vi", "color", "colour", "co", "v", "w"),
    "thermal": ("thermal", "infrared", "lwir", "tir", "ir", "th", "t", "i"),
    "labels": ("labels", "label", "mask", "gt"),
}
LETTERS = "vi"  # right after a number: 00001v and 00001i of RGBT234
_ALL_WORDS = [word for words in CAMERA_WORDS.values() for word in words]


def natural_order(name: str) -> list[tuple[int, str]]:
    """Sort key that puts `frame2` before `frame10`."""
    parts = re.split(r"([0-9]+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def has_word(name: str, camera: str) -> bool:
    """Whether a name begins or ends with a word for that camera."""
    return without_words(name, CAMERA_WORDS[camera]) != name


def without_words(name: str, words: Iterable[str] = tuple(_ALL_WORDS)) -> str:
    """`0001_rgb`, `0001v` -> `0001`: the name without the word for a camera at an end."""
    either = "|".join(words)
    letter = "".join(word for word in words if word in LETTERS) or "$"
    for pattern in (
        rf"(?i)(?<=.)[_.-](?:{either})$",
        rf"(?i)^(?:{either})[_.-](?=.)",
        rf"(?<=[0-9])[{letter}]$",
    ):
        short = re.sub(pattern, "", name)
        if short != name:
            return short
    return name


def match_names(own: Iterable[str], other: Iterable[str]) -> dict[str, str]:
    """own name -> other name: the same one, else the one that says the same.

    That is: without the word for a camera, in any case and with any zeros before numbers. Names
    that have no partner are left out, and those that have several.
    """
    own, other = list(own), set(other)
    matched = {name: name for name in own if name in other}
    left = [name for name in own if name not in matched]
    if not left:
        return matched
    spare = _by_meaning(other - set(matched))
    twice = {key for key, count in Counter(map(_meaning, left)).items() if count > 1}
    for name in left:
        key = _meaning(name)
        if key in spare and key not in twice:
            matched[name] = spare[key]
    return matched


def _meaning(name: str) -> tuple[tuple[int, str], ...]:
    return tuple(natural_order(without_words(name).casefold()))


def _by_meaning(names: Iterable[str]) -> dict[tuple[tuple[int, str], ...], str]:
    """What a name says -> the name; without what several say."""
    names = list(names)
    counts = Counter(map(_meaning, names))
    return {key: name for name in names if counts[key := _meaning(name)] == 1}
