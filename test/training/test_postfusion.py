"""One segmenter for each kind of images: images, resumed trainings, a table with known values."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from layouts import make_layout
from untrained import save_untrained

from mafs_ros.evaluation.metrics import ConfusionMatrix
from mafs_ros.images.files.write import write_png
from mafs_ros.model.weights import load_weights
from training.data.batches import Crops
from training.data.datasets import open_dataset
from training.postfusion import __main__, image_kinds, run, trainings
from training.postfusion.table import csv_table, markdown_table, summarise
from training.recipes.recipe import load_recipe
from training.scoring.predict import predict_with_network
from training.teachers.file import load_teacher

PLAN = {"batch": 2, "checkpoint_every": 1}
OVERRIDES = [
    "train=[{kind: street_rgbt, labels: both}]",
    "augmentation.crop=64",
    "augmentation.colour=0",  # grey stays grey
    "workers=0",
    "cache=false",
    *(f"teacher.optimisation.{name}={value}" for name, value in PLAN.items()),
]


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_layout("street_rgbt", tmp_path_factory.mktemp("street"), size=(64, 96))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained(tmp_path_factory.mktemp("weights") / "model.safetensors")


def options(street: Path, out: Path, *images: str, **changes: object) -> list[str]:
    values = {"steps": 2, "seeds": 2, "test": "street_rgbt:test", **changes}
    return [
        *("--recipe", "street_lite", "--data", f"street_rgbt={street}", "--out", str(out)),
        *("--images", *images, "--set", *OVERRIDES),
        *(text for name, value in values.items() for text in (f"--{name}", *str(value).split())),
    ]


def error(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert __main__.main(arguments) == 1
    *_, message = capsys.readouterr().err.splitlines()
    assert message.startswith("error: ")
    return message


def fused_folder(street: Path, folder: Path) -> Path:
    """A fused image of every pair of every split: the thermal image, greyish green."""
    folder.mkdir()
    for split in ("train", "val", "test"):
        for sample in open_dataset("street_rgbt", street, split):
            image = np.dstack([sample.thermal // 2, sample.thermal, sample.thermal // 2])
            write_png(folder / f"{sample.name}.png", image)
    return folder


def test_two_kinds_two_seeds_two_steps_stopped_and_resumed(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    out = tmp_path / "out"
    seen: list[str] = []
    train_on = trainings.train_on

    def stops(*arguments, **keywords) -> dict:
        """The second training ends after its first checkpoint."""
        seen.append(str(arguments[3].relative_to(out)))
        if len(seen) != 2:
            return train_on(*arguments, **keywords)
        with monkeypatch.context() as patch:
            patch.setattr("training.teacher.write", full_after(2))
            return train_on(*arguments, **keywords)

    monkeypatch.setattr(trainings, "train_on", stops)
    assert "disk is full" in error(capsys, *options(street, out, "visible", "thermal"))
    assert seen == ["visible/seed_0", "visible/seed_1"]
    assert "| visible |" in (out / "table.md").read_text()
    assert (out / "visible" / "seed_1" / "checkpoint.pt").exists()
    assert __main__.main(options(street, out, "visible", "thermal")) == 0
    assert seen[2:] == ["visible/seed_1", "thermal/seed_0", "thermal/seed_1"]
    for seed in (0, 1):
        _, about = load_teacher(out / "thermal" / f"seed_{seed}" / "teacher.safetensors")
        assert about["images"] == "infrared"
        assert (about["training"]["steps"], about["training"]["seed"]) == (2, seed)
    assert not list(out.rglob("checkpoint.pt"))
    # What is done is not done again; a test set that is added is scored without training.
    assert __main__.main(options(street, out, "visible", "thermal")) == 0
    added = options(street, out, "visible", "thermal", test="street_rgbt:test street_rgbt:val")
    assert __main__.main(added) == 0
    assert len(seen) == 5
    text = (out / "table.md").read_text()
    assert "**street_rgbt:val, 2 pairs at their own size, pseudo-labels of label/" in text
    assert text.count("Gain: points more than the better camera by mIoU, which is ") == 2
    assert len((out / "table.csv").read_text().splitlines()) == 1 + 2 * 2 * 6
    other = error(capsys, *options(street, out, "visible", steps=3))
    assert "teacher.optimisation.steps: 2 then, 3 now. Go on with the same, or" in other


def full_after(step: int):
    """A function in the place of `training.teacher.write` that fails from that step on."""

    def write(run, scores: dict[str, float]) -> None:
        if run.step >= step:
            raise OSError(28, "the disk is full")

    return write


def test_only_the_images_differ_between_kinds(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Crops, labels and first weights are the same, and so is what is drawn for a seed."""
    batches: dict[str, list] = {}

    def record(recipe, datasets, evaluation, out, **keywords) -> dict:
        crops = Crops(datasets, recipe.augmentation, recipe.seed)
        batches[str(out.relative_to(tmp_path / "out"))] = [crops[n, n % 4] for n in range(8)]
        raise OSError("enough")

    monkeypatch.setattr(trainings, "train_on", record)
    for kind in ("visible", "thermal", "maximum"):
        assert __main__.main(options(street, tmp_path / "out", kind, seeds=1)) == 1
    visible, thermal, maximum = (batches[f"{k}/seed_0"] for k in ("visible", "thermal", "maximum"))
    for v, t, m in zip(visible, thermal, maximum, strict=True):
        assert torch.equal(v["labels"], t["labels"]) and torch.equal(v["labels"], m["labels"])
        assert torch.equal(t["rgb"][0], t["rgb"][2]) and not torch.equal(v["rgb"], m["rgb"])
        assert torch.equal(v["thermal"], t["thermal"])


