"""One command from data to weights: a tiny run of all stages, cut, resumed, and what it leaves."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import cv2
import pytest
from layouts import make_layout
from short_training import DEADLINE_S, differences, finish, load, start

from mafs_ros.model.weights import load_weights, read_info
from training import pipeline
from training.loop.checkpoint import CHECKPOINT
from training.loop.progress import Progress, duration
from training.recipes.recipe import load_recipe
from training.scoring import final_scores

STAGES = ("stage1", "fusion", "teacher", "stage2", "finish")
TESTS = ("street_rgbt test", "fusion_pairs roadscene_test")
RECIPE = """
classes: street
train: [{kind: street_rgbt}, {kind: fusion_pairs, split: roadscene_train}]
evaluation: [{kind: street_rgbt, split: val}]
tests: [{kind: street_rgbt, split: test}, {kind: fusion_pairs, split: roadscene_test}]
network: {preset: mafs-lite}
augmentation: &augmentation {crop: 64}
workers: 0
about: Two pairs of each split, drawn by the test.
licence: No use but this test.
stage1:
  optimisation: &tiny {steps: 10, batch: 2, optimizer: adamw, schedule: cosine, ema: 0.9,
    evaluate_every: 10, checkpoint_every: 5}
fusion: {optimisation: *tiny}
teacher: {name: segnext-t, optimisation: *tiny}
stage2: {optimisation: *tiny, distillation: release}
finish:
  optimisation: *tiny
  augmentation: {<<: *augmentation, flips: [none]}
  segmentation: {dice: 0.5}
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two cameras; the second one has no labels."""
    root = tmp_path_factory.mktemp("data")
    return {
        kind: make_layout(kind, root / kind, size=(64, 96))
        for kind in ("street_rgbt", "fusion_pairs")
    }


@pytest.fixture(scope="module")
def recipe_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(RECIPE, encoding="utf-8")
    return path


def command(recipe_file: Path, folders: dict[str, Path], out: Path, *options: str) -> list[str]:
    data = [f"{kind}={folder}" for kind, folder in folders.items()]
    run = ["-m", "training.pipeline", "--recipe", str(recipe_file), "--out", str(out)]
    return [*run, "--data", *data, *options]


def killed_in_stage_2(arguments: list[str], out: Path) -> int:
    """Run until stage 2 has a checkpoint, then kill; returns the step that it had reached."""
    process = start(arguments)
    deadline = time.monotonic() + 2 * DEADLINE_S
    try:
        while not (out / "stage2" / CHECKPOINT).exists():
            assert process.poll() is None, process.communicate()[0][-3000:]
            assert time.monotonic() < deadline, "no checkpoint of stage 2"
            time.sleep(0.005)
    finally:
        process.kill()
        process.communicate(timeout=DEADLINE_S)
    return load(out / "stage2")["step"]


@pytest.fixture(scope="module")
def runs(
    recipe_file: Path, folders: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, int]:
    """A whole run, one that was killed in stage 2 and resumed, and the step of the kill."""
    root = tmp_path_factory.mktemp("runs")
    whole, cut = root / "whole", root / "cut"
    beside = start(command(recipe_file, folders, whole))
    try:
        step = killed_in_stage_2(command(recipe_file, folders, cut), cut)
        finish(start(command(recipe_file, folders, cut, "--resume")))
        finish(beside)
    finally:
        beside.kill()
    return whole, cut, step


def run_again(recipe_file: Path, folders: dict[str, Path], out: Path, *overrides: str) -> dict:
    return pipeline.train(load_recipe(recipe_file, overrides), folders, out, resume=True)


def test_a_run_killed_in_stage_2_resumes_to_the_same_result(runs: tuple[Path, Path, int]) -> None:
    whole, cut, step = runs
    assert 0 < step < 10
    for stage in STAGES:
        assert load(cut / stage)["step"] == 10
    networks = [load_weights(out / "model.safetensors") for out in (whole, cut)]
    found = differences(*(network.state_dict() for network, _ in networks))
    assert len(found) > 100 and set(found.values()) == {0.0}
    assert networks[0][1] == networks[1][1]
    for name in ("scores.json", "model_card.md", "pictures.png", "recipe.yaml"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes(), name


def test_the_model_file_knows_its_stages_and_scores(runs: tuple[Path, Path, int]) -> None:
    whole, *_ = runs
    info = read_info(whole / "model.safetensors")
    assert info.training["stages"] == dict.fromkeys(STAGES, {"steps": 10, "batch": 2})
    assert info.training["start"] == "stage2/model.safetensors"
    assert tuple(info.training["scored_on"]) == tuple(info.scores) == TESTS
    assert info.scores[TESTS[0]].keys() >= {"EN", "VIF", "Qabf", "mIoU", "IoU_person"}
    assert "mIoU" not in info.scores[TESTS[1]]  # no labels
    written = json.loads((whole / "scores.json").read_text(encoding="utf-8"))
    assert {name: source["scores"] for name, source in written["sources"].items()} == info.scores
    assert [source["labels"] for source in written["sources"].values()] == [
        "pseudo-labels",
        "none",
    ]
    assert [source["pairs"] for source in written["sources"].values()] == [2, 2]


def test_the_scores_are_those_of_the_evaluation_program(
    runs: tuple[Path, Path, int], folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from training import evaluate

    whole, *_ = runs
    data = ("--data", f"street_rgbt={folders['street_rgbt']}")
    assert evaluate.main(["--weights", str(whole / "model.safetensors"), *data]) == 0
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| MAFS")]
    card = (whole / "model_card.md").read_text(encoding="utf-8")
    assert len(printed) == 2
    for line in printed:
        assert line.replace("| MAFS |", f"| {TESTS[0]} |") in card


def test_the_model_card_has_every_part(runs: tuple[Path, Path, int]) -> None:
    whole, *_ = runs
    card = (whole / "model_card.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", card, re.M)
    assert headings[:3] == ["Data", "Protocol", "Training"]
    assert headings[3:] == ["Scores of each camera", "Known failures", "Recipe"]
    assert "Two pairs of each split" in card and "No use but this test." in card
    assert "| test | street_rgbt test | 2 | pseudo-labels |" in card
    assert "| test | fusion_pairs roadscene_test | 2 | none |" in card
    assert "no score of MFNet, MSRS" in card
    assert "not used in training, nor looked at before its end" in card
    assert "VIFP(thermal, fused)" in card and "one confusion matrix" in card
    assert "Agreement with pseudo-labels: street_rgbt test." in card
    rows = dict(
        re.findall(r"^\| (\w+) \| (.*) \| 10 \| 2 \| adamw \| 0.001, cosine \|", card, re.M)
    )
    algorithm = "random weights; SFE, AFM, PHF, backbone, CAM of stage1"
    assert rows == {
        "stage1": "random weights",
        "fusion": algorithm,
        "teacher": "random weights; sees fused images of fusion",
        "stage2": f"{algorithm}; distils from teacher",
        "finish": "all of stage2",
    }
    for name in TESTS:
        section = card.split(f"\n### {name}\n")[1].split("\n#")[0]
        pictures = re.findall(r"!\[.*(mIoU|Qabf) [0-9.]+( %)?\]\((.*)\)", section)
        assert 0 < len(pictures) <= 6
        for *_, link in pictures:
            height, width = cv2.imread(str(whole / link)).shape[:2]
            assert (height, width) == (64, 5 * 96)  # rgb, thermal, fused, labels, prediction
    assert "mIoU" not in card.split(f"### {TESTS[1]}")[1].split("\n#")[0]  # it has no labels
    grid = cv2.imread(str(whole / "pictures.png"))
    assert grid.shape == (4 * 64, 5 * 96, 3)  # two pairs of each source


def test_the_recipe_beside_the_card_is_the_one_that_ran(
    runs: tuple[Path, Path, int], recipe_file: Path
) -> None:
    whole, *_ = runs
    assert load_recipe(whole / "recipe.yaml") == load_recipe(recipe_file)


def test_a_cut_evaluation_goes_on(
    runs: tuple[Path, Path, int], recipe_file: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    """Nothing is trained again, and of the test sources only the missing one is scored."""
    whole, *_ = runs
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    kept, missing = (
        final_scores.source_folder(out / "evaluation", name) / "scores.json" for name in TESTS
    )
    missing.unlink()
    written = ("model.safetensors", "scores.json", "model_card.md", "pictures.png")
    for name in written:
        (out / name).unlink()
    before = [path.stat().st_mtime_ns for path in (kept, *out.glob(f"*/{CHECKPOINT}"))]
    assert len(before) == 1 + len(STAGES)
    scores = run_again(recipe_file, folders, out)
    after = [path.stat().st_mtime_ns for path in (kept, *out.glob(f"*/{CHECKPOINT}"))]
    assert before == after and missing.exists() and tuple(scores) == TESTS
    for name in written[1:]:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stage1.patch=16"], "stage1/checkpoint.pt: .*patch: 32 then, 16 now"),
        (["fusion.optimisation.lr=0.5"], "fusion/checkpoint.pt: .*lr: 0.001 then, 0.5 now"),
        (["teacher.images=visible"], "teacher/checkpoint.pt: .*images: fused then, visible now"),
        (["fusion=null"], "fusion: is of a stage that this recipe does not have"),
        (["stage2.temperature=2"], "stage2/checkpoint.pt: .*temperature: 4.0 then, 2.0 now"),
        (["seed=1"], "stage1/checkpoint.pt: .*seed: 0 then, 1 now"),
        (
            ["stage1.optimisation.steps=15"],
            "stage1: has 10 steps, but the recipe asks for 15, and .*fusion goes on from there",
        ),
        (["finish.optimisation.steps=5"], "finish: has 10 steps, but the recipe asks for 5;"),
        (
            ["tests=[{kind: street_rgbt, split: val}]"],
            "2 of the 2 pairs of street_rgbt val are in evaluation too",
        ),
        (["tests=[{kind: simulation}, {kind: simulation}]"], "simulation train network twice"),
    ],
)
def test_what_does_not_fit_the_run_is_refused(
    runs: tuple[Path, Path, int],
    recipe_file: Path,
    folders: dict[str, Path],
    overrides: list[str],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        run_again(recipe_file, folders, runs[0], *overrides)


def test_a_folder_with_a_run_needs_resume(
    runs: tuple[Path, Path, int], recipe_file: Path, folders: dict[str, Path]
) -> None:
    with pytest.raises(FileExistsError, match="a run lies here; add --resume"):
        pipeline.train(load_recipe(recipe_file), folders, runs[0])


class Cut(Exception):
    """Raised where a test cuts a run."""


def test_a_run_goes_on_in_the_stage_that_was_cut(
    recipe_file: Path, folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut after the first of two steps of each stage; the stages before it are left alone."""
    recipe = [f"{stage}.optimisation.steps=2" for stage in STAGES]
    recipe += [f"{stage}.optimisation.checkpoint_every=1" for stage in STAGES]
    step, steps = Progress.step, []

    def cut_after_the_first(progress: Progress) -> None:
        step(progress)
        steps.append(f"{progress.stage} {progress.done[progress.stage]}")
        if progress.done[progress.stage] == 1:
            raise Cut(progress.stage)

    monkeypatch.setattr(Progress, "step", cut_after_the_first)
    for stage in STAGES:
        with pytest.raises(Cut, match=stage):
            run_again(recipe_file, folders, tmp_path, *recipe)
        assert load(tmp_path / stage)["step"] == 1
    run_again(recipe_file, folders, tmp_path, *recipe)
    assert steps == [f"{stage} {number}" for stage in STAGES for number in (1, 2)]
    assert (tmp_path / "model_card.md").is_file()


