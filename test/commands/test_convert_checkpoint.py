"""`mafs convert-checkpoint` on a file as the authors publish it."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_recipe import golden_tensor

from mafs_ros.cli import main
from mafs_ros.model.weights import read_info

KEYS = Path(__file__).parents[1] / "golden" / "official_keys.json"


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    entries = json.loads(KEYS.read_text())["entries"]
    state = {
        key: torch.from_numpy(np.asarray(golden_tensor(key, shape, dtype)))
        for key, (shape, dtype, *_) in entries.items()
    }
    path = tmp_path_factory.mktemp("official") / "official.pth"
    torch.save({"MTAN": state}, path)
    return path


def test_converts_and_describes(official: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "fmb.safetensors"
    assert main(["convert-checkpoint", str(official), str(out), "--classes", "fmb"]) == 0
    assert "15 classes" in capsys.readouterr().out
    info = read_info(out)
    assert (info.preset, info.config, info.num_classes) == (
        "mafs",
        {"released_dem_gate": True},
        15,
    )
    # Auxiliary heads are left out: 126.64 M parameters of four bytes.
    assert out.stat().st_size == pytest.approx(4 * 126.64e6, rel=0.01)


def test_another_class_count_is_refused(official: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out.safetensors"
    assert main(["convert-checkpoint", str(official), str(out), "--classes", "mfnet"]) == 1
    assert "has 15 classes, the table 'mfnet' has 9" in capsys.readouterr().err
    assert not out.exists()


class Malicious:
    """Unpickling this would write a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_malicious_pickle_does_not_run(legacy: bool, tmp_path: Path, capsys) -> None:
    path, proof = tmp_path / "evil.pth", tmp_path / "proof"
    if legacy:
        path.write_bytes(pickle.dumps({"MTAN": Malicious(proof)}))
    else:
        torch.save({"MTAN": Malicious(proof)}, path)
    out = tmp_path / "out.safetensors"
    assert main(["convert-checkpoint", str(path), str(out), "--classes", "mfnet"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "no torch file of plain tensors" in error
    assert not proof.exists() and not out.exists()


@pytest.mark.parametrize("content", [b"", b"not a checkpoint"])
def test_files_that_are_no_checkpoint(content: bytes, tmp_path: Path, capsys) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(content)
    assert main(["convert-checkpoint", str(path), str(tmp_path / "o"), "--classes", "fmb"]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and re.search("broken.pth: .*no torch file", error)


def test_a_missing_file_is_one_line(tmp_path: Path, capsys) -> None:
    arguments = [str(tmp_path / "none.pth"), str(tmp_path / "o"), "--classes", "fmb"]
    assert main(["convert-checkpoint", *arguments]) == 1
    assert "none.pth" in capsys.readouterr().err
