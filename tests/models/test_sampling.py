"""The next character: probabilities beside torch's softmax, what is kept, how often each is drawn, mistakes."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu.models.sampling import draw, probabilities

Needs = Callable[[str], ModuleType]
LOGITS = np.log(np.array([0.05, 0.4, 0.3, 0.05, 0.2]))


@pytest.mark.parametrize("temperature", [0.1, 0.8, 1.0, 3.0])
def test_temperature_is_torchs(needs: Needs, temperature: float) -> None:
    torch = needs("torch")
    expected = torch.softmax(torch.tensor(LOGITS) / temperature, 0).numpy()
    np.testing.assert_allclose(probabilities(LOGITS, temperature), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"top_k": 1}, [0, 1, 0, 0, 0]),
        ({"top_k": 2}, [0, 4 / 7, 3 / 7, 0, 0]),
        ({"top_k": 99}, [0.05, 0.4, 0.3, 0.05, 0.2]),
        ({"top_p": 0.4}, [0, 1, 0, 0, 0]),
        ({"top_p": 0.41}, [0, 4 / 7, 3 / 7, 0, 0]),
        ({"top_p": 1.0}, [0.05, 0.4, 0.3, 0.05, 0.2]),
        ({"top_k": 3, "top_p": 0.5}, [0, 4 / 7, 3 / 7, 0, 0]),  # 0.4 / 0.9 < 0.5
    ],
)
def test_the_unlikely_are_left_out(settings: dict[str, Any], expected: list[float]) -> None:
    np.testing.assert_allclose(probabilities(LOGITS, **settings), expected, rtol=1e-12, atol=1e-15)


def test_large_logits_do_not_overflow() -> None:
    np.testing.assert_allclose(probabilities(np.array([1e4, -1e4, 9e3]), temperature=0.01), [1.0, 0.0, 0.0])


def test_draws_are_as_frequent_as_they_should_be() -> None:
    rng = np.random.default_rng(0)
    counts = np.bincount([draw(LOGITS, rng) for _ in range(5000)], minlength=5)
    np.testing.assert_allclose(counts / 5000, np.exp(LOGITS), atol=0.03)  # 4 standard errors


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperature": 0.0}, "expected a temperature > 0, got 0.0; top_k=1 takes the likeliest"),
        ({"temperature": -1.0}, "expected a temperature > 0, got -1.0"),
        ({"temperature": math.inf}, "expected a temperature > 0, got inf"),
        ({"temperature": math.nan}, "expected a temperature > 0, got nan"),
        ({"top_k": 0}, "expected top_k of at least 1, got 0"),
        ({"top_p": 0.0}, "expected top_p above 0 and up to 1, got 0.0"),
        ({"top_p": 1.5}, "expected top_p above 0 and up to 1, got 1.5"),
    ],
)
def test_mistakes(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        probabilities(LOGITS, **settings)
