"""Losses and batch normalisation of two processes with half of the batch each, against one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn

from training.loop.sync_norm import synchronise_norms
from training.objectives import losses
from training.objectives.processes import from_all_processes, mean_over_processes

LOSSES = {
    "hard pixels": lambda x, y: losses.ohem_cross_entropy(x, y, 0.9),
    "worst pixels": lambda x, y: losses.ohem_cross_entropy(x, y, 0.01, n_min=50),
    "class weights": lambda x, y: losses.cross_entropy(x, y, (0.5, 2.0, 5.0)),
    "dice": losses.dice_loss,
}


@pytest.fixture(scope="module")
def batch() -> tuple[Tensor, Tensor]:
    """Logits and labels whose halves differ in size of loss, classes and ignored pixels."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, 8, 8, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (4, 8, 8), generator=generator)
    logits[2:] *= 3
    labels[2:][labels[2:] == 2] = 255
    return logits, labels


def results(logits: Tensor, labels: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
    """Value and gradient of every loss for a part of the batch."""
    found = {}
    for name, loss in LOSSES.items():
        x = logits.clone().requires_grad_()
        value = loss(x, labels)
        value.backward()
        assert x.grad is not None
        found[name] = value.detach(), x.grad
    return found


def normalised(x: Tensor) -> tuple[Tensor, Tensor]:
    """A batch norm's output under autocast, and its running variance."""
    norm = nn.Sequential(nn.BatchNorm2d(3))
    if distributed.is_initialized():
        synchronise_norms(norm, torch.device("cpu"))
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(x.bfloat16())
    return y.detach(), norm[0].running_var


def half_of_the_batch(rank: int, folder: str, logits: Tensor, labels: Tensor) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    x, y = logits.chunk(2)[rank], labels.chunk(2)[rank]
    found = {"losses": results(x, y), "norm": normalised(x)}
    torch.save(found, f"{folder}/rank{rank}.pt")
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def halves(batch: tuple[Tensor, Tensor], tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    folder = tmp_path_factory.mktemp("halves")
    multiprocessing.spawn(half_of_the_batch, (str(folder), *batch), nprocs=2)
    return [torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1)]


@pytest.mark.parametrize("name", LOSSES)
def test_the_mean_over_processes_is_the_loss_of_the_batch(
    name: str, batch: tuple[Tensor, Tensor], halves: list[dict]
) -> None:
    value, gradient = results(*batch)[name]
    values, gradients = zip(*(half["losses"][name] for half in halves), strict=True)
    torch.testing.assert_close(sum(values) / 2, value)
    torch.testing.assert_close(torch.cat(gradients) / 2, gradient)
    alone = [results(*part)[name][0] for part in zip(*(t.chunk(2) for t in batch), strict=True)]
    assert abs(sum(alone) / 2 - value) > 1e-3, "the halves would agree by themselves"


def test_batch_norm_takes_half_precision(batch: tuple[Tensor, Tensor], halves: list[dict]) -> None:
    output, variance = normalised(batch[0])
    found = [half["norm"] for half in halves]
    assert found[0][0].dtype == torch.bfloat16
    torch.testing.assert_close(torch.cat([part for part, _ in found]), output)
    for _, running in found:
        torch.testing.assert_close(running, variance)


def test_a_process_alone_gets_back_what_it_gives() -> None:
    x = torch.rand(3, requires_grad=True)
    assert mean_over_processes(x) is x
    assert torch.equal(from_all_processes(x), x)
