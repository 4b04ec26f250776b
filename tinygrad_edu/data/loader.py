"""Batches in an order that depends on two numbers only, so that a training can go on exactly where it was stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import tinygrad_edu as tg


class DataLoader:
    """Iterating gives one epoch's batches, a tuple with one Tensor an array: each sample once, `batch_size` at a time.

    Arrays `(N, ...)` share their first size N; a batch's Tensors are `(batch_size, ...)`, the epoch's last ones shorter
    unless `drop_last`. The order of an epoch depends on `seed` and the epoch's number alone. So the whole state is
    `epoch` (epochs finished) and `batch` (batches taken of this one): an iteration goes on where the last one stopped,
    and after its last batch the next iteration is the next epoch.

    `transform(x, rng)` gives a batch's first array another form each time it is read, a random crop say; its `rng`
    depends on seed, epoch and batch alone, too. With `background` a second thread prepares the next batch during the
    training step: worth it where preparing takes longer than handing over, some 0.1 ms. The batches are the same.

    >>> loader = DataLoader(np.arange(5), batch_size=2, shuffle=False)
    >>> [x.numpy().tolist() for x, in loader]
    [[0, 1], [2, 3], [4]]
    >>> loader.state_dict()
    {'epoch': 1, 'batch': 0}
    """

    def __init__(
        self,
        *arrays: np.ndarray,
        batch_size: int,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
        transform: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None,
        background: bool = False,
    ) -> None:
        _check(arrays, batch_size, seed)
        self.arrays, self.batch_size, self.shuffle, self.seed = arrays, batch_size, shuffle, seed
        self.transform, self.background = transform, background
        self.epoch, self.batch = 0, 0
        self.samples = len(arrays[0])  # of an epoch
        if drop_last:
            self.samples -= self.samples % batch_size
            if self.samples == 0:
                raise ValueError(f"DataLoader: batch_size {batch_size} with drop_last leaves none of {len(arrays[0])}")

    def __len__(self) -> int:
        """How many batches an epoch has."""
        return -(-self.samples // self.batch_size)

    def __iter__(self) -> Iterator[tuple[tg.Tensor, ...]]:
        for arrays in self._in_background() if self.background else self._one_by_one():
            self.batch += 1  # now, and not after the loop's body: a state taken at its end is that of the next batch
            yield tuple(tg.from_numpy(array) for array in arrays)
        self.epoch, self.batch = self.epoch + 1, 0

    def _one_by_one(self) -> Iterator[list[np.ndarray]]:
        order = self._order()
        for batch in range(self.batch, len(self)):
            yield self._prepared(order, batch)

    def _in_background(self) -> Iterator[list[np.ndarray]]:
        """The same, the next one prepared by a second thread while the one yielded is in use."""
        order, first = self._order(), self.batch
        with ThreadPoolExecutor(1, thread_name_prefix="DataLoader") as worker:
            coming = worker.submit(self._prepared, order, first)
            for batch in range(first + 1, len(self) + 1):
                arrays = coming.result()
                if batch < len(self):
                    coming = worker.submit(self._prepared, order, batch)
                yield arrays

    def _prepared(self, order: np.ndarray | None, batch: int) -> list[np.ndarray]:
        """The arrays of one batch, its own copies."""
        part = slice(batch * self.batch_size, min((batch + 1) * self.batch_size, self.samples))
        arrays = [array[part].copy() if order is None else array.take(order[part], axis=0) for array in self.arrays]
        if self.transform is not None:
            arrays[0] = self.transform(arrays[0], self._random(batch))
        return arrays

    def state_dict(self) -> dict[str, int]:
        """Where the loader stands."""
        return {"epoch": self.epoch, "batch": self.batch}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where the loader stood that gave this state."""
        if not 0 <= state["batch"] <= len(self):
            raise ValueError(f"DataLoader: expected a batch in 0..{len(self)} of an epoch, got {state['batch']}")
        self.epoch, self.batch = state["epoch"], state["batch"]

    def _order(self) -> np.ndarray | None:
        """This epoch's permutation of the samples; None when they come as they are."""
        if not self.shuffle:
            return None
        return self._random().permutation(len(self.arrays[0]))

    def _random(self, batch: int = -1) -> np.random.Generator:
        """The random numbers of this epoch's order or, from a counter far from there, of a batch's transform."""
        key = np.array([self.seed, self.epoch], np.uint64)  # Philox: any two keys give unrelated streams
        return np.random.Generator(np.random.Philox(counter=[0, 0, 0, batch + 1], key=key))


def _check(arrays: tuple[np.ndarray, ...], batch_size: int, seed: int) -> None:
    for array in arrays:
        if not isinstance(array, np.ndarray) or array.ndim == 0:
            what = "a 0-d array" if isinstance(array, np.ndarray) else type(array).__name__
            raise TypeError(f"DataLoader: expected NumPy arrays (N, ...), got {what}")
    lengths = [len(array) for array in arrays]
    if not arrays or min(lengths) == 0:
        raise ValueError(f"DataLoader: expected one array or more with a sample or more, got lengths {lengths}")
    if len(set(lengths)) > 1:
        raise ValueError(f"DataLoader: expected arrays of one length, got lengths {lengths}")
    if batch_size < 1:
        raise ValueError(f"DataLoader: expected a batch_size of 1 or more, got {batch_size}")
    if not 0 <= seed < 2**64:
        raise ValueError(f"DataLoader: expected a seed in 0..2**64 - 1, got {seed}")
