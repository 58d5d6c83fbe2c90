"""Which backend loads a model file, and what it costs to find out."""

from __future__ import annotations

import subprocess
import sys

import pytest

from mafs_ros.base.resources import default_weights
from mafs_ros.engine import PRECISIONS, BackendError, available_backends, create_engine
from mafs_ros.engine.cache_folder import default_cache_dir


@pytest.mark.parametrize("backend", PRECISIONS)
def test_a_precision_that_a_backend_lacks_lists_those_it_has(backend: str) -> None:
    expected = f"'fp8': choose one of auto, {', '.join(PRECISIONS[backend])}"
    with pytest.raises(BackendError, match=expected):
        create_engine(backend, default_weights(), precision="fp8")


def test_backends_are_listed_and_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(available_backends()) == {"openvino", "tensorrt", "torch"}
    assert create_engine("auto", default_weights()).name == "openvino"
    with pytest.raises(BackendError, match="choose one of auto, openvino, tensorrt, torch"):
        create_engine("tensorflow", default_weights())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BackendError, match="'openvino' is not installed"):
        create_engine("openvino", default_weights())
    with pytest.raises(BackendError, match="no backend is installed"):
        create_engine("auto", default_weights())


def test_a_cpu_with_a_kept_engine_starts_without_torch() -> None:
    """Importing it would take two seconds and 150 MB of every start."""
    kept = default_cache_dir()
    create_engine("openvino", default_weights(), precision="fp32", cache_dir=kept).prepare(97, 131)
    program = (
        "import sys; from mafs_ros.engine import create_engine;"
        "from mafs_ros.engine.cache_folder import default_cache_dir;"
        "from mafs_ros.base.resources import default_weights;"
        "engine = create_engine('auto', default_weights(), precision='fp32',"
        "                       cache_dir=default_cache_dir());"
        "engine.prepare(97, 131); print(engine.name, 'torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout == "openvino False\n", run.stderr
