"""Padding: a Tensor made larger at its edges, or cropped there, with torch's modes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_edu import Tensor, full_like, index_select, where
from tinygrad_edu.autograd import Value
from tinygrad_edu.ops.op import check_tensor
from tinygrad_edu.ops.shape import _pad, _slice

MODES = ("constant", "reflect", "replicate", "circular")


def _cropped(x: Any, pairs: list[tuple[int, int]]) -> Any:
    """x without what the negative numbers among `pairs` (before, after; one pair a dimension) cut off."""
    key = tuple([slice(max(0, -a), n - max(0, -b)) for n, (a, b) in zip(x.shape, pairs, strict=True)])
    return x if key == tuple([slice(0, n) for n in x.shape]) else _slice(x, key=key)


def _constant(x: Any, pairs: list[tuple[int, int]], value: float) -> Any:
    """x in the midst of a larger Tensor of one value."""
    x, before = _cropped(x, pairs), [max(0, a) for a, _ in pairs]
    shape = tuple([a + n + max(0, b) for a, n, (_, b) in zip(before, x.shape, pairs, strict=True)])
    if shape == x.shape:
        return x.clone()
    key = tuple([slice(a, a + n) for a, n in zip(before, x.shape, strict=True)])
    out = _pad(x, shape=shape, key=key)
    number = x.dtype.type(value).item()  # as torch does it, 1.5 in an integer Tensor is 1
    if not number:
        return out
    inside = _pad(full_like(x, True, dtype=np.bool_), shape=shape, key=key)
    return where(inside, out, number)


def _sources(mode: str, n: int, before: int, after: int) -> np.ndarray:
    """Where each element of a padded dimension of size n comes from."""
    at = np.arange(-before, n + after)
    if mode == "replicate":
        return at.clip(0, n - 1)
    if mode == "circular":
        return at % n
    return n - 1 - np.abs(n - 1 - np.abs(at))  # turned round at 0, and at n - 1


def _check_edges(mode: str, x: Any, pairs: list[tuple[int, int]], dims: int) -> None:
    """ValueError unless `mode` can pad x, whose last `dims` dimensions are spatial."""
    if x.ndim not in (dims + 1, dims + 2) or dims > 3:
        raise ValueError(
            f"pad: expected 1 to 3 pairs for {mode!r}, after one or two other dimensions, "
            f"got {dims} pairs for shape {x.shape}"
        )
    for dim, (n, pair) in enumerate(zip(x.shape, pairs, strict=True)):
        limit = {"reflect": n - 1, "circular": n + min(0, *pair), "replicate": max(pair)}[mode]
        if dim >= x.ndim - dims and (max(pair) > limit or n + sum(pair) < 1 or n < 1):
            raise ValueError(f"pad: {mode!r} cannot pad dimension {dim} of size {n} by {pair}")


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """`input` with elements added (a negative number: cut off) at its edges: (..., n) -> (..., before + n + after).

    `pad` has two numbers a dimension, before and after, from the last dimension on: (left, right, top, bottom, ...).
    Modes: 'constant' (`value`, 0 by default), 'reflect' (mirrored at the edge, which does not come twice), 'replicate'
    (the edge again) and 'circular' (the other end). These three pad the 1 to 3 last dimensions, after one or two
    others. ValueError for what does not fit.
    """
    check_tensor("pad", input)
    if mode not in MODES:
        raise ValueError(f"pad: expected mode {', '.join(map(repr, MODES))}, got {mode!r}")
    if len(pad) % 2 or len(pad) > 2 * input.ndim:
        raise ValueError(f"pad: expected two numbers for each of at most {input.ndim} dimensions, got {tuple(pad)}")
    if not all(isinstance(n, (int, np.integer)) for n in pad):
        raise TypeError(f"pad: expected ints, got {tuple(pad)}")
    if value and mode != "constant":
        raise ValueError(f"pad: mode {mode!r} takes no value, got {value}")
    dims = len(pad) // 2
    pairs = [(0, 0)] * (input.ndim - dims) + [(pad[2 * i], pad[2 * i + 1]) for i in reversed(range(dims))]
    for dim, (n, (a, b)) in enumerate(zip(input.shape, pairs, strict=True)):
        if n + min(0, a) + min(0, b) < 0:
            raise ValueError(f"pad: cannot cut {(a, b)} off dimension {dim} of size {n}")
    if mode == "constant":
        return _constant(input, pairs, value or 0.0)
    _check_edges(mode, input, pairs, dims)
    if mode == "circular":  # what is cut off does not come back at the other end
        input = _cropped(input, pairs)
        pairs = [(max(0, a), max(0, b)) for a, b in pairs]
    out = input
    for dim, (a, b) in enumerate(pairs):
        if a or b:
            sources = _sources(mode, input.shape[dim], a, b)
            out = index_select(out, dim, Value.kind(input.backend.from_numpy(sources), input.backend))
    return out.clone() if out is input else out
