"""The rviz configuration: every key and value is one that rviz knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LAUNCH = ROOT / "launch"


# rviz ignores keys that it does not know without a word. What each part of a configuration may
# hold, and of which kind, read in rviz's sources (Humble to Rolling): the properties that the
# classes declare, and what their load() functions ask for.
BOOL, INT, NUMBER, TEXT = (bool,), (int,), (int, float), (str,)


RVIZ_TOPIC = {
    "Depth": INT,
    "Value": TEXT,
    "Durability Policy": ("System Default", "Transient Local", "Volatile"),
    "History Policy": ("System Default", "Keep Last", "Keep All"),
    "Reliability Policy": ("System Default", "Reliable", "Best Effort"),
}


RVIZ_IMAGE = {
    "Class": ("rviz_default_plugins/Image",),
    "Name": TEXT,
    "Enabled": BOOL,
    "Value": BOOL,
    "Normalize Range": BOOL,
    "Min Value": NUMBER,
    "Max Value": NUMBER,
    "Median window": INT,
    "Topic": RVIZ_TOPIC,
}


RVIZ_DISPLAYS = {
    "Class": ("rviz_common/Displays",),
    "Name": TEXT,
    "Help Height": INT,
    "Tree Height": INT,
    "Property Tree Widget": {"Expanded": [TEXT], "Splitter Ratio": NUMBER},
}


RVIZ_TIME = {
    "Class": ("rviz_common/Time",),
    "Name": TEXT,
    "Experimental": BOOL,
    "SyncMode": INT,
    "SyncSource": TEXT,
}


RVIZ_MANAGER = {
    "Class": TEXT,
    "Name": TEXT,
    "Enabled": BOOL,
    "Value": BOOL,
    "Displays": [RVIZ_IMAGE],
    "Global Options": {"Background Color": TEXT, "Fixed Frame": TEXT, "Frame Rate": INT},
    "Tools": [{"Class": ("rviz_default_plugins/MoveCamera",)}],
    "Transformation": {"Current": {"Class": ("rviz_default_plugins/TF",)}},
    "Views": {
        "Current": {
            "Class": ("rviz_default_plugins/Orbit",),
            "Name": TEXT,
            "Target Frame": TEXT,
            "Value": ("Orbit (rviz)",),
        },
        "Saved": (type(None),),
    },
}


def check_rviz(value: Any, allowed: Any, place: str) -> None:
    """Raise AssertionError where a part of the configuration is not as rviz reads it."""
    if isinstance(allowed, dict):
        assert isinstance(value, dict), place
        assert set(value) <= set(allowed), f"{place}: {sorted(set(value) - set(allowed))}"
        for key, below in value.items():
            check_rviz(below, allowed[key], f"{place}/{key}")
    elif isinstance(allowed, list):
        assert isinstance(value, list), place
        for index, below in enumerate(value):
            check_rviz(below, allowed[0], f"{place}/{index}")
    elif isinstance(allowed[0], str):
        assert value in allowed, f"{place}: {value!r}"
    else:
        assert type(value) in allowed, f"{place}: {value!r}"


def rviz_configuration() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "config" / "mafs.rviz").read_text(encoding="utf-8"))


def test_rviz_knows_every_key_and_value_of_the_configuration() -> None:
    config = rviz_configuration()
    assert set(config) == {"Panels", "Visualization Manager", "Window Geometry"}
    for panel in config["Panels"]:
        allowed = {"rviz_common/Displays": RVIZ_DISPLAYS, "rviz_common/Time": RVIZ_TIME}
        check_rviz(panel, allowed[panel["Class"]], panel["Name"])
    manager = config["Visualization Manager"]
    check_rviz(manager, RVIZ_MANAGER, "Visualization Manager")
    for display in manager["Displays"]:  # nothing is left to a default that may change
        assert set(display) == set(RVIZ_IMAGE) and set(display["Topic"]) == set(RVIZ_TOPIC)
    names = {display["Name"] for display in manager["Displays"]}
    docks = {panel["Name"] for panel in config["Panels"]} | names  # both are dock widgets
    for key, value in config["Window Geometry"].items():
        allowed = {
            "Height": INT,
            "Width": INT,
            "X": INT,
            "Y": INT,
            "Hide Left Dock": BOOL,
            "Hide Right Dock": BOOL,
        }
        assert key in allowed or key in docks, key
        check_rviz(value, allowed.get(key, {"collapsed": BOOL}), key)
    tree, clock = config["Panels"]
    assert set(tree["Property Tree Widget"]["Expanded"]) <= {f"/{name}1" for name in names}
    assert clock["SyncSource"] in names


def test_the_check_of_the_rviz_configuration_finds_errors() -> None:
    (display, *_) = rviz_configuration()["Visualization Manager"]["Displays"]
    for wrong in (
        {**display, "Median Window": 5},
        {**display, "Enabled": "yes"},
        {**display, "Topic": {**display["Topic"], "Reliability Policy": "best_effort"}},
    ):
        with pytest.raises(AssertionError):
            check_rviz(wrong, RVIZ_IMAGE, "display")


def test_rviz_takes_what_the_cameras_and_the_node_offer() -> None:
    reliability = {
        display["Name"]: display["Topic"]["Reliability Policy"]
        for display in rviz_configuration()["Visualization Manager"]["Displays"]
    }
    outputs = dict.fromkeys(("Fused", "Overlay", "Confidence"), "Reliable")
    assert reliability == {"RGB": "Best Effort", **outputs}


def test_rviz_asks_for_confidence_only_when_it_is_switched_on() -> None:
    """It costs a second form of the network."""
    displays = rviz_configuration()["Visualization Manager"]["Displays"]
    assert [d["Name"] for d in displays if not d["Enabled"]] == ["Confidence"]
