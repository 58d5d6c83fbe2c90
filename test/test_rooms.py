"""The rooms of the code: short files, short functions, imports from below alone."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LONGEST_FILE, LONGEST_FUNCTION = 350, 60
PYTHON_FILES = sorted(
    path for room in ("mafs_ros", "training", "test") for path in (ROOT / room).rglob("*.py")
)


@pytest.mark.parametrize("path", PYTHON_FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_short(path):
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_FILE
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    assert [f.name for f in functions if f.end_lineno - f.lineno >= LONGEST_FUNCTION] == []


def test_every_room_says_what_it_is():
    rooms = [path for path in PYTHON_FILES if path.name == "__init__.py"]
    assert [room for room in rooms if not ast.get_docstring(ast.parse(room.read_text()))] == []
    assert (
        len([path for path in (ROOT / "mafs_ros").iterdir() if (path / "__init__.py").exists()])
        <= 14
    )


WRONG_IMPORTS = {  # file -> what is put into it, and the contract that it breaks
    "mafs_ros/base/errors.py": ("import mafs_ros.engine", "Rooms of the package"),
    "mafs_ros/bags/topics.py": ("import rclpy", "ROS stays in the rooms"),
    "mafs_ros/evaluation/significance.py": ("import torch", "torch stays in"),
    "mafs_ros/demo/summary.py": ("import training.recipes", "does not know the trainer"),
    "mafs_ros/node/state.py": ("import mafs_ros.node.worker", "No circle of modules"),
}


def test_imports_against_the_contracts_are_found(tmp_path):
    """All in one copy, because each look takes seconds."""
    for name in ("mafs_ros", "training"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)
    for file, (line, _) in WRONG_IMPORTS.items():
        with (tmp_path / file).open("a") as broken:
            broken.write(f"\n{line}\n")
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache", "--no-logo"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 1
    words = " ".join(done.stdout.split())
    for _, contract in WRONG_IMPORTS.values():
        assert re.search(rf"{contract}[^:]*? BROKEN", words), words
