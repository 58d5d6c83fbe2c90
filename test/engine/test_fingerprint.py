"""What leaves the engines of other code in use, and what does not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mafs_ros.base.resources import default_weights
from mafs_ros.engine.fingerprint import CONVERSION, code_hash

PACKAGE = Path(__file__).resolve().parents[2] / "mafs_ros"
SIZE = (480, 640)
ASK = (
    "import logging; logging.basicConfig(level='WARNING')\n"
    "from mafs_ros.engine import create_engine\n"
    "from mafs_ros.base.resources import default_weights\n"
    "engine = create_engine('openvino', default_weights(), precision='int8')\n"
    f"print(engine.precision_at({SIZE})[0])\n"
)


@pytest.fixture
def copy(tmp_path) -> Path:
    """The package in another folder, with what it ships beside it."""
    for name in ("mafs_ros", "config"):
        shutil.copytree(
            PACKAGE.parent / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy2(PACKAGE.parent / "package.xml", tmp_path)
    return tmp_path / "mafs_ros"


def comment(package: Path) -> None:
    """Add a comment, a docstring's line and an import to every file of model/ and engine/."""
    for file in [*(package / "model").rglob("*.py"), *(package / "engine").rglob("*.py")]:
        text = file.read_text(encoding="utf-8")
        file.write_text(
            text.replace('"""', '"""More words. ', 1) + "\n\n# A comment.\nimport sys\n"
        )


def change_a_layer(package: Path) -> None:
    file = package / "model" / "phf.py"
    text = file.read_text(encoding="utf-8")
    assert "return " in text
    file.write_text(text.replace("return ", "return 1.0 * ", 1))


def precision_of(package: Path) -> tuple[str, str]:
    """The precision that a copy's shipped model gets, and what the log said."""
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=package.parent,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip(), done.stderr


def test_the_shipped_int8_engine_survives_comments(copy):
    comment(copy)
    assert precision_of(copy)[0] == "int8"


def test_a_changed_layer_ends_the_shipped_int8_engine(copy):
    change_a_layer(copy)
    precision, log = precision_of(copy)
    assert precision != "int8"
    assert "the code of the network has changed since" in log


def test_comments_change_no_hash_and_layers_change_all(copy):
    before = {backend: code_hash(backend) for backend in CONVERSION}
    assert {backend: code_hash(backend, copy) for backend in CONVERSION} == before
    comment(copy)
    assert fresh_hashes(copy) == before
    change_a_layer(copy)
    after = fresh_hashes(copy)
    assert all(after[backend] != before[backend] for backend in CONVERSION)


def test_a_backend_is_not_touched_by_the_code_of_another(copy):
    with (copy / "engine" / "openvino" / "gates.py").open("a") as file:
        file.write("\nMORE = 1\n")
    after = fresh_hashes(copy)
    changed = {backend for backend in CONVERSION if after[backend] != code_hash(backend)}
    assert changed == {"openvino"}


def test_the_shipped_check_was_made_with_this_code():
    check = default_weights().with_suffix(f".{SIZE[1]}x{SIZE[0]}.json")
    assert json.loads(check.read_text())["code_sha256"] == code_hash("openvino")


def fresh_hashes(package: Path) -> dict[str, str]:
    """Backend -> its hash as a new process computes it, which has read no file yet."""
    program = (
        "import json, sys; from pathlib import Path\n"
        "from mafs_ros.engine.fingerprint import CONVERSION, code_hash\n"
        "print(json.dumps({name: code_hash(name, Path(sys.argv[1])) for name in CONVERSION}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, package],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)
