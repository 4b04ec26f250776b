"""scikit-learn's contract, once for all estimators: parameters, checks, feature names, tags and scores.

An estimator keeps its settings in `__init__` and nothing else happens there; `fit` learns, and what it has learnt are
attributes that end in `_`. It inherits from a mixin that says what it is, then from `BaseEstimator`:

    class Mean(RegressorMixin, BaseEstimator):
        def fit(self, X, y):
            X = self._fit_input(X)
            self.mean_ = self._fit_targets(y, X).mean()
            return self

        def predict(self, X):
            return np.full(len(self._input(X)), self.mean_)

scikit-learn itself is imported where only its own tools can ask (`__sklearn_tags__`), so that NumPy is all it takes.

Source: scikit-learn's developer guide, "Developing scikit-learn estimators".
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from typing import Any, Self

import numpy as np

from tinygrad_edu.errors import require
from tinygrad_edu.plugins import _validation as check


class BaseEstimator:
    """Settings read from the signature of `__init__`, checked data, tags for scikit-learn's tools."""

    n_features_in_: int
    feature_names_in_: np.ndarray

    # settings ---------------------------------------------------------------------------------------------------------

    @classmethod
    def _param_names(cls) -> list[str]:
        return sorted(name for name in inspect.signature(cls).parameters)

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name; with `deep`, those of a setting that is an estimator too, as `name__setting`."""
        params = {name: getattr(self, name) for name in self._param_names()}
        if deep:
            for name, value in list(params.items()):
                if hasattr(value, "get_params") and not isinstance(value, type):
                    params |= {f"{name}__{key}": inner for key, inner in value.get_params().items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """The estimator itself, with some settings changed; `name__setting` reaches into an estimator among them."""
        for key, value in params.items():
            name, _, inner = key.partition("__")
            if name not in self._param_names():
                raise ValueError(
                    f"Invalid parameter {name!r} for estimator {self}. Valid parameters are: {self._param_names()}."
                )
            if inner:
                getattr(self, name).set_params(**{inner: value})
            else:
                setattr(self, name, value)
        return self

    def __repr__(self) -> str:
        default = {name: p.default for name, p in inspect.signature(type(self)).parameters.items()}
        changed = [f"{k}={v!r}" for k, v in self.get_params(deep=False).items() if repr(v) != repr(default[k])]
        return f"{type(self).__name__}({', '.join(changed)})"

    def _check_number(self, name: str, low: float, high: float = np.inf, *, open: str = "", whole: bool = False) -> Any:
        """The setting `name` if it is a number from `low` to `high`, whole if asked for; `open="["` excludes `low`,
        `open="]"` excludes `high`, `open="[]"` both. Else ValueError."""
        value = getattr(self, name)
        kinds = (int, np.integer) if whole else (int, float, np.integer, np.floating)
        inside = isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high
        if not inside or ("[" in open and value == low) or ("]" in open and value == high):
            interval = f"{'(' if '[' in open else '['}{low}, {high}{')' if ']' in open or high == np.inf else ']'}"
            raise ValueError(
                f"The {name!r} parameter of {type(self).__name__} must be {'an int' if whole else 'a float'} "
                f"in the range {interval}. Got {value!r} instead."
            )
        return value

    def _check_choice(self, name: str, choices: Iterable[Any]) -> Any:
        """The setting `name` if it is one of `choices`, else ValueError."""
        value = getattr(self, name)
        if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
            known = ", ".join(map(repr, choices))
            raise ValueError(f"The {name!r} parameter of {type(self).__name__} must be one of {known}. Got {value!r}.")
        return value

    # data -------------------------------------------------------------------------------------------------------------

    def _fit_input(self, X: Any, *, dtype: Any = None, allow_nan: bool = False, min_samples: int = 1) -> np.ndarray:
        """X in `fit`: checked, as an array (N, D) of float32 or float64; its columns' number and names are kept."""
        owner = type(self).__name__
        array = check.to_array(X, owner, dtype=dtype)
        check.check_matrix(array, owner, allow_nan=allow_nan, min_samples=min_samples)
        self._keep_columns(X, array.shape[1])
        return array

    def _input(self, X: Any, *, dtype: Any = None, allow_nan: bool = False) -> np.ndarray:
        """X in `predict`, `transform` and the like: as above, and with the columns that `fit` saw."""
        self._check_fitted()
        owner = type(self).__name__
        self._check_names(X)
        array = check.to_array(X, owner, dtype=dtype)
        check.check_matrix(array, owner, allow_nan=allow_nan)
        self._check_width(array.shape[1])
        return array

    def _fit_targets(self, y: Any, X: np.ndarray, *, several: bool = False) -> np.ndarray:
        """y of a regressor in `fit`: finite numbers (N,) in X's dtype; with `several`, (N, targets) too."""
        owner = type(self).__name__
        if not several:
            y = check.one_column(y, owner, len(X))
        return check.columns(y, owner, len(X), X.dtype)

    def _fit_labels(self, y: Any, X: np.ndarray, *, at_least: int = 1) -> np.ndarray:
        """y of a classifier in `fit` as codes int64 (N,): the label of code k is `classes_[k]`."""
        owner = type(self).__name__
        self.classes_, codes = check.encode_labels(check.one_column(y, owner, len(X)), owner)
        if len(self.classes_) < at_least:
            raise ValueError(
                f"{owner} needs samples of at least {at_least} classes in the data, but the data contains only one "
                f"class: {self.classes_[0]!r}"
            )
        return codes

    def _weights(self, sample_weight: Any, X: np.ndarray) -> np.ndarray:
        """The samples' weights (N,) in X's dtype, checked; ones where none are given."""
        return check.check_weights(sample_weight, type(self).__name__, len(X), X.dtype)

    def _check_fitted(self) -> None:
        """Raise NotFittedError unless there are attributes that end in `_`."""
        if not any(name.endswith("_") and not name.startswith("_") for name in vars(self)):
            raise check.exception(check.NotFittedError)(
                f"This {type(self).__name__} instance is not fitted yet. Call 'fit' with appropriate arguments before "
                "using this estimator."
            )

    # columns ----------------------------------------------------------------------------------------------------------

    def _keep_columns(self, X: Any, count: int) -> None:
        names = column_names(X)
        self.n_features_in_ = count
        if names is not None:
            self.feature_names_in_ = names
        else:
            vars(self).pop("feature_names_in_", None)  # of an earlier fit

    def _check_width(self, count: int) -> None:
        if count != self.n_features_in_:
            raise ValueError(
                f"X has {count} features, but {type(self).__name__} is expecting {self.n_features_in_} features as "
                "input."
            )

    def _check_names(self, X: Any) -> None:
        names, fitted, owner = column_names(X), getattr(self, "feature_names_in_", None), type(self).__name__
        if fitted is None and names is not None:
            check.warn(UserWarning, f"X has feature names, but {owner} was fitted without feature names")
        elif fitted is not None and names is None:
            check.warn(UserWarning, f"X does not have valid feature names, but {owner} was fitted with feature names")
        elif fitted is not None and names is not None and not np.array_equal(names, fitted):
            raise ValueError(
                "The feature names should match those that were passed during fit.\n" + _differences(names, fitted)
            )

    # scikit-learn's tools ---------------------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn's tools want to know of an estimator; only they ask, so it is installed."""
        from sklearn.utils import Tags, TargetTags

        return Tags(estimator_type=None, target_tags=TargetTags(required=False))


