"""The training engine: killed and resumed runs, several processes, the best weights."""

from __future__ import annotations

import math
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from short_training import (
    DEADLINE_S,
    differences,
    finish,
    load,
    make_street,
    start,
    tiny,
    train,
)

from mafs_ros.model.weights import load_weights
from training import stage1
from training.data.batches import Crops, make_loader
from training.data.order import Order
from training.loop import checkpoint, optimisation, run, trainer
from training.loop.logs import append_row, forget_rows_after, grid
from training.recipes.recipe import Optimisation, load_recipe
from training.recipes.sources import open_sources
from training.teachers import build_teacher
from training.teachers.file import save_teacher


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_street(tmp_path_factory.mktemp("street"))


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher of random weights that sees the fused images."""
    torch.manual_seed(0)
    table = load_recipe("street_lite").class_table
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    about = {"name": "segnext-t", "images": "fused", "class_table": table.to_dict()}
    save_teacher(path, build_teacher("segnext-t", table.num_classes), about)
    return path


def command(stage: str, street: Path, out: Path, overrides: list[str], *options: str) -> list[str]:
    return [
        *("-m", f"training.{stage}", "--recipe", "street_lite", "--out", str(out)),
        *("--data", f"street_rgbt={street}", *options, "--set", *overrides),
    ]


def test_a_killed_run_resumes_to_the_same_weights(
    street: Path, teacher_file: Path, tmp_path: Path
) -> None:
    """With a teacher that learns (dropout, random bases), averaging and a loader process."""
    overrides = tiny("stage2", "stage2.teacher=joint", "workers=1")
    overrides.append("augmentation.crop=64")
    options = ("--teacher", str(teacher_file))
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    unbroken = start(command("stage2", street, whole, overrides, *options))
    killed = start(command("stage2", street, broken, overrides, *options))
    deadline = time.monotonic() + DEADLINE_S
    while not (broken / checkpoint.CHECKPOINT).exists():
        assert killed.poll() is None, killed.communicate()[0][-3000:]
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=DEADLINE_S)
    assert killed.returncode == -signal.SIGKILL
    assert 0 < load(broken)["step"] < 8
    finish(start(command("stage2", street, broken, overrides, *options, "--resume")))
    finish(unbroken)
    found = differences(load(broken), load(whole))
    assert len(found) > 1000 and set(found.values()) == {0.0}
    files = [load_weights(out / "model.safetensors") for out in (broken, whole)]
    assert set(differences(*(network.state_dict() for network, _ in files)).values()) == {0.0}
    assert files[0][1] == files[1][1]
    for table in ("losses", "scores"):
        rows = [(out / f"{table}.csv").read_text().splitlines() for out in (broken, whole)]
        assert [r.split(",")[:2] for r in rows[0]] == [r.split(",")[:2] for r in rows[1]]


@pytest.mark.parametrize("stage", ["stage1", "stage2"])
def test_two_processes_train_the_same_weights_as_one(
    stage: str, street: Path, tmp_path: Path
) -> None:
    """Equal to 1e-9 after 3 steps in float64, running statistics and balancing included.

    In float32 rounding alone grows to 1e-4 in a step: some batch norms divide by nearly nothing.
    With class weights, Dice and the auxiliary losses, one of which is OHEM.
    """
    plan = {"steps": 3, "optimizer": "sgd", "evaluate_every": 3, "precision": "64-true"}
    overrides = tiny(stage, *(f"{stage}.optimisation.{k}={v}" for k, v in plan.items()))
    overrides += ["augmentation.crop=64", "augmentation.scale=[1.0, 1.0]"]
    overrides.append("stage2.distillation=none")
    one, two = tmp_path / "one", tmp_path / "two"
    alone = start(command(stage, street, one, overrides))
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    both = start([*launcher, *command(stage, street, two, overrides)])
    finish(alone)
    finish(both)
    single, double = load(one), load(two)
    assert double["step"] == 3
    found = differences(single["learner"], double["learner"])
    largest = max(found, key=lambda key: found[key])
    assert found[largest] <= 1e-9, largest
    torch.manual_seed(0)
    initial = load_recipe("street_lite", overrides).build_network().state_dict()
    moved = "encoder.visible_trunk.stem.conv.weight"
    assert single["learner"][f"network.{moved}"].dtype == torch.float64
    assert not torch.allclose(initial[moved].double(), single["learner"][f"network.{moved}"])


def test_the_order_is_the_same_for_any_number_of_processes_and_after_a_break() -> None:
    whole = list(Order(5, range(4), batch=4, seed=3))
    assert [len(step) for step in whole] == [4] * 4
    dealt = [list(Order(5, range(4), batch=4, seed=3, rank=r, world=2)) for r in (0, 1)]
    for step, *parts in zip(whole, *dealt, strict=True):
        assert sorted(step) == sorted(key for part in parts for key in part)
    assert list(Order(5, range(2, 4), batch=4, seed=3)) == whole[2:]
    keys = [key for step in whole for key in step]
    assert [n for n, _ in keys] == list(range(16))
    for epoch in range(3):  # every sample once in each epoch, also where it ends within a step
        assert {index for _, index in keys[5 * epoch : 5 * epoch + 5]} == set(range(5))
    halves = list(Order(5, range(4), batch=4, accumulate=2, seed=3))
    assert [a + b for a, b in zip(halves[::2], halves[1::2], strict=True)] == whole
    with pytest.raises(ValueError, match="batch 4 cannot be divided into 1 parts .* 3 processes"):
        Order(5, range(4), batch=4, world=3)


def test_loader_processes_change_nothing(street: Path) -> None:
    recipe = load_recipe("street_lite", tiny("stage1"))
    datasets = open_sources(recipe, recipe.train, {"street_rgbt": street})
    crops = Crops(datasets, recipe.augmentation, seed=1)
    runs = [
        list(make_loader(crops, Order(2, range(2), batch=2), workers, False)) for workers in (0, 1)
    ]
    assert len(runs[0]) == 2
    assert set(differences(runs[0], runs[1]).values()) == {0.0}


def test_poly_schedule_is_that_of_the_release() -> None:
    plan = Optimisation(steps=11_000)
    assert optimisation.learning_rate(plan, 0, 11_000) == pytest.approx(1e-5)
    assert optimisation.learning_rate(plan, 500, 11_000) == pytest.approx(1e-4)
    assert optimisation.learning_rate(plan, 1000, 11_000) == pytest.approx(1e-3)
    assert optimisation.learning_rate(plan, 6000, 11_000) == pytest.approx(1e-3 * 0.5**0.9)


def test_exponential_schedule_falls_by_equal_factors_to_one_percent() -> None:
    plan = Optimisation(steps=11_000, schedule="exponential")
    rates = [optimisation.learning_rate(plan, n, 11_000) for n in (0, 1000, 6000, 11_000)]
    assert rates == pytest.approx([1e-5, 1e-3, 1e-4, 1e-5])


def test_cosine_schedule_warms_up_and_ends_at_one_percent() -> None:
    plan = Optimisation(steps=1000, schedule="cosine", warmup_steps=100, lr=1.0)
    assert optimisation.learning_rate(plan, 0, 1000) == pytest.approx(0.01)
    assert optimisation.learning_rate(plan, 100, 1000) == pytest.approx(1.0)
    assert optimisation.learning_rate(plan, 1000, 1000) == pytest.approx(0.01)


def test_accumulated_parts_have_the_gradient_of_their_mean() -> None:
    """One step in two parts; the model has no batch statistics."""
    results = []
    for accumulate in (1, 2):
        torch.manual_seed(0)
        learner = Line()
        plan = Optimisation(steps=1, batch=4, accumulate=accumulate, lr=0.1, schedule="cosine")
        fabric = trainer.make_fabric(plan)
        wrapped, optimizer = fabric.setup(learner, optimisation.make_optimizer(learner, plan))
        one = SimpleNamespace(
            fabric=fabric,
            plan=plan,
            learner=learner,
            wrapped=wrapped,
            optimizer=optimizer,
            average=None,
            recipe=SimpleNamespace(seed=0),
            step=0,
            steps=1,
        )
        x = torch.arange(4.0)[:, None]
        batches = iter({"x": part} for part in x.chunk(accumulate))
        terms = trainer.train_step(one, batches)  # type: ignore[arg-type]
        results.append((learner.network.weight.item(), terms["loss"].item()))
    assert results[0] == pytest.approx(results[1])


class Line(trainer.Learner):
    def __init__(self) -> None:
        super().__init__()
        self.network = torch.nn.Linear(1, 1)

    def forward(self, batch):
        loss = self.network(batch["x"]).square().mean()
        return loss, {"square": loss}


def test_a_disk_that_fills_up_leaves_the_last_checkpoint(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(street, tmp_path)
    before = (tmp_path / checkpoint.CHECKPOINT).read_bytes()

    def full(state: dict, file) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full)
    with pytest.raises(OSError, match="cannot be written, the last one stays.*No space left"):
        train(street, tmp_path, "stage1.optimisation.steps=2", resume=True)
    assert (tmp_path / checkpoint.CHECKPOINT).read_bytes() == before
    assert not list(tmp_path.glob(".*.part"))


def test_the_best_weights_are_kept(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an error, of which less is better; a resumed run knows the best one before it."""
    errors = iter([math.nan, 1.0, 2.0, 1.5, 0.5])

    def validate(*_: object) -> run.Evaluation:
        return run.Evaluation({"hidden_error": next(errors)})

    monkeypatch.setattr(stage1, "validate", validate)

    def steps_of(file: str) -> int:
        return load_weights(tmp_path / file)[1].training["steps"]

    for steps, best in ((3, 2), (4, 2), (5, 5)):
        plan = (f"stage1.optimisation.steps={steps}", "stage1.optimisation.evaluate_every=1")
        train(street, tmp_path, *plan, resume=True)
        assert (steps_of(checkpoint.BEST), steps_of("model.safetensors")) == (best, steps)


def test_a_run_that_is_cut_while_it_saves_has_written_its_model(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would be done by its checkpoint, and never write it."""

    def cut(run: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save_checkpoint", cut)
    with pytest.raises(KeyboardInterrupt):
        train(street, tmp_path)
    load_weights(tmp_path / "model.safetensors")


def test_logs_forget_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "losses.csv"
    for step in (1, 2, 3):
        append_row(path, {"step": step, "loss": 0.5})
    with path.open("a") as file:
        file.write("1")  # torn by a kill while 12,0.5 was written
    forget_rows_after(path, 2)
    assert path.read_text().split() == ["step,loss", "1,0.5", "2,0.5"]


def test_grid_puts_grey_and_colour_side_by_side() -> None:
    grey, colour = np.full((4, 6), 9, np.uint8), np.full((4, 6, 3), 7, np.uint8)
    picture = grid([[grey, colour], [grey]])
    assert picture.shape == (8, 12, 3)
    assert (picture[0, 0, 0], picture[0, 6, 0], picture[4, 6, 0]) == (9, 7, 0)
    assert grid([[np.zeros((480, 640), np.uint8)]]).shape == (240, 320, 3)
