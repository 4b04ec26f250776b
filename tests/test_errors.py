"""What bad input is answered with: for each mistake one message, which names the op, what was found, and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, nn
from tinygrad_edu.backends.numpy_backend import NumpyBackend


class Other(NumpyBackend):
    """A second backend: the NumPy one under another name."""

    name = "other"


def leaf(*shape: int) -> Any:
    """Ones that want a gradient."""
    return tg.ones(*shape, requires_grad=True)


def fails(kind: type[Exception], message: str) -> Any:
    """`pytest.raises` with a literal message (or a part of it)."""
    return pytest.raises(kind, match=re.escape(message))


SHAPES: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: tg.ones(2, 3) + tg.ones(4, 3),
        "add: shapes (2, 3) and (4, 3) do not broadcast: dimension -2 must be equal or 1, got 2 and 4",
    ),
    (
        lambda: tg.ones(2, 3) * tg.ones(2),
        "mul: shapes (2, 3) and (2,) do not broadcast: dimension -1 must be equal or 1, got 3 and 2",
    ),
    (lambda: tg.ones(0) - tg.ones(2), "sub: shapes (0,) and (2,) do not broadcast: dimension -1"),
    (lambda: tg.ones(3).maximum(tg.ones(2)), "maximum: shapes (3,) and (2,) do not broadcast: dimension -1"),
    (lambda: tg.ones(3) < tg.ones(2), "lt: shapes (3,) and (2,) do not broadcast: dimension -1"),
    (lambda: tg.ones(3, dtype=tg.int64) / tg.ones(2), "div: shapes (3,) and (2,) do not broadcast: dimension -1"),
    (
        lambda: tg.where(tg.ones(4) > 0, tg.ones(3), tg.ones(1)),
        "where: shapes (4,) and (3,) and (1,) do not broadcast: dimension -1 must be equal or 1, got 4 and 3 and 1",
    ),
    (
        lambda: tg.ones(3, 4) @ tg.ones(5, 2),
        "matmul: expected (m, k) @ (k, n), got (3, 4) @ (5, 2): dimension -1 of the left is 4, "
        "dimension -2 of the right is 5",
    ),
    (
        lambda: tg.ones(3, 4) @ tg.ones(5),
        "matmul: expected (m, k) @ (k,), got (3, 4) @ (5,): dimension -1 of the left is 4, dimension -1 of the right "
        "is 5",
    ),
    (lambda: tg.ones(2) @ tg.ones(3), "matmul: expected (k,) @ (k,), got (2,) @ (3,)"),
    (lambda: tg.ones(2) @ tg.ones(3, 2), "matmul: expected (k,) @ (k, n), got (2,) @ (3, 2)"),
    (lambda: tg.ones() @ tg.ones(3), "matmul: expected Tensors with at least 1 dimension, got () @ (3,); for a number"),
    (
        lambda: tg.ones(2, 3, 4) @ tg.ones(5, 4, 2),
        "matmul: shapes (2,) and (5,) do not broadcast: dimension -1 must be equal or 1, got 2 and 5",
    ),
    (
        lambda: F.linear(tg.ones(7, 3), tg.ones(5, 4)),
        "linear: expected input (..., in) and weight (out, in), got (7, 3) and (5, 4): dimension -1 of the input is 3, "
        "dimension 1 of the weight is 4",
    ),
    (lambda: F.linear(tg.ones(3), tg.ones(3)), "linear: expected input (..., in) and weight (out, in), got (3,) and"),
    (
        lambda: F.linear(tg.ones(7, 4), tg.ones(5, 4), tg.ones(4)),
        "linear: expected bias of shape (5,) for weight (5, 4), got (4,)",
    ),
    (
        lambda: F.cross_entropy(tg.ones(4, 3), tg.zeros(5, dtype=tg.int64)),
        "cross_entropy: expected logits and target of shapes (N, C) and (N,), got (4, 3) and (5,)",
    ),
    (
        lambda: F.cross_entropy(tg.ones(4, 3, 2), tg.zeros(4, 3, dtype=tg.int64)),
        "cross_entropy: expected logits and target of shapes (N, C, d...) and (N, d...), got (4, 3, 2) and (4, 3)",
    ),
    (lambda: F.cross_entropy(tg.ones(), tg.zeros(dtype=tg.int64)), "cross_entropy: expected logits of shape (C,)"),
    (lambda: tg.ones(2, 3).reshape(4, 2), "reshape: shape (2, 3) has 6 elements, (4, 2) has 8"),
    (lambda: tg.ones(2, 3).reshape(4, -1), "reshape: shape (2, 3) (6 elements) does not fit into (4, -1)"),
    (lambda: tg.ones(0, 3).reshape(0, -1), "reshape: shape (0, 3) (0 elements) does not fit into (0, -1)"),
    (lambda: tg.ones(6).reshape(-1, -1), "reshape: expected sizes >= 0 and at most one -1, got (-1, -1)"),
    (
        lambda: tg.ones(2, 3).expand(5, 3),
        "expand: shape (2, 3) does not broadcast to (5, 3): dimension 0 has size 2",
    ),
    (lambda: tg.ones(2, 3).expand(3), "expand: shape (2, 3) does not broadcast to (3,): dimension 0 has size 2"),
    (
        lambda: tg.cat([tg.ones(2, 3), tg.ones(2, 4)]),
        "cat: along dim 0, tensor 1 of shape (2, 4) does not fit tensor 0 of (2, 3)",
    ),
    (lambda: tg.cat([tg.ones(2, 3), tg.ones(3)]), "cat: along dim 0, tensor 1 of shape (3,) does not fit tensor 0"),
    (lambda: tg.stack([tg.ones(2), tg.ones(3)]), "stack: expected Tensors of one shape, got [(2,), (3,)]"),
    (lambda: tg.ones(2, 3).permute(0, 0), "permute: dim (0, 0) names a dimension twice"),
    (lambda: tg.ones(2, 3).permute(0), "permute: expected 2 dimensions for shape (2, 3), got (0,)"),
    (lambda: tg.ones(0).max(), "amax: dimension 0 of shape (0,) is empty: there is no extreme element"),
    (lambda: tg.ones(2, 0).max(1), "max: dimension 1 of shape (2, 0) is empty: there is no extreme element"),
    (lambda: tg.ones(2).T, "T: expected 2 dimensions, got shape (2,)"),
    (lambda: tg.ones(2).item(), "item: expected a Tensor with one element, got shape (2,)"),
    (lambda: tg.ones(2).copy_(tg.ones(3)), "in place: shapes (2,) and (3,) do not broadcast: dimension -1"),
    (lambda: tg.ones(2).copy_(tg.ones(4, 2)), "in place: a value of shape (4, 2) does not fit into shape (2,)"),
]


@pytest.mark.parametrize(("mistake", "message"), SHAPES, ids=[message.split(",")[0][:40] for _, message in SHAPES])
def test_shapes_that_do_not_fit(mistake: Callable[[], Any], message: str) -> None:
    with fails(ValueError, message):
        mistake()


DTYPES: list[tuple[Callable[[], Any], str]] = [
    (
        lambda: tg.ones(2, dtype=tg.int64).mean(),
        "mean: expected a float Tensor, got int64; convert it first, x.float()",
    ),
    (
        lambda: tg.ones(2, 2) @ tg.ones(2, 2, dtype=tg.float64),
        "matmul: expected Tensors of one dtype, got float32, float64",
    ),
    (
        lambda: F.linear(tg.ones(2, 2, dtype=tg.int64), tg.ones(2, 2), tg.ones(2)),
        "linear: expected Tensors of one dtype, got int64, float32, float32",
    ),
    (
        lambda: F.cross_entropy(tg.ones(2, 3), tg.ones(2)),
        "cross_entropy: expected float logits and integer class indices as target, got float32 and float32",
    ),
    (lambda: tg.where(tg.ones(2), 1.0, 0.0), "where: expected a bool Tensor as condition, got float32"),
    (lambda: (tg.ones(2) > 0) - (tg.ones(2) > 0), "sub: not defined for bool"),
    (lambda: ~tg.ones(2), "~: expected a bool Tensor, got float32"),
    (lambda: tg.ones(2).to("complex64"), "cast: expected a bool, integer or float dtype, got complex64"),
    (lambda: tg.tensor([1j]), "tensor: expected bool, integer or float data, got dtype complex128"),
    (lambda: tg.tensor(["a"]), "tensor: expected bool, integer or float data, got dtype <U1"),
    (
        lambda: tg.from_numpy(np.array(["a"])),
        "from_numpy: expected a NumPy array of bools, integers or floats, got <U1",
    ),
    (
        lambda: tg.ones(2, dtype=tg.int64).copy_(tg.ones(2)),
        "in place: float32 values do not fit into a Tensor of int64",
    ),
    (lambda: [1, 2][tg.tensor(1.0)], "index: expected an integer Tensor, got float32"),
    (lambda: tg.ones(2).sum(dim=True), "sum: expected dim to be an int, got bool"),
    (lambda: tg.ones(2) @ 2.0, "matmul: expected Tensors, got float"),
    (lambda: tg.rand(2, dtype=tg.int64), "rand: expected dtype float32 or float64, got int64"),
    (lambda: F.dropout(tg.tensor([1, 2])), "rand: expected dtype float32 or float64, got int64"),
    (lambda: tg.cat([]), "cat: expected a non-empty sequence of Tensors"),
]


@pytest.mark.parametrize(("mistake", "message"), DTYPES, ids=[message.split(",")[0][:40] for _, message in DTYPES])
def test_wrong_dtypes(mistake: Callable[[], Any], message: str) -> None:
    with fails(TypeError, message):
        mistake()


@pytest.mark.parametrize("make", [tg.tensor, tg.ones_like], ids=["tensor", "ones_like"])
def test_integers_have_no_gradient(make: Callable[..., Tensor]) -> None:
    message = "requires_grad: only float Tensors can have gradients, got int64; convert it, x.float()"
    with fails(TypeError, message):
        make(tg.tensor([1, 2]), requires_grad=True)
    with fails(TypeError, message):
        tg.tensor([1, 2]).requires_grad_()
    with fails(TypeError, message):
        tg.tensor([1, 2]).requires_grad = True
    assert not tg.tensor([1, 2]).requires_grad_(False).requires_grad


def test_integers_to_a_negative_power() -> None:
    with fails(ValueError, "pow: integers to a negative integer power (-2) are not integers; cast to a float first"):
        tg.tensor([1, 2]) ** -2


def test_ragged_lists() -> None:
    with fails(ValueError, "tensor: expected numbers nested evenly, got rows of unequal shape"):
        tg.tensor([[1.0, 2.0], [3.0]])


@pytest.mark.parametrize("operate", [lambda x, a: x + a, lambda x, a: a + x, lambda x, a: x == a, lambda x, a: a / x])
def test_numpy_arrays_are_no_operands(operate: Callable[[Any, Any], Any]) -> None:
    with fails(TypeError, "expected a Tensor or a number, got ndarray; make a Tensor with tg.tensor(...)"):
        operate(tg.ones(2), np.ones(2))


def test_numpy_arrays_and_lists_are_no_input() -> None:
    array = np.ones((2, 3), np.float32)
    message = "expected Tensors, got ndarray; make a Tensor with tg.tensor(...)"
    for name, mistake in {
        "linear": lambda: nn.Linear(3, 2)(array),
        "flatten": lambda: nn.Flatten()(array),
        "cross_entropy": lambda: F.cross_entropy(tg.ones(2, 3), np.zeros(2, np.int64)),
    }.items():
        with fails(TypeError, f"{name}: {message}"):
            mistake()
    with fails(TypeError, "cross_entropy: expected Tensors, got list"):
        F.cross_entropy(tg.ones(2, 3), [0, 1])
    with fails(TypeError, "linear: expected Tensors, got list"):
        F.linear([[1.0]], tg.ones(1, 1))


def test_anything_else_is_no_operand() -> None:
    with fails(TypeError, "add: expected a Tensor or a number, got list"):
        tg.ones(2).__add__([1.0, 2.0])
    with fails(TypeError, "mul: expected a Tensor or a number, got str"):
        "a" * tg.ones(2)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "amax", "argmax", "reshape", "flatten", "squeeze", "flip"])
def test_an_array_is_no_tensor(name: str) -> None:
    with fails(TypeError, "expected Tensors, got ndarray; make a Tensor with tg.tensor(...)"):
        getattr(tg, name)(np.ones(2))


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "logsumexp", "unsqueeze", "permute", "expand"])
def test_an_array_is_no_tensor_with_a_dim_either(name: str) -> None:
    with fails(TypeError, f"{name}: expected Tensors, got ndarray; make a Tensor with tg.tensor(...)"):
        getattr(tg, name)(np.ones(1), 0)


@pytest.mark.parametrize(
    ("operate", "name"),
    [
        (lambda a, b: a + b, "add"),
        (lambda a, b: a == b, "eq"),
        (lambda a, b: a.reshape(2, 2) @ b.reshape(2, 2), "matmul"),
        (lambda a, b: tg.cat([a, b]), "cat"),
        (lambda a, b: tg.where(a > 0, a, b), "where"),
        (lambda a, b: tg.where(b > 0, a, a), "where"),
        (lambda a, b: F.linear(a.reshape(2, 2), b.reshape(2, 2)), "linear"),
        (lambda a, b: F.cross_entropy(a.reshape(4, 1), b.long() - 1), "cross_entropy"),
        (lambda a, b: a[b.long()], "x[...]"),
        (lambda a, b: a.copy_(b), "in place"),
    ],
)
def test_backends_do_not_mix(operate: Callable[[Tensor, Tensor], Any], name: str) -> None:
    a, b = tg.ones(4), Tensor(np.ones(4, np.float32), Other())
    with pytest.raises(ValueError, match=rf"{re.escape(name)}: expected Tensors of one backend, got .*'other'"):
        operate(a, b)


def test_mixed_backends_say_how_to_move() -> None:
    mine = tg.get_backend().name
    with fails(ValueError, f"'{mine}' and 'other'; move one with x.to_backend('{mine}')"):
        tg.ones(4) + Tensor(np.ones(4, np.float32), Other())


@pytest.mark.parametrize(
    "choose", [tg.set_backend, lambda name: tg.use_backend(name).__enter__(), tg.ones(1).to_backend]
)
def test_an_unknown_backend_lists_those_there_are(choose: Callable[[str], Any]) -> None:
    before = tg.get_backend()
    with pytest.raises(ValueError, match=r"unknown backend 'nunpy' \(did you mean 'numpy'\?\); there are: .*numpy"):
        choose("nunpy")
    assert tg.get_backend() is before


@pytest.mark.parametrize("target", [[0, 3], [0, -1], [-7, 2]])
def test_target_classes_that_do_not_exist(target: list[int]) -> None:
    wrong = next(t for t in target if not 0 <= t < 3)
    message = f"cross_entropy: target {wrong} is out of range for 3 classes (expected 0 to 2)"
    with fails(IndexError, message):
        F.cross_entropy(tg.ones(2, 3), tg.tensor(target))
    with fails(IndexError, message):  # a single sample, and pixels
        F.cross_entropy(tg.ones(3), tg.tensor(wrong))
    with fails(IndexError, message):
        F.cross_entropy(tg.ones(1, 3, 2), tg.tensor([target]))


def test_an_unknown_reduction() -> None:
    with fails(ValueError, "cross_entropy: expected reduction 'mean', 'sum' or 'none', got 'average'"):
        F.cross_entropy(tg.ones(2, 3), tg.tensor([0, 1]), reduction="average")


INDEXING: list[tuple[type[Exception], Any, str]] = [
    (IndexError, 2, "x[...]: index 2 is out of range for dimension 0 of size 2"),
    (IndexError, (0, -4), "x[...]: index -4 is out of range for dimension 1 of size 3"),
    (IndexError, (0, 0, 0), "x[...]: 3 indices for a Tensor with 2 dimensions, shape (2, 3)"),
    (IndexError, [0, 2], "x[...]: index 2 is out of range for dimension 0 of size 2"),
    (IndexError, (slice(None), [-4]), "x[...]: index -4 is out of range for dimension 1 of size 3"),
    (IndexError, (..., ...), "x[...]: expected at most one Ellipsis"),
    (ValueError, slice(None, None, -1), "x[...]: expected a slice step > 0, got -1; flip() turns a dimension round"),
    (TypeError, 1.5, "x[...]: expected ints, slices, None, ..., integer or bool Tensors, got float"),
    (TypeError, [0.5], "x[...]: expected an integer or bool Tensor as index, got float64"),
    (IndexError, [True, False, True], "x[...]: a mask of size 3 does not fit dimension 0 of size 2"),
    (ValueError, ([0, 1], [0, 1, 2]), "x[...]: shapes (2,) and (3,) do not broadcast: dimension -1"),
]


@pytest.mark.parametrize(("kind", "key", "message"), INDEXING)
def test_wrong_keys(kind: type[Exception], key: Any, message: str) -> None:
    with fails(kind, message):
        tg.ones(2, 3)[key]
