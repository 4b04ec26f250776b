"""A backend whose arrays are no NumPy arrays, as a pytest plugin (`-p opaque_backend`) that registers it as "opaque".

Whoever above floor 1 calls NumPy on an array, or hands a backend an array that is not its own, fails on it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_edu import registry
from tinygrad_edu.backend import PRIMITIVES
from tinygrad_edu.backends.numpy_backend import NumpyBackend


class Box:
    """An array that shows its shape and its dtype, and nothing else."""

    __slots__ = ("_array",)

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    @property
    def shape(self) -> tuple[int, ...]:
        return self._array.shape

    @property
    def dtype(self) -> np.dtype:
        return self._array.dtype


def unbox(x: Any) -> Any:
    if isinstance(x, (tuple, list)):
        return type(x)(map(unbox, x))
    if isinstance(x, (np.ndarray, np.generic)):
        raise TypeError(f"a NumPy array where one of the backend's was due: {x!r:.100}")
    return x._array if isinstance(x, Box) else x


def box(x: Any) -> Any:
    return tuple(map(box, x)) if isinstance(x, tuple) else Box(x) if isinstance(x, np.ndarray) else x


class Opaque:
    """NumPy's primitives on boxes; no kernels."""

    name = "opaque"

    def from_numpy(self, array: np.ndarray) -> Box:
        return Box(array)

    def to_numpy(self, x: Box) -> np.ndarray:
        return x._array

    def __getattr__(self, name: str) -> Any:
        if name not in PRIMITIVES:
            raise AttributeError(name)
        primitive = getattr(NumpyBackend(), name)
        return lambda *args: box(primitive(*unbox(args)))


registry.installed().table("backends")["opaque"] = registry.Registered(Opaque, __name__, "tests")
