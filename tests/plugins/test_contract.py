"""Every estimator passes scikit-learn's own checks, and works in its pipelines and searches."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import plugins, registry

Needs = Callable[[str], ModuleType]

WEIGHTS = "check_sample_weight_equivalence_on_dense_data"
EXEMPT = {  # what scikit-learn's PER_ESTIMATOR_XFAIL_CHECKS exempts the twin from, and why
    "GradientBoostingClassifier": {WEIGHTS: "the first split is drawn among equals, and repeated rows change the draw"},
    "GradientBoostingRegressor": {WEIGHTS: "the first split is drawn among equals, and repeated rows change the draw"},
    "KMeans": {WEIGHTS: "repeated rows change which row a random number draws as a centre"},
    "RandomForestClassifier": {WEIGHTS: "repeated rows change what the bootstrap draws"},
    "RandomForestRegressor": {WEIGHTS: "repeated rows change what the bootstrap draws"},
    "SVC": {WEIGHTS: "repeated rows change the pairs that SMO works on"},
}
# Needs SCIPY_ARRAY_API set before SciPy is imported, which scikit-learn's own tests skip as well without it.
SKIPPED = {"check_array_api_input"}


@pytest.mark.parametrize("name", registry.names("estimators"))
def test_scikit_learns_checks(name: str, needs: Needs) -> None:
    checks = needs("sklearn.utils.estimator_checks")
    estimator = registry.get("estimators", name)()()
    cls = type(estimator).__name__
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # not a BaseEstimator of theirs; data that does not converge
        results = checks.check_estimator(
            estimator, expected_failed_checks=EXEMPT.get(cls, {}), on_fail=None, on_skip=None
        )
    by_status: dict[str, set[str]] = {}
    for result in results:
        by_status.setdefault(result["status"], set()).add(result["check_name"])
    assert len(by_status["passed"]) > 35
    assert by_status.get("failed", set()) == set(), [r["exception"] for r in results if r["status"] == "failed"]
    assert by_status.get("skipped", set()) <= SKIPPED
    assert by_status.get("xfail", set()) == set(EXEMPT.get(cls, {}))


@pytest.mark.parametrize("cls", sorted(EXEMPT))
def test_only_what_the_twin_is_exempt_from(cls: str, needs: Needs) -> None:
    exempt = needs("sklearn.utils._test_common.instance_generator").PER_ESTIMATOR_XFAIL_CHECKS
    (theirs,) = [checks for twin, checks in exempt.items() if twin.__name__ == cls]
    assert set(EXEMPT[cls]) <= set(theirs)


FRAMES = ["check_dataframe_column_names_consistency"]
TRANSFORMERS = [
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_get_feature_names_out_error",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_global_output_transform_pandas",
]
CLUSTERERS = ["check_clusterer_compute_labels_predict", "check_clustering"]  # else only for their own mixin's children


@pytest.mark.parametrize("name", registry.names("estimators"))
def test_what_they_check_of_their_own_alone(name: str, needs: Needs) -> None:
    needs("pandas")
    checks = needs("sklearn.utils.estimator_checks")
    estimator = registry.get("estimators", name)()()
    wanted = FRAMES + TRANSFORMERS * hasattr(estimator, "transform") + CLUSTERERS * hasattr(estimator, "labels_")
    wanted += CLUSTERERS * hasattr(estimator, "fit_predict")
    for check in wanted:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            getattr(checks, check)(type(estimator).__name__, estimator)


def test_in_a_pipeline_and_a_search(needs: Needs, bundled: Any) -> None:
    pipeline, search = needs("sklearn.pipeline"), needs("sklearn.model_selection")
    X, y = bundled("wine")
    steps = pipeline.make_pipeline(plugins.StandardScaler(), plugins.PCA(), plugins.LogisticRegression())
    grid = search.GridSearchCV(steps, {"pca__n_components": [1, 5], "logisticregression__C": [0.01, 1.0]}, cv=3)
    grid.fit(X, y)
    assert grid.best_params_["pca__n_components"] == 5
    assert grid.best_score_ > 0.95


def test_frames_go_through_a_pipeline(needs: Needs) -> None:
    pandas, pipeline = needs("pandas"), needs("sklearn.pipeline")
    X = pandas.DataFrame({"a": [1.0, np.nan, 3.0], "b": [4.0, 5.0, 6.0]}, index=[7, 8, 9])
    steps = pipeline.make_pipeline(plugins.SimpleImputer(), plugins.StandardScaler()).set_output(transform="pandas")
    out = steps.fit_transform(X)
    assert list(out.columns) == ["a", "b"]
    assert list(out.index) == [7, 8, 9]


def test_columns_of_several_kinds(needs: Needs) -> None:
    pandas, compose = needs("pandas"), needs("sklearn.compose")
    X = pandas.DataFrame({"size": [1.0, 3.0], "colour": ["red", "blue"]})
    columns = compose.make_column_transformer(
        (plugins.StandardScaler(), ["size"]), (plugins.OneHotEncoder(), ["colour"]), verbose_feature_names_out=False
    )
    assert columns.fit_transform(X).tolist() == [[-1.0, 0.0, 1.0], [1.0, 1.0, 0.0]]
    assert columns.get_feature_names_out().tolist() == ["size", "colour_blue", "colour_red"]


def test_every_class_is_registered_and_found_by_name() -> None:
    for name, (file, cls) in plugins.ESTIMATORS.items():
        assert registry.get("estimators", name)() is getattr(plugins, cls)
        assert getattr(plugins, cls) is getattr(importlib.import_module(f"tinygrad_edu.plugins.{file}"), cls)
        assert cls in dir(plugins)
    with pytest.raises(AttributeError, match="has no attribute 'KMedoids'"):
        _ = plugins.KMedoids


def test_settings_and_repr() -> None:
    model = plugins.Ridge(alpha=2.0)
    assert repr(model) == "Ridge(alpha=2.0)"
    assert model.get_params() == {"alpha": 2.0, "fit_intercept": True, "solver": "auto"}
    assert model.set_params(alpha=3.0) is model
    assert model.alpha == 3.0
    with pytest.raises(ValueError, match=r"Invalid parameter 'beta' for estimator Ridge\(alpha=3.0\). Valid .*alpha"):
        model.set_params(beta=1.0)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (plugins.Ridge(alpha=-1.0), r"'alpha' parameter of Ridge must be a float in the range \[0.0, inf\). Got -1.0"),
        (
            plugins.Ridge(solver="magic"),
            "'solver' parameter of Ridge must be one of 'auto', 'cholesky', 'svd'. Got 'ma",
        ),
        (plugins.LinearRegression(max_iter=0), r"'max_iter' .* must be an int in the range \[1, inf\). Got 0"),
        (plugins.LogisticRegression(C=0.0), r"'C' .* must be a float in the range \(0.0, inf\). Got 0.0"),
        (plugins.LogisticRegression(C=float("nan")), "'C' .* Got nan"),
        (plugins.LogisticRegression(class_weight={7: 1.0}), r"names \[7\]"),
        (
            plugins.LogisticRegression(class_weight="even"),
            "class_weight must be a dict, 'balanced' or None, got 'even'",
        ),
        (plugins.KMeans(2.0), "'n_clusters' .* must be an int"),
        (plugins.KMeans(True), "'n_clusters' .* must be an int"),
        (plugins.KMeans(2, random_state="x"), "'x' cannot be used to seed"),
        (plugins.KMeans(2, init=np.zeros((2, 5))), r"initial centers \(2, 5\) does not match"),
        (plugins.PCA(7), "n_components=7 must be an int between 1 and .*=2"),
        (plugins.MinMaxScaler((1, 0)), "Minimum of desired feature range"),
        (plugins.SimpleImputer(strategy="guess"), "'strategy' .* must be one of 'mean', 'median'"),
        (plugins.OneHotEncoder(drop="last"), "'drop' .* must be one of None, 'first'"),
        (plugins.OneHotEncoder(categories=[[1.0]]), "Shape mismatch: X has 2 features, categories 1"),
    ],
)
def test_wrong_settings_are_refused_in_fit(model: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.fit([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]], [0, 1, 1])
