"""Classic machine learning in plain NumPy, one file a method, to scikit-learn's contract. This page is the plugin face.

>>> from tinygrad_edu.plugins import KMeans
>>> KMeans(n_clusters=2, random_state=0).fit([[0.0], [1.0], [10.0], [11.0]]).cluster_centers_.ravel().tolist()
[10.5, 0.5]

Each name is imported when first asked for. `metrics` holds the scores, `README.md` tells how to add an estimator.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

from tinygrad_edu.hookspecs import hookimpl

ESTIMATORS = {  # the name it is registered by -> its file, its class
    "decision-tree-classifier": ("tree", "DecisionTreeClassifier"),
    "decision-tree-regressor": ("tree", "DecisionTreeRegressor"),
    "gaussian-nb": ("naive_bayes", "GaussianNB"),
    "gradient-boosting-classifier": ("boosting", "GradientBoostingClassifier"),
    "gradient-boosting-regressor": ("boosting", "GradientBoostingRegressor"),
    "k-means": ("kmeans", "KMeans"),
    "k-neighbors-classifier": ("neighbors", "KNeighborsClassifier"),
    "k-neighbors-regressor": ("neighbors", "KNeighborsRegressor"),
    "linear-regression": ("linear_regression", "LinearRegression"),
    "linear-svc": ("svm_linear", "LinearSVC"),
    "logistic-regression": ("logistic_regression", "LogisticRegression"),
    "min-max-scaler": ("scalers", "MinMaxScaler"),
    "one-hot-encoder": ("encoder", "OneHotEncoder"),
    "pca": ("pca", "PCA"),
    "random-forest-classifier": ("forest", "RandomForestClassifier"),
    "random-forest-regressor": ("forest", "RandomForestRegressor"),
    "ridge": ("ridge", "Ridge"),
    "simple-imputer": ("imputer", "SimpleImputer"),
    "standard-scaler": ("scalers", "StandardScaler"),
    "svc": ("svm", "SVC"),
}
_FILES = {**{name: file for file, name in ESTIMATORS.values()}, "train_test_split": "split"}


def _load(file: str, name: str) -> Any:
    return getattr(importlib.import_module(f"{__name__}.{file}"), name)


def __getattr__(name: str) -> Any:
    """A class or a function of this folder, imported now."""
    if name not in _FILES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _load(_FILES[name], name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_FILES])


@hookimpl
def register_estimators() -> dict[str, Callable[[], type]]:
    """The estimators that come with the project."""
    return {name: functools.partial(_load, *where) for name, where in ESTIMATORS.items()}
