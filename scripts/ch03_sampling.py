"""Chapter 3: samples from scratch, made of nothing but uniform numbers in [0, 1), with the laws they should follow.

Sources: G. Box, M. Muller, "A note on the generation of random normal deviates", 1958; D. Knuth, The Art of Computer
Programming, volume 2, section 3.4.1 (Poisson); J. Pearl, Causality, 2000, section 1.3 (to see is not to do).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np


def normal(rng: np.random.Generator, n: int, mean: float = 0.0, deviation: float = 1.0) -> np.ndarray:
    """n normal numbers, (n,): Box and Muller's two of each two uniform ones.

    A point whose coordinates are normal lies at a uniform angle, and the square of its distance is exponential.
    """
    u, v = rng.random((2, -(-n // 2)))
    distance, angle = np.sqrt(-2.0 * np.log1p(-u)), 2.0 * np.pi * v  # 1 - u is in (0, 1]: there is no log of 0
    return mean + deviation * np.concatenate([distance * np.cos(angle), distance * np.sin(angle)])[:n]


def binomial(rng: np.random.Generator, n: int, trials: int, p: float) -> np.ndarray:
    """n numbers of successes in so many trials, (n,) int64: each trial a uniform number below p."""
    successes = np.zeros(n, np.int64)
    for _ in range(trials):
        successes += rng.random(n) < p
    return successes


def poisson(rng: np.random.Generator, n: int, rate: float) -> np.ndarray:
    """n numbers of events in a time in which `rate` are expected, (n,) int64.

    The times between events are exponential, so their sum passes 1 as soon as a product of uniform numbers falls below
    e^-rate: how many factors fit is the number of events. ValueError for a rate above 500, where e^-rate is nearly 0.
    """
    if not 0.0 < rate <= 500.0:
        raise ValueError(f"poisson: expected a rate above 0, 500 at most, got {rate}")
    counts, product = np.full(n, -1), np.ones(n)
    going = np.arange(n)
    while len(going):
        counts[going] += 1
        product[going] *= 1.0 - rng.random(len(going))
        going = going[product[going] > math.exp(-rate)]
    return counts


def normal_density(x: np.ndarray, mean: float = 0.0, deviation: float = 1.0) -> np.ndarray:
    """e^(-z²/2) / (σ √2π), z = (x - μ) / σ."""
    return np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * math.sqrt(2.0 * math.pi))


def binomial_probability(k: np.ndarray, trials: int, p: float) -> np.ndarray:
    """(n over k) p^k (1 - p)^(n - k), in logarithms: n! is too large for a float from n = 171 on."""
    logs = [math.lgamma(trials + 1) - math.lgamma(i + 1) - math.lgamma(trials - i + 1) for i in k.tolist()]
    return np.exp(np.array(logs) + k * math.log(p) + (trials - k) * math.log1p(-p))


def poisson_probability(k: np.ndarray, rate: float) -> np.ndarray:
    """λ^k e^-λ / k!, in logarithms for the same reason."""
    return np.exp(k * math.log(rate) - rate - np.array([math.lgamma(i + 1) for i in k.tolist()]))


def two_classes(rng: np.random.Generator, n: int, distance: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """A set to classify: points (n, 2) and their classes (n,), 0 or 1, each class a normal cloud of deviation 1.

    A fair coin chooses the class, then the class the place: its cloud lies ±distance/2 from the middle. The best rule
    there is, the nearer centre, errs with probability Φ(-distance/2): no method can do better, however clever.
    """
    classes = (rng.random(n) < 0.5).astype(np.int64)
    x = normal(rng, 2 * n).reshape(n, 2)
    x[:, 0] += distance * (classes - 0.5)
    return x, classes


class Summer(NamedTuple):
    """Days, (N,) each: the temperature in °C, portions of ice cream sold, cases of sunburn."""

    temperature: np.ndarray
    ice_cream: np.ndarray
    sunburn: np.ndarray


def summer(rng: np.random.Generator, days: int, *, forced: bool = False) -> Summer:
    """A summer in which heat sells ice cream, and heat burns skins; ice cream burns nobody.

    `forced`: the experiment. How much ice cream is sold is now decided by lot, whatever the weather.
    """
    temperature = normal(rng, days, 24.0, 5.0)
    ice_cream = 20.0 * temperature + normal(rng, days, 0.0, 60.0)
    if forced:
        ice_cream = normal(rng, days, ice_cream.mean(), ice_cream.std())
    return Summer(temperature, ice_cream, 1.5 * temperature + normal(rng, days, 0.0, 4.0))


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Pearson's r, from -1 to 1: the mean product of x and y, both standardised."""
    a, b = (v - v.mean() for v in (x, y))
    return float((a @ b) / math.sqrt((a @ a) * (b @ b)))


def partial_correlation(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    """The correlation of what is left of x and y when what `given` explains by a straight line is taken away."""
    z = given - given.mean()
    left = [v - v.mean() - (v @ z) / (z @ z) * z for v in (x, y)]
    return correlation(*left)
