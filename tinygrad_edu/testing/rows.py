"""What a row of the table of cases (`tinygrad_edu.testing.cases`) is, and how it is turned into cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

import tinygrad_edu
from tinygrad_edu.backend import Backend
from tinygrad_edu.nn import functional
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.variants import LAYOUTS, REAL, SPECIAL, TIES, Domain, Shape


class Call(NamedTuple):
    """The shapes of the Tensors, and what follows them: positional arguments and settings."""

    shapes: tuple[Shape, ...]
    args: tuple[Any, ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        parts = [*[str(list(s)).replace(" ", "") for s in self.shapes], *map(_short, self.args)]
        return "_".join(parts + [f"{name}={_short(value)}" for name, value in self.settings])


def _short(value: Any) -> str:
    text = str(value.tolist()) if isinstance(value, np.ndarray) else getattr(value, "__name__", str(value))
    return text.replace(" ", "").replace("slice(None,None,None)", ":")


def call(*shapes: Shape, args: tuple[Any, ...] = (), **settings: Any) -> Call:
    """One call: `call((2, 3), dim=0)`."""
    return Call(shapes, args, tuple(settings.items()))


def calls(shapes: Iterable[tuple[Shape, ...]], *args: Any, **settings: Any) -> tuple[Call, ...]:
    """One call for each tuple of shapes, with the same arguments."""
    return tuple([call(*s, args=args, **settings) for s in shapes])


@dataclass(frozen=True)
class Row:
    """One op. `f(framework, *tensors, *args, **settings)` defaults to the framework's function `name`, or
    its nn.functional's.

    `domains`: one for each Tensor, the last for those that follow. `elementwise`: shapes do not matter, so that special
    values may meet each other in all pairs. `order`: how far to compare (2: to second gradients, 0: values only);
    `ties`, `special`: the same on equal values, and on NaN and infinities (None: not at all). A row that compares less
    than everything says `why`; one of order 0 has no gradient and needs no reason for that.
    """

    name: str
    calls: tuple[Call, ...]
    domains: Domain | tuple[Domain, ...] = REAL
    f: Callable[..., Any] | None = None
    label: str = ""
    elementwise: bool = False
    order: int = 2
    ties: int | None = 2
    special: int | None = 2
    why: str = ""

    def __post_init__(self) -> None:
        less = self.order == 1 or (self.ties, self.special) != (2, 2)
        assert bool(self.why) == less, f"row {self}: say why, and only where less than everything is compared"

    def __str__(self) -> str:
        return f"{self.name}({self.label})" if self.label else self.name

    def function(self, framework: Any, call: Call) -> Callable[..., Any]:
        """What is called with the Tensors alone, `framework` `TinygradNames()` or `TorchNames()`."""
        settings, own = dict(call.settings), self.f
        if own is not None:
            return lambda *xs: own(framework, *xs, *call.args, **settings)
        f = getattr(framework, self.name, None) or getattr(framework.nn.functional, self.name)
        return lambda *xs: f(*xs, *call.args, **settings)

    def inputs(self, call: Call, dtype: Any, rng: np.random.Generator) -> list[np.ndarray]:
        """Random arrays from the domains."""
        domains = self.domains if isinstance(self.domains, tuple) else (self.domains,)
        return [domains[min(i, len(domains) - 1)](rng, s, dtype) for i, s in enumerate(call.shapes)]


class TinygradNames:
    """Our functions by name: those of `tinygrad_edu`, then those of `tinygrad_edu.nn.functional`.

    They are looked up when they are called for, so that a row without its op fails alone.
    """

    def __getattr__(self, name: str) -> Any:
        found = getattr(tinygrad_edu, name, None)
        return getattr(functional, name) if found is None else found


class TorchNames:
    """torch's functions by name: those of `torch`, then those of `torch.nn.functional`.

    A few names are in both. Where torch's own is undocumented it is a raw binding with other arguments: kl_div.
    """

    def __getattr__(self, name: str) -> Any:
        import torch

        found = getattr(torch, name, None)
        if not getattr(found, "__doc__", None) and hasattr(torch.nn.functional, name):
            return getattr(torch.nn.functional, name)
        return getattr(torch, name) if found is None else found


class Case(NamedTuple):
    """One call on given arrays, which lie in memory as `layout` says; compare up to gradients of `order`."""

    row: Row
    call: Call
    dtype: np.dtype
    variant: str
    arrays: tuple[np.ndarray, ...]
    layout: str
    order: int

    def __str__(self) -> str:
        return f"{self.row}-{self.call}-{self.dtype}-{self.variant}"

    def f(self, framework: Any) -> Callable[..., Any]:
        """The function of the Tensors alone, `framework` being `TinygradNames()` or `TorchNames()`."""
        return self.row.function(framework, self.call)

    def inputs(self, backend: Backend) -> list[Tensor]:
        """The arrays as Tensors on a backend, in the case's layout."""
        return [Tensor(LAYOUTS[self.layout].array(backend, a), backend) for a in self.arrays]


def cases(row: Row, dtype: Any) -> Iterator[Case]:
    """All cases of a row: each call on random numbers; the largest one in every layout, with ties, with special values.

    Seeds are fixed, so that a case is the same in every run and on every backend.
    """
    dtype = np.dtype(dtype)
    for c in row.calls:
        arrays = tuple(row.inputs(c, dtype, np.random.default_rng(1)))
        yield Case(row, c, dtype, "random", arrays, "contiguous", row.order)
    largest = max(row.calls, key=lambda c: sum(int(np.prod(s)) for s in c.shapes))
    arrays = tuple(row.inputs(largest, dtype, np.random.default_rng(2)))
    if not any(a.ndim for a in arrays):
        return
    for layout in LAYOUTS:
        if layout != "contiguous":
            yield Case(row, largest, dtype, layout, arrays, layout, row.order)
    floats = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    for variant, values in (("ties", TIES), ("special", SPECIAL)):
        order = row.ties if variant == "ties" else row.special
        if order is None or not floats:
            continue
        if row.elementwise:
            n = len(floats)
            grid = np.meshgrid(*[np.asarray(values, dtype)] * n, indexing="ij")
            placed = {i: np.ascontiguousarray(grid[k]) for k, i in enumerate(floats)}
            shape = (len(values),) * n
            rest = row.inputs(Call((shape,) * len(arrays)), dtype, np.random.default_rng(3))
            mixed = tuple([placed.get(i, a) for i, a in enumerate(rest)])
            yield Case(row, largest, dtype, variant, mixed, "contiguous", min(order, row.order))
        elif variant == "ties":
            rng = np.random.default_rng(4)
            tied = tuple([rng.choice(TIES, a.shape).astype(dtype) if i in floats else a for i, a in enumerate(arrays)])
            yield Case(row, largest, dtype, variant, tied, "contiguous", min(order, row.order))
        else:
            for value in SPECIAL[:3]:
                for i in floats:
                    spoiled = [a.copy() for a in arrays]
                    spoiled[i].reshape(-1)[:: max(2, spoiled[i].size // 2)] = value
                    name = f"{value}_in_{i}"
                    yield Case(row, largest, dtype, name, tuple(spoiled), "contiguous", min(order, row.order))
