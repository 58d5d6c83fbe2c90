"""Optimiser, learning rate, averaged weights."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim import SGD, AdamW, Optimizer

from training.loop.run import Learner
from training.recipes.recipe import Optimisation

LAST_SHARE = 0.01  # of the learning rate, that a cosine and an exponential end at


def make_optimizer(learner: Learner, plan: Optimisation) -> Optimizer:
    """SGD or AdamW over what needs gradients; `factor` of a group multiplies its rate."""
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in learner.named_parameters():
        if parameter.requires_grad:
            factor = plan.trunk_lr if "_trunk." in name else 1.0
            decays = plan.optimizer == "sgd" or parameter.ndim > 1
            groups.setdefault((factor, decays), []).append(parameter)
    options = [
        {
            "params": parameters,
            "factor": factor,
            "weight_decay": plan.weight_decay if decays else 0.0,
        }
        for (factor, decays), parameters in groups.items()
    ]
    if plan.optimizer == "sgd":
        return SGD(options, lr=plan.lr, momentum=plan.momentum)
    return AdamW(options, lr=plan.lr)


def learning_rate(plan: Optimisation, step: int, steps: int) -> float:
    """Learning rate of a step 0..steps - 1; see `Optimisation.schedule`.

    poly (architecture notes, 12): lr_w (lr / lr_w)^(step / N_w) up to step N_w, then
    lr (1 - p)^power, p = (step - N_w) / (steps - N_w). exponential: the same warm-up, then
    lr 0.01^p. A warm-up longer than a tenth of the run is shortened to that.
    """
    warmup = min(plan.warmup_steps, steps // 10)
    if plan.schedule == "cosine":
        return plan.lr * schedule(step, steps, warmup)
    if step < warmup:
        return plan.warmup_lr * (plan.lr / plan.warmup_lr) ** (step / warmup)
    progress = (step - warmup) / max(steps - warmup, 1)
    if plan.schedule == "exponential":
        return plan.lr * LAST_SHARE**progress
    return plan.lr * (1 - progress) ** plan.power


def schedule(step: int, steps: int, warm_up: int = 100) -> float:
    """Factor on the learning rate: linear warm-up, then a cosine to 1 %."""
    if step < warm_up:
        return (step + 1) / warm_up
    progress = (step - warm_up) / max(steps - warm_up, 1)
    return LAST_SHARE + (1 - LAST_SHARE) * 0.5 * (1 + math.cos(math.pi * progress))


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged weights towards the network's; integer buffers are copied."""
    means, values = ([*net.parameters(), *net.buffers()] for net in (average, network))
    pairs = list(zip(means, values, strict=True))
    moving = [pair for pair in pairs if pair[0].is_floating_point()]
    torch._foreach_lerp_([mean for mean, _ in moving], [value for _, value in moving], 1 - decay)
    for mean, value in pairs:
        if not mean.is_floating_point():
            mean.copy_(value)
