"""Random numbers: a counter-based generator (Philox) with an explicit key, so that a seed gives one stream everywhere.

The state is two 64-bit words, (seed, number of draws so far), kept as an array of the backend. Each draw uses the state
as Philox's key and then adds 1 to its second word: no draw depends on the size of an earlier one, and a checkpoint
needs two numbers. Source: J. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_edu.autograd import Value
from tinygrad_edu.backend import Array, Backend, get_backend
from tinygrad_edu.ops.agree import DEFAULT_FLOAT
from tinygrad_edu.ops.shape import as_shape, check_sizes

_NEXT = np.array([0, 1], np.uint64)


class Generator:
    """A stream of random numbers. `key` lives on the backend that drew last, and moves when another draws."""

    def __init__(self, seed: int = 0) -> None:
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> Generator:
        """Begin the stream of `seed` anew. ValueError unless 0 <= seed < 2**64."""
        return self.set_state({"seed": seed, "draws": 0})

    def set_state(self, state: dict[str, int]) -> Generator:
        """Go on from where `get_state` was called."""
        words = [state["seed"], state["draws"]]
        if not all(isinstance(n, (int, np.integer)) and 0 <= n < 2**64 for n in words):
            raise ValueError(f"random: expected a seed and a count of draws from 0 to 2**64 - 1, got {words}")
        self.backend: Backend | None = None
        self.key: Array = np.array(words, np.uint64)
        return self

    def get_state(self) -> dict[str, int]:
        """The seed and the number of draws so far."""
        words = self.key if self.backend is None else self.backend.to_numpy(self.key)
        return {"seed": int(words[0]), "draws": int(words[1])}

    def uniform(self, shape: tuple[int, ...], dtype: Any, backend: Backend) -> Array:
        """One draw: an array of `shape`, uniform in [0, 1). TypeError unless `dtype` is a float."""
        if np.dtype(dtype).kind != "f":
            raise TypeError(f"rand: expected dtype float32 or float64, got {np.dtype(dtype)}")
        if self.backend is not backend:
            words = self.key if self.backend is None else self.backend.to_numpy(self.key)
            self.backend, self.key = backend, backend.from_numpy(words.copy())
        out = backend.random(self.key, shape, np.dtype(dtype))
        backend.assign(self.key, backend.add(self.key, backend.from_numpy(_NEXT)))
        return out


default_generator = Generator()


def manual_seed(seed: int) -> Generator:
    """Begin the default stream anew from `seed`."""
    return default_generator.manual_seed(seed)


def get_state() -> dict[str, int]:
    """The state of the default stream, for a checkpoint."""
    return default_generator.get_state()


def set_state(state: dict[str, int]) -> None:
    """Put the default stream back into a state from `get_state`."""
    default_generator.set_state(state)


def rand(
    *size: Any,
    dtype: Any = DEFAULT_FLOAT,
    requires_grad: bool = False,
    generator: Generator | None = None,
    backend: Backend | None = None,
) -> Any:
    """Uniform in [0, 1): `rand(2, 3)` or `rand((2, 3))`."""
    backend = backend or get_backend()
    out = Value.kind(
        (generator or default_generator).uniform(check_sizes("rand", as_shape(size)), dtype, backend), backend
    )
    return out.requires_grad_(requires_grad)


def randn(
    *size: Any,
    dtype: Any = DEFAULT_FLOAT,
    requires_grad: bool = False,
    generator: Generator | None = None,
    backend: Backend | None = None,
) -> Any:
    """Standard normal, from two uniforms each: sqrt(-2 log(1 - u)) cos(2 pi v). Source: G. Box and M. Muller, 1958."""
    b = backend or get_backend()
    u, v = [rand(*size, dtype=dtype, generator=generator, backend=b).data for _ in range(2)]
    radius = b.sqrt(b.mul(b.log1p(b.mul(u, -1.0)), -2.0))  # 1 - u is never 0
    return Value.kind(b.mul(radius, b.cos(b.mul(v, 2.0 * math.pi))), b).requires_grad_(requires_grad)


def randint(
    low: int,
    high: Any,
    size: Any = None,
    *,
    dtype: Any = np.int64,
    generator: Generator | None = None,
    backend: Backend | None = None,
) -> Any:
    """Integers, uniform from `low` to before `high`; `randint(high, size)` begins at 0. ValueError if there is none."""
    if size is None:
        low, high, size = 0, low, high
    if high <= low:
        raise ValueError(f"randint: expected low < high, got {low} and {high}")
    b = backend or get_backend()
    u = rand(size, dtype=np.float64, generator=generator, backend=b).data
    return Value.kind(b.cast(b.add(b.floor(b.mul(u, float(high - low))), float(low)), np.dtype(dtype)), b)


def rand_like(x: Any, *, dtype: Any = None, requires_grad: bool = False) -> Any:
    """`rand` of x's shape, dtype and backend."""
    return rand(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad, backend=x.backend)


def randn_like(x: Any, *, dtype: Any = None, requires_grad: bool = False) -> Any:
    """`randn` of x's shape, dtype and backend."""
    return randn(x.shape, dtype=dtype or x.dtype, requires_grad=requires_grad, backend=x.backend)


def randint_like(x: Any, low: int, high: int | None = None, *, dtype: Any = None) -> Any:
    """`randint` of x's shape, dtype and backend; with one number, from 0 to before it."""
    low, high = (0, low) if high is None else (low, high)
    return randint(low, high, x.shape, dtype=dtype or x.dtype, backend=x.backend)
