"""`mafs quantize`, the stored checks, and what the engine makes of them."""

from __future__ import annotations

import itertools
import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import openvino
import pytest
from untrained import FEW, save_untrained

from mafs_ros.cli import main
from mafs_ros.commands.quantize import command
from mafs_ros.engine import create_engine
from mafs_ros.engine.checks import check_file, int8_file, read_checks
from mafs_ros.engine.openvino import convert, int8
from mafs_ros.engine.openvino.counters import OperationTime, operation_times
from mafs_ros.engine.openvino.precision import compile_options, native_precisions
from mafs_ros.evaluation.sampled_pairs import read_pairs, spread
from mafs_ros.simulation import StreetSimulation

SIZE = (64, 96)
SLOW = "segmentation_decoder.head"  # said to be no faster in int8
SLOW_PARTS = int8.slow_parts


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four simulated pairs with the simulation's labels."""
    folder = tmp_path_factory.mktemp("drive")
    street = StreetSimulation(seed=3, height=SIZE[0], width=SIZE[1])
    for kind in ("rgb", "thermal", "labels"):
        (folder / kind).mkdir()
    for number in range(4):
        frame = street.frame(float(number))
        cv2.imwrite(str(folder / f"rgb/{number}.png"), frame.rgb[:, :, ::-1])
        cv2.imwrite(str(folder / f"thermal/{number}.png"), frame.thermal)
        cv2.imwrite(str(folder / f"labels/{number}.png"), frame.labels)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "tiny[1].safetensors"  # a name with a glob in it
    return save_untrained(path, **FEW)  # all operations would take NNCF a minute


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """Conversion and quantization are real, but of the same network only once."""
    kept: dict[tuple[object, ...], openvino.Model] = {}

    def once(make: Callable[..., openvino.Model], name: Callable[..., tuple[object, ...]]):
        def made(*args) -> openvino.Model:
            key = name(*args)
            if key not in kept:
                kept[key] = make(*args)
            return kept[key].clone()

        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            convert,
            "convert",
            once(convert.convert, lambda path, *size: (path.read_bytes(), *size)),
        )
        patch.setattr(
            int8,
            "quantize",
            once(int8.quantize, lambda model, pairs, kept=(): ("int8", len(pairs), *sorted(kept))),
        )
        # What is faster in int8 is a matter of the machine and the moment.
        patch.setattr(int8, "slow_parts", lambda graph, model, pair: [SLOW])
        yield


@pytest.fixture(scope="module")
def quantized(drive: Path, weights: Path) -> Path:
    """The folder that a real `mafs quantize` has left, every loss allowed."""
    pytest.importorskip("nncf", reason="nncf is not installed (requirements/quantize.txt)")
    out = weights.parent / "out"
    assert (
        main(
            [
                "quantize",
                "--weights",
                str(weights),
                "--data",
                str(drive),
                "--labels",
                str(drive / "labels"),
                "--tolerance",
                "1",
                "--out",
                str(out),
            ]
        )
        == 0
    )
    return out


def copied(quantized: Path, folder: Path) -> Path:
    """The weights in a copy of the folder."""
    return next(Path(shutil.copytree(quantized, folder / "copy")).glob("*.safetensors"))


def images() -> tuple[np.ndarray, np.ndarray]:
    frame = StreetSimulation(seed=9, height=SIZE[0], width=SIZE[1]).frame(0.0)
    return frame.rgb[None], (frame.thermal >> 8).astype(np.uint8)[None]


def edit(weights: Path, change) -> None:
    """Change the stored check of the weights."""
    file = check_file(weights, SIZE)
    facts = json.loads(file.read_text())
    change(facts)
    file.write_text(json.dumps(facts))


def test_a_model_and_its_check_are_written(quantized: Path) -> None:
    facts = json.loads((quantized / "tiny[1].96x64.json").read_text())
    assert facts["size"] == [64, 96]
    assert (facts["calibration_pairs"], facts["check_pairs"]) == (2, 2)
    assert facts["data"]["labels"] == "those in labels"
    assert facts["versions"].keys() == {"openvino", "nncf"}
    fp32, int8 = facts["precisions"]["fp32"], facts["precisions"]["int8"]
    assert fp32["passed"] and fp32["fused_difference_max"] == 0 and fp32["labels_equal"] == 1
    assert int8["passed"] and int8["fused_difference_max"] > 0
    assert int8["loss"]["miou"] == pytest.approx(fp32["miou"] - int8["miou"])
    assert int8["loss"]["half_vif"] == pytest.approx((fp32["vif"] - int8["vif"]) / 2)
    assert int8["loss"]["fused"] == int8["fused_difference_p99"] / 255
    assert set(fp32["iou"]) == {"background", "car", "person", "bike"}


