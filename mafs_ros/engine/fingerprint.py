"""Hashes that tell whether what was made of a model file still belongs to it.

What a backend compiles is decided by the code of the network, of the deployed graph and of that
backend's conversion. Their syntax trees are hashed, without docstrings and imports: a comment, a
line break or a module that moved leaves engines and checks in use, a changed layer does not.
"""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[1]
# Every backend compiles these files of engine/, and all of model/.
GRAPH = ("graph.py", "half.py")
CONVERSION = {
    "torch": (),
    "openvino": (
        "openvino/convert.py",
        "openvino/depthwise.py",
        "openvino/gates.py",
        "openvino/planes.py",
    ),
    "tensorrt": (
        "onnx/export.py",
        "onnx/int8.py",
        "openvino/ranges.py",
        "tensorrt/build.py",
        "tensorrt/onnx_build.py",
        "tensorrt/self_check.py",
        "tensorrt/torch_build.py",
    ),
}
# Read and write model files, whose contents have a hash of their own; decide no graph.
FILES_ALONE = {"weights.py", "official.py"}
# Say nothing of what the code does, or are not in the trees of every Python.
NO_MATTER = {"type_comment", "type_ignores", "type_params", "kind"}


def code_hash(backend: str, package: Path = PACKAGE) -> str:
    """SHA-256 of the code that decides the graph of a backend: other code, other engines.

    backend: a key of `CONVERSION`. package: the folder mafs_ros.
    """
    engine = [package / "engine" / name for name in (*GRAPH, *CONVERSION[backend])]
    model = (file for file in (package / "model").glob("*.py") if file.name not in FILES_ALONE)
    files = [*engine, *model]
    statements = sorted(text for file in files for text in _statements(file))
    return hashlib.sha256("\n".join(statements).encode()).hexdigest()


def file_hash(*files: Path) -> str:
    """SHA-256 of the contents of files, one after the other; raises OSError."""
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


@cache
def _statements(file: Path) -> list[str]:
    """What a file defines; without the file's name, so that code may move to another."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return [_text(line) for line in tree.body if not _without_effect(line)]


def _text(node: object) -> str:
    """A syntax tree as text; the same in all versions of Python, which ast.dump's is not."""
    if isinstance(node, list):
        return "[" + ",".join(_text(item) for item in node) + "]"
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = {name: value for name, value in ast.iter_fields(node) if name not in NO_MATTER}
    if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
        fields["body"] = [line for line in node.body if not _without_effect(line)]
    given = (f"{name}={_text(value)}" for name, value in fields.items() if value not in (None, []))
    return f"{type(node).__name__}({','.join(given)})"


def _without_effect(line: ast.stmt) -> bool:
    """Whether a statement is a docstring, or an import."""
    text = isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
    return text or isinstance(line, (ast.Import, ast.ImportFrom))
