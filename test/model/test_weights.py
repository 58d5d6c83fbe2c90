"""Model files: what is written is what is read, and what does not fit is said."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mafs_ros.base.resources import default_weights
from mafs_ros.model import Mafs, build_model
from mafs_ros.model.weights import ModelInfo, WeightsError, load_weights, read_info, save_weights
from mafs_ros.perception.classes import load_class_table
from mafs_ros.perception.thermal import ThermalScaler
from mafs_ros.simulation import StreetSimulation

INFO = ModelInfo("mafs-lite", {}, load_class_table("street").to_dict(), {"steps": 3}, {}, "none")


@pytest.fixture(scope="module")
def network() -> Mafs:
    torch.manual_seed(0)
    return build_model("mafs-lite", 4).eval()


@pytest.fixture
def file(tmp_path: Path, network: Mafs) -> Path:
    save_weights(tmp_path / "model.safetensors", network, INFO)
    return tmp_path / "model.safetensors"


def test_round_trip(file: Path, network: Mafs) -> None:
    loaded, info = load_weights(file)
    assert info == INFO
    assert info.num_classes == 4
    images = torch.rand(1, 3, 32, 64), torch.rand(1, 1, 32, 64)
    with torch.no_grad():
        theirs, ours = network(*images), loaded(*images)
    assert torch.equal(theirs.logits, ours.logits)
    assert torch.equal(theirs.fused, ours.fused)
    assert ours.aux == ()


def test_files_of_format_1_are_what_they_were(tmp_path: Path) -> None:
    """0.1.0's light network had no blend, which its files do not say."""
    torch.manual_seed(0)
    old = build_model("mafs-lite", 4, blend=False, linear_output=True).eval()
    path = tmp_path / "old.safetensors"
    save_weights(path, old, INFO)
    tensors = load_file(path)
    save_file(tensors, path, {"format": "1", "mafs": json.dumps(asdict(INFO))})
    loaded, info = load_weights(path)
    assert info.config == {"blend": False, "linear_output": True}
    images = torch.rand(1, 3, 32, 64), torch.rand(1, 1, 32, 64)
    with torch.no_grad():
        assert torch.equal(old(*images).fused, loaded(*images).fused)


def test_nothing_is_left_beside_the_file(file: Path) -> None:
    assert [path.name for path in file.parent.iterdir()] == ["model.safetensors"]


def test_the_description_needs_no_torch(file: Path) -> None:
    program = (
        "import sys; from mafs_ros.model.weights import read_info; "
        "info = read_info(sys.argv[1]); print(info.preset, 'torch' in sys.modules)"
    )
    command = [sys.executable, "-c", program, str(file)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["mafs-lite", "False"]


def test_shipped_weights_state_their_origin() -> None:
    info = read_info(default_weights())
    assert default_weights().stat().st_size <= 25e6
    assert [c["name"] for c in info.class_table["classes"]] == [
        "background",
        "car",
        "person",
        "bike",
    ]
    assert "pseudo-labels" in info.training["about"]
    assert "not a safety-rated" in info.licence


def broken(tmp_path: Path, kind: str, file: Path) -> Path:
    path = tmp_path / "broken.safetensors"
    content = file.read_bytes()
    if kind == "text":
        path.write_text("this is no model file")
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "plain":
        save_file({"x": torch.zeros(1)}, path)
    elif kind == "format":
        save_file({"x": torch.zeros(1)}, path, {"format": "99", "mafs": "{}"})
    elif kind == "incomplete":
        save_file({"x": torch.zeros(1)}, path, {"format": "1", "mafs": '{"preset": "mafs"}'})
    elif kind == "preset":
        described = {"preset": "mafs-huge", "config": {}, "class_table": INFO.class_table}
        save_file({"x": torch.zeros(1)}, path, {"format": "1", "mafs": json.dumps(described)})
    elif kind == "entries":
        described = {"preset": "mafs-lite", "config": {}, "class_table": INFO.class_table}
        save_file({"x": torch.zeros(1)}, path, {"format": "1", "mafs": json.dumps(described)})
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", "cannot read model file .*No such file"),
        ("text", "not a safetensors file"),
        ("empty", "not a safetensors file"),
        ("truncated", "damaged or truncated"),
        ("plain", "no mafs description"),
        ("format", "format 99, this version reads 1 and 2"),
        ("incomplete", "description is incomplete"),
        ("preset", "unknown preset 'mafs-huge'"),
        ("entries", r"entries do not fit its network: missing: .*; and \d+ more"),
    ],
)
def test_unusable_files_say_why(kind: str, message: str, tmp_path: Path, file: Path) -> None:
    with pytest.raises(WeightsError, match=message) as error:
        load_weights(broken(tmp_path, kind, file))
    assert "\n" not in str(error.value)


def test_the_fused_image_uses_the_deep_features() -> None:
    """PHF conditions shallow features on deep ones: without those the picture is another.

    By how much is printed; the README says what it means for the shipped weights.
    """
    network, _ = load_weights(default_weights())
    frame = StreetSimulation(seed=5, height=240, width=320).frame(1.0)
    rgb = torch.from_numpy(frame.rgb).permute(2, 0, 1)[None] / 255
    scaled = ThermalScaler("percentile")(frame.thermal, 0.0)
    thermal = torch.from_numpy(scaled)[None, None] / 255

    def without_deep(module: torch.nn.Module, inputs: tuple) -> tuple:
        return inputs[0], torch.zeros_like(inputs[1])

    with torch.no_grad():
        fused = network(rgb, thermal).fused
        network.encoder.stem_progressive.register_forward_pre_hook(without_deep)
        changed = network(rgb, thermal).fused
    assert fused is not None and changed is not None
    difference = 255 * (fused - changed).abs()
    print(f"mean {difference.mean():.4f}, largest {difference.max():.3f} grey levels")
    assert difference.mean() > 1e-4
