"""Data cut in two: one part to learn from, the other to be tested on, so that a score is of samples never seen.

Source: G. James et al., An Introduction to Statistical Learning, 2nd edition, 2021, section 5.1.1, the validation set.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.plugins import _validation as check


def train_test_split(
    *arrays: Any,
    test_size: float | int | None = None,
    train_size: float | int | None = None,
    random_state: Any = None,
    shuffle: bool = True,
    stratify: Any = None,
) -> list[Any]:
    """Each array's training and test part, one after the other: `X_train, X_test, y_train, y_test`.

    Sizes are numbers of samples, or shares between 0 and 1; by default a quarter is for the test. `stratify` holds
    labels, each of which then has about the same share in both parts. Arrays, lists and pandas' frames and series stay
    what they are. Without `stratify`, one `random_state` cuts as scikit-learn's does.

    >>> train_test_split([1, 2, 3, 4], shuffle=False)
    [[1, 2, 3], [4]]
    """
    if not arrays:
        raise ValueError("At least one array required as input")
    lengths = [len(array) for array in arrays]
    if len(set(lengths)) > 1:
        raise ValueError(f"Found input variables with inconsistent numbers of samples: {lengths}")
    train, test = _sizes(lengths[0], test_size, train_size)
    if not shuffle:
        if stratify is not None:
            raise ValueError("Stratified train/test split is not implemented for shuffle=False")
        order = np.arange(train + test)
        parts = order[:train], order[train:]
    elif stratify is None:
        order = check.random_state(random_state).permutation(lengths[0])
        parts = order[test : test + train], order[:test]
    else:
        labels = check.one_column(stratify, "train_test_split", lengths[0])
        parts = _stratified(labels, train, test, check.random_state(random_state))
    return [_take(array, part) for array in arrays for part in parts]


def _sizes(n: int, test_size: float | int | None, train_size: float | int | None) -> tuple[int, int]:
    """How many samples go where: the test's share rounded up, the training's down."""
    given = {"test_size": test_size, "train_size": train_size}
    counts: dict[str, int | None] = {}
    for name, size in given.items():
        if size is None:
            counts[name] = None
        elif isinstance(size, float | np.floating) and 0.0 < size < 1.0:
            counts[name] = (math.ceil if name == "test_size" else math.floor)(size * n)
        elif isinstance(size, int | np.integer) and not isinstance(size, bool) and 0 < size < n:
            counts[name] = int(size)
        else:
            raise ValueError(
                f"{name}={size} should be either positive and smaller than the number of samples {n} or a float in the "
                "(0, 1) range"
            )
    test, train = counts["test_size"], counts["train_size"]
    if test is None:
        test = math.ceil(0.25 * n) if train is None else n - train
    train = n - test if train is None else train
    if train + test > n:
        raise ValueError(f"The sum of train_size and test_size = {train + test}, should be at most the {n} samples.")
    if train < 1:
        raise ValueError(f"With n_samples={n}, {test} of them for the test, the resulting train set will be empty.")
    return train, test


def _stratified(labels: np.ndarray, train: int, test: int, rng: np.random.RandomState) -> tuple[np.ndarray, np.ndarray]:
    """Indices of both parts, in random order, each label with its share."""
    classes, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    if counts.min() < 2:
        raise ValueError(
            f"The least populated classes in y have only 1 member, which is too few. The minimum number of groups for "
            f"any class cannot be less than 2. Classes with too few members are: {classes[counts < 2].tolist()}"
        )
    if min(train, test) < len(classes):
        raise ValueError(
            f"The train_size = {train} and the test_size = {test} should be greater or equal to the number of classes "
            f"= {len(classes)}"
        )
    in_train = _share(train, counts, rng)
    in_test = _share(test, counts - in_train, rng)
    parts: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
    for k in range(len(classes)):
        members = rng.permutation(np.flatnonzero(codes == k))
        parts[0].append(members[: in_train[k]])
        parts[1].append(members[in_train[k] : in_train[k] + in_test[k]])
    return rng.permutation(np.concatenate(parts[0])), rng.permutation(np.concatenate(parts[1]))


def _share(total: int, counts: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    """`total` shared out in proportion to `counts`, in whole numbers: the largest fractions are rounded up."""
    exact = total * counts / counts.sum()
    whole = np.floor(exact).astype(int)
    order = np.lexsort((rng.permutation(len(counts)), whole - exact))  # of equal fractions, a random one
    whole[order[: total - whole.sum()]] += 1
    return whole


def _take(array: Any, indices: np.ndarray) -> Any:
    if hasattr(array, "iloc"):
        return array.iloc[indices]
    return [array[i] for i in indices] if isinstance(array, list | tuple) else np.asarray(array)[indices]
