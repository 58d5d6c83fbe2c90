"""Parameters of several pairs: their rows, defaults, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mafs_ros.parameters import pairs
from mafs_ros.parameters.checks import check_change, complete
from mafs_ros.parameters.table import PARAMETERS, ParameterError

TWO = {
    "pairs": ["front", "rear"],
    "slop_s": 0.1,
    "weights": "w.safetensors",
    "front.rgb_topic": "a",
    "front.thermal_topic": "b",
    "rear.slop_s": 0,
}


def test_one_pair_without_a_name_is_the_table_as_it_is() -> None:
    for given in ({}, {"pairs": [""]}, {"pairs": ["", ""]}):
        assert pairs.pair_names(given) == [""]
        assert pairs.rows_for(given) == PARAMETERS
    assert pairs.values_of("", complete({})) == complete({})


def test_each_pair_has_its_own_and_by_default_the_one_without_a_name() -> None:
    values = complete(TWO, pairs.rows_for(TWO))
    front, rear = (pairs.values_of(name, values) for name in ("front", "rear"))
    assert (front["slop_s"], rear["slop_s"]) == (0.1, 0.0)
    assert (front["rgb_topic"], rear["rgb_topic"]) == ("a", "rgb/image")
    assert front["weights"] == rear["weights"] == "w.safetensors"
    assert "front.weights" not in values and "front.pairs" not in values
    assert pairs.changes_of("rear", {"rear.slop_s": 1.0, "front.slop_s": 2.0, "slop_s": 3.0}) == {
        "slop_s": 1.0
    }
    assert pairs.changes_of("", {"slop_s": 3.0, "weights": "x"}) == {"slop_s": 3.0}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"pairs": ["front", "front"]}, "got 'front' twice"),
        ({"pairs": ["left eye"]}, "got the name 'left eye', expected letters, digits"),
        ({"pairs": ["2nd"]}, "got the name '2nd'"),
        ({"pairs": ["a__b"]}, "got the name 'a__b'"),
        ({"pairs": ["a_"]}, "got the name 'a_'"),
        ({"pairs": ["slop_s"]}, "and no name of a parameter"),
        ({"pairs": "front"}, "got 'front', expected a list of strings"),
        ({**TWO, "front.slops": 1.0}, "front.slops does not exist: did you mean front.slop_s?"),
        (
            {**TWO, "front.weights": "w"},
            "front.weights: all pairs share weights, expected weights",
        ),
        ({**TWO, "left.slop_s": 1.0}, "no pair left, expected one of .* pairs .front, rear."),
        ({"left.slop_s": 1.0}, "there is no pair left, expected one of .* pairs .none."),
        ({**TWO, "rear.slop_s": -1.0}, "parameter rear.slop_s: got -1.0, expected a float from"),
    ],
)
def test_refused_at_the_start(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(ParameterError, match=reason):
        complete(given, pairs.rows_for(given))


def test_parameters_of_others_are_no_business_of_the_pairs() -> None:
    assert pairs.rows_for({"FollowPath.plugin": "x"}) == PARAMETERS
    assert pairs.rows_for({"qos_overrides./tf.subscription.depth": 5}) == PARAMETERS


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rear.thermal_low": 70000.0}, "rear.thermal_low and rear.thermal_high: got 70000.0 and"),
        ({"rear.depth_topic": "d"}, "rear.depth_topic and registration: got 'd'"),
        ({"rear.thermal_topic": "rgb/image"}, "rear.rgb_topic and rear.thermal_topic: both are"),
        ({"rear.slop_s": "far"}, "parameter rear.slop_s: got 'far', expected a float from"),
        ({"slop_s": 0.2}, "slop_s was the default .* set front.slop_s, rear.slop_s"),
    ],
)
def test_refused_changes(changes: dict[str, Any], reason: str) -> None:
    rows = pairs.rows_for(TWO)
    values = complete(TWO, rows)
    with pytest.raises(ParameterError, match=reason):
        check_change(values, changes, False, {r.name: r for r in rows}, pairs.check_pairs)
        pairs.check_default_is_kept(values, changes)


def test_changes_of_shared_parameters_are_taken() -> None:
    values = complete(TWO, pairs.rows_for(TWO))
    pairs.check_default_is_kept(values, {"weights": "other", "slop_s": 0.1, "rear.slop_s": 0.5})


def test_two_cameras_on_one_topic_are_refused() -> None:
    topics = {"a": {"rgb": "/1", "thermal": "/2"}, "b": {"rgb": "/3", "thermal": "/2"}}
    with pytest.raises(ParameterError, match="a.thermal_topic and b.thermal_topic: both are /2"):
        pairs.check_topics(topics)
    topics["b"]["thermal"] = "/4"
    pairs.check_topics(topics)
