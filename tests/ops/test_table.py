"""Every row of the table of cases against torch, in float32 and float64: values, first and second gradients."""

from __future__ import annotations

import pytest

import tinygrad_edu as tg
from tinygrad_edu import create, ops
from tinygrad_edu.backend import get_backend
from tinygrad_edu.nn import functional
from tinygrad_edu.testing import compare_with_torch
from tinygrad_edu.testing.cases import ROWS, Case, cases
from tinygrad_edu.testing.rows import TorchNames

# What `ops` offers beside ops: rules about dtypes and shapes, and the list of fused ops.
NOT_OPS = {"FUSED", "broadcast_shapes", "promote_types", "result_type"}
CREATION = {name for name, f in vars(create).items() if getattr(f, "__module__", "").endswith(".create")}
CASES = [case for row in ROWS for dtype in ("float32", "float64") for case in cases(row, dtype)]


def test_every_op_has_a_row() -> None:
    public = {name for name in CREATION if name[0] != "_"}
    functions = set(functional.__all__) - {"dropout"}  # which is random
    assert {row.name for row in ROWS} == (set(ops.__all__) - NOT_OPS) | functions | public


@pytest.mark.parametrize("case", CASES, ids=str)
def test_torch_agrees(case: Case, needs) -> None:
    needs("torch")
    compare_with_torch(case.f(tg), case.f(TorchNames()), *case.inputs(get_backend()), order=case.order)
