"""A loader gives each sample once an epoch, in an order that is a function of two numbers, and can go on anywhere."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import data


def batches(loader: data.DataLoader) -> list[list[int]]:
    return [x.numpy().tolist() for (x,) in loader]


def test_an_epoch_has_each_sample_once_and_arrays_stay_in_step() -> None:
    x, y = np.arange(10, dtype=np.float32).reshape(5, 2), np.arange(5)
    loader = data.DataLoader(x, y, batch_size=2, seed=3)
    assert len(loader) == 3
    seen = []
    for bx, by in loader:
        assert np.array_equal(bx.numpy(), x[by.numpy()])
        assert (bx.numpy().dtype, by.numpy().dtype) == (np.float32, np.int64)
        seen.append(by.numpy())
    assert [len(by) for by in seen] == [2, 2, 1]
    assert sorted(np.concatenate(seen).tolist()) == [0, 1, 2, 3, 4]


def test_without_shuffle_and_without_the_last() -> None:
    loader = data.DataLoader(np.arange(5), batch_size=2, shuffle=False, drop_last=True)
    assert len(loader) == 2
    assert batches(loader) == batches(loader) == [[0, 1], [2, 3]]


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first, second = (data.DataLoader(np.arange(50), batch_size=7, seed=5) for _ in range(2))
    epochs = [batches(first) for _ in range(3)]
    assert epochs == [batches(second) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    assert batches(data.DataLoader(np.arange(50), batch_size=7, seed=6)) != epochs[0]
    second.load_state_dict({"epoch": 1, "batch": 0})
    assert batches(second) == epochs[1]


@pytest.mark.parametrize("taken", range(13))
def test_it_goes_on_from_its_state(taken: int) -> None:
    def new() -> data.DataLoader:
        return data.DataLoader(np.arange(10), batch_size=3, seed=1)

    def stream(loader: data.DataLoader) -> Iterator[list[int]]:
        while True:
            yield from batches_one_by_one(loader)

    def batches_one_by_one(loader: data.DataLoader) -> Iterator[list[int]]:
        for (x,) in loader:
            yield x.numpy().tolist()

    loader, whole = new(), stream(new())
    undisturbed = [next(whole) for _ in range(20)]
    running = stream(loader)
    for _ in range(taken):
        next(running)
    resumed = new()
    resumed.load_state_dict(loader.state_dict())
    rest = stream(resumed)
    assert [next(rest) for _ in range(20 - taken)] == undisturbed[taken:]


def test_a_view_that_is_not_contiguous() -> None:
    array = np.arange(20).reshape(5, 4)[::2, ::-1]
    (batch,) = next(iter(data.DataLoader(array, batch_size=3, shuffle=False)))
    assert np.array_equal(batch.numpy(), array)


def test_a_batch_is_a_copy() -> None:
    array = np.arange(4.0)
    (batch,) = next(iter(data.DataLoader(array, batch_size=4, shuffle=False)))
    array[:] = 0
    assert batch.numpy().tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("arrays", "options", "error", "message"),
    [
        ([np.zeros(3), np.zeros(4)], {}, ValueError, r"expected arrays of one length, got lengths \[3, 4\]"),
        ([], {}, ValueError, r"expected one array or more with a sample or more, got lengths \[\]"),
        ([np.zeros((0, 3))], {}, ValueError, r"expected one array or more with a sample or more, got lengths \[0\]"),
        ([[1, 2]], {}, TypeError, r"expected NumPy arrays \(N, ...\), got list"),
        ([np.array(1)], {}, TypeError, r"expected NumPy arrays \(N, ...\), got a 0-d array"),
        ([np.zeros(3)], {"batch_size": 0}, ValueError, r"expected a batch_size of 1 or more, got 0"),
        ([np.zeros(3)], {"seed": -1}, ValueError, r"expected a seed in 0..2\*\*64 - 1, got -1"),
        (
            [np.zeros(3)],
            {"batch_size": 4, "drop_last": True},
            ValueError,
            r"batch_size 4 with drop_last leaves none of 3",
        ),
    ],
)
def test_wrong_arguments(arrays: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"DataLoader: {message}"):
        data.DataLoader(*arrays, **{"batch_size": 2, **options})


def test_a_state_of_another_loader_is_refused() -> None:
    loader = data.DataLoader(np.zeros(4), batch_size=2)
    with pytest.raises(ValueError, match=re.escape("expected a batch in 0..2 of an epoch, got 3")):
        loader.load_state_dict({"epoch": 0, "batch": 3})


def jitter(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return x + rng.random(x.shape)


@pytest.mark.parametrize("transform", [None, jitter], ids=["as they are", "transformed"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_prepared_in_the_background_are_the_same(transform: Any, shuffle: bool) -> None:
    def new(background: bool) -> data.DataLoader:
        return data.DataLoader(
            np.arange(10.0), batch_size=3, shuffle=shuffle, seed=1, transform=transform, background=background
        )

    here, there = new(False), new(True)
    epochs = [batches(here) for _ in range(3)]
    assert [batches(there) for _ in range(3)] == epochs
    assert (epochs[0] == epochs[1]) is (not shuffle and transform is None)
    resumed = new(True)
    for _ in zip(range(2), resumed, strict=False):  # leaves the loop in the middle of an epoch
        pass
    assert resumed.state_dict() == {"epoch": 0, "batch": 2}
    another = new(False)
    another.load_state_dict(resumed.state_dict())
    assert batches(another) == batches(resumed) == epochs[0][2:]
    assert batches(resumed) == epochs[1]


def test_the_next_batch_is_prepared_while_this_one_is_in_use() -> None:
    second = threading.Event()
    seen = []

    def watched(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        seen.append(threading.current_thread())
        if len(seen) == 2:
            second.set()
        return x

    loader = data.DataLoader(np.arange(4), batch_size=2, transform=watched, background=True)
    next(iter(loader))
    assert second.wait(timeout=30)  # seconds; without a second thread it would never come
    assert threading.main_thread() not in seen


def test_a_mistake_in_the_background_is_raised_in_the_loop() -> None:
    def broken(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        raise ValueError("no picture")

    loader = data.DataLoader(np.arange(4), batch_size=2, transform=broken, background=True)
    with pytest.raises(ValueError, match="no picture"):
        next(iter(loader))
    assert loader.state_dict() == {"epoch": 0, "batch": 0}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("DataLoader")]
