"""Indexing against torch: a table of keys, read (values, first and second gradients) and written; what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.testing import compare_with_torch

SHAPE = (3, 4, 5)
INDEX = np.array([2, 0, 2, -1])  # one twice, one from the end
PAIR = np.array([[0, 1], [1, 0]])
COLUMN = np.array([[0], [2], [0]])
NONE_TRUE, ROWS = np.zeros(3, bool), np.array([True, False, True])
MASK = np.arange(12).reshape(3, 4) % 3 == 0
FULL_MASK = np.arange(60).reshape(SHAPE) % 7 == 0

BASIC: tuple[Any, ...] = (
    0,
    -1,
    np.int64(1),
    np.array(2),
    (0, 1, 2),
    (1, -1),
    slice(None),
    slice(1, None),
    slice(-2, None),
    slice(None, None, 2),
    slice(2, 1),
    slice(-100, 100),
    (slice(0, 2), slice(3, 0), slice(1, 5, 3)),
    (),
    ...,
    (..., 0),
    (0, ..., 1),
    (slice(1, 2), ...),
    None,
    (None, 0, None),
    (..., None),
    (slice(None), None, 2),
)
# Whether to take the whole: a new dimension of size 1 or 0.
WHETHER: tuple[Any, ...] = (
    True,
    False,
    np.array(True),
    (True, 0),
    (slice(None), False),
    (True, INDEX),
    (True, True),
    (slice(1, 2), np.array(False), np.array([1])),
    (None, True, ...),
)
ADVANCED: tuple[Any, ...] = (
    INDEX,
    [0, 2],
    np.array([], np.int64),
    np.array([1, 1, 1], np.int32),
    PAIR,
    (INDEX, INDEX),
    (INDEX, INDEX, INDEX),
    (COLUMN, INDEX),
    (slice(None), INDEX),
    (slice(None), INDEX, INDEX),
    (slice(None), slice(1, 3), INDEX),
    (INDEX, slice(None), INDEX),  # apart: the new dimensions come first
    (..., INDEX),
    (INDEX, ..., INDEX),
    (None, INDEX),
    (INDEX, None, INDEX),
    (INDEX, None),
    (slice(None, None, 2), PAIR, slice(1, 4)),
    ROWS,
    NONE_TRUE,
    MASK,
    FULL_MASK,
    (ROWS, slice(1, 2)),
    (slice(None), np.array([True, False, True, True])),
    (MASK, INDEX),
    (slice(1, 2), INDEX, None, ...),
)
MIXED: tuple[Any, ...] = (  # integers beside integer arrays
    (0, INDEX),
    (INDEX, 1),
    (0, slice(None), INDEX),
    (INDEX, slice(None), 0),
    (slice(None), 0, INDEX),
)


def name(key: Any) -> str:
    """A key as one would write it."""
    if isinstance(key, tuple):
        return ",".join(map(name, key)) or "()"
    if isinstance(key, slice):
        return ":".join("" if n is None else str(n) for n in (key.start, key.stop, key.step)).removesuffix(":") or ":"
    if isinstance(key, np.ndarray):
        return f"{key.dtype}{list(key.shape)}".replace(" ", "")
    return "..." if key is ... else str(key).replace(" ", "")


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("key", BASIC + ADVANCED + MIXED + WHETHER, ids=name)
def test_read(key: Any, needs) -> None:
    needs("torch")
    compare_with_torch(lambda x: x[key], lambda x: x[key], data(*SHAPE))


@pytest.mark.parametrize("key", ADVANCED + WHETHER, ids=name)
def test_read_with_tensors_as_index(key: Any, needs) -> None:
    torch = needs("torch")

    def with_tensors(make: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        return tuple([make(np.array(k)) if isinstance(k, (np.ndarray, list)) else k for k in parts])

    compare_with_torch(
        lambda x: x[with_tensors(tg.tensor)], lambda x: x[with_tensors(torch.tensor)], data(*SHAPE), order=1
    )


@pytest.mark.parametrize("key", [..., None, (), (None, ..., None)], ids=name)
def test_read_0d(key: Any, needs) -> None:
    needs("torch")
    compare_with_torch(lambda x: x[key], lambda x: x[key], np.array(1.5))


@pytest.mark.parametrize(("shape", "key"), [((0, 3), slice(None)), ((0, 3), (..., 1)), ((2, 0), 1), ((0,), None)])
def test_read_empty(shape: tuple[int, ...], key: Any, needs) -> None:
    needs("torch")
    compare_with_torch(lambda x: x[key], lambda x: x[key], data(*shape))


@pytest.mark.parametrize("key", BASIC, ids=name)
@pytest.mark.parametrize("value", ["number", "0-d", "whole"])
def test_write(key: Any, value: str, needs) -> None:
    """x[key] = a number, a 0-d Tensor, or a Tensor of the part's shape; whatever else shares the memory sees it."""
    torch = needs("torch")
    base = data(*SHAPE)
    new: Any = {"number": 7.5, "0-d": np.array(7.5), "whole": -base[key]}[value]
    ours, theirs = tg.tensor(base), torch.tensor(base)
    view = ours.reshape(-1)
    ours[key] = new if value == "number" else tg.tensor(new)
    theirs[key] = new if value == "number" else torch.tensor(new)
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    np.testing.assert_array_equal(view.numpy(), theirs.numpy().reshape(-1))


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("new", [True, 0, 3, 2.5])
def test_write_numbers_of_other_kinds(dtype: str, new: float, needs) -> None:
    """As torch casts them; but a float into an integer Tensor is refused, where torch would drop the fraction."""
    torch = needs("torch")
    base = np.ones(3, dtype)
    ours, theirs = tg.tensor(base), torch.tensor(base)
    if isinstance(new, float) and not dtype.startswith("float"):
        for key in (0, slice(None), tg.tensor([True, False, True])):
            with pytest.raises(TypeError, match=f"in place: float.* values do not fit into a Tensor of {dtype}"):
                ours[key] = new
        return
    ours[1], theirs[1] = new, new
    ours[tg.tensor([True, False, False])] = theirs[torch.tensor([True, False, False])] = new
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())
    assert ours.numpy().dtype == theirs.numpy().dtype


