"""`mafs complexity` against the paper's table XIII."""

from __future__ import annotations

import pytest

from mafs_ros.cli import main
from mafs_ros.commands.complexity import count
from mafs_ros.model import build_model


def at_640x480(**tasks: bool) -> dict[str, float]:
    """GMAC per module: linear in the pixels, so two sizes tell. 640x480 itself takes 8 GB."""
    network = build_model("mafs", 9, **tasks)
    small, large = (
        {row.module: row.gmac for row in count(network, size)} for size in ((96, 128), (192, 256))
    )
    return {name: small[name] + (large[name] - small[name]) * (25 - 1) / (4 - 1) for name in small}


def test_counts_agree_with_the_paper() -> None:
    rows = at_640x480()
    assert rows["total"] == pytest.approx(324.22, abs=0.1)  # MAFS
    deployed = rows["total"] - rows["segmentation_decoder.auxiliary"]
    assert deployed == pytest.approx(313.2, abs=0.1)  # what a robot runs


def test_segmentation_alone_agrees_with_the_paper() -> None:
    assert at_640x480(fusion=False)["total"] == pytest.approx(221.08, abs=0.1)  # MAFS-S


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
