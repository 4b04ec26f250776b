"""The backends: whoever computes on arrays for a Tensor. This page is the folder's plugin face.

One file a backend; the protocol they all follow is `tinygrad_edu.backend`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tinygrad_edu.hookspecs import hookimpl

if TYPE_CHECKING:
    from tinygrad_edu.backend import Backend


def _numpy() -> Backend:
    """Plain NumPy: every primitive about one line, meant to be read."""
    from tinygrad_edu.backends.numpy_backend import NumpyBackend

    return NumpyBackend()


def _cpp() -> Backend:
    """Kernels in C++ for this processor's instruction set, on NumPy's arrays: the fastest there is."""
    from tinygrad_edu.backends.cpp import CppBackend

    return CppBackend()


@hookimpl
def register_backends() -> dict[str, Callable[[], Backend]]:
    """The backends that come with the project."""
    return {"numpy": _numpy, "cpp": _cpp}