class ClassifierMixin:
    """An estimator that predicts one of `classes_`."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy: the share of samples whose label is predicted, 0 to 1."""
        from tinygrad_edu.plugins.metrics import accuracy_score

        return accuracy_score(y, self.predict(X), sample_weight=sample_weight)  # type: ignore[attr-defined]

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import ClassifierTags

        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.estimator_type, tags.classifier_tags, tags.target_tags.required = "classifier", ClassifierTags(), True
        return tags


class RegressorMixin:
    """An estimator that predicts a number."""

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """R², the share of the target's variance that is explained; 1 at most."""
        from tinygrad_edu.plugins.metrics import r2_score

        return r2_score(y, self.predict(X), sample_weight=sample_weight)  # type: ignore[attr-defined]

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import RegressorTags

        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.estimator_type, tags.regressor_tags, tags.target_tags.required = "regressor", RegressorTags(), True
        return tags


class ClusterMixin:
    """An estimator that sorts samples into clusters, `labels_`, without being told which."""

    def fit_predict(self, X: Any, y: Any = None, **settings: Any) -> np.ndarray:
        """The cluster of each sample, int32 (N,)."""
        return self.fit(X, **settings).labels_  # type: ignore[attr-defined]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.estimator_type = "clusterer"
        return tags


class TransformerMixin:
    """An estimator that turns data into other data: it has a `_transform` from array to array, checked and finite."""

    _in_frames: str | None = None  # what `set_output` was told

    def transform(self, X: Any) -> Any:
        """X transformed, (N, D) -> (N, columns out): an array, or what `set_output` was told."""
        return self._framed(self._transform(self._input(X)), X)  # type: ignore[attr-defined]

    def fit_transform(self, X: Any, y: Any = None, **settings: Any) -> Any:
        """What `fit(X, y).transform(X)` gives."""
        return self.fit(X, y, **settings).transform(X)  # type: ignore[attr-defined]

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of the columns that come out, here those that went in (`x0`, `x1`, … if they had none)."""
        self._check_fitted()  # type: ignore[attr-defined]
        return self._names_in(input_features)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Have `transform` give a "pandas" or "polars" data frame, or an array again ("default"); None: no change."""
        if transform not in (None, "default", "pandas", "polars"):
            raise ValueError(f"output config must be in ['default', 'pandas', 'polars'], got {transform}")
        if transform is not None:
            self._in_frames = transform
        return self

    def _names_in(self, given: Any = None) -> np.ndarray:
        """The names of the columns that went in; ValueError when `given` ones are others."""
        fitted, count = getattr(self, "feature_names_in_", None), self.n_features_in_  # type: ignore[attr-defined]
        if given is None:
            return fitted if fitted is not None else np.array([f"x{i}" for i in range(count)], object)
        given = np.asarray(given, object)
        if fitted is not None and not np.array_equal(fitted, given):
            raise ValueError("input_features is not equal to feature_names_in_")
        if len(given) != count:
            raise ValueError(
                f"input_features should have length equal to number of features ({count}), got {len(given)}"
            )
        return given

    def _framed(self, out: np.ndarray, X: Any) -> Any:
        """`out` as the data frame that was asked for, with X's index where X is one of pandas."""
        kind = self._in_frames
        if kind is None and "sklearn" in sys.modules:  # its setting for all estimators
            kind = sys.modules["sklearn"].get_config()["transform_output"]
        if kind == "pandas":
            index = X.index if hasattr(X, "iloc") else None
            return require("pandas", "viz").DataFrame(out, index=index, columns=self.get_feature_names_out())
        if kind == "polars":
            return require("polars", "viz").DataFrame(out, schema=list(self.get_feature_names_out()))
        return out

    def __sklearn_tags__(self) -> Any:
        from sklearn.utils import TransformerTags

        tags = super().__sklearn_tags__()  # type: ignore[misc]
        tags.transformer_tags = TransformerTags(preserves_dtype=["float64", "float32"])
        return tags


