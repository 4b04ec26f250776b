"""Products of vectors, matrices, batches of them, and any others that Einstein's notation can say."""

from __future__ import annotations

import math
import string
from typing import Any

from tinygrad_edu.functions.select import diagonal
from tinygrad_edu.functions.shape import unsqueeze
from tinygrad_edu.ops.agree import broadcast_shapes
from tinygrad_edu.ops.linalg import check_product, matmul
from tinygrad_edu.ops.shape import canonical_dims, permute, reshape


def _product(name: str, form: str, doc: str) -> Any:
    """`matmul` for shapes of the one `form` only."""

    def product(a: Any, b: Any) -> Any:
        check_product(name, a, b)
        sizes: dict[str, int] = {}
        for dims, shape in zip(form.split(), (a.data.shape, b.data.shape), strict=True):
            if len(shape) != len(dims) or any(sizes.setdefault(d, n) != n for d, n in zip(dims, shape, strict=True)):
                expected = " and ".join(f"({', '.join(dims)})" for dims in form.split())
                raise ValueError(f"{name}: expected shapes {expected}, got {a.data.shape} and {b.data.shape}")
        return matmul(a, b)

    product.__name__, product.__doc__ = name, doc
    return product


mm = _product("mm", "mk kn", "The product of two matrices, (m, k) and (k, n) -> (m, n).")


mv = _product("mv", "mk k", "The product of a matrix and a vector, (m, k) and (k,) -> (m,).")


bmm = _product("bmm", "bmk bkn", "The products of two batches of matrices, (b, m, k) and (b, k, n) -> (b, m, n).")


dot = _product("dot", "k k", "The sum of the products of two vectors' elements, (k,) and (k,) -> ().")


def outer(a: Any, b: Any) -> Any:
    """The products of all pairs of elements of two vectors, (m,) and (n,) -> (m, n)."""
    if a.ndim != 1 or b.ndim != 1:
        raise ValueError(f"outer: expected two vectors, got shapes {a.shape} and {b.shape}")
    return unsqueeze(a, 1) * b


