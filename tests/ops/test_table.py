"""Every row of the table of cases against torch, in float32 and float64: values, first and second gradients."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import tinygrad_edu as tg
from tinygrad_edu import create, ops, random
from tinygrad_edu.backend import get_backend
from tinygrad_edu.nn import functional
from tinygrad_edu.testing import compare_with_torch
from tinygrad_edu.testing.cases import ROWS, Case, Row, cases
from tinygrad_edu.testing.compare import Ours, compare, trace
from tinygrad_edu.testing.rows import TinygradNames, TorchNames

# What the modules offer beside ops: rules about dtypes and shapes, the list of fused ops, the random numbers' state.
NOT_OPS = {"FUSED", "broadcast_shapes", "promote_types", "result_type", "manual_seed", "get_state", "set_state"}
# Random, and so not to be compared number by number: see tests/test_nn_random.py.
UNLIKE_TORCH = {"dropout"}
OURS = TinygradNames()
CASES = [case for row in ROWS for dtype in ("float32", "float64") for case in cases(row, dtype)]
ROWS_OF_TENSORS = [row for row in ROWS if row.calls[0].shapes]
# torch's methods that do something else than its function of that name, or take their arguments in another order.
OTHER_METHODS = {"where"}


def functions(module: Any) -> set[str]:
    """The public functions that a module defines, or gathers."""
    return {name for name, f in vars(module).items() if name[0] != "_" and inspect.isroutine(f)} - NOT_OPS


def test_every_op_has_a_row() -> None:
    made = {n for m in (create, random) for n in functions(m) if getattr(m, n).__module__ == m.__name__}
    missing = (set(ops.__all__) - NOT_OPS | made | functions(functional)) - UNLIKE_TORCH - {row.name for row in ROWS}
    assert not missing, f"no row in tinygrad_edu/testing/table for {sorted(missing)}"


@pytest.mark.parametrize("name", sorted({row.name for row in ROWS}))
def test_every_row_is_an_op(name: str) -> None:
    assert callable(getattr(tg.Tensor, name, None) or getattr(ops, name, None) or getattr(OURS, name))


def test_labels_tell_rows_apart() -> None:
    names = [str(case) for case in CASES]
    assert len(names) == len(set(names))


def test_there_are_cases_enough() -> None:
    assert sum(case.order > 0 for case in CASES) >= 4000


@pytest.mark.filterwarnings(r"ignore:(var|std)\(\). degrees of freedom:UserWarning")  # torch's; we give NaN alike
@pytest.mark.parametrize("case", CASES, ids=str)
def test_torch_agrees(case: Case, needs) -> None:
    needs("torch")
    compare_with_torch(case.f(OURS), case.f(TorchNames()), *case.inputs(get_backend()), order=case.order)


class Methods:
    """Our methods by name, called as functions of the Tensor; functions where torch has no method of the name."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def __getattr__(self, name: str) -> Any:
        if not hasattr(self.torch.Tensor, name) or name in OTHER_METHODS:
            return getattr(OURS, name)
        return lambda x, *args, **settings: getattr(x, name)(*args, **settings)


@pytest.mark.parametrize("row", ROWS_OF_TENSORS, ids=str)
def test_the_method_is_the_function(row: Row, needs) -> None:
    torch, ours = needs("torch"), Ours()
    case = next(iter(cases(row, "float64")))
    function, method = (trace(ours, case.f(names), case.arrays, row.order) for names in (OURS, Methods(torch)))
    compare(method, function, "the function")


@pytest.mark.parametrize("condition", [[True, False], True])
def test_where_as_a_method(condition: Any) -> None:
    a, b = tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0])
    mask = tg.tensor(condition)
    assert a.where(mask, b).tolist() == tg.where(mask, a, b).tolist()


# Methods or operators only, in torch, or functions that want their Tensors in a list; and functions whose parameters
# torch does not document.
NO_FUNCTIONS, UNDOCUMENTED = (
    {"cast", "expand", "getitem", "gru", "lstm", "repeat", "rnn", "setitem"},
    {"clamp_max", "clamp_min", "masked_fill", "scaled_dot_product_attention"},
)


def settings_of_torch(f: Any) -> list[str]:
    """The words in a torch function's signature, or in all the calls that its docstring shows."""
    try:
        words = [*inspect.signature(f).parameters]
    except ValueError:
        words = []
    if words in ([], ["args", "kwargs"]):  # written in C++, or chosen from several when called
        shown = re.findall(r"^\s*(?:\.\. function:: )?\w+\((.*)\)", f.__doc__, re.MULTILINE)
        words = re.findall(r"\w+", " ".join(shown))
    return words


@pytest.mark.parametrize("name", sorted({row.name for row in ROWS} - NO_FUNCTIONS - UNDOCUMENTED))
def test_settings_have_torchs_names(name: str, needs) -> None:
    """Whatever has a default in ours is a parameter of torch's, by the same name."""
    needs("torch")
    words = settings_of_torch(getattr(TorchNames(), name))
    ours = inspect.signature(getattr(OURS, name)).parameters.values()
    strange = {p.name for p in ours if p.default is not p.empty} - {*words, "backend"}
    assert not strange, f"{name}: torch has no {sorted(strange)}, but {words}"
