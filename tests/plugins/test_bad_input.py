"""Bad data is refused with scikit-learn's types of error, and a message that says what is wrong and where."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import plugins
from tinygrad_edu.plugins import _validation as validation

Needs = Callable[[str], ModuleType]

X = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
Y = np.array([0, 1, 1])


def changed(value: Any) -> np.ndarray:
    out = X.astype(object if isinstance(value, str | dict) else np.float64)
    out[1, 0] = value
    return out


@pytest.mark.parametrize("make", [plugins.LinearRegression, plugins.LogisticRegression, plugins.PCA])
@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (changed(np.nan), ValueError, "Input X contains NaN. .* the first is at row 1, column 0; SimpleImputer fills"),
        (changed(np.inf), ValueError, "Input X contains infinity or a value too large .* at row 1, column 0"),
        (changed("blue"), ValueError, r"could not convert string to float: 'blue'\n.*: X\[1, 0\] is 'blue'"),
        (changed({}), TypeError, r"argument must be a string or a real number, not 'dict'\n.*: X\[1, 0\] is {}"),
        (np.array([["a", "b"]] * 3), ValueError, "dtype='numeric' is not compatible with arrays of bytes/strings"),
        (X + 1j, ValueError, "Complex data not supported"),
        (X[:0], ValueError, r"Found array with 0 sample\(s\) \(shape=\(0, 2\)\) while a minimum of \d is required by"),
        (X[:, :0], ValueError, r"Found array with 0 feature\(s\) \(shape=\(3, 0\)\)"),
        (X[0], ValueError, "Expected 2D array, got 1D array instead:.*\n.*\nReshape your data"),
        (X[None], ValueError, "Found array with dim 3, while dim <= 2 is required by"),
    ],
)
def test_data(make: Any, data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make().fit(data, Y)
    fitted = make().fit(X, Y)
    if data.shape != (3, 0) and data.ndim == 2 and len(data):
        with pytest.raises(error, match=message):
            (getattr(fitted, "predict", None) or fitted.transform)(data)


def test_sparse_matrices_are_refused(needs: Needs) -> None:
    with pytest.raises(TypeError, match="Sparse data was passed for X, but dense data is required by PCA"):
        plugins.PCA().fit(needs("scipy.sparse").csr_array(X))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (None, "LinearRegression requires y to be passed, but the target y is None"),
        (Y[:2], r"inconsistent numbers of samples: \[3, 2\]"),
        ([0.0, np.nan, 1.0], "Input y contains NaN. .* at row 1"),
        ([0.0, 1.0, -np.inf], "Input y contains infinity .* at row 2"),
        (["a", "b", "c"], "Convert your data to numeric values"),
    ],
)
def test_targets(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plugins.LinearRegression().fit(X, y)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0.0, 0.5, 1.0], r"Unknown label type: continuous. LogisticRegression expects .* y\[1\] is 0.5"),
        ([0, None, "a"], "Unknown label type: LogisticRegression can't order the labels"),
        ([[0, 1], [1, 0], [1, 1]], r"y should be a 1d array, got an array of shape \(3, 2\)"),
        ([1, 1, 1], "at least 2 classes in the data, but the data contains only one class: .*1"),
    ],
)
def test_labels(y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plugins.LogisticRegression().fit(X, y)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, 2.0], r"sample_weight.shape == \(2,\), expected \(3,\)!"),
        (np.ones((3, 1)), "Sample weights must be 1D array or scalar"),
        ([1.0, -1.0, 1.0], "Negative values in data passed to `sample_weight` of Ridge: the first at 1"),
        ([0.0, 0.0, 0.0], "Sample weights must contain at least one non-zero number"),
        ([1.0, np.nan, 1.0], "Input sample_weight contains NaN"),
    ],
)
def test_weights(weights: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        plugins.Ridge().fit(X, Y, sample_weight=weights)


def test_too_few_rows() -> None:
    with pytest.raises(ValueError, match="n_samples=3 should be >= n_clusters=4"):
        plugins.KMeans(4).fit(X)
    with pytest.raises(ValueError, match=r"Found array with 1 sample\(s\) .* while a minimum of 2 is required by PCA"):
        plugins.PCA().fit(X[:1])


@pytest.mark.parametrize("use", ["predict", "score"])
def test_before_fit(use: str, needs: Needs) -> None:
    error = needs("sklearn.exceptions").NotFittedError
    with pytest.raises(error, match=r"This LinearRegression instance is not fitted yet. Call 'fit'"):
        getattr(plugins.LinearRegression(), use)(*(X, Y)[: 1 + (use == "score")])


def test_another_number_of_features() -> None:
    with pytest.raises(ValueError, match="X has 1 features, but PCA is expecting 2 features as input"):
        plugins.PCA().fit(X).transform(X[:, :1])


def test_columns_with_other_names(needs: Needs) -> None:
    frame = needs("pandas").DataFrame(X, columns=["a", "b"])
    model = plugins.LinearRegression().fit(frame, Y)
    with pytest.raises(ValueError, match=r"Feature names unseen at fit time:\n- c\nFeature names seen .*:\n- a"):
        model.predict(frame.rename(columns={"a": "c"}))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but LinearRegression was fitted with"):
        model.predict(X)
    with pytest.raises(TypeError, match=r"all input features have string names, but your input has \['int', 'str'\]"):
        model.fit(frame.rename(columns={"a": 1}), Y)


def test_constant_and_repeated_columns_and_rows() -> None:
    """No NaN comes of them."""
    data = np.repeat([[5.0, 1.0, 1.0], [5.0, 2.0, 2.0]], 4, axis=0)
    y = np.repeat([0, 1], 4)
    for model in (plugins.LinearRegression(), plugins.Ridge(0.0), plugins.LogisticRegression()):
        assert (model.fit(data, y).predict(data).round(6) == y).all()
    for transformer in (plugins.StandardScaler(), plugins.MinMaxScaler(), plugins.PCA(whiten=True)):
        assert np.isfinite(transformer.fit_transform(data)).all()
    assert plugins.StandardScaler().fit_transform(data)[:, 0].tolist() == [0.0] * 8
    with pytest.warns(validation.exception(validation.ConvergenceWarning), match=r"distinct clusters \(2\) .* \(3\)"):
        model = plugins.KMeans(3, random_state=0).fit(data)
    assert model.inertia_ == pytest.approx(0.0, abs=1e-12)
    assert np.isfinite(model.cluster_centers_).all()


def test_a_sum_that_overflows_is_no_infinity() -> None:
    assert plugins.MinMaxScaler().fit([[1e308], [1e308], [-1e307]]).n_features_in_ == 1
