"""The Tensor itself: making one, looking at it, converting it, changing it in place, Python's operators on it."""

from __future__ import annotations

import copy
import math
import operator
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import Tensor, nn

Needs = Callable[[str], ModuleType]


# --- making ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "dtype", "shape"),
    [
        (1, "int64", ()),
        (1.5, "float32", ()),
        (True, "bool", ()),
        ([1, 2], "int64", (2,)),
        ([1, 2.0], "float32", (2,)),
        ([[True], [False]], "bool", (2, 1)),
        ([], "float32", (0,)),
        ([[], []], "float32", (2, 0)),
        ((1.0, 2.0), "float32", (2,)),
        (np.float64(2.0), "float64", ()),
        (np.ones(2), "float64", (2,)),
        (np.ones(2, np.uint8), "uint8", (2,)),
        (np.int32(3), "int32", ()),
    ],
)
def test_dtypes_of_data(needs: Needs, value: Any, dtype: str, shape: tuple[int, ...]) -> None:
    x = tg.tensor(value)
    assert (str(x.dtype), x.shape, x.ndim, x.numel()) == (dtype, shape, len(shape), math.prod(shape))
    assert not x.requires_grad
    assert str(needs("torch").tensor(value).dtype) == f"torch.{dtype}"


def test_a_tensor_is_a_copy_and_from_numpy_is_not() -> None:
    array = np.ones(2)
    copied, shared = tg.tensor(array), tg.from_numpy(array)
    array[0] = 7.0
    assert copied.tolist() == [1.0, 1.0]
    if tg.get_backend().name == "numpy":  # a backend may copy
        assert shared.tolist() == [7.0, 1.0]
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    y = tg.tensor(x)
    y.zero_()
    assert x.tolist() == [1.0, 2.0]
    assert not y.requires_grad


def test_a_dtype_that_is_asked_for() -> None:
    assert tg.tensor([1.7, 0.0], dtype=tg.int64).tolist() == [1, 0]
    assert tg.tensor([1.7, 0.0], dtype=tg.bool_).tolist() == [True, False]
    assert tg.tensor([1], dtype=tg.float64, requires_grad=True).requires_grad
    assert tg.zeros(2, dtype=tg.int32).dtype == np.int32


def test_non_contiguous_arrays() -> None:
    array = np.arange(6.0).reshape(2, 3).T[::-1]
    for x in (tg.tensor(array), tg.from_numpy(array)):
        assert x.tolist() == array.tolist()
        assert (x * 2.0).sum().item() == 30.0


def test_filled_tensors_are_torchs(needs: Needs) -> None:
    torch = needs("torch")
    for make in (
        lambda lib: lib.zeros(2, 3),
        lambda lib: lib.zeros((2, 3)),
        lambda lib: lib.ones(()),
        lambda lib: lib.ones(0, 2),
        lambda lib: lib.full((2, 2), 7),
        lambda lib: lib.full((2,), 1.5),
        lambda lib: lib.full((1,), True),
        lambda lib: lib.eye(2),
        lambda lib: lib.eye(2, 3),
        lambda lib: lib.arange(5),
        lambda lib: lib.arange(2, 5),
        lambda lib: lib.arange(5, 1, -2),
        lambda lib: lib.arange(0.0, 1.0, 0.25),
        lambda lib: lib.arange(3.0),
        lambda lib: lib.zeros_like(lib.tensor([1, 2])),
        lambda lib: lib.ones_like(lib.tensor([[1.0]])),
        lambda lib: lib.full_like(lib.tensor([1.0, 2.0]), 3),
    ):
        ours, theirs = make(tg), make(torch)
        assert ours.tolist() == theirs.tolist()
        assert f"torch.{ours.dtype}" == str(theirs.dtype)
        assert ours.shape == tuple(theirs.shape)


def test_counting_that_never_ends() -> None:
    with pytest.raises(ValueError, match="arange: cannot count from 0 to 5 in steps of 0"):
        tg.arange(0, 5, 0)
    with pytest.raises(ValueError, match="arange: cannot count from 5 to 0 in steps of 1"):
        tg.arange(5, 0)


