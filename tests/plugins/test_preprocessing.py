"""Scalers, imputer, encoder and the split: equal to scikit-learn's, and what is odd."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import plugins
from tinygrad_edu.plugins import OneHotEncoder, SimpleImputer, StandardScaler, train_test_split

Needs = Callable[[str], ModuleType]


def random_data(seed: int, missing: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(2, 50)), int(rng.integers(1, 9))
    X = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-3, 3, d) + 10.0 ** rng.uniform(-3, 5, d)
    X[rng.random((n, d)) < missing] = np.nan
    X[0] = 1.0  # no column without any value
    X[:, 0] = 3.7  # constant, and in binary rounded
    return X


SCALERS = [
    ("StandardScaler", {}),
    ("StandardScaler", {"with_mean": False}),
    ("StandardScaler", {"with_std": False}),
    ("MinMaxScaler", {}),
    ("MinMaxScaler", {"feature_range": (-2.0, 3.0), "clip": True}),
]


@pytest.mark.parametrize(("cls", "settings"), SCALERS)
@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("seed", range(25))
def test_scalers(seed: int, missing: float, cls: str, settings: dict[str, Any], twin: Any) -> None:
    X = random_data(seed, missing)
    same_scaler(getattr(plugins, cls)(**settings).fit(X), twin(f"preprocessing.{cls}", **settings).fit(X), X)
    if cls == "StandardScaler":
        w = np.random.default_rng(seed).uniform(0.5, 2.0, len(X))
        with np.errstate(invalid="ignore"):  # rounding makes their variance of the constant column -1e-47
            theirs = twin(f"preprocessing.{cls}", **settings).fit(X, sample_weight=w)
        same_scaler(StandardScaler(**settings).fit(X, sample_weight=w), theirs, X)


def same_scaler(ours: Any, theirs: Any, X: np.ndarray) -> None:
    names = ("mean_", "var_", "scale_", "data_min_", "data_max_", "data_range_", "min_", "n_samples_seen_")
    for name in names:
        if getattr(theirs, name, None) is not None and not (
            name in ("mean_", "var_") and not ours.get_params()["with_std"]
        ):
            np.testing.assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-9, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(ours.transform(X + 1.0), theirs.transform(X + 1.0), rtol=1e-6, atol=1e-6)
    if not getattr(ours, "clip", False):
        np.testing.assert_allclose(ours.inverse_transform(ours.transform(X)), X, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("cls", "settings"), SCALERS)
def test_scalers_on_real_sets(
    cls: str, settings: dict[str, Any], twin: Any, bundled: Any, housing: tuple[np.ndarray, np.ndarray]
) -> None:
    for X in (*(bundled(name)[0] for name in ("iris", "wine", "breast_cancer", "digits", "diabetes")), housing[0]):
        same_scaler(getattr(plugins, cls)(**settings).fit(X), twin(f"preprocessing.{cls}", **settings).fit(X), X)


def test_float32_far_from_zero_keeps_its_mean() -> None:
    X = (np.random.default_rng(0).standard_normal((100_000, 1)) + 1e4).astype(np.float32)
    Z = StandardScaler().fit_transform(X)
    assert Z.dtype == np.float32
    assert abs(Z.mean(dtype=np.float64)) < 1e-6  # summed in float32 it would be off by 1e-3
    assert X.mean(dtype=np.float64) == pytest.approx(StandardScaler().fit(X).mean_[0], rel=1e-12)


def test_the_mean_of_large_numbers_keeps_its_digits() -> None:
    x = np.random.default_rng(0).standard_normal(100_000) + 1e8
    scaler = StandardScaler().fit(x[:, None])
    assert abs(scaler.mean_[0] - math.fsum(x) / len(x)) <= np.spacing(1e8)  # one sum alone is off by 100 times that
    assert scaler.var_[0] == pytest.approx(np.var(x - 1e8), rel=1e-9)


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize("seed", range(12))
def test_imputer(seed: int, strategy: str, twin: Any) -> None:
    X = random_data(seed, 0.3).round(1)
    for missing_values in (np.nan, X[0, -1]):
        settings = {"strategy": strategy, "missing_values": missing_values, "fill_value": 7.0}
        data = X if np.isnan(missing_values) else np.nan_to_num(X)
        if not np.isnan(missing_values) and (data == missing_values).all(axis=0).any():
            continue  # a column without any value: below
        ours, theirs = SimpleImputer(**settings).fit(data), twin("impute.SimpleImputer", **settings).fit(data)
        np.testing.assert_allclose(ours.statistics_, theirs.statistics_.astype(float), rtol=1e-12)
        np.testing.assert_allclose(ours.transform(data), theirs.transform(data), rtol=1e-12)


def test_imputer_on_housing(twin: Any, housing: tuple[np.ndarray, np.ndarray]) -> None:
    ours = SimpleImputer(strategy="median").fit_transform(housing[0])
    assert np.isfinite(ours).all()
    np.testing.assert_array_equal(ours, twin("impute.SimpleImputer", strategy="median").fit_transform(housing[0]))


def test_a_column_without_any_value(twin: Any) -> None:
    X = np.array([[1.0, np.nan], [3.0, np.nan]])
    imputer = SimpleImputer().fit(X)
    with pytest.warns(UserWarning, match=r"Skipping features without any observed values: \['x1'\]"):
        assert imputer.transform(X).tolist() == [[1.0], [3.0]]
    assert imputer.get_feature_names_out().tolist() == ["x0"]
    assert SimpleImputer(keep_empty_features=True).fit_transform(X).tolist() == [[1.0, 0.0], [3.0, 0.0]]


CATEGORIES = np.array([["red", 1], ["blue", 2], ["red", 3], [None, 2]], object)


@pytest.mark.parametrize("drop", [None, "first", "if_binary"])
@pytest.mark.parametrize("unknown", ["error", "ignore"])
@pytest.mark.parametrize(
    "X",
    [
        CATEGORIES,
        CATEGORIES[:2],
        CATEGORIES[:3, :1].astype(str),
        np.array([[1.5, np.nan], [0.0, 2.0], [1.5, 2.0], [np.nan, 1.0]]),
        np.array([[3, 1], [1, 1]]),
        [["a", 1], ["b", 2]],
    ],
)
def test_encoder(X: Any, unknown: str, drop: str | None, twin: Any) -> None:
    settings = {"drop": drop, "handle_unknown": unknown}
    ours = OneHotEncoder(**settings).fit(X)
    theirs = twin("preprocessing.OneHotEncoder", sparse_output=False, **settings).fit(X)
    for mine, other in zip(ours.categories_, theirs.categories_, strict=True):
        assert words(mine) == words(other)
    out = ours.transform(X)
    np.testing.assert_array_equal(out, theirs.transform(X))
    assert ours.get_feature_names_out().tolist() == theirs.get_feature_names_out().tolist()
    assert words(ours.inverse_transform(out)) == words(theirs.inverse_transform(out))


def words(values: np.ndarray) -> list[str]:
    """The values as words: NaN is not equal to NaN."""
    return [str(value) for value in values.ravel().tolist()]


def test_encoder_on_categories_it_has_not_seen() -> None:
    encoder = OneHotEncoder().fit([["a"], ["b"]])
    with pytest.raises(ValueError, match=r"Found unknown categories \['c'\] in column 0 during transform"):
        encoder.transform([["c"]])
    encoder = OneHotEncoder(handle_unknown="ignore").fit([["a"], ["b"]])
    assert encoder.transform([["c"]]).tolist() == [[0.0, 0.0]]
    assert encoder.inverse_transform([[0.0, 0.0]]).tolist() == [[None]]
    with pytest.raises(ValueError, match=r"Found unknown categories \['c'\] in column 0 during fit"):
        OneHotEncoder(categories=[["a", "b"]]).fit([["c"]])
    assert OneHotEncoder(categories=[["b", "a"]]).fit([["a"]]).transform([["a"]]).tolist() == [[0.0, 1.0]]
    assert OneHotEncoder(categories=[["a", "long"]]).fit(np.array([["a"]])).categories_[0].tolist() == ["a", "long"]
    with pytest.raises(TypeError, match=r"all strings or all numbers, got \['int', 'str'\]"):
        OneHotEncoder().fit(np.array([["a"], [1]], object))
    with pytest.raises(ValueError, match="Expected 2 columns"):
        encoder.inverse_transform([[1.0]])


def test_encoder_of_frames(needs: Needs) -> None:
    frame = needs("pandas").DataFrame({"colour": ["red", "blue"], "size": [1, 2]})
    out = OneHotEncoder().set_output(transform="pandas").fit_transform(frame)
    assert list(out.columns) == ["colour_blue", "colour_red", "size_1", "size_2"]
    assert out.to_numpy().tolist() == [[0.0, 1.0, 1.0, 0.0], [1.0, 0.0, 0.0, 1.0]]


@pytest.mark.parametrize(
    "settings", [{}, {"test_size": 0.3}, {"train_size": 5}, {"test_size": 7, "train_size": 0.5}, {"shuffle": False}]
)
@pytest.mark.parametrize("n", [4, 20, 33])
def test_split_cuts_as_scikit_learn_does(n: int, settings: dict[str, Any], needs: Needs) -> None:
    theirs = needs("sklearn.model_selection").train_test_split
    X, y = np.arange(2 * n).reshape(n, 2), list(range(n))
    try:
        expected = theirs(X, y, random_state=3, **settings)
    except ValueError:
        with pytest.raises(ValueError, match="size"):
            train_test_split(X, y, random_state=3, **settings)
        return
    for ours, other in zip(train_test_split(X, y, random_state=3, **settings), expected, strict=True):
        assert type(ours) is type(other)
        np.testing.assert_array_equal(ours, other)


@pytest.mark.parametrize("seed", range(10))
def test_split_by_strata(seed: int, needs: Needs) -> None:
    y = np.random.default_rng(seed).choice(["a", "b", "c"], 60, p=[0.6, 0.3, 0.1])
    train, test, i, j = train_test_split(y, np.arange(60), test_size=0.25, stratify=y, random_state=seed)
    assert (len(train), len(test)) == (45, 15)
    assert sorted([*i, *j]) == list(range(60))
    for label in "abc":
        assert abs((test == label).sum() - 0.25 * (y == label).sum()) < 1.0
    expected = needs("sklearn.model_selection").train_test_split(y, test_size=0.25, stratify=y, random_state=seed)
    assert [(part == "c").sum() for part in (train, test)] == [(part == "c").sum() for part in expected]


def test_split_of_frames_and_what_it_refuses(needs: Needs) -> None:
    frame = needs("pandas").DataFrame({"a": [1, 2, 3, 4]})
    train, test = train_test_split(frame, random_state=0)
    assert (len(train), len(test), list(test.columns)) == (3, 1, ["a"])
    for arrays, settings, message in (
        ((), {}, "At least one array"),
        (([1, 2], [1]), {}, r"inconsistent numbers of samples: \[2, 1\]"),
        (([1, 2],), {"test_size": 2}, "test_size=2 should be either positive and smaller"),
        (([1, 2],), {"test_size": 1.5}, r"test_size=1.5 .* float in the \(0, 1\) range"),
        (([1],), {}, "the resulting train set will be empty"),
        (([1, 2, 3, 4],), {"test_size": 3, "train_size": 3}, "should be at most the 4 samples"),
        (([1, 2],), {"stratify": [0, 1], "shuffle": False}, "not implemented for shuffle=False"),
        (([1, 2, 3],), {"stratify": [0, 1, 1]}, r"least populated classes .* few members are: \[0\]"),
        ((list(range(8)),), {"stratify": [0, 1, 2, 3] * 2}, "number of classes = 4"),
    ):
        with pytest.raises(ValueError, match=message), warnings.catch_warnings():
            train_test_split(*arrays, **settings)
