"""Functions made of the ops in `tinygrad_edu.ops`: none needs a gradient rule of its own."""

# fmt: off
# ruff: noqa: F401, I001
from tinygrad_edu.functions.assign import setitem
from tinygrad_edu.functions.elementwise import allclose, isclose, isfinite, isinf, isnan, round
from tinygrad_edu.functions.products import addmm, bmm, dot, einsum, mm, mv, outer, tensordot
from tinygrad_edu.functions.reduce import all, any, cumprod, diff, max, min
from tinygrad_edu.functions.select import (
    argsort, diag, diagonal, gather, index_select, masked_fill, masked_select, scatter_add, sort, take_along_dim, topk,
    trace, tril, triu,
)
from tinygrad_edu.functions.shape import (
    broadcast_to, chunk, flatten, movedim, ravel, repeat, roll, split, squeeze, stack, tile, transpose,
    unbind, unflatten, unsqueeze,
)

__all__ = [name for name, f in globals().items() if callable(f)]