def addmm(input: Any, mat1: Any, mat2: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """beta * input + alpha * (mat1 @ mat2); `input` broadcasts to (m, n)."""
    product = mm(mat1, mat2)
    check_product("addmm", input, product)
    if broadcast_shapes("addmm", input.shape, product.shape) != product.shape:
        raise ValueError(f"addmm: input of shape {input.shape} does not broadcast to {product.shape}")
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else product + (input if beta == 1 else input * beta)


def tensordot(a: Any, b: Any, dims: Any = 2) -> Any:
    """a times b, summed over dimensions: the last `dims` of a with the first of b, or two lists of them."""
    if isinstance(dims, int) and not 0 <= dims <= min(a.ndim, b.ndim):
        raise ValueError(f"tensordot: expected dims from 0 to {min(a.ndim, b.ndim)} for these shapes, got {dims}")
    da, db = (range(a.ndim - dims, a.ndim), range(dims)) if isinstance(dims, int) else dims
    da, db = canonical_dims("tensordot", list(da), a.ndim), canonical_dims("tensordot", list(db), b.ndim)
    if [a.shape[i] for i in da] != [b.shape[i] for i in db]:
        raise ValueError(f"tensordot: dims {da} of shape {a.shape} and {db} of shape {b.shape} differ in size")
    check_product("tensordot", a, b)
    letters = iter(string.ascii_letters)
    left = [next(letters) for _ in a.shape]
    shared = {j: left[i] for i, j in zip(da, db, strict=True)}
    right = [shared.get(j) or next(letters) for j in range(b.ndim)]
    out = [x for x in left if x not in shared.values()] + [x for j, x in enumerate(right) if j not in shared]
    return einsum(f"{''.join(left)},{''.join(right)}->{''.join(out)}", a, b)


def einsum(equation: str, *operands: Any) -> Any:
    """Σ of products over the letters that `->` leaves out: "ij,jk->ik" is `mm`, "ii" the trace, "...ij->...ji" mT.

    Letters name the operands' dimensions; "..." stands for any further ones, which broadcast. Without "->" the result
    has the letters that come once, in alphabetical order. Operands are contracted from left to right.
    """
    left, arrow, out = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not {*(left + out).replace("...", "").replace(",", "")} <= {*string.ascii_letters}:
        raise ValueError(f"einsum: expected letters, commas, '...' and '->', got {equation!r}")
    if len(terms) != len(operands):
        raise ValueError(f"einsum: {equation!r} names {len(terms)} operands, got {len(operands)}")
    check_product("einsum", *operands)
    wide = max([x.ndim - len(t.replace("...", "")) for t, x in zip(terms, operands, strict=True) if "..." in t] or [0])
    dots = "0123456789"[:wide]  # the names of the dimensions that "..." stands for, the last ones last
    if not arrow:
        letters = left.replace(",", "").replace("...", "")
        out = "..." * ("..." in left) + "".join(sorted([c for c in {*letters} if letters.count(c) == 1]))
    out = out.replace("...", dots)
    found = []
    for term, x in zip(terms, operands, strict=True):
        extra = x.ndim - len(term.replace("...", ""))
        if extra < 0 or (extra and "..." not in term):
            raise ValueError(f"einsum: {term!r} does not fit an operand of shape {x.shape}")
        found.append(_diagonals(term.replace("...", dots[wide - extra :]), x))
    if len({*out}) != len(out) or not {*out} <= {c for names, _ in found for c in names}:
        raise ValueError(f"einsum: the result {out!r} of {equation!r} must have letters of the operands, each once")
    names, x = found[0]
    for i, (more, y) in enumerate(found[1:], start=2):
        names, x = _contract(names, x, more, y, {*out, *[c for later, _ in found[i:] for c in later]})
    if drop := tuple([d for d, c in enumerate(names) if c not in out]):
        names, x = "".join([c for c in names if c in out]), x.sum(drop)
    return permute(x, *[names.index(c) for c in out])


def _diagonals(names: str, x: Any) -> tuple[str, Any]:
    """x with every name once: of dimensions with the same name the diagonal is taken."""
    for c in {*names}:
        while names.count(c) > 1:
            i, j = names.index(c), names.rindex(c)
            if x.shape[i] != x.shape[j]:
                raise ValueError(f"einsum: {c!r} names dimensions of sizes {x.shape[i]} and {x.shape[j]}")
            names, x = names[:i] + names[i + 1 : j] + names[j + 1 :] + c, diagonal(x, 0, i, j)
    return names, x


def _contract(na: str, a: Any, nb: str, b: Any, later: set[str]) -> tuple[str, Any]:
    """The product of two operands, summed over the names that both have and nothing `later` asks for."""
    for c in {*na} & {*nb}:
        m, n = a.shape[na.index(c)], b.shape[nb.index(c)]
        if m != n and 1 not in (m, n):
            raise ValueError(f"einsum: {c!r} names dimensions of sizes {m} and {n}")
        if m != n:  # one of them is 1, and broadcasts
            a, b = [
                x.expand([max(m, n) if d == c else k for d, k in zip(names, x.shape, strict=True)])
                for names, x in ((na, a), (nb, b))
            ]
    both = [c for c in na if c in nb]
    batch, summed = [c for c in both if c in later], [c for c in both if c not in later]
    rows, columns = [c for c in na if c not in nb], [c for c in nb if c not in na]
    sizes = dict(zip(na + nb, (*a.shape, *b.shape), strict=True))
    count = lambda names: math.prod([sizes[c] for c in names])
    lead = [sizes[c] for c in batch]
    left = reshape(permute(a, *map(na.index, batch + rows + summed)), (*lead, count(rows), count(summed)))
    right = reshape(permute(b, *map(nb.index, batch + summed + columns)), (*lead, count(summed), count(columns)))
    names = batch + rows + columns
    return "".join(names), reshape(matmul(left, right), [sizes[c] for c in names])
