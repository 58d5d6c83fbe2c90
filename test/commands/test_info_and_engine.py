"""mafs info, engine and export."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_output import one_line

import mafs_ros
from mafs_ros.cli import main
from mafs_ros.engine import cache, cache_folder

ROOT = Path(__file__).resolve().parents[2]
BUILD = ("engine", "build", "--size", "64x32")


def test_info_names_versions_engines_and_provenance(capsys):
    assert main(["info"]) == 0
    text = capsys.readouterr().out
    assert f"version  {mafs_ros.__version__}" in text
    for expected in (
        "numpy",
        "openvino",
        "torch",
        "rclpy",
        "mafs_lite_street.safetensors",
        "mafs-lite",
        "1 car, 2 person, 3 bike",
    ):
        assert expected in text


def test_info_prints_the_rest_where_the_weights_are_bad(tmp_path, capsys):
    bad = tmp_path / "bad.safetensors"
    bad.write_bytes(b"not a model")
    assert main(["info", "--weights", str(bad)]) == 1
    said = capsys.readouterr()
    assert "engines" in said.out
    assert "bad.safetensors" in one_line(said.err)


def test_info_into_a_closed_pipe_is_silent():
    process = subprocess.Popen(
        [sys.executable, "-m", "mafs_ros.cli", "info"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.wait(timeout=60)
    assert said == ""
    assert process.returncode == 1


def test_engines_are_listed_and_cleared(tmp_path, capsys):
    assert main(["engine", "list", "--cache-dir", str(tmp_path / "none")]) == 0
    assert capsys.readouterr().out == f"0 engines in {tmp_path / 'none'}\n"
    facts = {"backend": "tensorrt", "precision": "fp16", "size": "640x480", "gpu": "Orin"}
    for size in ("640x480", "320x240"):
        cache.fetch(
            tmp_path,
            {**facts, "size": size},
            lambda folder: (folder / "engine.plan").write_bytes(bytes(10**6)) and None,
            str,
        )
    assert main(["engine", "list", "--cache-dir", str(tmp_path)]) == 0
    listed = capsys.readouterr().out
    assert "gpu Orin" in listed and "1.0 MB" in listed and "2 engines" in listed
    (name,) = [line.split(":")[0] for line in listed.splitlines() if "320x240-" in line]
    assert main(["engine", "clear", "--cache-dir", str(tmp_path), "../x"]) == 1
    assert "holds no engine '../x'" in capsys.readouterr().err
    assert main(["engine", "clear", "--cache-dir", str(tmp_path), name]) == 0
    assert len(cache.entries(tmp_path)) == 1
    compiled = cache_folder.compiled_folder(tmp_path)
    assert compiled is not None and compiled.is_dir()
    assert main(["engine", "clear", "--cache-dir", str(tmp_path)]) == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("engine_log")
def test_an_engine_that_could_not_be_kept_is_not_built(capsys):
    assert main([*BUILD, "--backend", "openvino", "--cache-dir", "/proc/engines"]) == 1
    assert "mafs engine: nothing is built" in capsys.readouterr().err


@pytest.mark.usefixtures("engine_log")
def test_building_for_a_backend_that_is_not_there_is_one_line(tmp_path, capsys):
    assert main([*BUILD, "--backend", "tensorrt", "--cache-dir", str(tmp_path)]) == 1
    assert "backend 'tensorrt' is not available" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["640", "640x", "0x480", "640x480x3", "-1x4"])
def test_an_image_size_is_width_and_height(size, capsys):
    with pytest.raises(SystemExit) as end:
        main(["engine", "build", f"--size={size}"])
    assert end.value.code == 2
    assert "expected WIDTHxHEIGHT such as 640x480" in capsys.readouterr().err


def test_export_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["export", "--size", "64x32", str(tmp_path / "x.onnx")]) == 1
    assert "pip install onnx onnxscript" in capsys.readouterr().err
    assert main(["export", "--size", "64x32", str(tmp_path / "no" / "x.onnx")]) == 1
    assert "there is no such folder" in capsys.readouterr().err