# --- looking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (tg.tensor([1.0, 2.5]), "tensor([1. , 2.5])"),
        (tg.tensor(3), "tensor(3)"),
        (tg.tensor([[True, False]]), "tensor([[ True, False]])"),
        (tg.tensor([1.0], dtype=tg.float64), "tensor([1.], dtype=float64)"),
        (tg.tensor([1.0], requires_grad=True), "tensor([1.], requires_grad=True)"),
        (tg.tensor([1.0], requires_grad=True) * 2.0, "tensor([2.], op=mul)"),
        (tg.tensor([1, 2]).to("uint8"), "tensor([1, 2], dtype=uint8)"),
        (tg.ones(2, 2), "tensor([[1., 1.],\n        [1., 1.]])"),
        (tg.zeros(0), "tensor([])"),
    ],
)
def test_repr(x: Tensor, text: str) -> None:
    assert repr(x) == text


def test_size_and_length() -> None:
    x = tg.zeros(2, 3)
    assert (x.size(), x.size(0), x.size(-1), len(x)) == ((2, 3), 2, 3, 2)
    with pytest.raises(IndexError, match="size: dim 2 is out of range for 2 dimensions"):
        x.size(2)
    with pytest.raises(TypeError, match="len: a 0-d Tensor has no length"):
        len(tg.tensor(1.0))


def test_iterating_gives_rows() -> None:
    x = tg.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    a, b = x
    (a * b).sum().backward()
    assert x.grad.tolist() == [[3.0, 4.0], [1.0, 2.0]]
    assert [row.tolist() for row in tg.zeros(0, 2)] == []


def test_out_to_python() -> None:
    x = tg.tensor([[2.0]])
    assert (x.item(), float(x), int(x), bool(x)) == (2.0, 2.0, 2, True)
    assert isinstance(x.item(), float)
    assert isinstance(tg.tensor(2).item(), int)
    assert [10, 20, 30][tg.tensor(2)] == 30
    assert list(range(tg.tensor(3))) == [0, 1, 2]
    assert not tg.tensor([0])
    assert tg.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match=r"item: expected a Tensor with one element, got shape \(2,\)"):
        bool(tg.tensor([1, 2]))


def test_hash_is_identity_though_equality_is_elementwise() -> None:
    x, y = tg.ones(2), tg.ones(2)
    assert (x == y).tolist() == [True, True]
    assert (x != y).tolist() == [False, False]
    assert len({x, y, x}) == 2
    assert {x: 1}[x] == 1


# --- converting ------------------------------------------------------------------------------------------------------


def test_conversions() -> None:
    x = tg.tensor([0.0, 1.7, -1.7], requires_grad=True)
    assert x.float() is x
    assert (x.double().dtype, x.long().tolist(), x.bool().tolist()) == (np.float64, [0, 1, -1], [False, True, True])
    assert not x.long().requires_grad
    x.double().sum().backward()
    assert (x.grad.dtype, x.grad.tolist()) == (np.float32, [1.0] * 3)


def test_detach_shares_memory_and_clone_does_not() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    detached, cloned = x.detach(), x.clone()
    with tg.no_grad():
        x.mul_(10.0)
    assert detached.tolist() == [10.0, 20.0]
    assert cloned.tolist() == [1.0, 2.0]
    assert (detached.requires_grad, cloned.requires_grad) == (False, True)
    assert detached.is_leaf
    cloned.sum().backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_deepcopy_copies_memory_and_not_the_backend() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    model(tg.ones(1, 2)).sum().backward()
    best = copy.deepcopy(model)
    assert best[0].weight is best[1].weight
    assert isinstance(best[0].weight, nn.Parameter)
    assert best[0].weight.grad.tolist() == model[0].weight.grad.tolist()
    expected = model(tg.ones(1, 2)).tolist()
    model.requires_grad_(False)
    for p in model.parameters():
        p.zero_()
        p.grad.zero_()
    assert best(tg.ones(1, 2)).tolist() == expected
    assert best[0].weight.requires_grad
    assert best[0].weight.grad.tolist() != [[0.0, 0.0], [0.0, 0.0]]