def test_the_engine_runs_the_int8_model(quantized: Path) -> None:
    weights = next(quantized.glob("*.safetensors"))
    engine = create_engine("openvino", weights, precision="int8")
    assert "int8 at 96x64" in engine.description
    fused, labels = engine(*images())
    exact, _ = create_engine("openvino", weights, precision="fp32")(*images())
    difference = np.abs(fused.astype(int) - exact)
    assert difference.max() > 0 and difference.mean() < 12
    assert fused.shape == (1, *SIZE, 3) and labels.shape == (1, *SIZE)


def test_what_loses_too_much_is_refused(drive: Path, weights: Path, tmp_path: Path, capsys):
    """And an int8 model of an earlier check does not stay."""
    pytest.importorskip("nncf", reason="nncf is not installed (requirements/quantize.txt)")

    class FewChoices(command.Quantization):  # the whole search takes a minute
        def choices(self, graph, slow):
            """Without any, those of the fusion, and the first of the ranked ones."""
            yield from itertools.islice(super().choices(graph, slow), 3)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "Quantization", FewChoices)
        own = tmp_path / weights.name
        shutil.copyfile(weights, own)
        int8_file(own, SIZE).write_text("of an earlier check")
        assert (
            main(["quantize", "--weights", str(own), "--data", str(drive), "--tolerance", "0"])
            == 1
        )
    printed = capsys.readouterr()
    assert "not passed" in printed.out
    kept = [int(count) for count in re.findall(r"quantizing, (\d+) of \d+ parts", printed.out)]
    assert len(kept) == 3 and kept == sorted(set(kept))
    assert printed.out.index("ranking") > printed.out.index(f"quantizing, {kept[1]} of")
    assert "no int8 model written: loses 0." in printed.err and "0 is allowed" in printed.err
    assert not int8_file(own, SIZE).exists()
    check = read_checks(own)[SIZE]
    assert "int8" not in check.passed and "loses 0." in check.int8_fault()


def test_parts_that_int8_does_not_make_faster_are_kept(quantized: Path, monkeypatch) -> None:
    weights = next(quantized.glob("*.safetensors"))
    result = read_checks(weights)[SIZE].facts["precisions"]["int8"]
    assert SLOW in result["kept"]

    model = openvino.Core().read_model(int8_file(weights, SIZE))
    fast, slow, *_ = int8.parts(model)
    monkeypatch.setattr(int8, "slow_parts", SLOW_PARTS)

    def operation_times(core, graph, *_) -> list[OperationTime]:
        """Twice as long in int8, but for one part, which takes half."""
        in_int8 = graph is model
        return [
            OperationTime(
                name, "Convolution", 0.5 + in_int8 * (-0.25 if name == fast else 1), name, "f32"
            )
            for name in int8.parts(model)
            for _ in range(2)
        ]

    monkeypatch.setattr("mafs_ros.engine.openvino.counters.operation_times", operation_times)
    pair = tuple(image[0] for image in images())
    kept = int8.slow_parts(model.clone(), model, pair)
    assert fast not in kept and slow in kept and len(kept) == len(int8.parts(model)) - 1


def test_every_operation_is_timed_and_belongs_to_a_module(weights: Path) -> None:
    graph = convert.convert(weights, *SIZE)
    core = openvino.Core()
    options = compile_options("fp32", 0, native_precisions(core))
    times = operation_times(core, graph, options, images(), 3)
    of_modules = {int8.part_of_module(time.module) for time in times if time.ms > 0}
    assert {"encoder.visible_trunk.stages.0", "fusion_decoder.output", ""} <= of_modules
    assert any(time.kind.startswith("Convolution (") for time in times)


def test_parts_are_kept_one_after_the_other(quantized: Path) -> None:
    """Of the names in the kept graph alone, without a network."""
    weights = next(quantized.glob("*.safetensors"))
    model = openvino.Core().read_model(int8_file(weights, SIZE))
    names = int8.parts(model)
    assert "encoder.visible_trunk.stages.0" in names and "" not in names
    fusion = int8.fusion_parts(model)
    assert "fusion_decoder.output" in fusion
    assert not any("trunk" in name or name.startswith("segmentation") for name in fusion)

    def rounded(model: openvino.Model, part: str) -> int:
        return sum(
            port.get_source_output().get_node().get_type_name() == int8.FAKE_QUANTIZE
            for operation in model.get_ordered_ops()
            if int8.part_of(operation.get_friendly_name()) == part
            and operation.get_type_name() in int8.COMPUTE
            for port in operation.inputs()
        )

    part = "encoder.visible_trunk.stages.1"
    assert rounded(model, part) > 0
    assert rounded(int8.without_rounding(model, [part]), part) == 0
    assert rounded(model, part) > 0  # a copy was changed
    assert rounded(model, "fusion_decoder.output") == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts.update(weights_sha256="0"), "made for other weights than tiny[1]"),
        (lambda facts: facts.update(code_sha256="0"), "the code of the network has changed since"),
        (lambda facts: facts.update(format=9), "it has format 9, this version reads 1"),
        (lambda facts: facts.pop("precisions"), "it cannot be read"),
    ],
)
def test_a_check_that_does_not_fit_is_not_used(change, message, quantized, tmp_path, caplog):
    weights = copied(quantized, tmp_path)
    edit(weights, change)
    engine = create_engine("openvino", weights, precision="auto")
    assert "fp32" in engine.description
    assert message in caplog.text and "`mafs quantize` makes a new one" in caplog.text


