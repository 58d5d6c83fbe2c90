"""`mafs replay --compare`: two engines or weights on the same frames."""

from __future__ import annotations

import torch
from replay_bag import replay, rows, write_bag
from untrained import save_untrained

from mafs_ros.base.resources import default_weights
from mafs_ros.model import build_model
from mafs_ros.model.weights import ModelInfo, save_weights
from mafs_ros.perception.classes import ClassTable, LabelClass


def test_comparing_an_engine_with_itself_finds_nothing(tmp_path, frames):
    bag = write_bag(tmp_path / "bag", frames)
    code, report = replay(
        bag, tmp_path / "out", "--labels", "/labels/image", "--compare", default_weights()
    )
    compare = report["compare"]
    assert code == 0
    assert compare["agreement_percent"]["min"] == 100.0
    assert compare["fused_difference"]["max"] == 0.0
    for one in compare["differences"].values():
        assert one["difference"] in (0.0, None)
        assert not one["larger_than_chance"]
    assert compare["second"]["segmentation"] == report["segmentation"]
    assert rows(tmp_path / "out")[2]["b_VIF"] == rows(tmp_path / "out")[2]["VIF"]


def test_other_weights_differ_by_more_than_chance(tmp_path, frames):
    """A network that has learnt nothing, beside the shipped one."""
    save_untrained(tmp_path / "new.safetensors")
    bag = write_bag(tmp_path / "bag", frames)
    code, report = replay(bag, tmp_path / "out", "--compare", tmp_path / "new.safetensors")
    assert code == 0
    vif = report["compare"]["differences"]["VIF"]
    assert vif["larger_than_chance"]
    assert vif["low"] <= vif["difference"] <= vif["high"] < 0
    assert report["compare"]["fused_difference"]["min"] > 0
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<td>VIF</td>" in page and "<td><b>larger than chance</b></td>" in page


def test_class_tables_that_differ_are_not_compared(tmp_path, frames):
    torch.manual_seed(0)
    table = ClassTable(
        "other", (LabelClass(0, "background", (0, 0, 0)), LabelClass(1, "person", (1, 1, 1)))
    )
    save_weights(
        tmp_path / "new.safetensors",
        build_model("mafs-lite", num_classes=2, auxiliary=False),
        ModelInfo("mafs-lite", {}, table.to_dict()),
    )
    bag = write_bag(tmp_path / "bag", frames[:2])
    code, report = replay(
        bag,
        tmp_path / "out",
        "--labels",
        "/labels/image",
        "--label-classes",
        "street",
        "--compare",
        tmp_path / "new.safetensors",
    )
    assert (code, report["status"]) == (1, "partial")
    assert "the class tables of the two differ" in report["problems"][0]
    assert "miou_with_background" not in report["compare"]["differences"]
    assert report["compare"]["second"]["segmentation"]["frames"] == 2