def test_deepcopy_of_a_result_under_gradients() -> None:
    y = tg.ones(2, requires_grad=True) * 2.0
    with pytest.raises(RuntimeError, match=r"deepcopy: a result under gradients .*use x.detach\(\) or x.clone\(\)"):
        copy.deepcopy(y)
    assert copy.deepcopy(y.detach()).tolist() == [2.0, 2.0]


# --- in place --------------------------------------------------------------------------------------------------------


def test_in_place_methods_return_the_tensor() -> None:
    x = tg.tensor([1.0, 2.0])
    y = x
    for change in (
        lambda: x.add_(1.0),
        lambda: x.sub_(tg.tensor([1.0, 0.0])),
        lambda: x.mul_(2),
        lambda: x.div_(tg.tensor(4.0)),
    ):
        assert change() is x
    assert y.tolist() == [0.5, 1.5]
    assert x.copy_(tg.tensor(3)).tolist() == [3.0, 3.0]
    assert x.fill_(2.5).tolist() == [2.5, 2.5]
    assert x.zero_().tolist() == [0.0, 0.0]
    assert x.dtype == np.float32


def test_augmented_assignment_is_in_place() -> None:
    x = tg.tensor([8.0, 16.0])
    y = x
    x += 1.0
    x -= tg.tensor([1.0, 1.0])
    x *= 2.0
    x /= 4.0
    assert x is y
    assert y.tolist() == [4.0, 8.0]


def test_item_assignment() -> None:
    x = tg.zeros(3, 3)
    x[0] = 1.0
    x[1:, 0] = tg.tensor([2.0, 3.0])
    x[-1, -1] = 9
    x[..., 1] = tg.tensor([[7.0, 7.0, 7.0]]).reshape(3)
    assert x.tolist() == [[1.0, 7.0, 1.0], [2.0, 7.0, 0.0], [3.0, 7.0, 9.0]]
    x[x > 5.0] = -1.0
    assert x.tolist() == [[1.0, -1.0, 1.0], [2.0, -1.0, 0.0], [3.0, -1.0, -1.0]]
    x[tg.tensor([True, False, True])] = 1.0
    assert x.tolist() == [[1.0, 1.0, 1.0], [2.0, -1.0, 0.0], [1.0, 1.0, 1.0]]


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        (([0, 2],), ()),
        (([0, 2],), (4,)),
        (([0, 2], slice(None)), (2, 1)),
        ((slice(1, None), [3, 0]), (2, 2)),
        (([0, 1, 2], [3, 3, 0]), (3,)),
        ((slice(None), None, [-1]), (1,)),
        ((True, 1), (4,)),
        ((False,), (1,)),
        (([],), ()),
    ],
)
def test_assignment_through_indices_is_torchs(key, shape, needs) -> None:
    torch = needs("torch")
    value = np.random.default_rng(0).normal(size=shape)
    ours, theirs = tg.zeros(3, 4, dtype=tg.float64), torch.zeros(3, 4, dtype=torch.float64)
    ours[key], theirs[key] = tg.tensor(value), torch.tensor(value)
    assert ours.tolist() == theirs.tolist()


def test_assignment_through_indices_keeps_the_last_of_several_and_the_dtype() -> None:
    x = tg.arange(4)
    x[[1, 3, 1]] = tg.tensor([7, 8, 9])
    assert (x.tolist(), x.dtype) == ([0, 9, 2, 8], tg.int64)
    with pytest.raises(TypeError, match="in place: float32 values do not fit into a Tensor of int64"):
        x[[0]] = tg.tensor([1.0])
    with pytest.raises(ValueError, match=r"in place: shapes \(2,\) and \(3,\) do not broadcast"):
        x[[0, 1]] = tg.tensor([1, 2, 3])
    with pytest.raises(IndexError, match="index 4 is out of range for dimension 0 of size 4"):
        x[[4]] = 1


