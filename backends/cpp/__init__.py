"""The C++ backend: NumPy's arrays, and kernels of our own on them.

The kernels are compiled once for each instruction set, as modules `_baseline`, `_avx2` and `_avx512`, from the sources
in `src/`. The best one that the processor has is loaded; TINYGRAD_EDU_ISA names another. What a module defines under
the name of a primitive, of a fused op or of an optimizer's step takes the place of what the NumPy backend does; for
everything else NumPy does the work (`tinygrad-edu backends` tells which is which).
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from typing import Any

from tinygrad_edu.backends.numpy_backend import NumpyBackend
from tinygrad_edu.errors import MissingExtra

ISAS = ("baseline", "avx2", "avx512")  # the slowest first


class CppBackend(NumpyBackend):
    """Arrays are `np.ndarray`, as the NumPy backend's; `kernels` is the compiled module that serves this process."""

    name = "cpp"

    def __init__(self) -> None:
        self.isa = chosen_isa()
        self.kernels = load(self.isa)
        self.kernels.set_numpy(NumpyBackend())
        for name, function in vars(self.kernels).items():
            if not name.startswith("_"):
                setattr(self, name, function)  # found before the inherited method, and called without a Python frame


def chosen_isa() -> str:
    """The instruction set to use: TINYGRAD_EDU_ISA, else the best one that the processor has and that is built.

    ValueError for a name that is none, and for one that the processor lacks. ImportError if nothing was compiled.
    """
    supported = _compiled("_cpu").supported()
    wanted = os.environ.get("TINYGRAD_EDU_ISA")
    if wanted is None:
        return max((isa for isa in supported if _is_built(isa)), key=ISAS.index)
    if wanted not in ISAS:
        raise ValueError(f"TINYGRAD_EDU_ISA: expected one of {', '.join(ISAS)}, got {wanted!r}")
    if wanted not in supported:
        raise ValueError(f"TINYGRAD_EDU_ISA={wanted}: this processor has no {wanted}, it has {', '.join(supported)}")
    return wanted


def load(isa: str) -> Any:
    """The module of kernels for one instruction set. ValueError if TINYGRAD_EDU_THREADS is not a positive integer."""
    threads = os.environ.get("TINYGRAD_EDU_THREADS")
    if threads is not None and not (threads.isdecimal() and int(threads) > 0):
        raise ValueError(f"TINYGRAD_EDU_THREADS: expected a positive integer, got {threads!r}")
    return _compiled(f"_{isa}")


def _is_built(isa: str) -> bool:
    return _spec(f"{__name__}._{isa}") is not None


def _spec(name: str) -> Any:
    """Where a compiled module is: beside this file, or where TINYGRAD_EDU_KERNELS says (`make sanitize` needs it)."""
    folder = os.environ.get("TINYGRAD_EDU_KERNELS")
    return PathFinder.find_spec(name, [folder]) if folder else find_spec(name)


def _compiled(name: str) -> Any:
    name = f"{__name__}.{name}"
    try:
        if name in sys.modules or "TINYGRAD_EDU_KERNELS" not in os.environ:
            return import_module(name)
        spec = _spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"TINYGRAD_EDU_KERNELS={os.environ['TINYGRAD_EDU_KERNELS']}: no {name} there")
        module = sys.modules[name] = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"backend 'cpp': its kernels are not built ({error}). Install a C++ compiler (Debian: apt-get install g++; "
            "macOS: xcode-select --install), then in the checkout: pip install -e ."
        ) from error
