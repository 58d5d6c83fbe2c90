"""`mafs complexity` against the paper's table XIII."""

from __future__ import annotations

import pytest

from mafs_ros.cli import main
from mafs_ros.complexity import count
from mafs_ros.model import build_model


def test_counts_agree_with_the_paper() -> None:
    rows = {row.module: row.gmac for row in count(build_model("mafs", 9), (480, 640))}
    assert rows["total"] == pytest.approx(324.22, abs=0.1)  # MAFS
    deployed = rows["total"] - rows["segmentation_decoder.auxiliary"]
    assert deployed == pytest.approx(313.2, abs=0.1)  # what a robot runs


def test_segmentation_alone_agrees_with_the_paper() -> None:
    total = count(build_model("mafs", 9, fusion=False), (480, 640))[-1]
    assert total.gmac == pytest.approx(221.08, abs=0.1)  # MAFS-S


def test_rows_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["complexity", "--preset", "mafs-lite", "--size", "64x96", "--classes", "4"]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "mafs-lite, 4 classes, 64x96"
    parameters = {line.split()[0]: float(line.split()[3]) for line in lines[1:]}
    total = parameters.pop("total")
    assert sum(parameters.values()) == pytest.approx(total, abs=0.02)


def test_wrong_size_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as error:
        main(["complexity", "--size", "480"])
    assert error.value.code == 2
    assert "expected WIDTHxHEIGHT such as 640x480, got '480'" in capsys.readouterr().err