def test_images_of_all_kinds(street: Path, weights: Path, tmp_path: Path) -> None:
    folder = fused_folder(street, tmp_path / "green")
    texts = ["visible", "thermal", "mean", "maximum", f"net={weights}", f"green={folder}"]
    kinds = image_kinds.parse_kinds(texts)
    assert [kind.images for kind in kinds] == ["visible", "infrared", "mean", "maximum"] + [
        "fused"
    ] * 2
    twice = open_dataset("street_rgbt", street, "train", labels="both")
    image_kinds.check_kinds(kinds, [twice])
    made = {
        kind.name: image_kinds.with_images(twice, image_kinds.image_maker(kind)) for kind in kinds
    }
    assert all(len(dataset) == 4 for dataset in made.values())
    network = load_weights(weights)[0].eval().to(memory_format=torch.channels_last)
    for index, sample in enumerate(twice):
        images = {name: dataset[index].rgb for name, dataset in made.items()}
        np.testing.assert_array_equal(images["visible"], sample.rgb)
        np.testing.assert_array_equal(images["thermal"], np.dstack([sample.thermal] * 3))
        np.testing.assert_array_equal(images["green"][:, :, 1], sample.thermal)
        expected = predict_with_network(network, sample).fused
        np.testing.assert_array_equal(images["net"], expected)
        y = sample.rgb.astype(float) @ (0.299, 0.587, 0.114)
        assert_luminance(images["mean"], (y + sample.thermal) / 2)
        assert_luminance(images["maximum"], np.maximum(y, sample.thermal))
        for dataset in made.values():
            np.testing.assert_array_equal(dataset[index].labels, sample.labels)
    assert made["mean"][0].rgb is made["mean"][2].rgb  # one image for both labellings


def assert_luminance(image: np.ndarray, expected: np.ndarray) -> None:
    """Where no channel is clipped, and to a rounded grey level."""
    inside = (image > 0).all(2) & (image < 255).all(2)
    assert inside.mean() > 0.2
    y = image.astype(float) @ (0.299, 0.587, 0.114)
    np.testing.assert_allclose(y[inside], expected[inside], atol=1)


def test_what_is_written_tells_images_and_tests(
    street: Path, weights: Path, tmp_path: Path, capsys
) -> None:
    """A network and a folder train; other files under the same name are refused."""
    folder, out = fused_folder(street, tmp_path / "green"), tmp_path / "out"
    images = (f"net={weights}", f"green={folder}")
    assert __main__.main(options(street, out, *images, seeds=1, steps=1)) == 0
    _, about = load_teacher(out / "net" / "seed_0" / "teacher.safetensors")
    assert about["images"] == "fused" and about["training"]["steps"] == 1
    record = json.loads((out / "green" / "seed_0" / "run.json").read_text())
    labelled = sum(
        (sample.labels != 255).sum() for sample in open_dataset("street_rgbt", street, "test")
    )
    assert np.sum(record["tests"]["street_rgbt:test"]) == labelled
    first = sorted(folder.iterdir())[0]
    write_png(first, np.zeros((64, 96), np.uint8))
    message = error(capsys, *options(street, out, *images, seeds=1, steps=1))
    assert "green/seed_0/run.json: other settings than now: sha256: " in message


def matrix(car: int, missed: int, false: int) -> ConfusionMatrix:
    """Background and car, 100 pixels of background but for the false ones."""
    result = ConfusionMatrix(["background", "car"])
    result.matrix[:] = [[100 - false, false], [missed, car]]
    return result


