"""`python -m training.confidence`: the temperature, and the error that is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from layouts import make_layout

from mafs_ros.base.resources import default_weights
from mafs_ros.engine.checks import FORMAT, check_file, read_checks
from mafs_ros.engine.fingerprint import code_hash, file_hash
from mafs_ros.model.weights import load_weights, read_info
from training.confidence import best_temperature, main


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_is_found(temperature: float) -> None:
    """Of classes drawn with the probabilities that the logits give at that temperature."""
    generator = torch.Generator().manual_seed(0)
    logits = 4 * torch.randn(40000, 4, generator=generator)
    chances = (logits / temperature).softmax(1)
    classes = chances.multinomial(1, generator=generator)[:, 0]
    assert best_temperature(logits, classes) == pytest.approx(temperature, rel=0.05)


def test_it_is_written_and_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    street = make_layout("street_rgbt", tmp_path / "street", size=(48, 80))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(default_weights().read_bytes())
    before, info = load_weights(weights)
    facts = {
        "format": FORMAT,
        "weights_sha256": file_hash(weights),
        "code_sha256": code_hash("openvino"),
        "size": [48, 64],
        "precisions": {},
    }
    check_file(weights, (48, 64)).write_text(json.dumps(facts))
    options = ["--weights", str(weights), "--data", f"street_rgbt={street}", "--backend", "torch"]
    assert main([*options, "--fit", "val"]) == 0
    out = capsys.readouterr().out
    found = read_info(weights)
    assert f"temperature {found.temperature:.4f} by street_rgbt val, 2 pairs" in out
    assert found.confidence["data"] == "street_rgbt val, 2 pairs"
    assert found.scores == info.scores and found.training == info.training
    after, _ = load_weights(weights)
    for name, tensor in before.state_dict().items():
        assert torch.equal(tensor, after.state_dict()[name]), name
    assert list(read_checks(weights)) == [(48, 64)]
    assert f"temperature {found.temperature:g}" in out and "| all | " in out
    assert main(options) == 0  # measured again: the same table, and nothing written
    assert capsys.readouterr().out.splitlines()[-4:] == out.splitlines()[-4:]
    assert read_info(weights) == found


def test_what_cannot_be_measured_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = make_layout("fusion_pairs", tmp_path / "pack")
    weights = str(default_weights())
    assert main(["--weights", weights]) == 1
    assert "got 0 data sets, expected one" in capsys.readouterr().err
    data = ["--data", f"fusion_pairs={pack}", "--split", "tno"]
    assert main(["--weights", weights, *data]) == 1
    assert "fusion_pairs tno with --labels network has no labels" in capsys.readouterr().err
