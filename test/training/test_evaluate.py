"""Evaluation of networks, teachers and folders of fused images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from layouts import make_layout
from untrained import save_untrained

from mafs_ros.engine import create_engine
from mafs_ros.evaluation.metrics import (
    PROTOCOL,
    SEGMENTATION_PROTOCOL,
    ConfusionMatrix,
    FusionScores,
    luminance,
)
from mafs_ros.images.files.write import write_png
from mafs_ros.model.weights import load_weights
from mafs_ros.perception.classes import load_class_table
from training import evaluate
from training.data.datasets import open_dataset
from training.scoring import predict, tables
from training.scoring.baselines import fuse_plainly
from training.teachers import build_teacher, images
from training.teachers.file import load_teacher, save_teacher

STREET = load_class_table("street")


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_layout("street_rgbt", tmp_path_factory.mktemp("street"), size=(48, 80))


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_untrained(tmp_path_factory.mktemp("weights") / "model.safetensors")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    about = {"name": "segnext-t", "images": "fused", "class_table": STREET.to_dict()}
    save_teacher(path, build_teacher("segnext-t", 4), about)
    return path


def report(capsys: pytest.CaptureFixture[str], *options: object) -> str:
    assert evaluate.main([str(option) for option in options]) == 0
    return capsys.readouterr().out


def rows(text: str) -> dict[str, list[str]]:
    """Cells of the rows of all tables by the name in the first column; the last one counts."""
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line[:1] == "|"]
    return {row[0]: row[1:] for row in cells}


def maxima(street: Path, folder: Path) -> FusionScores:
    """Write the pixel-wise maximum of the test pairs; returns its scores."""
    folder.mkdir()
    scores = FusionScores()
    for sample in open_dataset("street_rgbt", street, "test"):
        fused = np.maximum(sample.thermal, luminance(sample.rgb))
        write_png(folder / f"{sample.name}.png", fused)
        scores.accumulate(sample.thermal, sample.rgb, fused)
    return scores


def test_a_folder_of_fused_images(street: Path, tmp_path: Path, capsys) -> None:
    expected = maxima(street, tmp_path / "maximum").mean()
    text = report(capsys, "--fused", tmp_path / "maximum", "--data", f"street_rgbt={street}")
    assert "street_rgbt test, 2 pairs" in text and PROTOCOL in text
    assert SEGMENTATION_PROTOCOL not in text
    table = rows(text)
    assert table["Method"] == [
        *("EN", "SD", "SF", "VIF", "Qabf", "AG", "AG_forward", "hot", "weaker", "glare"),
        *("saturated", "saturated source"),
    ]
    shown = dict(zip(table["Method"], table["maximum"], strict=True))
    for name, value in expected.items():
        assert shown[name] == ("-" if value is None else f"{value:.4f}")


def test_baselines_stand_below_what_is_compared(street: Path, tmp_path: Path, capsys) -> None:
    maxima(street, tmp_path / "ours")
    data = ("--data", f"street_rgbt={street}")
    table = rows(report(capsys, "--fused", tmp_path / "ours", "--baselines", *data))
    assert list(table) == [
        *("Method", "---", "ours"),
        *("copy of visible", "copy of thermal", "plain mean", "plain maximum"),
    ]
    assert table["plain maximum"] == table["ours"]
    alone = rows(report(capsys, "--baselines", *data))
    assert "ours" not in alone and alone["plain mean"] == table["plain mean"]


def test_plain_fusion_by_hand() -> None:
    thermal, visible = np.array([[1, 3, 200]], np.uint8), np.array([[2, 2, 255]], np.uint8)
    fused = fuse_plainly(thermal, visible)
    assert {name: image.tolist() for name, image in fused.items()} == {
        "copy of visible": [[2, 2, 255]],
        "copy of thermal": [[1, 3, 200]],
        "plain mean": [[2, 2, 228]],  # of 1.5, 2.5 and 227.5
        "plain maximum": [[2, 3, 255]],
    }


def test_saturated_share_beside_that_of_the_brighter_source() -> None:
    """48x48 pixels: a row is 2.083 %. In one image thermal has more of them, in all visible."""
    scores = evaluate.empty_scores(None)
    for thermal_rows, visible_rows, fused_rows in ((6, 3, 1), (0, 9, 2)):
        thermal, visible, fused = (np.full((48, 48), 249, np.uint8) for _ in range(3))
        for image, count in zip(
            (thermal, visible, fused), (thermal_rows, visible_rows, fused_rows), strict=True
        ):
            image[:count] = 250
        rgb = np.repeat(visible[..., None], 3, axis=2)
        sample = evaluate.Sample("a", rgb, thermal)
        scores.accumulate(sample, evaluate.Prediction(fused, None))
    text = tables.fusion_table({"ours": scores})
    assert rows(text)["ours"][-2:] == [f"{100 * 1.5 / 48:.3f}", f"{100 * 6 / 48:.3f}"]


def test_the_table_has_the_anchors_of_real_pairs(
    shared_data: Path, tmp_path: Path, capsys
) -> None:
    """Pixel-wise maximum of the first pairs of street_rgbt, by hand and by the program."""
    root = shared_data / "street_rgbt"
    full = open_dataset("street_rgbt", root, "test")
    for sample in [full[0], full[1]]:
        for kind, image in (("vi", sample.rgb), ("ir", sample.thermal), ("label", sample.labels)):
            (tmp_path / "few" / "test" / kind).mkdir(parents=True, exist_ok=True)
            assert image is not None
            write_png(tmp_path / "few" / "test" / kind / f"{sample.name}.png", image)
    expected = maxima(tmp_path / "few", tmp_path / "fused").mean()
    text = report(
        *(capsys, "--fused", tmp_path / "fused", "--name", "max"),
        *("--data", f"street_rgbt={tmp_path / 'few'}"),
    )
    assert float(rows(text)["max"][3]) == pytest.approx(expected["VIF"], abs=1e-4)
    assert 0.8 < float(rows(text)["max"][3]) < 1.4


def test_what_is_scored_is_what_the_engine_gives(street: Path, weights: Path) -> None:
    """The same bytes as the deployed graph, so that a replay scores the same."""
    engine = create_engine("torch", weights)
    network, _ = load_weights(weights)
    network = network.eval().to(memory_format=torch.channels_last)
    for sample in open_dataset("street_rgbt", street, "test"):
        fused, labels = engine(sample.rgb[None], sample.thermal[None])
        prediction = predict.predict_with_network(network, sample)
        np.testing.assert_array_equal(prediction.fused, fused[0])
        np.testing.assert_array_equal(prediction.labels, labels[0])


def test_a_network_and_its_teacher(street: Path, weights: Path, teacher: Path, capsys) -> None:
    data = ("--data", f"street_rgbt={street}")
    text = report(capsys, "--weights", weights, "--teacher", teacher, *data, "--name", "ours")
    assert SEGMENTATION_PROTOCOL in text
    table = rows(text)
    assert table["Method"][:4] == list(STREET.names)
    assert set(table) >= {"ours", "ours-T"} and table["ours"] != table["ours-T"]
    network, _ = load_weights(weights)
    dataset = open_dataset("street_rgbt", street, "test")
    scores = predict.score(
        dataset, lambda sample: predict.predict_with_network(network, sample), STREET
    )
    assert scores.segmentation is not None
    assert table["ours"][4] == f"{100 * scores.segmentation.miou():.2f}"


def test_a_folder_segmented_by_a_teacher(
    street: Path, teacher: Path, tmp_path: Path, capsys
) -> None:
    maxima(street, tmp_path / "fused")
    data = ("--data", f"street_rgbt={street}")
    table = rows(report(capsys, "--fused", tmp_path / "fused", "--teacher", teacher, *data))
    assert table["Method"][-2:] == ["mIoU", "mIoU without background"]
    assert len(table["fused"]) == 6


def test_labels_as_predicted_score_100() -> None:
    labels = np.tile(np.arange(4, dtype=np.uint8), (48, 12))
    scores = evaluate.empty_scores(STREET)
    sample = evaluate.Sample("a", np.zeros((48, 48, 3), np.uint8), labels, labels)
    scores.accumulate(sample, evaluate.Prediction(None, labels))
    assert scores.segmentation is not None
    text = tables.segmentation_table({"perfect": scores.segmentation})
    assert rows(text)["perfect"] == ["100.0"] * 4 + ["100.00", "100.00"]


def test_the_table_names_the_classes_without_labels() -> None:
    """Once for methods on the same labels, else for each row that lacks some."""
    no_bike, all_classes = np.array([[0, 1, 2]], np.uint8), np.array([[0, 1, 2, 3]], np.uint8)
    matrices = {name: ConfusionMatrix(STREET.names) for name in ("a", "b")}
    for matrix in matrices.values():
        matrix.accumulate(no_bike, no_bike)
    lines = tables.segmentation_table(matrices).splitlines()
    assert lines[4:] == ["absent from the labels: bike"]
    matrices["b"].accumulate(all_classes, all_classes)
    lines = tables.segmentation_table(matrices).splitlines()
    assert lines[4:] == ["absent from the labels of a: bike"]


def test_teacher_images() -> None:
    visible, infrared = torch.rand(1, 3, 4, 4), torch.rand(1, 1, 4, 4)
    assert images.teacher_image("visible", visible, infrared, None) is visible
    grey = images.teacher_image("infrared", visible, infrared, None)
    assert grey.shape == (1, 3, 4, 4) and torch.equal(grey[:, 2:], infrared)
    dull = visible * 0.1 + 0.45
    red, green, blue = dull.split(1, 1)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    same = images.teacher_image("fused", dull, infrared, y)
    torch.testing.assert_close(same, dull, atol=2e-3, rtol=0)  # the release rounds its factors
    with pytest.raises(ValueError, match="sees fused images, and this network fuses none"):
        images.teacher_image("fused", visible, infrared, None)


@pytest.mark.parametrize("broken", ["missing", "size"])
def test_a_folder_that_does_not_fit(street: Path, tmp_path: Path, capsys, broken: str) -> None:
    maxima(street, tmp_path / "fused")
    first = sorted((tmp_path / "fused").iterdir())[0]
    if broken == "missing":
        first.unlink()
    else:
        assert cv2.imwrite(str(first), np.zeros((50, 80), np.uint8))
    options = ["--fused", str(tmp_path / "fused"), "--data", f"street_rgbt={street}"]
    assert evaluate.main(options) == 1
    message = capsys.readouterr().err
    assert ("no fused image named" if broken == "missing" else "80x50, but the pair is") in message


def test_errors_name_what_to_do(street: Path, weights: Path, tmp_path: Path, capsys) -> None:
    def error(*options: object) -> str:
        assert evaluate.main([str(option) for option in options]) == 1
        return capsys.readouterr().err

    data = ("--data", f"street_rgbt={street}")
    assert "or --baselines" in error(*data)
    assert "not both" in error("--weights", weights, "--fused", tmp_path, *data)
    assert "give --weights FILE" in error("--teacher", weights, "--baselines", *data)
    assert "expected KIND=DIR" in error("--weights", weights, "--data", street)
    other = ("--weights", weights, "--data", f"street_rgbt={street}", "--classes", "mfnet")
    assert "choose the table of the weights with --classes" in error(*other)
    for path, message in ((tmp_path / "none", "no such file"), (weights, "not a teacher")):
        options = ("--weights", weights, "--teacher", path, "--data", f"street_rgbt={street}")
        assert message in error(*options)


def test_a_teacher_is_read_back(teacher: Path) -> None:
    loaded, about = load_teacher(teacher)
    assert about["name"] == "segnext-t" and not loaded.training


def test_rows_of_dead_cameras(
    street: Path, weights: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As if the image of one camera were black in the files; the fused image has no score then."""
    data = f"street_rgbt={street}"
    options = ("--weights", weights, "--name", "ours", "--data", data, "--labels", "network")
    table = rows(report(capsys, *options, "--dead"))
    assert [name for name in table if name.startswith("ours")] == [
        "ours",
        "ours, rgb black",
        "ours, thermal black",
    ]
    network, _ = load_weights(weights)
    expected = predict.score(
        open_dataset("street_rgbt", street, "test"),
        lambda sample: predict.predict_with_network(
            network, replace(sample, rgb=np.zeros_like(sample.rgb))
        ),
        STREET,
    )
    assert expected.segmentation is not None
    shown = [float(value) for value in table["ours, rgb black"][:4]]
    np.testing.assert_allclose(shown, 100 * expected.segmentation.iou(), atol=0.051)
    wrong = ["--baselines", "--dead", "--data", data]
    assert evaluate.main(wrong) == 1
    assert "give --weights FILE" in capsys.readouterr().err
