"""Dtype promotion against torch, exhaustively: every pair of dtypes, as Tensors with dimensions, 0-d ones and numbers.

Results must have torch's dtype and values; what torch refuses, we refuse.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.testing.cases import ROWS
from tinygrad_edu.testing.rows import TinygradNames, TorchNames

DTYPES = ("bool", "uint8", "int32", "int64", "float32", "float64")
# (dtype, kind): 2 and 3 (1 for bool) as a Tensor of shape (2,), 3 as a 0-d one, and as a number of Python's.
TENSORS = [(dtype, kind) for kind in ("Tensor", "0-d") for dtype in DTYPES]
OPERANDS = [*TENSORS, *[(dtype, "number") for dtype in ("bool", "int64", "float64")]]
# Below 0 for uint8, beyond uint8, beyond int32, with a fraction, beyond float32, not finite.
ODD_NUMBERS: tuple[float, ...] = (-1, 300, 2**40, -1.5, 1e30, float("inf"), float("nan"))

OPS: dict[str, Callable[..., Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "truediv": operator.truediv,
    "pow": operator.pow,
    "mod": operator.mod,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
}

FUNCTIONS = ("maximum", "minimum", "atan2", "logaddexp", "remainder", "clamp_min", "clamp_max", "logical_xor")
INTEGERS = ("uint8", "int32", "int64")
# Row -> dtypes in which it is not as in torch, on purpose.
UNLIKE_TORCH = {
    "masked_fill": ("bool", *INTEGERS),  # a number with a fraction is refused, torch drops the fraction
    "masked_fill(broadcast)": ("uint8",),  # and so is -1, which torch wraps
    "addmm(scaled)": INTEGERS,  # as for any integers and fractions the result is a float; torch drops the fractions
    "hardsigmoid": ("bool", *INTEGERS),  # where the row has torch compute the formula instead
    "hardsigmoid(edges)": ("bool", *INTEGERS),  # likewise
    "binary_cross_entropy": INTEGERS,  # where the row has torch compute the formula instead
    **dict.fromkeys(  # of floats only: torch counts with integers too, but has no gradient of that
        (
            *("conv1d", "conv2d", "conv2d(no padding)", "conv_transpose2d", "conv_transpose2d(no padding)"),
            *("avg_pool2d", "rnn(relu)"),
        ),
        INTEGERS,
    ),
    **dict.fromkeys([f"max_pool2d{label}" for label in ("", "(ties)", "(NaN)", "(indices)")], INTEGERS),  # likewise
    "topk": ("bool",),  # torch's CPU cannot
    "randint_like": ("bool",),  # torch finds 0 and 1 to be out of bounds
}


def operand(framework: Any, dtype: str, kind: str) -> Any:
    """2 and 3, or 3 alone, as a Tensor of a framework or as a number."""
    array = np.array([2, 3] if kind == "Tensor" else 3).astype(dtype)
    return array.item() if kind == "number" else framework.tensor(array)


def outcome(f: Callable[[], Any]) -> tuple[Any, Any]:
    """Dtype and values of a result; or "refused"; or "no kernel" where torch has not come to write one."""
    try:
        out = f()
    except NotImplementedError as error:
        return "no kernel", str(error)
    except (TypeError, ValueError, RuntimeError, OverflowError, ZeroDivisionError) as error:
        return "refused", f"{type(error).__name__}: {error}"
    array = out.numpy()
    return str(array.dtype), array.tolist()


def _close(values: Any, torch_values: Any) -> bool:
    """Equal up to the rounding of some ten float32 numbers, the largest of which counts."""
    finite = [x for x in np.ravel(torch_values) if np.isfinite(x)]
    return np.allclose(values, torch_values, rtol=1e-6, atol=1e-6 * max(map(abs, finite), default=0), equal_nan=True)


def differences(calls: dict[str, tuple[Callable[[], Any], Callable[[], Any]]]) -> list[str]:
    """The calls, by name, in which our outcome is not torch's."""
    found = []
    for name, (ours, theirs) in calls.items():
        (dtype, values), (torch_dtype, torch_values) = outcome(ours), outcome(theirs)
        if dtype == torch_dtype == "refused" or torch_dtype == "no kernel":
            continue
        if dtype != torch_dtype or not _close(values, torch_values):
            found.append(f"{name}: ours {dtype} {values}, torch's {torch_dtype} {torch_values}")
    return found


