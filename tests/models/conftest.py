"""What the tests of the models have in common."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg


@pytest.fixture
def same_as_torch(needs: Callable[[str], ModuleType]) -> Callable[[Any, Any, np.ndarray], None]:
    """Holds two models of the same weights, in float64, against each other: results and the gradients of all weights.

    Sums of some thousand products in another order: 1e-15 each.
    """
    torch = needs("torch")

    def check(ours: Any, theirs: Any, x: np.ndarray) -> None:
        out, expected = ours(tg.tensor(x)), theirs(torch.tensor(x))
        np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
        (out * out).sum().backward()
        (expected * expected).sum().backward()
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            np.testing.assert_allclose(p.grad.numpy(), q.grad.numpy(), rtol=1e-9, atol=1e-11)

    return check
