"""Settings from a parameter file and NAME:=VALUE."""

from __future__ import annotations

import pytest

from mafs_ros.parameters.file import read_settings


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("slop:=0.1", "there is no parameter slop: did you mean slop_s?"),
        ("slop_s:=fast", "parameter slop_s: got 'fast', expected a float from"),
        ("slop_s", "got the parameter 'slop_s', expected NAME:=VALUE"),
    ],
)
def test_wrong_parameters(assignment, message):
    with pytest.raises(ValueError, match=".") as error:
        read_settings(None, [assignment])
    assert message in str(error.value)


def test_default_settings_are_those_of_the_node():
    settings = read_settings(None, [])
    assert (settings["slop_s"], settings["thermal_scaling"]) == (0.05, "auto")
