"""How good a prediction is: scores and errors with scikit-learn's names, arguments and special cases.

    regression       mean_squared_error r2_score
    classification   accuracy_score precision_score recall_score f1_score confusion_matrix roc_auc_score
    clustering       silhouette_score adjusted_rand_score

Sources: G. James et al., An Introduction to Statistical Learning (ISL), 2nd edition, 2021; the others are named where
they are used. Symbols: `N` samples, `K` classes, w the samples' weights (1 where none are given).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu.plugins import _validation as check

BLOCK = 1024  # rows of distances at a time


class UndefinedMetricWarning(UserWarning):
    """A score that is 0 / 0 was set to 0; scikit-learn's class of this name where it is installed."""


def _pair(true: Any, predicted: Any, weights: Any, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two label arrays (N,) of one length, and the weights (N,)."""
    true = np.asarray(true)
    if true.size == 0:
        raise ValueError(
            f"Found empty input array (e.g., `y_true` or `y_pred`) while a minimum of 1 sample is required by {name}."
        )
    n = len(true) if true.ndim else 0
    return check.one_column(true, name, n), check.one_column(predicted, name, n), check.check_weights(weights, name, n)


def _targets(true: Any, predicted: Any, weights: Any, name: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two arrays of numbers (N, targets), and the weights (N,)."""
    n = len(np.asarray(true))
    if n == 0:
        raise ValueError(f"Found array with 0 sample(s) while a minimum of 1 is required by {name}.")
    true, predicted = (check.columns(y, name, n, np.float64).reshape(n, -1) for y in (true, predicted))
    if true.shape != predicted.shape:
        raise ValueError(f"y_true and y_pred have different number of output ({true.shape[1]}!={predicted.shape[1]})")
    return true, predicted, check.check_weights(weights, name, n)


def _average(scores: np.ndarray, multioutput: str) -> Any:
    if multioutput == "raw_values":
        return scores
    if multioutput == "uniform_average":
        return float(scores.mean())
    raise ValueError(f"multioutput must be 'uniform_average' or 'raw_values', got {multioutput!r}")


def mean_squared_error(
    y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: str = "uniform_average"
) -> Any:
    """Σ w (y - ŷ)² / Σ w (ISL 2.5), the mean over the targets, or with "raw_values" of each, (targets,).

    >>> mean_squared_error([1.0, 2.0], [1.0, 4.0])
    2.0
    """
    true, predicted, w = _targets(y_true, y_pred, sample_weight, "mean_squared_error")
    return _average(w @ (true - predicted) ** 2 / w.sum(), multioutput)


def r2_score(y_true: Any, y_pred: Any, *, sample_weight: Any = None, multioutput: str = "uniform_average") -> Any:
    """1 - RSS / TSS (ISL 3.17): 1 is perfect, 0 as good as the mean, below is worse.

    Where y does not vary (TSS = 0) it is 1 for a perfect prediction, else 0. NaN with a warning for a single sample.

    >>> r2_score([1.0, 2.0, 3.0], [1.0, 2.0, 2.0])
    0.5
    """
    true, predicted, w = _targets(y_true, y_pred, sample_weight, "r2_score")
    if len(true) < 2:
        check.warn(UndefinedMetricWarning, "R^2 score is not well-defined with less than two samples.")
        return float("nan")
    rss = w @ (true - predicted) ** 2
    tss = w @ (true - np.average(true, axis=0, weights=w)) ** 2
    ratio = np.divide(rss, tss, out=(rss > 0.0).astype(np.float64), where=tss > 0.0)
    return _average(1.0 - ratio, multioutput)


def accuracy_score(y_true: Any, y_pred: Any, *, normalize: bool = True, sample_weight: Any = None) -> float:
    """The share of labels that are right (1 minus ISL's error rate, 2.8), or their number.

    >>> accuracy_score(["a", "b"], ["a", "a"])
    0.5
    """
    true, predicted, w = _pair(y_true, y_pred, sample_weight, "accuracy_score")
    right = float(w @ (true == predicted))
    return right / float(w.sum()) if normalize else right


def confusion_matrix(
    y_true: Any, y_pred: Any, *, labels: Any = None, sample_weight: Any = None, normalize: str | None = None
) -> np.ndarray:
    """How many (the weights' sum) of class i are predicted as j, (K, K); `labels` gives the classes and their order.

    `normalize`: shares of the row ("true"), of the column ("pred") or of all ("all").

    >>> confusion_matrix([0, 0, 1], [0, 1, 1]).tolist()
    [[1, 1], [0, 1]]
    """
    true, predicted, w = _pair(y_true, y_pred, sample_weight, "confusion_matrix")
    if normalize not in (None, "true", "pred", "all"):
        raise ValueError(f"normalize must be one of {{'true', 'pred', 'all', None}}, got {normalize!r}")
    classes, codes = np.unique(np.concatenate([true, predicted]), return_inverse=True)
    count = len(classes)
    counts = np.bincount(codes[: len(true)] * count + codes[len(true) :], w, count * count).reshape(count, count)
    if labels is not None:
        found = {label: code for code, label in enumerate(classes.tolist())}
        labels = np.asarray(labels).tolist()
        if not any(label in found for label in labels):
            raise ValueError(f"At least one label specified must be in y_true, got {labels}")
        counts = np.pad(counts, (0, 1))  # a label that never occurs: the row and column of zeros
        where = [found.get(label, count) for label in labels]
        counts = counts[np.ix_(where, where)]
    if normalize is None:
        return counts if sample_weight is not None else counts.astype(np.int64)
    axis = {"true": 1, "pred": 0, "all": None}[normalize]
    total = counts.sum(axis=axis, keepdims=True)
    return np.divide(counts, total, out=np.zeros_like(counts), where=total > 0.0)


def precision_score(y_true: Any, y_pred: Any, **settings: Any) -> Any:
    """The share of those predicted to be of a class that are: TP / (TP + FP) (ISL, table 4.7). See `f1_score`.

    >>> precision_score([0, 1, 1], [1, 1, 0])
    0.5
    """
    return _of_counts("precision", y_true, y_pred, **settings)


def recall_score(y_true: Any, y_pred: Any, **settings: Any) -> Any:
    """The share of those of a class that are found: TP / (TP + FN) (ISL, table 4.7). See `f1_score`.

    >>> recall_score([0, 1, 1, 1, 1], [1, 1, 0, 0, 0])
    0.25
    """
    return _of_counts("recall", y_true, y_pred, **settings)


def f1_score(y_true: Any, y_pred: Any, **settings: Any) -> Any:
    """The harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN) (van Rijsbergen 1979, with α = ½).

    Settings, of `precision_score` and `recall_score` too: `average`: "binary" is the score of `pos_label` (1) of two
    classes; "macro" the mean over the classes, "weighted" by how often each occurs, "micro" of all together; None each
    class's (K,). `labels`: those classes only. `zero_division`: what 0 / 0 is, by default 0 with a warning.
    `sample_weight` (N,).

    >>> f1_score([0, 1, 2], [0, 1, 1], average="macro", zero_division=0)
    0.5555555555555555
    """
    return _of_counts("f1", y_true, y_pred, **settings)


def _of_counts(
    kind: str,
    y_true: Any,
    y_pred: Any,
    *,
    labels: Any = None,
    pos_label: Any = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
    zero_division: Any = "warn",
) -> Any:
    if average not in ("binary", "macro", "micro", "weighted", None):
        raise ValueError(f"average must be 'binary', 'macro', 'micro', 'weighted' or None, got {average!r}")
    present = np.unique(np.concatenate([np.asarray(y_true).ravel(), np.asarray(y_pred).ravel()])).tolist()
    if average == "binary":
        if len(present) > 2:
            raise ValueError("Target is multiclass but average='binary'. Please choose another average setting.")
        if pos_label not in present and len(present) == 2:
            raise ValueError(f"pos_label={pos_label} is not a valid label: It should be one of {present}")
        wanted = [pos_label]
    else:
        wanted = present if labels is None else np.asarray(labels).tolist()
    every = [*wanted, *(label for label in present if label not in wanted)]
    counts = confusion_matrix(y_true, y_pred, labels=every, sample_weight=sample_weight).astype(np.float64)
    k = len(wanted)
    right, guessed, true = counts.diagonal()[:k], counts.sum(axis=0)[:k], counts.sum(axis=1)[:k]
    if average == "micro":
        right, guessed, true = (np.array([a.sum()]) for a in (right, guessed, true))
    below = {"precision": guessed, "recall": true, "f1": (guessed + true) / 2.0}[kind]
    if (below == 0.0).any() and zero_division == "warn":
        check.warn(
            UndefinedMetricWarning,
            f"{kind} is ill-defined and being set to 0.0 in classes without a sample to divide by. Use "
            "`zero_division` to control this behavior.",
        )
    instead = np.full(len(below), 0.0 if zero_division == "warn" else float(zero_division))
    scores = np.divide(right, below, out=instead, where=below > 0.0)
    if average is None:
        return scores
    if average == "weighted" and true.any():
        return float(np.average(scores, weights=true))
    return float(scores.mean())


def roc_auc_score(
    y_true: Any,
    y_score: Any,
    *,
    average: str | None = "macro",
    sample_weight: Any = None,
    multi_class: str = "raise",
    labels: Any = None,
) -> Any:
    """The area under the ROC curve: how likely a sample of the class has a higher score than one of another.

    Two classes: scores (N,), of the second one. K classes: probabilities (N, K) and `multi_class="ovr"`, each class
    against the rest, or "ovo", the mean over pairs of classes (Hand & Till, "A simple generalisation of the area under
    the ROC curve", 2001, (7)). `average`: "macro", or "weighted" by how often a class occurs; for "ovr" None too, (K,).

    >>> roc_auc_score([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    true, _, w = _pair(y_true, y_true, sample_weight, "roc_auc_score")
    scores = np.asarray(y_score, np.float64)
    check.check_finite(scores, "roc_auc_score", name="y_score")
    if len(scores) != len(true):
        raise ValueError(f"Found input variables with inconsistent numbers of samples: [{len(true)}, {len(scores)}]")
    classes = np.unique(true) if labels is None else np.asarray(labels)
    if scores.ndim == 1 or (scores.ndim == 2 and scores.shape[1] == 1):
        if len(classes) != 2:
            raise ValueError(
                f"roc_auc_score of scores (N,) needs two classes, and y_true has {len(classes)}; for several give "
                "probabilities (N, K), and multi_class must be in ('ovo', 'ovr')"
            )
        return _auc(true == classes[1], scores.ravel(), w)
    if multi_class not in ("ovr", "ovo"):
        raise ValueError("multi_class must be in ('ovo', 'ovr')")
    if scores.shape[1] != len(classes):
        raise ValueError(
            f"Number of classes in y_true ({len(classes)}) not equal to the number of columns in 'y_score'"
        )
    if not np.allclose(scores.sum(axis=1), 1.0):
        raise ValueError(
            "Target scores need to be probabilities for multiclass roc_auc, i.e. they should sum up to 1.0"
        )
    hits = true[:, None] == classes
    if multi_class == "ovr":
        areas = np.array([_auc(hits[:, k], scores[:, k], w) for k in range(len(classes))])
        shares = w @ hits
    else:
        pairs = [(a, b) for a in range(len(classes)) for b in range(a + 1, len(classes))]
        rows = [hits[:, a] | hits[:, b] for a, b in pairs]
        both = ((_auc(hits[r, k], scores[r, k], w[r]) for k in pair) for r, pair in zip(rows, pairs, strict=True))
        areas, shares = np.array([sum(two) / 2.0 for two in both]), np.array([w[r].sum() for r in rows])
    if average is None:
        return areas
    return float(np.average(areas, weights=shares if average == "weighted" else None))


def _auc(positive: np.ndarray, scores: np.ndarray, w: np.ndarray) -> float:
    """The weight of pairs (positive, negative) in the right order, equal scores for a half, of all such pairs."""
    w_positive, w_negative = np.where(positive, w, 0.0), np.where(positive, 0.0, w)
    if not w_positive.any() or not w_negative.any():
        raise ValueError("Only one class is present in y_true. ROC AUC score is not defined in that case.")
    _, codes = np.unique(scores, return_inverse=True)
    up, down = np.bincount(codes, w_positive), np.bincount(codes, w_negative)  # by score, the lowest first
    below = np.cumsum(down) - down
    return float(up @ (below + down / 2.0) / (up.sum() * down.sum()))


def silhouette_score(X: Any, labels: Any) -> float:
    """The mean over the samples of (b - a) / max(a, b), -1 to 1, with Euclidean distances.

    a is the mean distance to the other samples of its cluster, b to those of the nearest other cluster; a sample alone
    in its cluster counts 0. Source: P. Rousseeuw, "Silhouettes", 1987, (2). Takes time ∝ N², memory ∝ N.

    >>> round(silhouette_score([[0.0], [1.0], [10.0], [11.0]], [0, 0, 1, 1]), 4)
    0.8997
    """
    X = check.to_array(X, "silhouette_score")
    check.check_matrix(X, "silhouette_score")
    classes, codes = check.encode_labels(check.one_column(labels, "silhouette_score", len(X)), "silhouette_score")
    K, n = len(classes), len(X)
    if not 1 < K < n:
        raise ValueError(f"Number of labels is {K}. Valid values are 2 to n_samples - 1 (inclusive)")
    counts, member = np.bincount(codes), np.eye(K)[codes]  # (N, K)
    X = X - X.mean(axis=0)  # the squares below then lose fewer digits
    squares, total = np.einsum("nd,nd->n", X, X), 0.0
    for start in range(0, n, BLOCK):
        rows = np.arange(start, min(start + BLOCK, n))
        squared = squares[rows, None] + squares - 2.0 * X[rows] @ X.T
        squared[np.arange(len(rows)), rows] = 0.0
        sums = np.sqrt(squared.clip(0.0)) @ member  # (rows, K)
        own = codes[rows], counts[codes[rows]]
        a = sums[np.arange(len(rows)), own[0]] / np.maximum(own[1] - 1, 1)
        means = sums / counts
        means[np.arange(len(rows)), own[0]] = np.inf
        b = means.min(axis=1)
        larger = np.maximum(a, b)
        total += np.divide(b - a, larger, out=np.zeros(len(rows)), where=(own[1] > 1) & (larger > 0.0)).sum()
    return float(total / n)


def adjusted_rand_score(labels_true: Any, labels_pred: Any) -> float:
    """How far two clusterings agree on pairs of samples, whatever the clusters' names: 1 fully, 0 as by chance.

    Source: L. Hubert, P. Arabie, "Comparing partitions", 1985, (5).

    >>> adjusted_rand_score([0, 0, 1, 1], ["b", "b", "a", "a"])
    1.0
    """
    true = np.asarray(labels_true)
    first, second = (check.one_column(labels, "adjusted_rand_score", len(true)) for labels in (true, labels_pred))
    (_, a), (_, b) = (np.unique(labels, return_inverse=True) for labels in (first, second))
    width = int(b.max(initial=0)) + 1
    table = np.bincount(a * width + b, minlength=(int(a.max(initial=0)) + 1) * width).reshape(-1, width)
    pairs = lambda counts: int((counts * (counts - 1) // 2).sum())
    both, in_a, in_b, total = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0)), pairs(np.array(len(a)))
    if both == in_a == in_b:
        return 1.0  # the very same pairs, none at all among them
    chance = in_a * in_b / total
    return (both - chance) / ((in_a + in_b) / 2.0 - chance)
