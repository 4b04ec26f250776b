"""Growing and asking many trees: bootstrap samples, groups of trees in threads, out-of-bag means.

Small trees are grown several at once, and those groups in threads: NumPy lets go of Python's lock while it works. What
comes out depends on `random_state` and not on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from tinygrad_edu.plugins import _validation as check
from tinygrad_edu.plugins._tree import Tree, shares
from tinygrad_edu.plugins._tree_criteria import Array, Criterion
from tinygrad_edu.plugins._tree_growth import Items, grow
from tinygrad_edu.plugins._tree_settings import TreeSettings, presort

TOGETHER = 1 << 14  # samples of the trees that grow at once: enough that Python's part is small


class Forest(TreeSettings):
    n_estimators: int
    bootstrap: bool
    oob_score: bool
    n_jobs: int | None
    max_samples: float | None

    def _new_tree(self) -> Any:
        raise NotImplementedError

    def _criterion(self, y: Array, weight: Array) -> Criterion:
        raise NotImplementedError

    def _grow(self, X: Array, y: Array, sample_weight: Any) -> Array | None:
        """Grow the trees; the out-of-bag means (N, K) if they are asked for, NaN where every tree saw the sample."""
        weight = self._with_classes(y, check.check_weights(sample_weight, type(self).__name__, len(X)))
        self._check_number("n_estimators", 1, whole=True)
        if self.oob_score and not self.bootstrap:
            raise ValueError("Out of bag estimation only available if bootstrap=True")
        limits, drawn, sorted_columns = self._limits(*X.shape), self._sample_size(len(X)), presort(X)
        random = check.random_state(self.random_state)
        seeds = random.randint(2**31 - 1, size=self.n_estimators)

        def group(first: int) -> list[tuple[Tree, Array]]:
            rngs = [np.random.default_rng(seed) for seed in seeds[first : first + size]]
            times = np.stack([self._times_drawn(rng, len(X), drawn) for rng in rngs])
            seen = (times > 0) & (weight > 0)
            while not seen.any(axis=1).all():  # unlucky: only samples of no weight were drawn
                for t in np.flatnonzero(~seen.any(axis=1)):
                    times[t] = self._times_drawn(rngs[t], len(X), drawn)
                seen = (times > 0) & (weight > 0)
            items = Items(*sorted_columns, seen)
            own_weight = times[items.tree, items.sample] * weight[items.sample]
            trees, _ = grow(items, self._criterion(y[items.sample], own_weight), limits, rngs[0])
            return [(self._cut_back(tree), np.flatnonzero(row == 0)) for tree, row in zip(trees, times, strict=True)]

        size = max(1, TOGETHER // len(X))
        groups = [range(self.n_estimators)[i : i + size].start for i in range(0, self.n_estimators, size)]
        grown = [pair for pairs in self._threads(group, groups) for pair in pairs]
        self.estimators_ = [self._new_tree()._keep(tree) for tree, _ in grown]
        for tree in self.estimators_:
            tree.n_features_in_ = X.shape[1]
        return self._out_of_bag(grown, X) if self.oob_score else None

    def _sample_size(self, samples: int) -> int:
        if self.max_samples is None:
            return samples
        if isinstance(self.max_samples, int | np.integer):
            return int(self._check_number("max_samples", 1, samples, whole=True))
        return max(1, round(self._check_number("max_samples", 0.0, 1.0, open="[") * samples))

    def _times_drawn(self, rng: np.random.Generator, samples: int, drawn: int) -> Array:
        """How often each sample is in a tree's bootstrap sample: (N,)."""
        if not self.bootstrap:
            return np.ones(samples, dtype=np.int64)
        return np.bincount(rng.integers(samples, size=drawn), minlength=samples)

    def _threads(self, work: Callable[[Any], Any], parts: Any) -> Iterator[Any]:
        """`work` of each part, in order."""
        jobs = 1 if self.n_jobs is None else int(self.n_jobs)
        if jobs == 0:
            raise ValueError("n_jobs == 0 has no meaning")
        with ThreadPoolExecutor(jobs if jobs > 0 else max(1, (os.cpu_count() or 1) + 1 + jobs)) as pool:
            yield from pool.map(work, parts)

    def _out_of_bag(self, grown: list[tuple[Tree, Array]], X: Array) -> Array:
        values = self._threads(lambda pair: pair[0].value[pair[0].apply(X[pair[1]])], grown)
        total, trees = np.zeros((len(X), grown[0][0].value.shape[1])), np.zeros((len(X), 1))
        for (_, unseen), value in zip(grown, values, strict=True):
            total[unseen] += value
            trees[unseen] += 1
        if (trees == 0).any():
            check.warn(
                UserWarning,
                "Some inputs do not have OOB scores. This probably means too few trees were used to compute any "
                "reliable OOB estimates.",
            )
        return np.divide(total, trees, out=np.full_like(total, np.nan), where=trees > 0)

    def _mean(self, X: Any) -> Array:
        """The trees' mean value for each sample: (N, D) -> (N, K)."""
        X = self._input(X, dtype=np.float32)
        trees = [estimator.tree_ for estimator in self.estimators_]
        step = 5  # trees whose sum a thread makes: few enough that there are parts for all, and always the same ones
        groups = [trees[i : i + step] for i in range(0, len(trees), step)]
        return sum(self._threads(lambda group: sum(t.value[t.apply(X)] for t in group), groups)) / len(trees)

    def apply(self, X: Any) -> Array:
        """The leaf of each sample in each tree: (N, D) -> (N, trees)."""
        X = self._input(X, dtype=np.float32)
        return np.stack([estimator.tree_.apply(X) for estimator in self.estimators_], axis=1)

    @property
    def feature_importances_(self) -> Array:
        """The mean of the trees' importances: (D,), adding up to 1 (or all 0 where no tree has a cut)."""
        self._check_fitted()
        mean = np.mean([estimator.feature_importances_ for estimator in self.estimators_], axis=0)
        return shares(mean)
