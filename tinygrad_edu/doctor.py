"""`tinygrad-edu doctor`: what works here, what is missing, and the command that gets it.

Exit status 0 when the core works (a gradient through the default backend), whatever optional thing is missing.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterator
from importlib import import_module, metadata
from typing import Any

from tinygrad_edu import registry

VARIABLES = tuple(f"TINYGRAD_EDU_{name}" for name in ("BACKEND", "DATA", "ISA", "KERNELS", "REQUIRE", "THREADS"))


def main() -> int:
    """Print the report; 0 when the core works, else 1."""
    healthy, core = _core()
    lines = [
        ("python", f"{platform.python_version()} ({platform.python_implementation()})"),
        ("numpy", _numpy()),
        ("machine", f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"),
        *_variables(),
        ("core", core),
        ("kernels", _kernels()),
        *_extras(),
        *_plugins(),
    ]
    for title, text in lines:
        print(f"{title:<12} {text}")
    return 0 if healthy else 1


def _core() -> tuple[bool, str]:
    """Whether a gradient comes out right on the default backend, and a line on it."""
    try:
        import tinygrad_edu as tg

        with tg.use_backend(registry.default_backend_name()):
            x = tg.tensor([3.0], requires_grad=True)
            (gradient,) = tg.grad((x * x).sum(), x)
    except Exception as error:  # whatever it is, the report must name it and go on
        return False, f"does not work: {type(error).__name__}: {error}"
    if gradient is None or gradient.tolist() != [6.0]:
        return False, f"does not work: the gradient of x*x at 3 came out as {gradient}"
    return True, f"works (backend {registry.default_backend_name()})"


def _numpy() -> str:
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{np.__version__}, BLAS {blas.get('name', '?')} {blas.get('version', '')}".rstrip()


def _variables() -> Iterator[tuple[str, str]]:
    """Our environment variables in force; one that nobody reads is most likely misspelt."""
    for name, value in sorted(os.environ.items()):
        if name.startswith("TINYGRAD_EDU_"):
            note = "" if name in VARIABLES else f"  (nobody reads it; there are: {', '.join(VARIABLES)})"
            yield "variable", f"{name}={value}{note}"


def _kernels() -> str:
    """The C++ kernels that this processor gets."""
    try:
        backend: Any = registry.backend("cpp")  # first: its error says how to get them
        build = import_module("tinygrad_edu.backends.cpp._cpu").build_info()
    except (ImportError, ValueError) as error:
        return f"not loaded, NumPy does the work ({error})"
    return f"loaded: {backend.isa} ({build}), {backend.threads()} threads"


def _extras() -> Iterator[tuple[str, str]]:
    """Each extra of ours: complete, or which packages are missing and the command that installs them."""
    wanted: dict[str, list[str]] = {}
    for requirement in metadata.requires("tinygrad-edu") or []:
        match = re.match(r"([\w.-]+)(\[.*\])?.*extra == ['\"](\w+)['\"]", requirement)
        if match and not match[2]:  # `test` and `all` also name other extras, which have their own line
            wanted.setdefault(match[3], []).append(match[1])
    for extra, packages in wanted.items():
        missing = [package for package in packages if not _is_installed(package)]
        lacks = f"missing {', '.join(missing)}: pip install 'tinygrad-edu[{extra}]'"
        yield f"extra {extra}", lacks if missing else "complete"


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _plugins() -> Iterator[tuple[str, str]]:
    """Names claimed twice and plugins that failed."""
    installed = registry.installed()
    for kind in registry.KINDS:
        try:
            installed.table(kind)
        except ValueError as error:
            yield "plugins", str(error)
    for failure in installed.failures.values():
        yield "plugins", str(failure)
