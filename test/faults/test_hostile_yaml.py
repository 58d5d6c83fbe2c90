"""YAML that no tool wrote: every reader refuses it in one line that names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mafs_ros.base.yaml_file import MOST_BYTES
from mafs_ros.parameters.file import read_settings
from mafs_ros.parameters.ros_yaml import ros_value
from mafs_ros.perception.classes import load_class_table
from mafs_ros.perception.registration import load_registration
from training.recipes.recipe import load_recipe
from training.study.plan import load_study

READERS: dict[str, Callable[[Path], Any]] = {
    "parameters": lambda path: read_settings(path, ()),
    "classes": load_class_table,
    "registration": load_registration,
    "recipe": load_recipe,
    "study": load_study,
}
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
HOSTILE = {
    "nested": "a: " + "[" * 5000,
    "nested and closed": "a: " + "[" * 60 + "]" * 60,
    "mappings in mappings": "".join(" " * n + f"a{n}:\n" for n in range(400)),
    "aliases": LAUGHS,
    "merged aliases": LAUGHS + "b: {<<: [{c: *a9}, {d: *a9}]}\n",
    "holds itself": "a: &a [*a, *a, *a]\n",
    "no such month": "a: !!timestamp 2026-13-45\n",
    "no timestamp": "a: !!timestamp later\n",
    "no number": "a: !!int one\n",
    "no float": "a: !!float one\n",
    "a number of 5000 digits": f"a: {'9' * 5000}\n",
    "a number of 40 digits": f"a: [{{b: {'9' * 40}}}]\n",
    "code": "a: !!python/object/apply:os.system [true]\n",
    "two documents": "a: 1\n---\na: 2\n",
    "no text": "a: \udcff\n",
    "tabs": "a:\n\t- 1\n",
    "large": "a: " + "x" * MOST_BYTES,
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_is_refused_in_one_line(tmp_path: Path, reader: str, text: str) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="hostile.yaml") as refusal:
        READERS[reader](path)
    assert len(str(refusal.value)) < 500
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("text", ["9" * 40, "[" * 5000, "&a [*a]"])
def test_values_on_the_command_line_too(text: str) -> None:
    with pytest.raises(ValueError, match="^got the value"):
        ros_value(text)


def test_a_registration_of_huge_images_reserves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "registration.yaml"
    path.write_text(
        "homography: [[1, 0, 0], [0, 1, 0], [0, 0, 1]]\n"
        "thermal_size: {width: 2000000, height: 1000000}\n"
        "rgb_size: {width: 2000000, height: 1000000}\n"
    )
    with pytest.raises(ValueError, match="at most 64 million pixels, got 2000000x1000000"):
        load_registration(path)
