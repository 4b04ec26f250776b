"""The nine workloads: what is timed computes the same with us as with torch, from the same weights on the same data."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.bench.nine import NINE, Trainer
from tinygrad_edu.bench.workloads import backends

LOADED = [name for name, error in backends().items() if error is None]
STEPS = 3

# float32 has 24 bits, and a gradient sums up to a hundred thousand products in an order of each library's own: relative
# to the largest element. In `pong` a few of 204,800 inputs of ReLUs are so near to 0 that rounding decides on which
# side: each such sample, one of 1024, adds to a gradient or does not.
FLOAT32 = {"pong": 2e-2}


def largest_difference(a: Any, b: Any) -> float:
    """Between two lists of arrays, relative to the largest element of the second one's."""
    return max(float(abs(x - y).max() / abs(y).max()) for x, y in zip(a, b, strict=True))


def gradients(trainer: Trainer) -> list[np.ndarray]:
    return [p.grad.numpy() for p in trainer.model.parameters()]


def parameters(trainer: Trainer) -> list[np.ndarray]:
    return [p.detach().numpy() for p in trainer.model.parameters()]


@pytest.mark.parametrize("backend", LOADED)
@pytest.mark.parametrize("name", NINE)
def test_losses_gradients_and_parameters_are_torchs(
    name: str, backend: str, needs: Callable[[str], ModuleType]
) -> None:
    """In float64, where Adam's division by small gradients' sizes does not blow their rounding up."""
    torch = needs("torch")
    with tg.use_backend(backend):
        ours, theirs = (Trainer(lib, NINE[name], np.float64) for lib in (tg, torch))
    for _ in range(STEPS):
        assert ours.step().item() == pytest.approx(theirs.step().item(), rel=1e-11)
        assert largest_difference(gradients(ours), gradients(theirs)) < 1e-9
    assert largest_difference(parameters(ours), parameters(theirs)) < 1e-9
    start = parameters(Trainer(torch, NINE[name], np.float64))
    assert largest_difference(start, parameters(ours)) > 1e-4  # there was something to compare


@pytest.mark.parametrize("backend", LOADED)
@pytest.mark.parametrize("name", NINE)
def test_what_is_timed_is_torchs_within_rounding(name: str, backend: str, needs: Callable[[str], ModuleType]) -> None:
    torch = needs("torch")
    with tg.use_backend(backend):
        ours, theirs = Trainer(tg, NINE[name]), Trainer(torch, NINE[name])
    assert {p.dtype for p in parameters(ours)} == {np.dtype(np.float32)}
    assert ours.step().item() == pytest.approx(theirs.step().item(), rel=1e-5)
    assert largest_difference(gradients(ours), gradients(theirs)) < FLOAT32.get(name, 1e-5)