def test_int8_falls_back_with_one_line(quantized: Path, tmp_path: Path, caplog) -> None:
    weights = copied(quantized, tmp_path)
    with int8_file(weights, SIZE).with_suffix(".bin").open("ab") as file:
        file.write(b"more")
    engine = create_engine("openvino", weights, precision="int8")
    with caplog.at_level(logging.WARNING):
        name, reason = engine.precision_at(SIZE)  # type: ignore[attr-defined]
        assert name in ("bf16", "fp32")
        assert "its files are not those that were checked" in reason
        assert "made no model for this size" in engine.precision_at((32, 64))[1]
        engine.prepare(*SIZE)
    assert caplog.text.count("96x64 runs in") == 1


def test_auto_takes_the_fastest_that_passed_and_the_cpu_has(quantized, tmp_path, monkeypatch):
    weights = copied(quantized, tmp_path)

    def chosen(passed: dict[str, float], native: list[str], size=SIZE) -> str:
        def change(facts) -> None:
            for name, result in facts["precisions"].items():
                result["passed"] = name in passed
                result["median_ms"] = passed.get(name, 0.0)

        edit(weights, change)
        monkeypatch.setattr(
            "mafs_ros.engine.openvino.engine.native_precisions", lambda core: native
        )
        return create_engine("openvino", weights).precision_at(size)[0]  # type: ignore[attr-defined]

    every = ["fp32", "bf16", "int8"]
    assert chosen({"fp32": 3, "int8": 1}, every) == "int8"
    assert chosen({"fp32": 3, "int8": 1}, ["fp32"]) == "fp32"
    assert chosen({"fp32": 3, "int8": 1}, every, (480, 640)) == "fp32"
    if "bf16" in json.loads(check_file(weights, SIZE).read_text())["precisions"]:
        assert chosen({"fp32": 3, "bf16": 1, "int8": 2}, every) == "bf16"
        assert chosen({"fp32": 3, "bf16": 2, "int8": 1}, every, (480, 640)) == "bf16"
        assert chosen({"fp32": 3, "bf16": 2}, ["fp32"]) == "fp32"
        assert chosen({"fp32": 1, "bf16": 2}, every) == "fp32"


def test_a_precision_that_the_cpu_lacks_is_one_line(weights: Path, monkeypatch) -> None:
    monkeypatch.setattr("mafs_ros.engine.openvino.engine.native_precisions", lambda core: ["fp32"])
    with pytest.raises(ValueError, match="does not compute in bf16, only in fp32"):
        create_engine("openvino", weights, precision="bf16")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "missing"], "there is no such folder or recording"),
        (["--data", "DRIVE/rgb"], "expected a rosbag2, or a folder of RGB images (rgb, vi, "),
        (["--data", "DRIVE", "--pairs", "0"], "--pairs: got 0, expected at least 1"),
        (["--data", "DRIVE", "--tolerance", "7"], "--tolerance: got 7, expected 0 to 1"),
        (["--data", "DRIVE", "--size", "640"], "expected WIDTHxHEIGHT such as 640x480"),
        (["--data", "DRIVE", "--weights", "missing"], "cannot read model file missing"),
    ],
)
def test_wrong_arguments_are_one_line(options, message, drive, capsys) -> None:
    argv = [text.replace("DRIVE", str(drive)) for text in options]
    try:
        code = main(["quantize", *argv])
    except SystemExit as error:
        code = error.code
    assert code in (1, 2)
    assert message in capsys.readouterr().err


def test_pairs_of_folders_are_spread_scaled_and_labelled(drive: Path) -> None:
    pairs = read_pairs(drive, 3, (32, 48))
    assert [pair.name for pair in pairs] == ["0", "2", "3"]
    assert all(pair.rgb.shape == (32, 48, 3) and pair.thermal.shape == (32, 48) for pair in pairs)
    assert pairs[0].thermal.dtype == np.uint8
    assert pairs[0].thermal.max() > 240  # of a 16-bit image, by its own range
    assert spread(10, 3) == [0, 4, 9] and spread(2, 5) == [0, 1] and spread(0, 4) == []


def test_pairs_of_a_recording_are_those_of_its_folders(drive: Path, tmp_path: Path) -> None:
    argv = f"bag make --rgb {drive}/rgb --thermal {drive}/thermal --fps 10 {tmp_path}/bag"
    assert main(argv.split()) == 0
    recorded, files = read_pairs(tmp_path / "bag", 4), read_pairs(drive, 4)
    assert len(recorded) == 4
    for a, b in zip(recorded, files, strict=True):
        assert np.array_equal(a.rgb, b.rgb) and np.array_equal(a.thermal, b.thermal)
