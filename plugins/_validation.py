"""What may go into an estimator: data turned into arrays, or refused in scikit-learn's words and where it is wrong.

Each function takes `owner`, the estimator's class name, for its messages. Errors are ValueError for wrong values and
shapes and TypeError for wrong types, as in scikit-learn, so that a program which handles its errors handles ours.
Symbols: `N` samples (rows), `D` features (columns).

Source: scikit-learn's developer guide, "Developing scikit-learn estimators", whose `check_estimator` runs over all of
ours; the wording is that of `sklearn.utils.validation`.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy as np

FLOATS = (np.float64, np.float32)  # kept as they are; every other dtype becomes the first


class NotFittedError(ValueError, AttributeError):
    """An estimator is used before `fit`. Where scikit-learn is installed, its class of this name is raised instead."""


class DataConversionWarning(UserWarning):
    """Data was reshaped to what is needed; scikit-learn's class of this name where it is installed."""


class ConvergenceWarning(UserWarning):
    """An iteration ended before it had converged; scikit-learn's class of this name where it is installed."""


def exception(own: type[Exception]) -> type[Exception]:
    """scikit-learn's class of the same name, so that its users' `except` clauses and filters hold; else `own`."""
    try:
        return getattr(importlib.import_module("sklearn.exceptions"), own.__name__, own)
    except ModuleNotFoundError:
        return own


def warn(category: type[Exception], message: str) -> None:
    """Warn of `message`, seen at the line that called `fit` or the like."""
    warnings.warn(message, exception(category), stacklevel=4)  # type: ignore[arg-type]