@pytest.mark.parametrize(
    ("overrides", "names"),
    [
        ([], STAGES),
        (["fusion=null", "finish=null"], ("stage1", "teacher", "stage2")),
        (["teacher.images=visible"], ("stage1", "teacher", "stage2", "finish")),
        (["stage2.distillation=none"], ("stage1", "stage2", "finish")),
        (
            ["network.segmentation=false", "stage2.distillation=none"],
            ("stage1", "stage2", "finish"),
        ),
        (["network.fusion=false", "stage2.distillation=none"], ("stage2", "finish")),
    ],
)
def test_stages_are_those_that_the_recipe_has_a_use_for(
    recipe_file: Path, overrides: list[str], names: tuple[str, ...]
) -> None:
    stages = pipeline.stages_of(load_recipe(recipe_file, overrides), Path("run"))
    assert tuple(stage.name for stage in stages) == names


def test_the_fusion_stage_only_fuses(recipe_file: Path) -> None:
    recipe = pipeline.stages_of(load_recipe(recipe_file), Path("run"))[1].recipe
    assert recipe.stage2.optimisation.steps == 10 and recipe.stage2.balancing == "equal"
    assert recipe.build_network().segmentation_decoder is None


def test_the_last_stage_goes_on_from_stage_2(recipe_file: Path) -> None:
    stage = pipeline.stages_of(load_recipe(recipe_file), Path("run"))[-1]
    assert stage.train.keywords["start"] == Path("run/stage2/model.safetensors")
    assert stage.recipe.augmentation.flips == ("none",)
    assert stage.recipe.stage2.segmentation.dice == 0.5
    weights = stage.recipe.stage2.weights
    assert weights.semantic == weights.binary == weights.boundary == 0
    assert weights.segmentation == weights.distillation == 1


def test_time_left_is_by_the_rate_of_each_stage(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    progress = Progress({"a": 3, "b": 10, "c": 10}, {"a": 0, "b": 0, "c": 5}, lambda: now)
    progress.start("a")
    now = 1000.0  # reading images counts as no step
    progress.step()
    assert progress.seconds_left() is None and "not known yet" in str(progress)
    now += 2
    progress.step()
    assert progress.seconds_left() == 2 * (1 + 10 + 5)
    progress.step()
    progress.start("b")
    progress.step()
    now += 61
    progress.step()
    mean = 63 / 3  # 2 steps of a in 2 s, 1 step of b in 61 s
    assert progress.seconds_left() == 61 * 8 + mean * 5
    assert str(progress) == "b: step 2 of 10; all stages: 10 of 23, 10 min left"
    assert "b: step 2 of 10" in capsys.readouterr().err  # a line a minute where no terminal is
    progress.close()
    assert [duration(s) for s in (45, 720, 11100)] == ["45 s", "12 min", "3 h 05 min"]
