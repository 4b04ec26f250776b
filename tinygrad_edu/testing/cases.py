"""The one table of cases: every op, how to call it, on which shapes, from which domain.

A row feeds the values, first and second gradients against torch (tests/ops), the conformance suite of every backend,
kernels against bodies, and the benchmarks. Since names are torch's, one function serves both frameworks: it takes the
framework (`TinygradNames()` or `TorchNames()`) as its first argument. **To add an op, add a row** in one of the files
of `tinygrad_edu/testing/table`; shapes, layouts, ties and special values are generated. See
`tinygrad_edu.testing.rows.Row` for all that a row can say.

    Row("exp", UNARY)                                  # tg.exp and torch.exp on every shape of UNARY
    Row("log", UNARY, POSITIVE)                        # from a domain of its own
    Row("dot", calls([((5,), (5,)), ((0,), (0,))]))    # on two Tensors of these shapes
    Row("sub", NUMBERS, f=lambda t, x, n: n - x)       # something that is written otherwise
"""

from __future__ import annotations

from tinygrad_edu.testing.rows import Call, Case, Row, call, calls, cases
from tinygrad_edu.testing.table import create, elementwise, index, nn, products, reduce, sequences, shape, vision

ROWS: tuple[Row, ...] = (
    *elementwise.ROWS,
    *reduce.ROWS,
    *products.ROWS,
    *shape.ROWS,
    *index.ROWS,
    *nn.ROWS,
    *sequences.ROWS,
    *vision.ROWS,
    *create.ROWS,
)

__all__ = ["ROWS", "Call", "Case", "Row", "call", "calls", "cases"]
