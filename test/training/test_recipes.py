"""Recipes: every one builds all that it names and takes steps of each stage on tiny data."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from layouts import make_layout

from mafs_ros.model.weights import load_weights
from training import stage1, stage2, teacher
from training.loop import checkpoint, trainer
from training.objectives.balancing import make_balancing
from training.recipes.recipe import CONFIGS, Recipe, load_ablations, load_recipe
from training.teachers.file import load_teacher

RECIPES = sorted(path.stem for path in CONFIGS.glob("*.yaml") if path.stem != "ablations")


def tiny(name: str, extra: tuple[str, ...] = ()) -> Recipe:
    """A recipe with two steps of each stage on small crops, and no download."""
    overrides = [f"{stage}.optimisation.steps=2" for stage in ("stage1", "teacher", "stage2")]
    overrides += [f"{stage}.optimisation.batch=2" for stage in ("stage1", "teacher", "stage2")]
    recipe = load_recipe(name)
    if recipe.imagenet is not None and recipe.imagenet.startswith("https://"):
        overrides += ["imagenet=null", "teacher.name=segnext-t"]
    if any(source.kind == "simulation" for source in recipe.train):
        overrides.append(
            "train=[{kind: street_rgbt, labels: teacher}, {kind: simulation, count: 1}]"
        )
    overrides += ["augmentation.crop=64", "workers=0", "cache=false", *extra]
    return load_recipe(name, overrides)


@pytest.fixture
def no_large_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints of ResNet-152 are of 1 GB; test_trainer.py has those of the light network."""
    monkeypatch.setattr(checkpoint, "save_checkpoint", lambda run: None)
    monkeypatch.setattr(trainer, "keep_best", lambda *_: None)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_two_steps_of_each_stage(
    name: str, tmp_path: Path, no_large_files: None
) -> None:
    recipe = tiny(name)
    kind = recipe.evaluation[0].kind
    folders = {kind: make_layout(kind, tmp_path / "data", size=(64, 96))}
    first, taught = tmp_path / "stage1", tmp_path / "teacher"
    scores = stage1.train(recipe, folders, first, resume=False)
    assert 0 < scores["hidden_error"] < 255
    start = first / "model.safetensors"
    scores = teacher.train(recipe, folders, taught, fusion=start)
    assert load_teacher(taught / "teacher.safetensors")[1]["scores"]["mIoU"] == scores["mIoU"]
    out = tmp_path / "stage2"
    scores = stage2.train(
        recipe, folders, out, start=start, teacher=taught / "teacher.safetensors"
    )
    network, info = load_weights(out / "model.safetensors")
    for name in ("mIoU", "EN"):
        assert info.scores[name] == round(scores[name], 5)
    assert scores["EN"] > 0
    assert info.num_classes == recipe.class_table.num_classes
    assert info.training["steps"] == 2 and info.licence == recipe.licence
    assert (out / "pictures" / "step_0000002.png").is_file()


@pytest.mark.parametrize("name", ["mfnet", "pst900", "fmb"])
def test_settings_are_those_of_the_paper(name: str) -> None:
    recipe = load_recipe(name)
    with torch.device("meta"):
        built = recipe.build_network()
    assert built.config.backbone == "resnet152"
    assert built.config.num_classes == {"mfnet": 9, "pst900": 5, "fmb": 15}[name]
    first, second = recipe.stage1.optimisation, recipe.stage2.optimisation
    assert (first.epochs, second.epochs) == (100, 400)
    for plan in (first, second):
        assert (plan.batch, plan.optimizer, plan.lr) == (4, "sgd", 1e-3)
    assert recipe.augmentation.crop == 256 and recipe.augmentation.rotate
    assert set(recipe.augmentation.flips) == {"none", "horizontal", "vertical"}
    assert recipe.stage1.patch == 32 and recipe.stage1.ratio is None
    assert recipe.stage2.balancing_options == {"alpha": 0.8, "temperature": 500}
    assert recipe.teacher.name == "segnext-l"
    sources = (*recipe.train, *recipe.evaluation)
    assert not any(source.split.startswith("test") for source in sources)
    assert [(source.kind, source.split) for source in recipe.tests] == [(name, "test")]


@pytest.mark.parametrize("name", load_ablations())
def test_every_ablation_builds(name: str) -> None:
    overrides = load_ablations()[name]
    recipe = load_recipe("mfnet", overrides)
    assert recipe != load_recipe("mfnet"), "this ablation changes nothing"
    with torch.device("meta"):
        network = recipe.build_network()
        stage = recipe.stage2
        make_balancing(stage.balancing, stage.balancing_options, stage2.tasks_of(network))


def test_street_lite_fits_two_cores() -> None:
    recipe = load_recipe("street_lite")
    assert recipe.network["preset"] == "mafs-lite" and recipe.workers <= 1
    assert "vertical" not in recipe.augmentation.flips and not recipe.augmentation.rotate
    assert recipe.train[0].labels == "teacher"
    assert not any("test" in source.split for source in (*recipe.train, *recipe.evaluation))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stage2.optimisation.lrr=1", "unknown setting 'stage2.optimisation.lrr'; there are"),
        ("stage2.teacher=half", "stage2.teacher is 'half', expected one of frozen, joint"),
        ("stage2.optimisation.lr=fast", "stage2.optimisation.lr is 'fast', expected float"),
        ("seed=true", "seed is True, expected int"),
        ("train=[]", "at least one data set"),
        ("train=[{split: train}]", r"train\[0\] lacks kind"),
        ("teacher.name=unet", "unknown teacher 'unet'"),
        ("augmentation.flips=[sideways]", "augmentation: flips must be some of"),
        ("network.preset=big", "network.preset is 'big'"),
        ("seed", "expected KEY=VALUE"),
        ("seed=[", "not YAML"),
        ("stage1.optimisation=4", "stage1.optimisation is 4, expected a mapping"),
        ("stage1.ratio=1.0", "stage1: ratio is 1.0, expected a share of the patches"),
        ("stage1.ratio=0", "stage1: ratio is 0.0, expected a share of the patches"),
        ("stage1.patch=0", "stage1: patch is 0, expected 1 pixel or more"),
    ],
)
def test_wrong_overrides_say_what_is_wrong(override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_recipe("mfnet", [override])


def test_fairgrad_in_fp16_is_refused() -> None:
    overrides = ["stage2.optimisation.precision=16-mixed", *load_ablations()["fairgrad"]]
    with pytest.raises(ValueError, match="stage2: balancing fairgrad .* bf16-mixed or 32-true"):
        load_recipe("mfnet", overrides)
    load_recipe("mfnet", [*overrides, "stage2.optimisation.precision=bf16-mixed"])


def test_a_length_in_steps_replaces_the_epochs() -> None:
    plan = load_recipe("mfnet", ["stage1.optimisation.steps=7"]).stage1.optimisation
    assert plan.total_steps(1000) == 7 and plan.epochs is None
    assert load_recipe("mfnet").stage2.optimisation.total_steps(784) == 400 * 784 / 4


def test_an_unknown_recipe_lists_the_known_ones() -> None:
    with pytest.raises(FileNotFoundError, match="fmb, mfnet, pst900, street_lite"):
        load_recipe("mfnett")
