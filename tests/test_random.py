"""Random numbers: the same bits for a seed, derived again in plain Python; their moments; the state."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Generator, Tensor, nn
from tinygrad_edu.backends.numpy_backend import NumpyBackend
from tinygrad_edu.random import get_state, set_state


class Other(NumpyBackend):
    """The NumPy backend under another name."""

    name = "other"


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Seed 0 before, and the default stream as it was afterwards."""
    before = get_state()
    tg.manual_seed(0)
    yield
    set_state(before)


def words(seed: int, draw: int, n: int) -> list[int]:
    """The first n 64-bit words of one draw, as plain Python ints."""
    key = np.array([seed, draw], np.uint64)
    return [int(word) for word in np.random.Philox(key=key).random_raw(n)]


DRAWS: list[Callable[[], Tensor]] = [
    lambda: tg.rand(5),
    lambda: tg.rand((2, 3), dtype=tg.float64),
    lambda: tg.randn(4),
    lambda: tg.randint(-3, 9, (7,)),
    lambda: nn.functional.dropout(tg.ones(20)),
    lambda: nn.init.kaiming_normal_(tg.zeros(3, 4)),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_one_seed_one_stream(draw: Callable[[], Tensor]) -> None:
    first, second = draw().numpy().tobytes(), draw().numpy().tobytes()
    assert first != second
    tg.manual_seed(0)
    assert (draw().numpy().tobytes(), draw().numpy().tobytes()) == (first, second)
    tg.manual_seed(1)
    assert draw().numpy().tobytes() not in (first, second)


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 9])
def test_float64_takes_the_upper_53_bits_of_each_word(seed: int, n: int) -> None:
    tg.manual_seed(seed)
    for draw in range(2):
        expected = [(word >> 11) * 2.0**-53 for word in words(seed, draw, n)]
        assert tg.rand(n, dtype=tg.float64).tolist() == expected


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 9])
def test_float32_takes_the_upper_24_bits_of_each_half_lower_half_first(seed: int, n: int) -> None:
    tg.manual_seed(seed)
    for draw in range(2):
        halves = [half for word in words(seed, draw, (n + 1) // 2) for half in (word & 0xFFFFFFFF, word >> 32)]
        assert tg.rand(n).tolist() == [(half >> 8) * 2.0**-24 for half in halves[:n]]


def test_randn_is_box_and_mullers_formula_on_two_draws() -> None:
    found = tg.randn(5, dtype=tg.float64)
    tg.manual_seed(0)
    u, v = tg.rand(5, dtype=tg.float64).tolist(), tg.rand(5, dtype=tg.float64).tolist()
    expected = [math.sqrt(-2 * math.log1p(-a)) * math.cos(2 * math.pi * b) for a, b in zip(u, v, strict=True)]
    assert found.tolist() == pytest.approx(expected, rel=1e-13)  # some roundings; the cosine's argument has one


def test_randint_scales_a_float64_uniform() -> None:
    found = tg.randint(-3, 9, (6,))
    tg.manual_seed(0)
    assert found.tolist() == [math.floor(u * 12) - 3 for u in tg.rand(6, dtype=tg.float64).tolist()]
    assert found.dtype == np.int64


# n draws: a mean's standard error is deviation / sqrt(n). The seed is fixed; 4 errors would be rare for any seed.
N = 100_000


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_of_uniforms(dtype: Any) -> None:
    x = tg.rand(N, dtype=dtype).numpy()
    assert x.dtype == dtype
    assert x.min() >= 0.0
    assert x.max() < 1.0
    assert x.mean(dtype=np.float64) == pytest.approx(1 / 2, abs=4 * math.sqrt(1 / 12 / N))
    assert x.var(dtype=np.float64) == pytest.approx(1 / 12, abs=4 * math.sqrt(1 / 180 / N))
    counts = np.bincount((x * 10).astype(int), minlength=10)
    chi_squared = ((counts - N / 10) ** 2 / (N / 10)).sum()
    assert chi_squared < 27.9  # 9 degrees of freedom: exceeded once in a thousand


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_of_normals(dtype: Any) -> None:
    x = tg.randn(N, dtype=dtype).numpy().astype(np.float64)
    # of a standard normal the powers 1 to 4 have means 0, 1, 0, 3 and variances 1, 2, 15, 96
    for power, mean, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert (x**power).mean() == pytest.approx(mean, abs=4 * math.sqrt(variance / N))
    assert np.isfinite(x).all()
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 4 / math.sqrt(N)


def test_integers_are_even() -> None:
    counts = np.bincount(tg.randint(0, 6, (N,)).numpy(), minlength=6)
    assert len(counts) == 6
    assert ((counts - N / 6) ** 2 / (N / 6)).sum() < 20.5  # 5 degrees of freedom: exceeded once in a thousand


def test_shapes() -> None:
    assert tg.rand().shape == ()
    assert tg.rand(2, 3).shape == tg.rand((2, 3)).shape == tg.randn(2, 3).shape == tg.randint(0, 5, (2, 3)).shape
    assert tg.rand(0, 3).shape == tg.randn((0, 3)).shape == (0, 3)


def test_the_size_of_a_draw_does_not_disturb_later_ones() -> None:
    later = []
    for n in (1, 2, 1000):
        tg.manual_seed(3)
        tg.rand(n)
        later.append(tg.rand(4).tolist())
    assert later[0] == later[1] == later[2]
    tg.manual_seed(3)
    head = tg.rand(1000).tolist()[:6]
    tg.manual_seed(3)
    assert tg.rand(2, 3).reshape(-1).tolist() == head  # and a smaller draw is the larger one's beginning


def test_the_state_is_two_numbers_and_goes_round() -> None:
    tg.manual_seed(5)
    assert get_state() == {"seed": 5, "draws": 0}
    tg.rand(3)
    tg.randn(3)  # two draws
    state = get_state()
    assert state == {"seed": 5, "draws": 3}
    expected = tg.rand(4).tolist()
    tg.manual_seed(9)
    set_state(state)
    assert tg.rand(4).tolist() == expected
    assert get_state() == {"seed": 5, "draws": 4}


def test_a_generator_of_ones_own_leaves_the_default_stream_alone() -> None:
    expected = tg.rand(4).tolist()
    tg.manual_seed(0)
    own = Generator(0)
    assert tg.rand(4, generator=own).tolist() == expected
    tg.randn(4, generator=own)
    tg.randint(0, 2, (4,), generator=own)
    assert own.get_state() == {"seed": 0, "draws": 4}
    assert tg.rand(4).tolist() == expected
    assert Generator(1).manual_seed(0).set_state({"seed": 2, "draws": 6}).get_state() == {"seed": 2, "draws": 6}


def test_a_stream_goes_on_when_another_backend_draws() -> None:
    expected = [tg.rand(3).tolist() for _ in range(4)]
    tg.manual_seed(0)
    other = Other()
    found = [tg.rand(3, backend=backend).tolist() for backend in (None, other, other, None)]
    assert found == expected


@pytest.mark.parametrize("words", [(-1, 0), (2**64, 0), (0, -1), (0, 2**64), (0.5, 0), ("0", 0)])
def test_a_state_out_of_range(words: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match=r"random: expected a seed and a count of draws from 0 to 2\*\*64 - 1, got \["):
        set_state({"seed": words[0], "draws": words[1]})
    assert get_state() == {"seed": 0, "draws": 0}


def test_an_empty_range() -> None:
    with pytest.raises(ValueError, match="randint: expected low < high, got 3 and 3"):
        tg.randint(3, 3, (2,))