def to_array(X: Any, owner: str, *, name: str = "X", dtype: Any = None) -> np.ndarray:
    """X as a real array: float32 and float64 stay, all else becomes float64, or everything becomes `dtype`."""
    refuse_sparse(X, owner, name)
    array = np.asarray(X)
    if array.dtype.kind == "c":
        raise ValueError(f"Complex data not supported\n{owner}: {name} is {array.dtype}; take `.real` or `abs` first.")
    if array.dtype.kind in "SU":
        raise ValueError(
            f"dtype='numeric' is not compatible with arrays of bytes/strings, and {name} of {owner} holds "
            f"{array.ravel()[:1]}. Convert your data to numeric values explicitly instead."
        )
    wanted = dtype or (array.dtype if array.dtype in FLOATS else FLOATS[0])
    try:
        with np.errstate(over="ignore"):  # a float64 that float32 can't hold becomes infinite, and is refused as that
            return array.astype(wanted, copy=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{error}\n{owner}: {name}{_first_no_number(array)}") from error


def refuse_sparse(X: Any, owner: str, name: str = "X") -> None:
    """Raise TypeError for SciPy's sparse matrices and arrays (known by `tocsr`: SciPy need not be installed)."""
    if hasattr(X, "tocsr"):
        raise TypeError(
            f"Sparse data was passed for {name}, but dense data is required by {owner}. "
            "Use '.toarray()' to convert to a dense numpy array."
        )


def _first_no_number(array: np.ndarray) -> str:
    """Where an array of objects holds the first that is no number: '[3, 1] is 'abc''."""
    for index, value in np.ndenumerate(array):
        try:
            complex(value)
        except (TypeError, ValueError):
            return f"{list(index)} is {value!r}"
    return " can't be converted to numbers"


def check_matrix(X: np.ndarray, owner: str, *, allow_nan: bool = False, min_samples: int = 1) -> None:
    """Raise ValueError unless X is (N, D) with N ≥ `min_samples`, D ≥ 1 and finite (NaN where it is allowed)."""
    if X.ndim < 2:
        kind = "scalar array" if X.ndim == 0 else "1D array"
        raise ValueError(
            f"Expected 2D array, got {kind} instead:\narray={X}.\nReshape your data either using array.reshape(-1, 1) "
            "if your data has a single feature or array.reshape(1, -1) if it contains a single sample."
        )
    if X.ndim > 2:
        raise ValueError(f"Found array with dim {X.ndim}, while dim <= 2 is required by {owner}.")
    for found, least, what in ((len(X), min_samples, "sample(s)"), (X.shape[1], 1, "feature(s)")):
        if found < least:
            raise ValueError(
                f"Found array with {found} {what} (shape={X.shape}) while a minimum of {least} is required by {owner}."
            )
    check_finite(X, owner, allow_nan=allow_nan)


def check_finite(array: np.ndarray, owner: str, *, name: str = "X", allow_nan: bool = False) -> None:
    """Raise ValueError at the first infinity, or NaN unless it is allowed, with its place."""
    if array.dtype.kind != "f":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(array.sum()):  # one pass and no array of flags: the usual case, and it misses nothing
            return
    wrong = np.isinf(array) if allow_nan else ~np.isfinite(array)
    if not wrong.any():  # finite numbers whose sum is too large, or NaN that is allowed
        return
    index = tuple(int(i) for i in np.argwhere(wrong)[0])
    where = "at " + ", ".join(f"{axis} {i}" for axis, i in zip(("row", "column"), index, strict=False))
    if np.isnan(array[index]):
        advice = "; SimpleImputer fills missing values in." if name == "X" else "."
        raise ValueError(f"Input {name} contains NaN. {owner} does not accept it; the first is {where}{advice}")
    raise ValueError(
        f"Input {name} contains infinity or a value too large for dtype('{array.dtype}'). "
        f"{owner} does not accept it; the first is {where}."
    )


def one_column(y: Any, owner: str, n_samples: int) -> np.ndarray:
    """y as an array (N,), of any dtype; a column (N, 1) is flattened with scikit-learn's warning."""
    y = _given(y, owner)
    if y.ndim == 2 and y.shape[1] == 1:
        warn(
            DataConversionWarning,
            "A column-vector y was passed when a 1d array was expected. "
            "Please change the shape of y to (n_samples, ), for example using ravel().",
        )
        y = y[:, 0]
    if y.ndim != 1:
        raise ValueError(f"y should be a 1d array, got an array of shape {y.shape} instead.")
    _same_length(y, n_samples)
    return y


def columns(y: Any, owner: str, n_samples: int, dtype: Any = None) -> np.ndarray:
    """y as finite numbers of shape (N,) or, for several targets, (N, targets)."""
    y = to_array(_given(y, owner), owner, name="y", dtype=dtype)
    if y.ndim not in (1, 2):
        raise ValueError(f"y should be a 1d or 2d array, got an array of shape {y.shape} instead.")
    _same_length(y, n_samples)
    check_finite(y, owner, name="y")
    return y


def _given(y: Any, owner: str) -> np.ndarray:
    if y is None:
        raise ValueError(f"{owner} requires y to be passed, but the target y is None.")
    refuse_sparse(y, owner, "y")
    return np.asarray(y)


def _same_length(y: np.ndarray, n_samples: int) -> None:
    if len(y) != n_samples:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: [{n_samples}, {len(y)}]")


def encode_labels(y: np.ndarray, owner: str) -> tuple[np.ndarray, np.ndarray]:
    """The sorted classes (K,), and each sample's as a number 0 … K - 1, int64 (N,).

    Raises ValueError for what are no labels: NaN, fractions ("continuous"), things that have no order.
    """
    if y.dtype.kind == "c":
        raise ValueError(f"Complex data not supported\n{owner}: y is {y.dtype}")
    if y.dtype.kind == "f":
        check_finite(y, owner, name="y")
        if (fractions := y != np.floor(y)).any():
            raise ValueError(
                f"Unknown label type: continuous. {owner} expects discrete classes, and y[{int(np.argmax(fractions))}] "
                f"is {y[np.argmax(fractions)]}; a regressor takes continuous values."
            )
    try:
        classes, codes = np.unique(y, return_inverse=True)
    except TypeError as error:  # objects of several types, None among them
        raise ValueError(f"Unknown label type: {owner} can't order the labels in y ({error}).") from error
    return classes, codes.astype(np.int64, copy=False)


def check_weights(sample_weight: Any, owner: str, n_samples: int, dtype: Any = np.float64) -> np.ndarray:
    """`sample_weight` as an array (N,), finite, none negative and not all zero; ones where it is None."""
    if sample_weight is None:
        return np.ones(n_samples, dtype)
    w = to_array(sample_weight, owner, name="sample_weight", dtype=dtype)
    if w.ndim == 0:
        w = np.full(n_samples, w)
    if w.ndim != 1:
        raise ValueError(f"Sample weights must be 1D array or scalar, got an array of shape {w.shape}.")
    if w.shape != (n_samples,):
        raise ValueError(f"sample_weight.shape == {w.shape}, expected {(n_samples,)}!")
    check_finite(w, owner, name="sample_weight")
    if (w < 0.0).any():
        raise ValueError(f"Negative values in data passed to `sample_weight` of {owner}: the first at {np.argmin(w)}.")
    if not w.any():
        raise ValueError("Sample weights must contain at least one non-zero number.")
    return w


def random_state(seed: Any) -> np.random.RandomState:
    """The generator of a `random_state` parameter: None, a seed, or a RandomState, as scikit-learn takes it.

    RandomState and not Generator, so that one seed gives here what it gives there: `train_test_split` cuts alike.
    """
    if isinstance(seed, np.random.RandomState):
        return seed
    if seed is None:
        return np.random.mtrand._rand  # the one that `np.random.seed` seeds
    if isinstance(seed, int | np.integer) and 0 <= seed < 2**32:
        return np.random.RandomState(seed)
    raise ValueError(f"{seed!r} cannot be used to seed a numpy.random.RandomState instance")


def weigh_classes(class_weight: Any, classes: np.ndarray, codes: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Weights (N,) times those of each sample's class: a dict by label (1 where it is silent), or "balanced".

    "balanced" gives all classes the same weight in sum: W / (K W_k) for class k, whose samples weigh W_k of W.
    """
    if class_weight is None:
        return w
    if isinstance(class_weight, dict):
        if unknown := [label for label in class_weight if label not in classes.tolist()]:
            raise ValueError(f"class_weight is for the classes {classes.tolist()}, and names {unknown}")
        factors = np.array([class_weight.get(label, 1.0) for label in classes.tolist()])
    elif isinstance(class_weight, str) and class_weight == "balanced":
        sums = np.bincount(codes, w, len(classes))
        factors = np.divide(w.sum(), len(classes) * sums, out=np.zeros(len(classes)), where=sums > 0.0)
    else:
        raise ValueError(f"class_weight must be a dict, 'balanced' or None, got {class_weight!r}")
    return w * factors.astype(w.dtype)[codes]