def test_the_table_has_the_values_of_a_calculation_by_hand() -> None:
    """IoU of background and car: 100 / 110 and 10 / 20, then 100 / 105 and 15 / 20; ..."""
    results = {
        "visible": [matrix(10, 10, 0), matrix(15, 5, 0)],
        "thermal": [matrix(5, 15, 0), matrix(5, 15, 0)],
        "ours": [matrix(20, 0, 0), matrix(20, 0, 20)],
    }
    summary = summarise(results)
    car = summary["visible"]["car"]
    assert car.mean == pytest.approx(62.5)
    assert car.deviation == pytest.approx(12.5 * 2**0.5)
    assert car.difference == 0
    mean = (100 / 1.1 + 50 + 100 / 1.05 + 75) / 4
    assert summary["visible"]["mIoU"].mean == pytest.approx(mean)
    ours = summary["ours"]
    assert ours["car"].mean == pytest.approx(75) and ours["car"].difference == pytest.approx(12.5)
    assert ours["mIoU"].difference == pytest.approx((200 + 80 + 50) / 4 - mean)
    lines = markdown_table(results).splitlines()
    assert lines[0] == (
        "| images | background | car | mIoU | mIoU without background | gain in mIoU | gain in "
        "mIoU without background | seeds |"
    )
    cells = "93.1 ± 3.1 | 62.5 ± 17.7 | 77.8 ± 10.4 | 62.5 ± 17.7 | +0.00 | +0.00 | 2"
    assert lines[2] == f"| visible | {cells} |"
    assert lines[3].startswith("| thermal | 87.0 ± 0.0 | 25.0 ± 0.0 | 56.0 ± 0.0 |")
    assert lines[4].endswith("| +4.71 | +12.50 | 2 |")
    assert lines[-1] == "Gain: points more than the better camera by mIoU, which is visible."
    rows = csv_table({"street_rgbt:test": results}).splitlines()
    assert rows[0] == "test,images,score,mean,deviation,difference,seeds"
    assert "street_rgbt:test,ours,car,75.000,35.355,12.500,2" in rows
    assert len(rows) == 1 + 3 * 4


def test_one_seed_and_one_camera_have_no_deviation_and_no_difference() -> None:
    absent = ConfusionMatrix(["background", "car", "bike"])
    absent.matrix[:2, :2] = [[90, 10], [0, 50]]
    results = {"visible": [absent], "ours": [absent], "later": []}
    text = markdown_table(results)
    assert "| ours | 90.0 | 83.3 | - | 86.7 | 83.3 | - | - | 1 |" in text
    assert "later" not in text and "Gain" not in text
    assert text.endswith("Absent from the labels: bike.")
    assert "a,ours,bike,,,,0" in csv_table({"a": results})
    assert markdown_table({"visible": []}) == "nothing yet"


def test_errors_before_the_start(street: Path, weights: Path, tmp_path: Path, capsys) -> None:
    out = tmp_path / "out"
    pairs = make_layout("fusion_pairs", tmp_path / "pairs", size=(64, 96))

    def message(*images: str, **changes: object) -> str:
        return error(capsys, *options(street, out, *images, **changes))

    assert "--images median: expected visible, thermal, mean, maximum, NAME=" in message("median")
    assert "a folder gets the name '../a'" in message(f"../a={weights}")
    assert "more than once" in message("mean", "mean")
    assert "there is no such file or folder" in message("a=nowhere.safetensors")
    assert "expected KIND:SPLIT or" in message("mean", test="street_rgbt")
    assert "2 of its 2 pairs are trained on" in message("mean", test="street_rgbt:train")
    assert "--seeds is 0, expected 1 or more" in message("mean", seeds=0)
    unlabelled = {"test": "fusion_pairs:roadscene_test", "data": f"fusion_pairs={pairs}"}
    arguments = options(street, out, "mean", test=unlabelled["test"])
    arguments[3:4] = [arguments[3], unlabelled["data"]]
    assert "these pairs have no labels; choose others" in error(capsys, *arguments)
    folder = fused_folder(street, tmp_path / "green")
    last = sorted(folder.iterdir())[-1]
    os.remove(last)
    assert f"no fused image named {last.stem}" in message(f"green={folder}")
    assert cv2.imwrite(str(last), np.zeros((60, 96), np.uint8))
    assert "96x60, but the pair is 96x64" in message(f"green={folder}")
    assert not out.exists() or not list(out.iterdir())


def test_the_augmentation_is_that_of_one_image() -> None:
    recipe = load_recipe("street_lite")
    single = run.single_image(recipe, 7)
    assert single.teacher.optimisation.steps == 7
    assert single.augmentation.brightness == recipe.augmentation.brightness
    assert single.augmentation.crop == 192 and single.augmentation.focus == 0.5
    assert single.augmentation.shift == 0 and single.augmentation.dropout == 0
    assert run.single_image(load_recipe("mfnet"), None).teacher.optimisation.epochs == 200
