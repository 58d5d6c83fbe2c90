"""A machine with a GPU and torch-tensorrt, as the programs see it that a test starts.

`write_site(folder)` makes a folder for PYTHONPATH, by which processes begin with the GPU and the
TensorRT of `gpu_stub` and `tensorrt_stub`; what torch-tensorrt builds computes what the shipped
weights do.
"""

from __future__ import annotations

import atexit
import importlib.machinery
import importlib.metadata
import json
import sys
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType
from typing import Any

# The programs that need a GPU; what else a test starts begins faster without torch.
PROGRAMS = ("gpu_report_steps", "build_process")
SITE = f"""
import sys
if any(name in word for word in sys.orig_argv for name in {PROGRAMS}):
    sys.path += {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}
    import gpu_stand_in
    gpu_stand_in.install()
"""
VERSION = "2.8.0"  # of torch-tensorrt


def write_site(folder: Path) -> Path:
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITE)
    return folder


def install() -> None:
    import tensorrt_stub
    import torch

    from mafs_ros.engine import choose

    stub = ExitStack()
    stub.enter_context(tensorrt_stub.installed())
    atexit.register(stub.close)
    tensorrt_stub.Engine.compute = once(tensorrt_stub.Engine.compute)
    choose.has_nvidia = lambda: True
    torch.export.export = lambda graph, images: None
    bridge = ModuleType("torch_tensorrt")
    dynamo = ModuleType("torch_tensorrt.dynamo")
    conversion = ModuleType("torch_tensorrt.dynamo.conversion")
    bridge.__version__, bridge.dynamo, dynamo.conversion = VERSION, dynamo, conversion
    dynamo.convert_exported_program_to_serialized_trt_engine = build
    conversion.dynamo_tensorrt_converter = lambda *_, **__: lambda function: function
    for module in (bridge, dynamo, conversion):
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
        sys.modules[module.__name__] = module
    sys.modules["tensorrt"].__spec__ = importlib.machinery.ModuleSpec("tensorrt", None)
    version = importlib.metadata.version
    importlib.metadata.version = lambda name: (
        VERSION if name == "torch_tensorrt" else version(name)
    )


def build(program: Any, *, arg_inputs: Any, **settings: Any) -> bytes:
    from mafs_ros.base.resources import default_weights

    told = {"shape": list(arg_inputs[1].shape), "weights": str(default_weights())}
    return json.dumps({**told, "rest": "x" * 1000}).encode()


def once(compute: Any) -> Any:
    """Computes what an engine makes of two images once, since the same ones come again."""

    def kept(engine: Any, *images: Any) -> Any:
        results = engine.__dict__.setdefault("results", {})
        key = b"".join(image.numpy().tobytes() for image in images)
        if key not in results:
            results[key] = compute(engine, *images)
        return results[key]

    return kept
