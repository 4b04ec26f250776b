"""Chapter 6's second part: gradient boosting on a regression problem, drawn stage by stage, beside a forest.

The problem is a curve with noise, y = x sin x + ε, so that what is learnt can be seen. The boosting is written out in
`boost`; that the estimator (`plugins/boosting.py`) does the very same is a test.

Source: T. Hastie, R. Tibshirani, J. Friedman, "The Elements of Statistical Learning", 2nd edition, 2009, section 10.10.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.plugins import DecisionTreeRegressor, GradientBoostingRegressor, RandomForestRegressor
from tinygrad_edu.plugins.metrics import mean_squared_error
from tinygrad_edu.scripts.beside_sklearn import twin

SAMPLES, JUDGES = 80, 1000  # to learn from, and to be judged by
NOISE = 1.5  # standard deviation of ε
STAGES, RATE, DEPTH = 300, 0.1, 3
SHOWN = (0, 1, 2, 3, 5, 8, 12, 20, 30, 50, 100, 200, 300)  # stages that are drawn


class Problem(NamedTuple):
    """x (N, 1) and y (N,) to learn from, others to be judged by; a grid (G, 1) for drawing."""

    x: np.ndarray
    y: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    grid: np.ndarray


class Stage(NamedTuple):
    """The sum of so many trees: what it leaves at the samples (N,), and itself at samples, judges and on the grid."""

    trees: int
    residual: np.ndarray
    at_x: np.ndarray
    at_test: np.ndarray
    at_grid: np.ndarray
    tree: Any  # the next one, grown on `residual`


def problem(seed: int) -> Problem:
    """Samples of y = x sin x + ε for x from 0 to 10."""
    rng = np.random.default_rng(seed)
    x, x_test = rng.uniform(0.0, 10.0, (SAMPLES, 1)), rng.uniform(0.0, 10.0, (JUDGES, 1))
    y, y_test = (curve(x) + NOISE * rng.standard_normal(len(x)) for x in (x, x_test))
    return Problem(x, y, x_test, y_test, np.linspace(0.0, 10.0, 400)[:, None])


def curve(x: np.ndarray) -> np.ndarray:
    """What is behind the samples: (N, 1) -> (N,)."""
    return x[:, 0] * np.sin(x[:, 0])


def boost(data: Problem) -> Iterator[Stage]:
    """Gradient boosting of the squared error: each tree is fitted to what the sum of those before it leaves over."""
    x, y = data.x, data.y
    places = (x, data.x_test, data.grid)
    F = [np.full(len(place), y.mean()) for place in places]
    for trees in range(STAGES + 1):
        residual = y - F[0]
        tree = DecisionTreeRegressor(max_depth=DEPTH).fit(x, residual)
        yield Stage(trees, residual, F[0], F[1], F[2], tree)
        F = [at + RATE * tree.predict(place) for at, place in zip(F, places, strict=True)]


def errors(data: Problem, stages: list[Stage]) -> dict[str, np.ndarray]:
    """Mean squared errors by the number of trees, from 1 on: of boosting on both parts, of a forest on new samples."""
    forest = RandomForestRegressor(STAGES, random_state=0).fit(data.x, data.y)
    each = np.stack([tree.predict(data.x_test) for tree in forest.estimators_])  # (STAGES, JUDGES)
    means = np.cumsum(each, axis=0) / np.arange(1, STAGES + 1)[:, None]
    return {
        "boosting, the samples learnt from": np.array([np.square(stage.residual).mean() for stage in stages[1:]]),
        "boosting, new samples": np.array([mean_squared_error(data.y_test, stage.at_test) for stage in stages[1:]]),
        "forest, new samples": np.array([mean_squared_error(data.y_test, mean) for mean in means]),
    }


def sklearn_error(data: Problem) -> float:
    """The mean squared error of scikit-learn's boosting of all stages on the new samples."""
    model = twin(GradientBoostingRegressor(n_estimators=STAGES, learning_rate=RATE, max_depth=DEPTH, random_state=0))
    return float(mean_squared_error(data.y_test, model.fit(data.x, data.y).predict(data.x_test)))
