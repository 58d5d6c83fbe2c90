"""Task balancing: how the losses of several tasks become the one scalar to backpropagate.

All are modules called alike, `total = balance(losses, shared)`:
losses: task name -> scalar loss >= 0. Always the same tasks in the same order.
shared: the parameters that all tasks use; only `FairGrad` looks at them.
`state_dict()` holds what a resumed run needs; `parameters()` what the optimiser has to learn.

With several processes (torch.distributed) the losses are those of the process, and every weight
follows from their mean over the processes, so that the averaged gradients are those of one
process with the whole batch.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from mafs_ros.model.layers import without_autocast
from training.objectives.processes import mean_over_processes

Losses = Mapping[str, Tensor]


class Equal(nn.Module):
    """L = sum of L_k."""

    def forward(self, losses: Losses, shared: Sequence[Tensor] = ()) -> Tensor:
        return _stack(losses).sum()


class Uncertainty(nn.Module):
    """Homoscedastic uncertainty (Kendall, Gal, Cipolla, CVPR 2018): L = sum of e^-s_k L_k + s_k.

    s_k = log sigma_k^2 is learned, from 0; its optimum is s_k = log L_k. Twice the paper's
    regression form, so that it starts as equal weighting.
    """

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.log_variance = nn.Parameter(torch.zeros(len(self.tasks)))

    def forward(self, losses: Losses, shared: Sequence[Tensor] = ()) -> Tensor:
        values = _stack(losses, self.tasks)
        return (torch.exp(-self.log_variance) * values + self.log_variance).sum()


class FairGrad(nn.Module):
    """FairGrad (Ban and Ji, Fair Resource Allocation in Multi-Task Learning, ICML 2024).

    With G the task gradients of the shared parameters (columns), those get the update
    d = G w, w > 0 solving G^T G w = w^(-1 / alpha): the direction that maximises the alpha-fair
    utility of the tasks' improvements g_k . d. Parameters of a single task get the gradient of
    the plain sum, which is also the value returned. One more backward pass per task.

    alpha: 0 no fairness, 1 proportional, larger ones closer to max-min; the authors use 2.
    The size of d follows alpha, not the losses: clip the gradient norm, as the authors do (at 1).
    In fp16 its gradients would be those of losses that are not scaled: recipes refuse that.
    Raises ValueError for alpha <= 0 or where no shared parameters are given.
    """

    def __init__(self, alpha: float = 2.0) -> None:
        super().__init__()
        if alpha <= 0:
            raise ValueError(f"FairGrad alpha is {alpha}, expected a positive number")
        self.alpha = alpha

    def forward(self, losses: Losses, shared: Sequence[Tensor] = ()) -> Tensor:
        shared = list(shared)
        if not shared:
            raise ValueError("FairGrad needs the parameters that all tasks share, got none")
        values = _stack(losses)
        gradients = torch.stack([_flat_gradient(value, shared) for value in values])
        gradients = mean_over_processes(gradients)
        with without_autocast(gradients.device.type):
            weights = fair_weights(gradients @ gradients.T, self.alpha)
            # The plain sum already backpropagates G 1; this term of value 0 adds G (w - 1).
            correction = (weights - 1).to(gradients) @ gradients
            parameters = torch.cat([parameter.flatten() for parameter in shared])
            return values.sum() + correction @ (parameters - parameters.detach())


class DynamicWeightAverage(nn.Module):
    """DWA (Liu, Johns, Davison, CVPR 2019): L = sum of lambda_k L_k.

    lambda_k = K exp(w_k / T) / sum of exp(w_i / T), w_k = L_k(t-1) / L_k(t-2): a task whose loss
    falls slower counts more. L_k(t-1) and L_k(t-2) are means over the last two completed periods
    of `period` calls (its authors: an epoch); before there are two, all weights are 1.
    """

    sums: Tensor
    counts: Tensor
    calls: Tensor
    before: Tensor
    last: Tensor

    def __init__(self, tasks: Sequence[str], temperature: float = 2.0, period: int = 1) -> None:
        super().__init__()
        self.tasks, self.temperature, self.period = tuple(tasks), temperature, period
        self.register_buffer("sums", torch.zeros(len(self.tasks)))
        self.register_buffer("counts", torch.zeros(len(self.tasks)))
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("before", torch.full((len(self.tasks),), math.nan))
        self.register_buffer("last", torch.full((len(self.tasks),), math.nan))

    def forward(self, losses: Losses, shared: Sequence[Tensor] = ()) -> Tensor:
        return self._weighted(_stack(losses, self.tasks))

    def _weighted(self, values: Tensor) -> Tensor:
        """The sum of the losses [K] by the weights of now; they count for later ones."""
        total = (average_weights(self.last / self.before, self.temperature) * values).sum()
        self._record(values.detach())
        return total

    @torch.no_grad()
    def _record(self, values: Tensor) -> None:
        """Add the losses to the running period; one that is not finite is left out."""
        finite = values.isfinite()
        self.sums += values.where(finite, 0.0)
        self.counts += finite
        self.calls += 1
        done = self.calls >= self.period  # a tensor: no wait for the accelerator
        self.before.copy_(self.last.where(done, self.before))
        self.last.copy_((self.sums / self.counts).where(done, self.last))
        for running in (self.sums, self.counts, self.calls):
            running.masked_fill_(done, 0.0)


class AlphaFairDwa(DynamicWeightAverage):
    """Alpha-fair DWA (the MAFS paper, Eq. 20 and 21): L = sum of lambda_k l_k.

    l_k = L_k^(1 - alpha) / (1 - alpha), whose gradient is L_k^-alpha times that of L_k, and
    lambda_k(t + 1) = K exp(w_k / T) / sum of exp(w_i / T), w_k = l_k(t) / l_k(t-1), t the call;
    lambda is constant to the gradient, and 1 in the first two calls. With T = 500 lambda stays
    within a fraction of a percent of 1. alpha 0 is DWA without fairness. Losses are taken as at
    least FLOOR, below which they have no gradient. Raises ValueError for alpha outside
    0 <= alpha < 1.
    """

    FLOOR = 1e-8

    def __init__(
        self, tasks: Sequence[str], alpha: float = 0.8, temperature: float = 500.0
    ) -> None:
        if not 0 <= alpha < 1:
            raise ValueError(f"alpha-fair DWA needs 0 <= alpha < 1, got alpha {alpha}")
        super().__init__(tasks, temperature)
        self.alpha = alpha

    def forward(self, losses: Losses, shared: Sequence[Tensor] = ()) -> Tensor:
        values = _stack(losses, self.tasks).clamp_min(self.FLOOR)
        return self._weighted(values ** (1 - self.alpha) / (1 - self.alpha))


def make_balancing(name: str, options: Mapping[str, float], tasks: Sequence[str]) -> nn.Module:
    """The balancing of a recipe (`Stage2.balancing`) with its options, for these tasks.

    Raises ValueError for options that it does not have.
    """
    kinds: dict[str, Callable[..., nn.Module]] = {
        "equal": Equal,
        "uncertainty": partial(Uncertainty, tasks),
        "fairgrad": FairGrad,
        "dwa": partial(DynamicWeightAverage, tasks),
        "alpha_fair_dwa": partial(AlphaFairDwa, tasks),
    }
    make = kinds[name]
    parameters = inspect.signature(make).parameters.values()
    known = [p.name for p in parameters if p.kind == p.POSITIONAL_OR_KEYWORD]
    for option in options:
        if option not in known:
            raise ValueError(
                f"stage2.balancing_options: {name} has no option {option!r}; it has "
                f"{', '.join(known) or 'none'}"
            )
    return make(**options)


def average_weights(ratios: Tensor, temperature: float) -> Tensor:
    """K softmax(ratios / T), the weights of DWA; a ratio that is not known yet (NaN) counts as 1.

    ratios: [K]. Returns [K] with sum K.
    """
    return len(ratios) * torch.softmax(ratios.nan_to_num(nan=1.0) / temperature, 0)


def fair_weights(gram: Tensor, alpha: float) -> Tensor:
    """FairGrad's w > 0 with gram w = w^(-1 / alpha); float64 [K] on the CPU.

    gram: G^T G, [K, K]. w minimises the strictly convex w^T gram w / 2 - sum of
    w^(1 - b) / (1 - b), b = 1 / alpha (log w for b = 1), here by damped Newton steps. Opposite
    gradients have no solution: a millionth of its diagonal is added to gram. A task without
    gradient gets 0. A gram that is not finite gives ones.
    """
    gram = gram.detach().double().cpu()
    weights = torch.zeros(len(gram), dtype=torch.float64)
    if not gram.isfinite().all():
        return weights + 1
    active = gram.diagonal() > 0
    a = gram[active][:, active]
    a = a + 1e-6 * a.diagonal().diag()
    b = 1 / alpha

    def objective(w: Tensor) -> Tensor:
        utility = w.log() if b == 1 else w ** (1 - b) / (1 - b)
        return w @ a @ w / 2 - utility.sum()

    w = a.diagonal() ** (-1 / (1 + b))  # the solution for orthogonal gradients
    for _ in range(50):
        slope = a @ w - w**-b
        step = -torch.linalg.solve(a + (b * w ** (-b - 1)).diag(), slope)
        if -(slope @ step) <= 1e-10 * objective(w).abs():  # so near that full steps converge
            w = (w + step).where(w + step > 0, w)
            break
        for size in (0.5**halvings for halvings in range(40)):
            better = w + size * step
            wanted = objective(w) + 1e-4 * size * (slope @ step)
            if (better > 0).all() and objective(better) <= wanted:
                break
        else:
            break
        w = better
    weights[active] = w
    return weights


def _flat_gradient(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Gradient of the loss, [N], 0 for parameters that it does not use; keeps the graph."""
    gradients = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    return torch.cat(
        [
            (torch.zeros_like(parameter) if gradient is None else gradient).flatten()
            for parameter, gradient in zip(parameters, gradients, strict=True)
        ]
    )


def _stack(losses: Losses, tasks: Sequence[str] | None = None) -> Tensor:
    """Losses as [K], with their value the mean over the processes and the gradient the own.

    Raises ValueError where the tasks are not the expected ones.
    """
    if not losses or (tasks is not None and tuple(losses) != tuple(tasks)):
        raise ValueError(f"got losses of tasks {list(losses)}, expected {list(tasks or ['...'])}")
    return mean_over_processes(torch.stack(list(losses.values())))
