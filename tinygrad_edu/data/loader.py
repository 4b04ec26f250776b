"""Batches in an order that depends on two numbers only, so that a training can go on exactly where it was stopped."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

import tinygrad_edu as tg


class DataLoader:
    """Iterating gives one epoch's batches, a tuple with one Tensor an array: each sample once, `batch_size` at a time.

    Arrays `(N, ...)` share their first size N; a batch's Tensors are `(batch_size, ...)`, the epoch's last ones shorter
    unless `drop_last`. The order of an epoch depends on `seed` and the epoch's number alone. So the whole state is
    `epoch` (epochs finished) and `batch` (batches taken of this one): an iteration goes on where the last one stopped,
    and after its last batch the next iteration is the next epoch.

    >>> loader = DataLoader(np.arange(5), batch_size=2, shuffle=False)
    >>> [x.numpy().tolist() for x, in loader]
    [[0, 1], [2, 3], [4]]
    >>> loader.state_dict()
    {'epoch': 1, 'batch': 0}
    """

    def __init__(
        self, *arrays: np.ndarray, batch_size: int, shuffle: bool = True, seed: int = 0, drop_last: bool = False
    ) -> None:
        _check(arrays, batch_size, seed)
        self.arrays, self.batch_size, self.shuffle, self.seed = arrays, batch_size, shuffle, seed
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
        order = self._order()
        while self.batch < len(self):
            start = self.batch * self.batch_size
            stop = min(start + self.batch_size, self.samples)
            self.batch += 1  # now, and not after the loop's body: a state taken at its end is that of the next batch
            if order is None:
                yield tuple(tg.tensor(array[start:stop]) for array in self.arrays)
            else:
                yield tuple(tg.from_numpy(array.take(order[start:stop], axis=0)) for array in self.arrays)
        self.epoch, self.batch = self.epoch + 1, 0

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
        key = np.array([self.seed, self.epoch], np.uint64)  # Philox: any two keys give unrelated streams
        return np.random.Generator(np.random.Philox(key=key)).permutation(len(self.arrays[0]))


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
