"""Data for the classic methods: scikit-learn's bundled sets, California housing, and random problems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

Needs = Callable[[str], ModuleType]


@pytest.fixture
def bundled(needs: Needs) -> Callable[[str], tuple[np.ndarray, np.ndarray]]:
    """A function that gives X and y of a set by name: iris, wine, breast_cancer, digits, diabetes."""
    datasets = needs("sklearn.datasets")
    return lambda name: getattr(datasets, f"load_{name}")(return_X_y=True)


@pytest.fixture
def housing(real_data: Callable[[str], Path]) -> tuple[np.ndarray, np.ndarray]:
    """The eight numbers of each district, 207 of them missing (NaN), and the median house value in 100,000 dollars."""
    table = np.genfromtxt(real_data("tables") / "housing.csv", delimiter=",", skip_header=1, usecols=range(9))
    assert table.shape == (20640, 9)
    return table[:, :8], table[:, 8] / 1e5


@pytest.fixture
def twin(needs: Needs) -> Callable[..., Any]:
    """A function that makes scikit-learn's estimator of a name: `twin("linear_model.Ridge", alpha=2.0)`."""

    def twin(name: str, **settings: Any) -> Any:
        module, _, cls = name.rpartition(".")
        return getattr(needs(f"sklearn.{module}"), cls)(**settings)

    return twin