def test_a_chain_of_values_overlaps_safely() -> None:
    x = tg.arange(4.0)
    x[1:] = x[:-1]
    assert x.tolist() == [0.0, 0.0, 1.0, 2.0]
    y = tg.tensor([[1.0, 2.0], [3.0, 4.0]])
    y.copy_(y.T)
    assert y.tolist() == [[1.0, 3.0], [2.0, 4.0]]
    y += y.T
    assert y.tolist() == [[2.0, 5.0], [5.0, 8.0]]


# --- operators -------------------------------------------------------------------------------------------------------

OPERATORS = [
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.pow),
    *(operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne),
]


@pytest.mark.parametrize("f", OPERATORS)
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([2.0, 3.0], 2.0),
        (2, [2.0, 3.0]),
        ([2, 3], 2),
        (2, [2, 3]),
        ([2, 3], 1.5),
        (1.5, [2, 3]),
        ([2.0, 3.0], [[2], [4]]),
    ],
)
def test_operators_are_torchs(needs: Needs, f: Callable[[Any, Any], Any], a: Any, b: Any) -> None:
    torch = needs("torch")

    def lift(lib: Any, x: Any) -> Any:
        return lib.tensor(x) if isinstance(x, list) else x

    ours, theirs = f(lift(tg, a), lift(tg, b)), f(lift(torch, a), lift(torch, b))
    assert f"torch.{ours.dtype}" == str(theirs.dtype)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-7)  # float32: two roundings, for pow


def test_unary_and_logical_operators() -> None:
    x, mask = tg.tensor([1.0, -2.0]), tg.tensor([True, False])
    assert (-x).tolist() == [-1.0, 2.0]
    assert abs(x).tolist() == [1.0, 2.0]
    assert (~mask).tolist() == [False, True]
    assert (mask & tg.tensor([True, True])).tolist() == [True, False]
    assert (mask | tg.tensor([False, False])).tolist() == [True, False]
    assert (x @ x).item() == 5.0


@pytest.mark.parametrize("number", [np.float32(2.0), np.float64(2.0), np.int64(2), np.bool_(True)])
def test_numpy_numbers_are_numbers(number: Any) -> None:
    x = tg.tensor([1.0, 2.0])
    assert (x * number).dtype == (number * x).dtype == np.float32
    assert (x * number).tolist() == (number * x).tolist() == [float(number), 2.0 * float(number)]


def test_comparisons_chain_only_through_one_element() -> None:
    assert tg.tensor(1.0) < 2.0
    with pytest.raises(ValueError, match="item: expected a Tensor with one element"):
        assert tg.tensor([1.0, 2.0]) < 3.0


def test_transposes() -> None:
    x = tg.zeros(2, 3, 4)
    assert x.mT.shape == (2, 4, 3)
    assert x[0].T.shape == (4, 3)
    assert x.transpose(0, -1).shape == (4, 3, 2)
    with pytest.raises(ValueError, match=r"T: expected 2 dimensions, got shape \(2, 3, 4\); use permute\(\) or mT"):
        x.T  # noqa: B018


def test_view_is_reshape() -> None:
    x = tg.arange(6)
    assert x.view(2, -1).tolist() == x.reshape((2, 3)).tolist() == [[0, 1, 2], [3, 4, 5]]


def test_numpy_integers_are_sizes_and_dimensions() -> None:
    two, one = np.int64(2), np.int64(1)
    x = tg.arange(4)
    assert x.reshape(two, -1).tolist() == [[0, 1], [2, 3]]
    assert x.reshape(np.prod([2, 2])).shape == tg.zeros(two * 2).shape == tg.rand(two + 2).shape == (4,)
    assert x.reshape(2, 2).sum(one).tolist() == [1, 5]
    assert x.reshape(2, 2).max(one).values.tolist() == [1, 3]
    assert (x[two].item(), x[one:].tolist()) == (2, [1, 2, 3])
    assert tg.Generator(two).get_state() == {"seed": 2, "draws": 0}


def test_nothing_can_be_hung_on_a_tensor() -> None:
    with pytest.raises(AttributeError):
        tg.ones(1).requires_gard = True  # a typing mistake must not pass in silence
