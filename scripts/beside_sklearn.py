"""What the projects that fit the same estimators of scikit-learn, too, have in common."""

from __future__ import annotations

import importlib.util
from typing import Any, Literal

from tinygrad_edu.errors import require

Compare = Literal["auto", "sklearn", "none"]

MODULES = {  # of scikit-learn, by the class's name
    "DecisionTreeClassifier": "tree",
    "DecisionTreeRegressor": "tree",
    "GradientBoostingClassifier": "ensemble",
    "GradientBoostingRegressor": "ensemble",
    "KMeans": "cluster",
    "KNeighborsClassifier": "neighbors",
    "LinearRegression": "linear_model",
    "LogisticRegression": "linear_model",
    "PCA": "decomposition",
    "RandomForestClassifier": "ensemble",
    "RandomForestRegressor": "ensemble",
    "SVC": "svm",
}


def wanted(compare: Compare) -> bool:
    """Whether to ask scikit-learn as well: `auto` means where it is installed."""
    return compare == "sklearn" or (compare == "auto" and importlib.util.find_spec("sklearn") is not None)


def twin(estimator: Any) -> Any:
    """scikit-learn's estimator of the same name and settings as ours, not yet fitted.

    >>> from tinygrad_edu.plugins import KMeans
    >>> twin(KMeans(3, random_state=0)).get_params()["n_clusters"]
    3
    """
    name = type(estimator).__name__
    module: Any = require(f"sklearn.{MODULES[name]}", extra="viz")
    theirs = getattr(module, name)
    known = theirs().get_params()  # our LinearRegression has settings of its own
    return theirs(**{key: value for key, value in estimator.get_params().items() if key in known})