@pytest.mark.parametrize(("dtype", "kind"), OPERANDS, ids=str)
@pytest.mark.parametrize("op", OPS)
def test_operators_promote_as_torch(op: str, dtype: str, kind: str, needs) -> None:
    torch, f = needs("torch"), OPS[op]
    calls = {
        f"{dtype} {kind} {op} {right[0]} {right[1]}": (
            lambda right=right: f(operand(tg, dtype, kind), operand(tg, *right)),
            lambda right=right: f(operand(torch, dtype, kind), operand(torch, *right)),
        )
        for right in OPERANDS
        if (kind, right[1]) != ("number", "number")
        # torch takes True as a power of bools, but no Tensor of it: we refuse both
        and (op, dtype, *right) != ("pow", "bool", "bool", "number")
    }
    _all_agree(calls)


@pytest.mark.parametrize(("dtype", "kind"), TENSORS, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_promote_as_torch(name: str, dtype: str, kind: str, needs) -> None:
    torch = needs("torch")
    calls = {
        f"{name}({dtype} {kind}, {right[0]} {right[1]})": (
            lambda right=right: getattr(tg, name)(operand(tg, dtype, kind), operand(tg, *right)),
            lambda right=right: getattr(torch, name)(operand(torch, dtype, kind), operand(torch, *right)),
        )
        for right in TENSORS
    }
    _all_agree(calls)


@pytest.mark.parametrize(("dtype", "kind"), OPERANDS, ids=str)
def test_where_promotes_as_torch(dtype: str, kind: str, needs) -> None:
    torch = needs("torch")

    def calling(framework: Any, right: tuple[str, str]) -> Callable[[], Any]:
        mask = framework.tensor([True, False])
        return lambda: framework.where(mask, operand(framework, dtype, kind), operand(framework, *right))

    calls = {
        f"where(c, {dtype} {kind}, {right[0]} {right[1]})": (calling(tg, right), calling(torch, right))
        for right in OPERANDS
    }
    _all_agree(calls)


def fits(number: float, dtype: str) -> bool:
    """Whether a number that an integer Tensor meets can be told in its dtype."""
    return isinstance(number, float) or dtype not in ("uint8", "int32") or number == np.array(number).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", OPS)
def test_numbers_that_hardly_fit(op: str, dtype: str, needs) -> None:
    torch, f = needs("torch"), OPS[op]
    calls = {
        f"{dtype} {op} {number}{side}": (
            lambda number=number, side=side: _beside(f, tg.tensor(np.ones(2, dtype)), number, side),
            lambda number=number, side=side: _beside(f, torch.tensor(np.ones(2, dtype)), number, side),
        )
        for number in ODD_NUMBERS
        if fits(number, dtype)
        for side in ("", " reflected")
    }
    _all_agree(calls)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
@pytest.mark.parametrize("op", [op for op in OPS if op != "truediv"])  # that is of floats
def test_numbers_that_do_not_fit_are_refused(op: str, dtype: str) -> None:
    """torch wraps them without a word: 2 < 300 is False for uint8, where 300 becomes 44."""
    for number in ODD_NUMBERS:
        for side in ("", " reflected"):
            if not fits(number, dtype) and not (op == "pow" and number == -1 and not side):
                with pytest.raises(ValueError, match=f"number {number} does not fit into a Tensor of {dtype}"):
                    _beside(OPS[op], tg.tensor(np.ones(2, dtype)), number, side)


def _beside(f: Callable[..., Any], x: Any, number: float, side: str) -> Any:
    return f(number, x) if side else f(x, number)


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_every_op_on_every_dtype(row: Any, needs) -> None:
    """The table's ops on bools and integers: torch's dtype and values, or refused where torch refuses."""
    torch = needs("torch")
    call = next((c for c in row.calls if c.shapes and 0 not in sum(c.shapes, ()) and sum(c.shapes, ())), row.calls[0])
    calls = {}
    for dtype in DTYPES:
        if dtype in UNLIKE_TORCH.get(str(row), ()):
            continue
        arrays = row.inputs(call, dtype, np.random.default_rng(0))
        calls[f"{row.name} {call} {dtype}"] = (
            lambda arrays=arrays: _first(row.function(TinygradNames(), call)(*map(tg.tensor, arrays))),
            lambda arrays=arrays: _first(row.function(TorchNames(), call)(*map(torch.tensor, arrays))),
        )
    _all_agree(calls)


def _all_agree(calls: dict[str, tuple[Callable[[], Any], Callable[[], Any]]]) -> None:
    found = differences(calls)
    assert not found, "\n".join(found)


def _first(out: Any) -> Any:
    return out[0] if isinstance(out, tuple) else out
