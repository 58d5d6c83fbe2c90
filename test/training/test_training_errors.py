"""What goes wrong in training: said before it starts where it can be, and in one line."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from short_training import make_street, tiny, train

from training import stage1, stage2
from training.loop import checkpoint, trainer
from training.recipes import options
from training.recipes.recipe import load_recipe


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_street(tmp_path_factory.mktemp("street"))


def test_errors_come_before_training(
    street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    train(street, out)
    with pytest.raises(FileExistsError, match="a run lies here; add --resume"):
        train(street, out)
    with pytest.raises(ValueError, match=r"optimisation.lr: 0.001 then, 0.002 now"):
        train(street, out, "stage1.optimisation.lr=2.0e-3", resume=True)
    state = torch.load(out / checkpoint.CHECKPOINT, weights_only=True)
    state["learner"]["network.former"] = torch.zeros(1)
    torch.save(state, out / checkpoint.CHECKPOINT)
    with pytest.raises(ValueError, match='of another version, .* key.* "network.former"'):
        train(street, out, resume=True)
    before = (out / checkpoint.CHECKPOINT).read_bytes()
    (out / checkpoint.CHECKPOINT).write_bytes(before[: len(before) // 2])
    with pytest.raises(ValueError, match="not a checkpoint of ours, or damaged"):
        train(street, out, resume=True)
    with pytest.raises(NotADirectoryError, match="is a file"):
        train(street, out / "losses.csv")
    with pytest.raises(FileNotFoundError, match="no such file .imagenet."):
        train(street, tmp_path / "other", f"imagenet={tmp_path / 'none.pth'}")
    with pytest.raises(FileNotFoundError, match="there is no such folder"):
        train(tmp_path / "nowhere", tmp_path / "other")
    recipe = load_recipe("street_lite", tiny("stage1"))
    with pytest.raises(ValueError, match="give --data street_rgbt=DIR"):
        stage1.train(recipe, {}, tmp_path / "other", resume=False)
    with pytest.raises(ValueError, match="give --teacher FILE"):
        stage2.make_learner(recipe)
    full = SimpleNamespace(total=1 << 40, used=1 << 40, free=1 << 20)
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: full)
    with pytest.raises(OSError, match="1 MiB are free, but this run needs [0-9]+ MiB"):
        train(street, tmp_path / "other")
    assert not (tmp_path / "other" / checkpoint.CHECKPOINT).exists()


def test_a_score_that_there_is_not_is_refused_at_once(street: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="best is 'mIou', expected one of -hidden_error"):
        train(street, tmp_path, "stage1.optimisation.best=mIou")
    assert not list(tmp_path.glob("*.safetensors"))


def test_a_loss_that_is_not_finite_stops_the_run(street: Path, tmp_path: Path) -> None:
    """The message says which checkpoint there is, and names settings of the stage."""
    with pytest.raises(FloatingPointError, match="step 1: .* no checkpoint was .* stage1.*clip"):
        train(street, tmp_path, "stage1.intensity_weight=.inf")
    path = tmp_path / checkpoint.CHECKPOINT
    assert not path.exists()
    path.write_bytes(b"of an earlier step")
    one = SimpleNamespace(out=tmp_path, step=7, stage="stage1")
    with pytest.raises(FloatingPointError, match=f"step 7: loss is not finite; {path} is from"):
        trainer.check_finite({"loss": math.inf, "other": 1.0}, one)  # type: ignore[arg-type]


def test_fp16_needs_a_gpu(street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The advice works: bf16 trains, as the checkpoint says."""
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    with pytest.raises(ValueError, match="16-mixed, which needs a GPU .* set bf16-mixed or 32"):
        train(street, tmp_path / "run", "stage1.optimisation.precision=16-mixed")
    assert not (tmp_path / "run").exists()
    train(street, tmp_path / "run", "stage1.optimisation.precision=bf16-mixed")
    state = torch.load(tmp_path / "run" / checkpoint.CHECKPOINT, weights_only=True)
    assert '"optimisation.precision": "bf16-mixed"' in state["settings"]


@pytest.mark.parametrize("where", ["step", "evaluation"])
def test_out_of_memory_is_one_line(
    where: str, street: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """With the settings that need less, and none where a whole image does not fit."""

    def too_large(*_: object) -> None:
        torch.empty(1 << 50)

    if where == "step":
        monkeypatch.setattr(stage1.Reconstruction, "forward", too_large)
    else:
        monkeypatch.setattr(stage1, "validate", too_large)
    assert options.report_errors(lambda: train(street, tmp_path) and None) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    if where == "step":
        assert re.fullmatch(
            r"error: out of memory on cpu in step 1: lower stage1.optimisation.batch \(4 now\) or "
            r"augmentation.crop \(32\), or raise stage1.optimisation.accumulate \(1\): .*",
            line,
        )
    else:
        assert re.match("error: out of memory: .*can't allocate memory", line)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (torch.OutOfMemoryError("CUDA: full.\nMore."), "out of memory: CUDA: full."),
        (MemoryError(), "out of memory"),
        (ValueError("wrong"), "wrong"),
    ],
)
def test_errors_of_the_user_are_one_line(error: Exception, message: str, capsys) -> None:
    def fail() -> None:
        raise error

    assert options.report_errors(fail) == 1
    assert capsys.readouterr().err == f"error: {message}\n"


def test_other_errors_keep_their_traceback() -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        options.report_errors(fail)
