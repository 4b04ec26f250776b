"""Learning-rate schedules, torch's names and formulas: each gives the rate at a step as a function of the first one.

Call `schedule.step()` after `optimizer.step()`. For a warm-up followed by a cosine:

    warmup = LinearLR(optimizer, start_factor=0.01, total_iters=100)
    cosine = CosineAnnealingLR(optimizer, T_max=1900, eta_min=1e-4)
    schedule = SequentialLR(optimizer, [warmup, cosine], milestones=[100])
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinygrad_edu.optim import Optimizer


class LRScheduler:
    """Base of the schedules; a subclass defines `rate`. Each group's first rate is kept as group["initial_lr"]."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.last_epoch = 0  # torch's name for the number of steps so far
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"].item())
        self._apply()

    def rate(self, first: float, step: int) -> float:
        """The learning rate `step` steps after the first."""
        raise TypeError(f"{type(self).__name__} defines no rate()")

    def step(self) -> None:
        """Go on to the next step's learning rate."""
        self.last_epoch += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The learning rate of each group now."""
        return [self.rate(group["initial_lr"], self.last_epoch) for group in self.optimizer.param_groups]

    def _apply(self) -> None:
        for group, lr in zip(self.optimizer.param_groups, self.get_last_lr(), strict=True):
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """The number of steps so far; the first rates are in the optimizer's state."""
        return {"last_epoch": self.last_epoch}

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Go on from a `state_dict()`."""
        self.last_epoch = int(tree["last_epoch"])
        self._apply()


class LambdaLR(LRScheduler):
    """The first rate times `lr_lambda(step)`."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Callable[[int], float]) -> None:
        self.lr_lambda = lr_lambda
        super().__init__(optimizer)

    def rate(self, first: float, step: int) -> float:
        return first * self.lr_lambda(step)


class StepLR(LRScheduler):
    """The first rate times gamma for every `step_size` steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        if step_size < 1:
            raise ValueError(f"StepLR: expected step_size >= 1, got {step_size}")
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer)

    def rate(self, first: float, step: int) -> float:
        return first * self.gamma ** (step // self.step_size)


class LinearLR(LRScheduler):
    """The first rate times a factor that goes from `start_factor` to `end_factor` in `total_iters` steps: a warm-up."""

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1.0 / 3.0, end_factor: float = 1.0, total_iters: int = 5
    ) -> None:
        if total_iters < 1:
            raise ValueError(f"LinearLR: expected total_iters >= 1, got {total_iters}")
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer)

    def rate(self, first: float, step: int) -> float:
        done = min(step, self.total_iters) / self.total_iters
        return first * (self.start_factor + (self.end_factor - self.start_factor) * done)


class CosineAnnealingLR(LRScheduler):
    """From the first rate to `eta_min` along half a cosine in `T_max` steps, and back up after that, as in torch.

    Source: I. Loshchilov and F. Hutter, "SGDR", ICLR 2017, equation 5.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        if T_max < 1:
            raise ValueError(f"CosineAnnealingLR: expected T_max >= 1, got {T_max}")
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer)

    def rate(self, first: float, step: int) -> float:
        return self.eta_min + (first - self.eta_min) * (1.0 + math.cos(math.pi * step / self.T_max)) / 2.0


class SequentialLR(LRScheduler):
    """One schedule after the other; `milestones` are the steps at which the second, third, ... take over."""

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> None:
        if len(milestones) != len(schedulers) - 1 or sorted(milestones) != list(milestones):
            raise ValueError(
                f"SequentialLR: expected {len(schedulers) - 1} increasing milestones for {len(schedulers)} schedulers, "
                f"got {list(milestones)}"
            )
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer)

    def rate(self, first: float, step: int) -> float:
        i = bisect_right(self.milestones, step)
        return self.schedulers[i].rate(first, step - ([0, *self.milestones][i]))