class NamedByClass(TransformerMixin):
    """A transformer whose columns are new ones: `pca0`, `pca1`, … Its `fit` sets `_n_columns_out`."""

    _n_columns_out: int

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The names of the columns that come out: the class's in small letters, and a number."""
        self._check_fitted()  # type: ignore[attr-defined]
        self._names_in(input_features)
        return np.array([f"{type(self).__name__.lower()}{i}" for i in range(self._n_columns_out)], object)


def column_names(X: Any) -> np.ndarray | None:
    """The names of a data frame's columns, None where X has none or they are no strings; TypeError where some are."""
    if not hasattr(X, "columns") or isinstance(X, np.ndarray):
        return None
    names = list(X.columns)
    strings = [isinstance(name, str) for name in names]
    if any(strings) and not all(strings):
        kinds = sorted({type(name).__qualname__ for name in names})
        raise TypeError(
            "Feature names are only supported if all input features have string names, but your input has "
            f"{kinds} as feature name / column name types. Use X.columns = X.columns.astype(str)."
        )
    return np.array(names, object) if names and all(strings) else None


def _differences(names: np.ndarray, fitted: np.ndarray) -> str:
    """How the names differ from those of `fit`, five of each kind at most, as scikit-learn says it."""
    unseen, missing = sorted(set(names) - set(fitted)), sorted(set(fitted) - set(names))
    if not unseen and not missing:
        return "Feature names must be in the same order as they were in fit.\n"
    parts = (
        ("Feature names unseen at fit time:\n", unseen),
        ("Feature names seen at fit time, yet now missing:\n", missing),
    )
    listed = [
        head + "".join(f"- {name}\n" for name in found[:5]) + "- ...\n" * (len(found) > 5)
        for head, found in parts
        if found
    ]
    return "".join(listed)
