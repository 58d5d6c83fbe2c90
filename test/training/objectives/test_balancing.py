"""Task balancing on two losses whose balanced optimum or gradient is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, multiprocessing, nn

from training.objectives.balancing import (
    AlphaFairDwa,
    DynamicWeightAverage,
    Equal,
    FairGrad,
    Uncertainty,
    average_weights,
    fair_weights,
    make_balancing,
)

TASKS = ("fusion", "segmentation")
ALL: list[Callable[[], nn.Module]] = [
    Equal,
    FairGrad,
    lambda: Uncertainty(TASKS),
    lambda: DynamicWeightAverage(TASKS),
    lambda: AlphaFairDwa(TASKS),
]


def losses(fusion: float | Tensor, segmentation: float | Tensor) -> dict[str, Tensor]:
    return {"fusion": torch.as_tensor(fusion), "segmentation": torch.as_tensor(segmentation)}


def opposed(x: Tensor, scale: float, floor: float = 0.0) -> dict[str, Tensor]:
    """One task wants x = 1, the other, `scale` times as loud, x = -1."""
    return losses(((x - 1) ** 2 + floor).sum(), scale * ((x + 1) ** 2 + floor).sum())


def minimise(balance: nn.Module, toy: Callable[[Tensor], dict[str, Tensor]], lr: float) -> float:
    x = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([x, *balance.parameters()], lr=lr)
    for _ in range(1500):
        optimizer.zero_grad()
        balance(toy(x), [x]).backward()
        optimizer.step()
    return x.item()


def test_equal_finds_the_minimum_of_the_sum() -> None:
    # x - 1 + 4 (x + 1) = 0
    assert minimise(Equal(), lambda x: opposed(x, 4), 0.05) == pytest.approx(-0.6, abs=1e-4)


def test_uncertainty_does_not_hear_the_scale() -> None:
    # Minimum over s of e^-s L + s is 1 + log L, so x minimises the product, 0 by symmetry;
    # there L = (5, 4 * 5).
    balance = Uncertainty(TASKS)
    assert minimise(balance, lambda x: opposed(x, 4, 4.0), 0.05) == pytest.approx(0, abs=1e-3)
    expected = [math.log(5), math.log(20)]
    assert balance.log_variance.tolist() == pytest.approx(expected, abs=1e-3)


def test_alpha_fair_moves_the_optimum_as_computed() -> None:
    # With d1 = 1 - x, d2 = 1 + x and a = 1/4: L1^-a L1' = L2^-a L2' gives
    # (d1 / d2)^(1 - 2a) = 4^(1 - a), so d1 / d2 = 8 and x = -7/9. (a below 1/2: one minimum.)
    balance = AlphaFairDwa(TASKS, alpha=0.25)
    assert minimise(balance, lambda x: opposed(x, 4), 0.03) == pytest.approx(-7 / 9, abs=1e-3)


def test_fairgrad_stops_where_the_gradients_oppose() -> None:
    # Every x in (-1, 1) is Pareto optimal. In two dimensions, from a point off the segment
    # between the optima, both improve equally under proportional fairness.
    x = nn.Parameter(torch.tensor([0.0, 1.0]))
    targets = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    optimizer = torch.optim.SGD([x], lr=0.01)
    balance = FairGrad(alpha=1.0)
    for _ in range(300):
        optimizer.zero_grad()
        first, second = (((x - target) ** 2).sum() for target in targets)
        balance(losses(first, 100 * second), [x]).backward()
        nn.utils.clip_grad_norm_([x], 1.0)
        optimizer.step()
    # The loud task alone would drag x to (-1, 0).
    assert x.tolist() == pytest.approx([0, 0], abs=0.02)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
def test_fairgrad_of_orthogonal_gradients(alpha: float) -> None:
    # w_k = |g_k|^(-2 alpha / (1 + alpha)), so |w_k g_k| = |g_k|^((1 - alpha) / (1 + alpha)).
    shared = nn.Parameter(torch.tensor([0.5, -0.25]))
    head = nn.Parameter(torch.tensor(2.0))
    first, second = 3 * shared[0] + head, 100 * shared[1] + head**2
    total = FairGrad(alpha)(losses(first, second), [shared])
    assert total.item() == pytest.approx((first + second).item())
    total.backward()
    assert shared.grad is not None
    power = (1 - alpha) / (1 + alpha)
    # 1e-4: a millionth is added to the diagonal.
    assert shared.grad.tolist() == pytest.approx([3**power, 100**power], rel=1e-4)
    assert head.grad is not None
    assert head.grad.item() == pytest.approx(1 + 4)  # of the plain sum


def test_fairgrad_is_the_same_under_autocast() -> None:
    gradients = []
    for half in (False, True):
        shared = nn.Parameter(torch.linspace(-1, 1, 300))
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            both = losses((shared - 0.3).square().sum(), 100 * (shared + 0.7).square().sum())
            FairGrad()(both, [shared]).backward()
        gradients.append(shared.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("alpha", [0.3, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("tasks", [2, 3, 5])
def test_fair_weights_solve_their_equation(alpha: float, tasks: int) -> None:
    generator = torch.Generator().manual_seed(tasks)
    scale = 10.0 ** torch.arange(tasks)[:, None]  # losses of very different loudness
    gradients = scale * torch.randn(tasks, 20, generator=generator)
    gradients += scale * torch.randn(20, generator=generator)
    gram = gradients @ gradients.T
    weights = fair_weights(gram, alpha)
    assert (weights > 0).all()
    torch.testing.assert_close(gram.double() @ weights, weights ** (-1 / alpha), rtol=1e-3, atol=0)
    assert (gradients.double() @ (gradients.double().T @ weights) > 0).all()  # all improve


def test_fair_weights_of_extreme_gradients() -> None:
    opposite = fair_weights(torch.tensor([[1.0, -1.0], [-1.0, 1.0]]), 2.0)
    assert opposite.isfinite().all()
    assert opposite[0].item() == pytest.approx(opposite[1].item())
    assert fair_weights(torch.tensor([[4.0, 0.0], [0.0, 0.0]]), 1.0).tolist() == pytest.approx(
        [0.5, 0.0], rel=1e-5
    )
    assert fair_weights(torch.zeros(2, 2), 2.0).tolist() == [0.0, 0.0]
    assert fair_weights(torch.tensor([[1.0, math.nan], [math.nan, 1.0]]), 2.0).tolist() == [1, 1]
    for size in (1e-12, 1e12):
        gram = size * torch.tensor([[2.0, -1.0], [-1.0, 3.0]], dtype=torch.float64)
        weights = fair_weights(gram, 2.0)
        torch.testing.assert_close(gram @ weights, weights**-0.5, rtol=1e-5, atol=0)


def test_dwa_by_hand() -> None:
    balance = DynamicWeightAverage(TASKS, temperature=2.0)
    assert balance(losses(4.0, 2.0)).item() == pytest.approx(6)  # nothing known yet
    assert balance(losses(2.0, 2.0)).item() == pytest.approx(4)
    # Ratios 2/4 and 2/2: the second loss does not fall and counts more.
    e, f = math.exp(0.25), math.exp(0.5)
    expected = 2 * (e * 10 + f * 20) / (e + f)
    assert balance(losses(10.0, 20.0)).item() == pytest.approx(expected)


def test_dwa_averages_over_periods() -> None:
    by_epoch = DynamicWeightAverage(TASKS, period=3)
    by_call = DynamicWeightAverage(TASKS)
    for epoch in ([1.0, 2.0, 3.0], [3.0, 4.0, 5.0]):
        for value in epoch:
            assert by_epoch(losses(value, 7.0)).item() == pytest.approx(value + 7)
        by_call(losses(sum(epoch) / 3, 7.0))
    for value in (9.0, 1.0):  # the weights hold for the whole next period
        expected = average_weights(torch.tensor([2.0, 1.0]), 2.0) @ torch.tensor([value, 5.0])
        torch.testing.assert_close(by_epoch(losses(value, 5.0)), expected)
    torch.testing.assert_close(by_call(losses(1.0, 5.0)), expected)


def test_alpha_fair_dwa_by_hand() -> None:
    a = torch.tensor(0.3, requires_grad=True)
    b = torch.tensor(2.0, requires_grad=True)
    balance = AlphaFairDwa(TASKS, alpha=0.8, temperature=0.5)
    first = balance(losses(a, b))
    assert first.item() == pytest.approx(5 * 0.3**0.2 + 5 * 2**0.2)
    first.backward()
    assert a.grad is not None
    assert a.grad.item() == pytest.approx(0.3**-0.8)
    # What the second call sees, twice the first loss, weighs in the third; without a gradient.
    second = balance(losses(2 * a, b))
    assert second.item() == pytest.approx(5 * 0.6**0.2 + 5 * 2**0.2)
    a.grad = None
    balance(losses(a, b)).backward()
    e, f = math.exp(2**0.2 / 0.5), math.exp(1 / 0.5)
    assert a.grad is not None
    assert a.grad.item() == pytest.approx(2 * e / (e + f) * 0.3**-0.8)


def test_without_fairness_it_is_dwa() -> None:
    pair = AlphaFairDwa(TASKS, alpha=0, temperature=0.5), DynamicWeightAverage(TASKS, 0.5)
    for values in ((3.0, 1.0), (2.0, 1.5), (1.5, 1.0), (1.0, 2.0)):
        one, other = (balance(losses(*values)) for balance in pair)
        assert one == other


def test_alpha_fair_dwa_of_the_paper_is_nearly_equal_in_lambda() -> None:
    balance = AlphaFairDwa(TASKS)
    balance(losses(1.0, 1.0))
    balance(losses(2.0, 0.5))
    total = balance(losses(2.0, 0.5)).item()
    assert total == pytest.approx(5 * 2**0.2 + 5 * 0.5**0.2, rel=0.001)


@pytest.mark.parametrize("make", ALL[2:])
def test_a_resumed_balance_continues_exactly(
    make: Callable[[], nn.Module], tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    steps = [losses(*torch.rand(2, generator=generator)) for _ in range(8)]

    def go_on(balance: nn.Module, part: list[dict[str, Tensor]]) -> list[float]:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1)), *balance.parameters()], 0.1)
        totals = []
        for values in part:
            total = balance(
                {name: value.clone().requires_grad_() for name, value in values.items()}
            )
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            totals.append(total.item())
        return totals

    unbroken = go_on(make(), steps)
    before = make()
    first = go_on(before, steps[:4])
    torch.save(before.state_dict(), tmp_path / "state.pt")
    after = make()
    after.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert first + go_on(after, steps[4:]) == unbroken
    assert go_on(make(), steps[4:]) != unbroken[4:]  # the state matters


@pytest.mark.parametrize("make", ALL[3:])
def test_one_bad_loss_does_not_stay(make: Callable[[], nn.Module]) -> None:
    balance = make()
    for values in (losses(1.0, 1.0), losses(1.0, 1.0), losses(math.nan, 1.0)):
        total = balance(values)
    assert total.isnan()  # for the trainer to see
    for _ in range(3):
        assert balance(losses(1.0, 1.0)).isfinite()


def test_zero_losses_are_finite() -> None:
    x = nn.Parameter(torch.zeros(2))
    for make in ALL:
        x.grad = None
        make()(losses((x**2).sum(), 0 * x.sum()), [x]).backward()
        assert x.grad is not None
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("make", ALL[2:])
def test_other_tasks_are_refused(make: Callable[[], nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"\['depth'\].*\['fusion', 'segmentation'\]"):
        make()({"depth": torch.tensor(1.0)})


def test_bad_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="0 <= alpha < 1"):
        AlphaFairDwa(TASKS, alpha=1.0)
    with pytest.raises(ValueError, match="positive"):
        FairGrad(alpha=0)
    with pytest.raises(ValueError, match="share, got none"):
        FairGrad()(losses(1.0, 2.0))


@pytest.mark.parametrize(
    ("balancing", "there"),
    [
        ("equal", "none"),
        ("uncertainty", "none"),
        ("fairgrad", "alpha"),
        ("dwa", "temperature, period"),
        ("alpha_fair_dwa", "alpha, temperature"),
    ],
)
def test_an_unknown_option_of_a_balancing_lists_the_known_ones(balancing: str, there: str) -> None:
    with pytest.raises(ValueError, match=f"{balancing} has no option 'alhpa'; it has {there}$"):
        make_balancing(balancing, {"alhpa": 1.0}, TASKS)


def toy_batch(x: Tensor, samples: Tensor) -> dict[str, Tensor]:
    return losses(((x - samples) ** 2).mean(), ((2 * x + samples[:, :1]) ** 2).mean())


def gradients_on_toy(samples: Tensor) -> list[Tensor]:
    """Gradients of x and of the balance after two steps, mean over the processes."""
    result = []
    for make in ALL:
        x = nn.Parameter(torch.tensor([0.3, -0.2, 0.1]))
        balance = make()
        for _ in range(2):
            x.grad = None
            balance.zero_grad()
            balance(toy_batch(x, samples), [x]).backward()
        for parameter in (x, *balance.parameters()):
            assert parameter.grad is not None
            gradient = parameter.grad
            if distributed.is_initialized():
                distributed.all_reduce(gradient)
                gradient /= distributed.get_world_size()
            result.append(gradient)
    return result


def half_of_the_batch(rank: int, folder: str, samples: Tensor) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2
    )
    torch.save(gradients_on_toy(samples.chunk(2)[rank]), f"{folder}/rank{rank}.pt")
    distributed.destroy_process_group()


def test_two_processes_give_the_gradients_of_one(tmp_path: Path) -> None:
    samples = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    samples[2:] *= 5  # the halves differ, so weights from local losses would, too
    multiprocessing.spawn(half_of_the_batch, (str(tmp_path), samples), nprocs=2)
    one = gradients_on_toy(samples)
    for rank in (0, 1):
        two = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-6)
