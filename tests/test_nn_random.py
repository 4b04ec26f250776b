"""What layers draw at random: initialisations, whose statistics are torch's, and dropout."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor, nn

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("seeded")


# --- initialisation --------------------------------------------------------------------------------------------------

N = 90_000  # elements of a weight (300, 300); the standard error of a variance is about its size * sqrt(2 / N)


def statistics(x: Tensor) -> tuple[float, float, float]:
    """Mean, deviation and the largest absolute value."""
    a = x.detach().numpy().astype(np.float64)
    return float(a.mean()), float(a.std()), float(np.abs(a).max())


@pytest.mark.parametrize(
    ("name", "settings", "gain"),
    [
        ("xavier", {}, 1.0),
        ("xavier", {"gain": 2.0}, 2.0),
        ("kaiming", {}, math.sqrt(2.0)),
        ("kaiming", {"a": math.sqrt(5.0)}, math.sqrt(1 / 3)),
        ("kaiming", {"nonlinearity": "relu"}, math.sqrt(2.0)),
        ("kaiming", {"nonlinearity": "tanh"}, 5 / 3),
    ],
)
@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_initialisations_have_torchs_deviation(
    needs: Needs, name: str, settings: dict[str, Any], gain: float, kind: str
) -> None:
    weight = getattr(nn.init, f"{name}_{kind}_")(tg.zeros(200, 450), **settings)
    fan = 450 if name == "kaiming" else (200 + 450) / 2
    deviation = gain / math.sqrt(fan)
    mean, found, largest = statistics(weight)
    assert mean == pytest.approx(0.0, abs=4 * deviation / math.sqrt(N))
    assert found == pytest.approx(deviation, rel=4 / math.sqrt(N))
    if kind == "uniform":
        assert 0.99 * deviation * math.sqrt(3) < largest <= deviation * math.sqrt(3)
    torch = needs("torch")
    torch.manual_seed(0)
    theirs = getattr(torch.nn.init, f"{name}_{kind}_")(torch.zeros(200, 450), **settings)
    assert found == pytest.approx(theirs.std().item(), rel=8 / math.sqrt(N))


def test_a_linear_layer_begins_within_one_over_the_root_of_its_inputs() -> None:
    layer = nn.Linear(300, 300)
    bound = 1 / math.sqrt(300)
    for p in (layer.weight, layer.bias):
        mean, deviation, largest = statistics(p)
        error = 4 / math.sqrt(p.numel())
        assert 0.98 * bound < largest <= bound
        assert deviation == pytest.approx(bound / math.sqrt(3), rel=error)
        assert mean == pytest.approx(0.0, abs=error * bound / math.sqrt(3))
    assert nn.Linear(0, 2).bias.tolist() == [0.0, 0.0]


def test_fans_count_the_kernels_elements() -> None:
    assert nn.init.fans(tg.zeros(8, 4, 3, 3)) == (36, 72)


def test_filling_by_hand() -> None:
    x = tg.zeros(2, requires_grad=True)
    assert nn.init.constant_(x, 3.0) is x
    assert x.tolist() == [3.0, 3.0]
    assert nn.init.ones_(x).tolist() == [1.0, 1.0]
    assert nn.init.zeros_(x).tolist() == [0.0, 0.0]
    assert statistics(nn.init.uniform_(tg.zeros(N), 2.0, 4.0))[0] == pytest.approx(3.0, abs=4 / math.sqrt(3 * N))
    mean, deviation, _ = statistics(nn.init.normal_(tg.zeros(N), 5.0, 2.0))
    assert (mean, deviation) == pytest.approx((5.0, 2.0), abs=8 / math.sqrt(N))
    assert x.requires_grad


# --- dropout ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(p: float) -> None:
    x = tg.ones(N, requires_grad=True)
    out = nn.Dropout(p)(x)
    values = out.detach().numpy()
    assert set(np.unique(values)) == {0.0, np.float32(1.0 / (1.0 - p))}
    assert (values == 0.0).mean() == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / N))
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), values)  # the same mask backwards


def test_dropout_by_seed_and_in_evaluation() -> None:
    x, layer = tg.ones(1000), nn.Dropout(0.5)
    first, second = layer(x).tolist(), layer(x).tolist()
    assert first != second
    tg.manual_seed(0)
    assert [layer(x).tolist(), layer(x).tolist()] == [first, second]
    state = tg.random.get_state()
    assert layer.eval()(x) is x
    assert nn.Dropout(0.0)(x) is x
    assert tg.random.get_state() == state  # nothing was drawn
    assert nn.Dropout(1.0)(x).tolist() == [0.0] * 1000
    assert nn.functional.dropout(x.double()).dtype == np.float64
