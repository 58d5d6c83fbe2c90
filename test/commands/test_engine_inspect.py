"""mafs engine inspect: what is in a compiled engine, on this CPU."""

from __future__ import annotations

import re

import pytest

from mafs_ros.base.resources import default_weights
from mafs_ros.cli import main
from mafs_ros.commands.engine_inspect import as_text
from mafs_ros.engine.cache_folder import default_cache_dir
from mafs_ros.engine.checks import read_checks
from mafs_ros.engine.inspection import Inspection, Layer, grouped

INSPECT = ("engine", "inspect", "--size", "640x480", "--cache-dir")


@pytest.mark.usefixtures("engine_log")
def test_openvino_tells_its_layers_precision_memory_and_times(capsys, monkeypatch):
    """The shipped int8 model, which needs no conversion where the processor has int8."""
    monkeypatch.setattr("mafs_ros.engine.openvino.inspect.CALLS", 2)
    place = str(default_cache_dir())
    assert main([*INSPECT, place, "--backend", "openvino", "--layers", "3"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("OpenVINO ")
    precision = re.search(r"^precision +(\w+)$", text, re.M)[1]
    layers = int(re.search(r"^layers +(\d+)$", text, re.M)[1])
    counted, frame = (
        float(re.search(rf"^{name} +([\d.]+) ms", text, re.M)[1]) for name in ("counted", "frame")
    )
    assert layers > 100 and counted > 0 and frame > 0
    memory = re.findall(r"^memory +([\d.]+) MB: (.*)$", text, re.M)
    assert [what for _, what in memory] == ["weights", "process, by compiling and running"]
    by_precision, by_kind, slowest = (part.splitlines() for part in text.split("\n\n")[1:])
    assert any(row.endswith("layers  precision") for row in by_precision[:1])
    if precision == "int8":
        model = read_checks(default_weights())[480, 640].int8_model
        constants_mb = model.with_suffix(".bin").stat().st_size / 1e6
        assert float(memory[0][0]) == pytest.approx(constants_mb, rel=0.1)
        assert {"u8", "i8"} <= {row.split()[-1] for row in by_precision[1:]}
    assert any("Convolution" in row for row in by_kind)
    assert len(slowest) == 1 + 3 and f"layer (3 of {layers})" in slowest[0]
    for rows in (by_precision, by_kind):
        assert sum(int(re.split(r"\s{2,}", row)[2]) for row in rows[1:]) == layers
        shares = [float(row.split("%")[0].split()[-1]) for row in rows[1:]]
        assert sum(shares) == pytest.approx(100, abs=0.1 * len(shares))
        assert shares == sorted(shares, reverse=True)


@pytest.mark.usefixtures("engine_log")
def test_torch_has_nothing_compiled(tmp_path, capsys):
    assert main([*INSPECT, str(tmp_path), "--backend", "torch"]) == 1
    assert "backend 'torch' runs the network as it is" in capsys.readouterr().err


@pytest.mark.parametrize("number", ["0", "-1", "many", "1.5"])
def test_layers_are_a_number(number, capsys):
    with pytest.raises(SystemExit) as end:
        main([*INSPECT, "x", f"--layers={number}"])
    assert end.value.code == 2 and "expected a number from 1 on" in capsys.readouterr().err


def test_layers_without_times_are_told_by_their_number():
    layers = [Layer("a", "x", "fp16", None), Layer("b", "y", "", None), Layer("c", "y", "", None)]
    assert [group.name for group in grouped(layers, lambda layer: layer.kind)] == ["y", "x"]
    text = as_text(Inspection("fp16", layers, {"engine": 2 * 10**6}, None, "names alone"), 2)
    assert "memory     2.0 MB: engine" in text and "remark     names alone" in text
    assert "frame" not in text and "counted" not in text and "not told" in text