def test_write_by_mask(needs) -> None:
    torch = needs("torch")
    base = data(*SHAPE)
    ours, theirs = tg.tensor(base), torch.tensor(base)
    ours[tg.tensor(FULL_MASK)] = 0.5
    theirs[torch.tensor(FULL_MASK)] = 0.5
    np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


# Each place once: what comes of two values for one place torch leaves open.
WRITTEN: tuple[Any, ...] = (
    np.array([2, 0]),
    np.array([-1]),
    np.array([], np.int64),
    PAIR,
    (PAIR, slice(1, 3)),
    (slice(None), np.array([3, 1])),
    (np.array([2, 0]), slice(None), np.array([1, 4])),
    (COLUMN[:2], np.array([3, 1])),
    (0, np.array([2, 0])),
    (slice(None), 0, np.array([2, 0])),
    (None, np.array([2, 0]), ...),
    ROWS,
    NONE_TRUE,
    MASK,
    FULL_MASK,
    (MASK, 0),
    (slice(None), np.array([True, False, True, True]), slice(0, 5, 2)),
    True,
    False,
    (0, True),
)


@pytest.mark.parametrize("key", WRITTEN, ids=name)
@pytest.mark.parametrize("value", ["number", "0-d", "whole", "row"])
@pytest.mark.parametrize("as_tensors", [False, True])
def test_write_by_index(key: Any, value: str, as_tensors: bool, needs) -> None:
    """x[index] = a number, a 0-d Tensor, one of the part's shape, or one of its last dimension alone."""
    torch = needs("torch")
    base = data(*SHAPE)
    part = base[key]
    if value == "row" and not part.ndim:
        return
    new: Any = {"number": 7.5, "0-d": np.array(7.5), "whole": -part, "row": np.arange(part.shape[-1]) + 0.5}[value]
    results = []
    for t in (tg, torch):
        x = t.tensor(base)
        view = x.reshape(-1)
        parts = key if isinstance(key, tuple) else (key,)
        parts = tuple([t.tensor(k) if as_tensors and isinstance(k, np.ndarray) else k for k in parts])
        x[parts] = new if value == "number" else t.tensor(new)
        results += [x.numpy(), view.numpy().reshape(SHAPE)]
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_array_equal(results[1], results[3])
    assert (value == "whole" or part.size == 0) == np.array_equal(results[0][key], -part)


