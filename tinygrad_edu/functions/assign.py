"""x[key] = value: the one function here that changes its argument."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.autograd import Value
from tinygrad_edu.ops.index import parts_of, slices_of
from tinygrad_edu.ops.shape import reshape


def setitem(x: Any, key: Any, value: Any) -> None:
    """x[key] = value, in place. Where integer Tensors name an element twice, the later value stays."""
    lib, shape = x.backend, x.data.shape
    slices, kept, advanced = slices_of(x, parts_of(x, key))
    if not advanced:
        x.change(lib.reshape(lib.slice(x.data, slices), kept), value)
        return
    n = math.prod(shape)
    counted = Value.kind(lib.from_numpy(np.arange(n)), lib)
    places = reshape(counted, shape)[key].data
    value = x.fitting(places.shape, value)
    value = lib.from_numpy(np.asarray(value)) if isinstance(value, (bool, int, float)) else value
    values = lib.reshape(lib.expand(lib.cast(value, x.data.dtype), places.shape), (-1,))
    at = lib.reshape(places, (-1,))
    order = lib.argsort(at, 0)  # the same places side by side, in their order
    found = lib.take(at, (order,))
    after = lib.concat([lib.slice(found, (slice(1, None, 1),)), lib.from_numpy(np.array([n]))], 0)
    (last,) = lib.nonzero(lib.less(found, after)) if at.shape[0] else (at,)
    keep, at = lib.take(order, (last,)), lib.take(found, (last,))
    # From the old elements and behind them the new ones: an old one from its own place, a new one from n + keep.
    source = lib.add(counted.data, lib.put_add(lib.sub(lib.add(keep, n), at), (at,), (n,)))
    pool = lib.concat([lib.reshape(x.data, (n,)), values], 0)
    x.change(x.data, Value.kind(lib.reshape(lib.take(pool, (source,)), shape), lib))
