"""Classic machine learning timed in turn beside scikit-learn: `python -m tinygrad_edu.bench.classic [NAME ...]`.

Made-up data of 10,000 x 50 and 100,000 x 20, and scikit-learn's bundled sets; both get the same data and the same
settings. Printed are the milliseconds of `fit` and of `predict` (or `transform`), ours and theirs, and ours / theirs.
Wanted: at most the ratio in the last column for `fit`, and for k-NN, whose work is done there, for `predict`.

What takes longer than a few times `--seconds` is measured once. Forests and boosting take minutes at 100,000 x 20, and
are left out there unless `--large` is given; k-NN and SVC, whose work grows with the square of the rows, in any case.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_edu import plugins
from tinygrad_edu.bench.timing import Step, alternate, run
from tinygrad_edu.errors import require, unknown

THREADS = 2
SIZES = ((10_000, 50), (100_000, 20))
FOREST = {"random_state": 0, "n_jobs": THREADS}
BUNDLED = {
    "regression": ("diabetes",),
    "classification": ("iris", "wine", "breast_cancer", "digits"),
    "clusters": ("iris", "wine", "breast_cancer", "digits"),
}


@dataclass(frozen=True)
class Row:
    """One estimator: scikit-learn's module of it, what data it is for, the ratio wanted, settings of both."""

    name: str
    module: str
    kind: str
    wanted: float
    settings: dict[str, Any] = field(default_factory=dict)
    most: int = 1_000_000  # rows: no data set larger than this,
    large: int = 1_000_000  # unless --large is given: then none larger than this


ROWS = (
    Row("LinearRegression", "linear_model", "regression", 1.5),
    Row("Ridge", "linear_model", "regression", 1.5),
    Row("LogisticRegression", "linear_model", "classification", 1.5),
    Row("PCA", "decomposition", "clusters", 1.5, {"n_components": 3}),
    Row("StandardScaler", "preprocessing", "clusters", 1.5),
    Row("MinMaxScaler", "preprocessing", "clusters", 1.5),
    Row("KMeans", "cluster", "clusters", 2.0, {"n_clusters": 8, "random_state": 0}),
    Row("KNeighborsClassifier", "neighbors", "classification", 3.0, {"n_jobs": THREADS}, most=10_000, large=10_000),
    Row("GaussianNB", "naive_bayes", "classification", 5.0),
    Row("LinearSVC", "svm", "classification", 5.0),
    Row("SVC", "svm", "classification", 5.0, most=10_000, large=10_000),
    Row("DecisionTreeClassifier", "tree", "classification", 5.0, {"random_state": 0}),
    Row("DecisionTreeRegressor", "tree", "regression", 5.0, {"random_state": 0}),
    Row("RandomForestClassifier", "ensemble", "classification", 5.0, FOREST, most=10_000),
    Row("RandomForestRegressor", "ensemble", "regression", 5.0, FOREST, most=10_000),
    Row("GradientBoostingClassifier", "ensemble", "classification", 5.0, {"random_state": 0}, most=10_000),
    Row("GradientBoostingRegressor", "ensemble", "regression", 5.0, {"random_state": 0}, most=10_000),
)


def made_up(kind: str, shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """X of a shape, and y: a linear target with noise, five overlapping classes, or clusters."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal(shape)
    if kind == "regression":
        return X, X @ rng.standard_normal(shape[1]) + rng.standard_normal(shape[0])
    centres = rng.standard_normal((5, shape[1]))
    y = rng.integers(5, size=shape[0])
    return X + centres[y], y


def data_sets(kind: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, X and y of each data set of a kind; the bundled ones scaled, as linear methods need it."""
    for shape in SIZES:
        yield f"{shape[0]} x {shape[1]}", *made_up(kind, shape)
    datasets = require("sklearn.datasets", "viz")
    for name in BUNDLED[kind]:
        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        yield name, plugins.StandardScaler().fit_transform(X), y


def measure(row: Row, X: np.ndarray, y: np.ndarray, seconds: float) -> dict[str, dict[str, float]]:
    """Median seconds of `fit` and of `predict` or `transform`, of "ours" and of "sklearn"."""
    theirs = getattr(require(f"sklearn.{row.module}", "viz"), row.name)
    models = {"ours": getattr(plugins, row.name)(**row.settings), "sklearn": theirs(**row.settings)}
    fits = {name: lambda model=model: model.fit(X, y) for name, model in models.items()}
    found = {"fit": compare(fits, seconds)}
    use = "predict" if hasattr(models["ours"], "predict") else "transform"
    uses = {name: lambda model=model: getattr(model, use)(X) for name, model in models.items()}
    return {**found, use: compare(uses, seconds)}


def compare(calls: Mapping[str, Step], seconds: float) -> dict[str, float]:
    """Median seconds of a call of each; of long ones the first alone, as chance has little part in them."""
    once = {name: run(call, 0.0)[0] for name, call in calls.items()}
    return once if min(once.values()) > 5 * seconds else alternate(calls, seconds=seconds, block=seconds / 4)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table, or some of its rows; returns 0."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=0.4, help="for each candidate and data set (default: 0.4)")
    parser.add_argument("--large", action="store_true", help="forests and boosting at 100,000 x 20, too")
    parser.add_argument("names", nargs="*", metavar="NAME", help="estimators (default: all)")
    args = parser.parse_args(argv)
    rows = {row.name: row for row in ROWS}
    for name in args.names:
        if name not in rows:
            parser.error(unknown("estimator", name, rows))
    require("threadpoolctl", "viz").threadpool_limits(THREADS)
    print(f"milliseconds, ours / scikit-learn's (ratio), {THREADS} threads, medians, measured in turn")
    for name in args.names or rows:
        row = rows[name]
        for data, X, y in data_sets(row.kind):
            if len(X) > (row.large if args.large else row.most):
                continue
            parts = [
                f"{what:9s}{1e3 * t['ours']:9.2f} /{1e3 * t['sklearn']:9.2f} ({t['ours'] / t['sklearn']:5.2f})"
                for what, t in measure(row, X, y, args.seconds).items()
            ]
            print(f"{name:27s}{data:14s}" + "  ".join(parts) + f"  wanted {row.wanted}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