def test_of_two_values_for_one_place_the_later_stays() -> None:
    """As NumPy does; torch leaves it open."""
    x = tg.zeros(4)
    x[tg.tensor([1, 3, 1, -3])] = tg.tensor([1.0, 2.0, 3.0, 4.0])
    assert x.tolist() == [0.0, 4.0, 0.0, 2.0]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float64"])
def test_write_by_index_casts_as_by_slices(dtype: str) -> None:
    """torch casts for slices alone."""
    for new in (tg.tensor([1, 0, 1]), tg.tensor([True, False, True])):
        by_slice, by_index = tg.tensor(np.full((2, 3), 1).astype(dtype)), tg.tensor(np.full((2, 3), 1).astype(dtype))
        by_slice[:, 0:3] = new
        by_index[:, tg.tensor([0, 1, 2])] = new
        np.testing.assert_array_equal(by_slice.numpy(), by_index.numpy())
        assert by_index.numpy().dtype == dtype
    integers = tg.tensor([1, 2, 3])
    with pytest.raises(TypeError, match="in place: float64 values do not fit into a Tensor of int64"):
        integers[tg.tensor([0, 1])] = tg.tensor([0.5, 1.5], dtype=tg.float64)


def test_write_of_itself() -> None:
    """The values are read before the first is written."""
    x = tg.arange(4)
    x[tg.tensor([1, 2, 3])] = x[:3]
    assert x.tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (np.array([0, 1]), np.zeros((3, 5)), "shape"),
        (np.array([0, 3]), np.zeros(5), "index 3 is out of range for dimension 0 of size 3"),
        (np.array([True, False]), np.zeros(5), "a mask of size 2 does not fit dimension 0 of size 3"),
        (np.array([0, 1]), np.zeros((2, 2, 4, 5)), "shape"),
        (MASK, np.zeros((2, 5)), "shape"),
    ],
    ids=str,
)
def test_write_refused_as_by_torch(key: Any, value: Any, message: str, needs) -> None:
    torch = needs("torch")
    x, y = tg.tensor(data(*SHAPE)), torch.tensor(data(*SHAPE))
    with pytest.raises(Exception, match=r".+"):
        y[torch.tensor(key)] = torch.tensor(value)
    with pytest.raises((ValueError, IndexError), match=message):
        x[tg.tensor(key)] = tg.tensor(value)
    np.testing.assert_array_equal(x.numpy(), data(*SHAPE))


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        (3, IndexError, "index 3 is out of range for dimension 0 of size 3"),
        ((0, -5), IndexError, "index -5 is out of range for dimension 1 of size 4"),
        ((0, 0, 0, 0), IndexError, "4 indices for a Tensor with 3 dimensions"),
        (np.array([0, 3]), IndexError, "index 3 is out of range for dimension 0 of size 3"),
        ((0, np.array([-5])), IndexError, "index -5 is out of range for dimension 1 of size 4"),
        (np.array([True, False]), IndexError, "a mask of size 2 does not fit dimension 0 of size 3"),
        ((np.array([0, 1]), np.array([0, 1, 2])), (ValueError, IndexError), "do not broadcast"),
        ((False, INDEX), (ValueError, IndexError), "do not broadcast"),
        ("a", TypeError, "got str"),
        (1.0, TypeError, "got float"),
        (slice(None, None, 0), ValueError, "step > 0, got 0"),
        (slice(None, None, -1), ValueError, "step > 0, got -1"),
    ],
    ids=lambda x: name(x) if not isinstance(x, type) else x.__name__,
)
def test_refused_as_by_torch(key: Any, error: Any, message: str, needs) -> None:
    torch = needs("torch")
    with pytest.raises(error, match=message):
        _ = tg.tensor(data(*SHAPE))[key]
    with pytest.raises(Exception, match=r".+"):
        _ = torch.tensor(data(*SHAPE))[key]


@pytest.mark.parametrize(
    ("key", "error", "message"),
    [
        ((..., ...), IndexError, "at most one Ellipsis"),  # torch takes it
        (np.array([0.0]), TypeError, "integer or bool"),  # torch drops the fraction of an array's floats
    ],
    ids=str,
)
def test_refused_though_torch_takes_it(key: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        _ = tg.tensor(data(*SHAPE))[key]
