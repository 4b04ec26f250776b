"""Random numbers: a seed gives one stream everywhere, its numbers are those of Philox, and its state can be kept."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import random
from tinygrad_edu.backends.numpy_backend import NumpyBackend
from tinygrad_edu.random import Generator


class Other(NumpyBackend):
    """A second backend: the NumPy one under another name."""

    name = "other"


def words(seed: int, draw: int, n: int) -> list[int]:
    """The first n 64-bit words of Philox for one draw of a seed."""
    key = np.array([seed, draw], np.uint64)
    return [int(word) for word in np.random.Philox(key=key).random_raw(n)]


# --- the bits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 2**64 - 1])
@pytest.mark.parametrize("draw", [0, 1, 5])
def test_float64_takes_the_upper_53_bits_of_each_word(seed: int, draw: int) -> None:
    generator = Generator().set_state({"seed": seed, "draws": draw})
    found = tg.rand(3, 3, dtype=tg.float64, generator=generator)
    assert found.dtype == tg.float64
    assert found.flatten().tolist() == [(word >> 11) / 2**53 for word in words(seed, draw, 9)]


@pytest.mark.parametrize("n", [1, 2, 7, 8])
def test_float32_takes_the_upper_24_bits_of_each_half_word_lower_half_first(n: int) -> None:
    found = tg.rand(n, generator=Generator(3))
    halves = [half for word in words(3, 0, 4) for half in (word & 0xFFFFFFFF, word >> 32)]
    assert found.dtype == tg.float32
    assert found.tolist() == [(half >> 8) / 2**24 for half in halves[:n]]


@pytest.mark.parametrize(("dtype", "ulps"), [(tg.float32, 2.0**-23), (tg.float64, 2.0**-52)])
def test_normals_are_box_and_mullers_of_two_draws(dtype: Any, ulps: float) -> None:
    u, v = (tg.rand(50, dtype=dtype, generator=Generator().set_state({"seed": 7, "draws": i})) for i in (0, 1))
    expected = [
        math.sqrt(-2.0 * math.log1p(-a)) * math.cos(2.0 * math.pi * b)
        for a, b in zip(u.tolist(), v.tolist(), strict=True)
    ]
    found = tg.randn(50, dtype=dtype, generator=Generator(7))
    assert found.dtype == dtype
    # 2 pi v, at most 6.3, is rounded to half a unit of its size, 4: so much does the cosine move, times a radius of up
    # to 6; beside it the other roundings are small.
    np.testing.assert_allclose(found.numpy(), expected, rtol=4 * ulps, atol=16 * ulps)


def test_integers_are_the_floors_of_uniforms() -> None:
    u = tg.rand(100, dtype=tg.float64, generator=Generator(2)).tolist()
    found = tg.randint(-3, 4, (100,), generator=Generator(2))
    assert found.dtype == tg.int64
    assert found.tolist() == [math.floor(7 * x) - 3 for x in u]


@pytest.mark.parametrize("draw", [tg.rand, tg.randn])
def test_shapes(draw: Any) -> None:
    assert draw(2, 3).shape == draw((2, 3)).shape == draw([2, 3]).shape == (2, 3)
    assert draw().shape == draw(()).shape == ()
    assert isinstance(draw().data, np.ndarray)
    assert draw(0).shape == (0,)
    assert draw(2, 0, 3).shape == (2, 0, 3)
    assert tg.randint(0, 2, ()).shape == ()


# --- the stream ------------------------------------------------------------------------------------------------------


def draws() -> list[Any]:
    """One of each kind from the default stream."""
    return [tg.rand(3).tolist(), tg.randn(2).tolist(), tg.randint(0, 100, (4,)).tolist(), tg.rand(2, 2).tolist()]


def test_one_seed_one_stream() -> None:
    tg.manual_seed(5)
    first = draws()
    assert draws() != first
    tg.manual_seed(5)
    assert draws() == first
    tg.manual_seed(6)
    assert draws() != first


def test_no_draw_depends_on_the_size_of_an_earlier_one() -> None:
    tg.manual_seed(5)
    tg.rand(3)
    second = tg.rand(4).tolist()
    tg.manual_seed(5)
    tg.rand(1000)
    assert tg.rand(4).tolist() == second


def test_the_state_goes_on_where_it_was_kept() -> None:
    tg.manual_seed(9)
    draws()
    state = random.get_state()
    assert state == {"seed": 9, "draws": 5}  # a normal takes two
    expected = draws()
    tg.manual_seed(1)
    random.set_state(state)
    assert draws() == expected
    assert state == {"seed": 9, "draws": 5}


def test_generators_do_not_disturb_each_other() -> None:
    tg.manual_seed(0)
    a, b = Generator(1), Generator(1)
    tg.rand(3, generator=a)
    assert random.get_state() == {"seed": 0, "draws": 0}
    assert b.get_state() == {"seed": 1, "draws": 0}
    assert tg.rand(3, generator=b).tolist() == tg.rand(3, generator=Generator(1)).tolist()


def test_numpys_own_stream_is_left_alone() -> None:
    np.random.seed(0)
    before = np.random.random(2).tolist()
    np.random.seed(0)
    draws()
    assert np.random.random(2).tolist() == before


def test_what_was_drawn_is_not_overwritten() -> None:
    x = tg.rand(3)
    before = x.tolist()
    tg.rand(3)
    assert x.tolist() == before


def test_the_stream_goes_on_when_another_backend_draws() -> None:
    here, there = NumpyBackend(), Other()
    one, two = Generator(4), Generator(4)
    mixed = [tg.rand(3, generator=one, backend=b) for b in (here, there, there, here)]
    assert [x.backend for x in mixed] == [here, there, there, here]
    assert [x.tolist() for x in mixed] == [tg.rand(3, generator=two, backend=here).tolist() for _ in range(4)]
    assert one.get_state() == {"seed": 4, "draws": 4}


# --- the distributions -----------------------------------------------------------------------------------------------

N = 100_000
FOUR_SIGMA = 4.0 / math.sqrt(N)  # of a mean of N numbers with variance 1; the seed is fixed, so this cannot flicker


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
def test_uniform(dtype: Any) -> None:
    x = tg.rand(N, dtype=dtype, generator=Generator(0)).double().numpy()
    assert x.min() >= 0.0
    assert x.max() < 1.0
    assert abs(x.mean() - 0.5) < FOUR_SIGMA * math.sqrt(1 / 12)
    assert abs(x.var() - 1 / 12) < FOUR_SIGMA * math.sqrt(1 / 180)  # E[(x - 1/2)^4] - 1/144
    counts = np.histogram(x, 100, (0.0, 1.0))[0]
    chi2 = ((counts - N / 100) ** 2 / (N / 100)).sum()
    assert abs(chi2 - 99) < 4 * math.sqrt(2 * 99)  # 99 degrees of freedom
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < FOUR_SIGMA


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
def test_normal(dtype: Any) -> None:
    x = tg.randn(N, dtype=dtype, generator=Generator(0)).double().numpy()
    assert np.isfinite(x).all()
    assert abs(x.mean()) < FOUR_SIGMA
    assert abs(x.var() - 1.0) < FOUR_SIGMA * math.sqrt(2)
    assert abs((x**3).mean()) < FOUR_SIGMA * math.sqrt(15)
    assert abs((x**4).mean() - 3.0) < FOUR_SIGMA * math.sqrt(96)
    beyond = (np.abs(x) > 2.0).mean()
    assert abs(beyond - 0.0455) < FOUR_SIGMA * math.sqrt(0.0455)


def test_streams_of_neighbouring_seeds_and_draws_are_unlike() -> None:
    rows = np.array([tg.rand(1000, generator=Generator(seed)).tolist() for seed in range(5)])
    generator = Generator(0)
    rows = np.concatenate([rows, [tg.rand(1000, generator=generator).tolist() for _ in range(5)][1:]])
    off_diagonal = np.corrcoef(rows)[np.triu_indices(len(rows), 1)]
    assert np.abs(off_diagonal).max() < 4 / math.sqrt(1000)


def test_integers_have_every_value_equally_often() -> None:
    x = tg.randint(-2, 3, (N,), generator=Generator(0)).numpy()
    values, counts = np.unique(x, return_counts=True)
    assert values.tolist() == [-2, -1, 0, 1, 2]
    assert np.abs(counts / N - 0.2).max() < FOUR_SIGMA * math.sqrt(0.16)
    assert set(tg.randint(7, 8, (10,)).tolist()) == {7}


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, "1", None])
def test_seeds_out_of_range(seed: Any) -> None:
    before = random.get_state()
    message = f"random: expected a seed and a count of draws from 0 to 2**64 - 1, got [{seed!r}, 0]"
    with pytest.raises(ValueError, match=re.escape(message)):
        tg.manual_seed(seed)
    assert random.get_state() == before


@pytest.mark.parametrize(("low", "high"), [(3, 3), (3, 2)])
def test_an_empty_range(low: int, high: int) -> None:
    with pytest.raises(ValueError, match=f"randint: expected low < high, got {low} and {high}"):
        tg.randint(low, high, (2,))
