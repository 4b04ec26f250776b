"""Schedules and clipping against torch, step by step."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import nn, optim

Needs = Callable[[str], ModuleType]


def p() -> Any:
    """A parameter."""
    return tg.ones(2, requires_grad=True)


def tensors() -> list[Any]:
    """Four parameters."""
    return [p() for _ in range(4)]


Make = Callable[[Any, Any], Any]
SCHEDULES: dict[str, Make] = {
    "StepLR": lambda s, o: s.StepLR(o, 7, gamma=0.3),
    "LinearLR": lambda s, o: s.LinearLR(o, start_factor=0.1, end_factor=0.8, total_iters=11),
    "LinearLR, default": lambda s, o: s.LinearLR(o),
    "CosineAnnealingLR": lambda s, o: s.CosineAnnealingLR(o, T_max=20, eta_min=0.01),
    "LambdaLR": lambda s, o: s.LambdaLR(o, lambda step: 1.0 / (1.0 + step)),
    "SequentialLR": lambda s, o: s.SequentialLR(
        o,
        [s.LinearLR(o, start_factor=0.01, total_iters=10), s.CosineAnnealingLR(o, T_max=30), s.StepLR(o, 3)],
        milestones=[10, 35],
    ),
}


def two_groups(params: list[Any]) -> list[dict[str, Any]]:
    return [{"params": params[:2]}, {"params": params[2:], "lr": 0.5}]


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_schedules_are_torchs(needs: Needs, make: Make) -> None:
    torch = needs("torch")
    mine, yours = (
        optim.SGD(two_groups(tensors()), lr=0.1),
        torch.optim.SGD(two_groups([torch.ones(2).requires_grad_() for _ in range(4)]), lr=0.1),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's SequentialLR steps its schedules in a way that it warns of itself
        schedule, expected = make(optim.lr_scheduler, mine), make(torch.optim.lr_scheduler, yours)
        for step in range(60):
            rates = [group["lr"].item() for group in mine.param_groups]
            assert rates == schedule.get_last_lr()
            # torch computes each rate from the last one: 60 roundings, and a cosine's that cancel
            assert rates == pytest.approx([group["lr"] for group in yours.param_groups], rel=1e-12, abs=1e-12), step
            yours.step()
            schedule.step()
            expected.step()


def test_a_training_under_a_schedule_is_torchs(needs: Needs) -> None:
    torch = needs("torch")
    x, y = tg.ones(3, dtype=tg.float64, requires_grad=True), torch.ones(3, dtype=torch.float64, requires_grad=True)
    mine, yours = optim.Adam([x], lr=0.05), torch.optim.Adam([y], lr=0.05)
    schedule = optim.lr_scheduler.CosineAnnealingLR(mine, 50)
    expected = torch.optim.lr_scheduler.CosineAnnealingLR(yours, 50)
    for _ in range(50):
        for w, optimizer, rate in ((x, mine, schedule), (y, yours, expected)):
            optimizer.zero_grad()
            (w.exp() - w).sum().backward()
            optimizer.step()
            rate.step()
        assert x.tolist() == pytest.approx(y.tolist(), rel=1e-12)  # some hundred roundings


@pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)
def test_a_schedule_goes_on_from_its_state(make: Make) -> None:
    whole, first, second = (optim.SGD(tensors(), lr=0.1) for _ in range(3))
    schedules = [make(optim.lr_scheduler, optimizer) for optimizer in (whole, first, second)]
    for _ in range(9):
        schedules[0].step()
        schedules[1].step()
    second.load_state_dict(first.state_dict())
    schedules[2].load_state_dict(schedules[1].state_dict())
    for _ in range(9):
        assert second.param_groups[0]["lr"].item() == whole.param_groups[0]["lr"].item()
        schedules[0].step()
        schedules[2].step()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s, o: s.StepLR(o, 0), "StepLR: expected step_size >= 1, got 0"),
        (lambda s, o: s.LinearLR(o, total_iters=0), "LinearLR: expected total_iters >= 1, got 0"),
        (lambda s, o: s.CosineAnnealingLR(o, 0), "CosineAnnealingLR: expected T_max >= 1, got 0"),
        (lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)], [5]), r"SequentialLR: expected 0 increasing milestones"),
        (
            lambda s, o: s.SequentialLR(o, [s.StepLR(o, 1)] * 3, [5, 4]),
            r"SequentialLR: .* for 3 schedulers, got \[5, 4\]",
        ),
    ],
)
def test_schedules_that_cannot_be(make: Make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(optim.lr_scheduler, optim.SGD([p()], lr=0.1))


# --- clipping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [0.0, 0.1, 3.0, 1e6])
def test_clipping_is_torchs(needs: Needs, limit: float) -> None:
    torch = needs("torch")
    rng = np.random.default_rng(0)
    shapes = [(3, 4), (), (5,), (2,)]
    arrays = [rng.standard_normal(shape) for shape in shapes]
    for name in ("clip_grad_norm_", "clip_grad_value_"):
        ours = [tg.zeros(shape, dtype=tg.float64, requires_grad=True) for shape in shapes]
        theirs = [torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]
        for x, y, g in list(zip(ours, theirs, arrays, strict=True))[:-1]:  # the last one has no gradient
            x.grad, y.grad = tg.tensor(g), torch.tensor(g)
        found = getattr(nn.utils, name)(ours, limit)
        expected = getattr(torch.nn.utils, name)(theirs, limit)
        for x, y in list(zip(ours, theirs, strict=True))[:-1]:
            np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), rtol=1e-14)
        assert ours[-1].grad is None
        if expected is not None:
            assert found.item() == pytest.approx(expected.item(), rel=1e-14)


def test_clipping_a_common_norm_of_zero_and_of_infinity() -> None:
    x = p()
    x.grad = tg.zeros(2)
    assert nn.utils.clip_grad_norm_(x, 1.0).item() == 0.0
    assert x.grad.tolist() == [0.0, 0.0]
    x.grad = tg.tensor([float("inf"), 1.0])
    assert nn.utils.clip_grad_norm_(x, 1.0).item() == float("inf")  # nothing to scale by: a NaN that shows, as in torch
    assert str(x.grad.tolist()) == "[nan, 0.0]"


def test_clipping_nothing_and_mistakes() -> None:
    assert nn.utils.clip_grad_norm_(p(), 1.0).item() == 0.0
    with pytest.raises(ValueError, match=r"clip_grad_norm_: expected max_norm >= 0, got -1.0"):
        nn.utils.clip_grad_norm_([p()], -1.0)
