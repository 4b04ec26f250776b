"""The examples of backends/README.md work as they stand: a backend is installed and checked, a kernel compiled and held
against its body and against torch.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import registry
from tinygrad_edu.nn import functional
from tinygrad_edu.ops import FUSED
from tinygrad_edu.testing import compare_with_torch, test_kernels
from tinygrad_edu.testing.cases import cases
from tinygrad_edu.testing.rows import TinygradNames, TorchNames

FOLDER = Path(__file__).parent.parent.parent / "backends"
README = (FOLDER / "README.md").read_text()
BACKEND, USE, BODY, ROW = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(PROJECT,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
(KERNEL,) = re.findall(r"```cpp\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment variables of a Python that sees the example's package, installed by pip into a folder."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "my_backend.py").write_text(BACKEND)
    (source / "pyproject.toml").write_text(PROJECT)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site)]
    subprocess.run([*pip, "--no-deps", "--no-index", "--no-build-isolation", str(source)], check=True)
    return {**os.environ, "PYTHONPATH": str(site)}


def test_the_backend_is_found_and_counts(installed: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", USE], env=installed, cwd=tmp_path, text=True, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (said,) = re.findall(r"# (\d+):", USE)
    assert done.stdout.strip() == said


@pytest.mark.parametrize(("wrong", "status"), [("", 0), ("out[...] = 0  # wrong", 1)], ids=["as it is", "wrong"])
def test_the_conformance_suite_takes_the_backend(
    wrong: str, status: int, installed: dict[str, str], tmp_path: Path
) -> None:
    env = installed
    if wrong:
        site = shutil.copytree(installed["PYTHONPATH"], tmp_path / "site")
        (site / "my_backend.py").write_text(
            BACKEND.replace("        return out\n", f"        {wrong}\n        return out\n")
        )
        env = {**installed, "PYTHONPATH": str(site)}
    check = [sys.executable, "-m", "tinygrad_edu.cli", "check", "--backend", "counting", "-q", "-k", "matmul or linear"]
    done = subprocess.run(check, env=env, cwd=tmp_path, text=True, capture_output=True, check=False)
    assert done.returncode == status, done.stdout[-2000:]
    assert " passed" in done.stdout


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """The kernel, compiled in a copy of the sources with the two lines that the page asks for."""
    source = FOLDER / "cpp" / "src"
    copy = tmp_path_factory.mktemp("src")
    for path in (*source.glob("*.hpp"), *(source / f"{name}.cpp" for name in ("array", "memory", "module", "pool"))):
        shutil.copy(path, copy)
    (copy / "hardshrink.cpp").write_text(KERNEL)
    declared = copy / "subjects.hpp"
    listed = re.compile(r"#define TG_SUBJECTS\(each\)(.*\\\n)*.*\n")
    assert "each(arrays)" in listed.search(declared.read_text()).group()
    only = "#define TG_SUBJECTS(each) each(arrays) each(hardshrink)\n"  # the others are left out: this is quicker
    declared.write_text(listed.sub(only, declared.read_text()))

    pybind11 = importlib.import_module("pybind11")
    library = copy / f"_readme{sysconfig.get_config_var('EXT_SUFFIX')}"
    flags = ["-O0", "-Wall", "-Wextra", "-Werror", "-std=c++17", "-fPIC", "-fvisibility=hidden", "-pthread"]
    flags += ["-fopenmp-simd", "-DTINYGRAD_EDU_MODULE=_readme"]
    flags += [f"-I{path}" for path in (sysconfig.get_path("include"), pybind11.get_include())]
    compilers = [subprocess.Popen(["c++", *flags, "-c", path.name], cwd=copy) for path in sorted(copy.glob("*.cpp"))]
    assert [compiler.wait() for compiler in compilers] == [0] * 5
    objects = [path.name for path in sorted(copy.glob("*.o"))]
    subprocess.run(["c++", "-shared", "-pthread", *objects, "-o", str(library)], cwd=copy, check=True)
    spec = importlib.util.spec_from_file_location("_readme", library)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the page's Python defines; the op is known to autograd and to the table as long as a test runs."""
    names: dict[str, Any] = {}
    exec(BODY + ROW, names)
    monkeypatch.setattr(functional, "hardshrink", names["hardshrink"], raising=False)
    yield names
    del FUSED["hardshrink"]


@pytest.fixture
def backend(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The C++ backend, as it would be if the kernel were among its own."""
    cpp = registry.backend("cpp")
    for name in ("hardshrink", "hardshrink_vjp"):
        monkeypatch.setattr(cpp, name, getattr(module, name), raising=False)
    return cpp


def each_case(row: Any) -> list[Any]:
    return [case for dtype in ("float32", "float64") for case in cases(row, dtype)]


def test_the_body_is_torchs(names: dict[str, Any], needs: Callable[[str], ModuleType]) -> None:
    needs("torch")
    for case in cases(names["row"], np.float64):
        compare_with_torch(case.f(TinygradNames()), case.f(TorchNames()), *case.arrays, order=case.order)


def test_the_kernel_is_the_body(names: dict[str, Any], backend: Any) -> None:
    found = each_case(names["row"])
    assert len(found) > 10
    for case in found:
        test_kernels.test_fused_op(backend, test_kernels.WithoutKernels(backend), case)


@pytest.mark.parametrize("name", ["hardshrink", "hardshrink_vjp"])
def test_a_wrong_kernel_would_be_found(
    name: str, names: dict[str, Any], backend: Any, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*args: Any, **settings: Any) -> Any:
        first, *rest = getattr(module, name)(*args, **settings)
        return [1.5 * first, *rest]

    monkeypatch.setattr(backend, name, wrong)
    case = next(case for case in each_case(names["row"]) if case.arrays[0].size > 1)
    with pytest.raises(AssertionError):
        test_kernels.test_fused_op(backend, test_kernels.WithoutKernels(backend), case)


def test_the_kernel_shares_its_blocks_out_and_refuses_by_name(module: ModuleType) -> None:
    x = np.random.default_rng(0).standard_normal(100_001).astype(np.float32)  # more than one block, and a rest
    out, saved = module.hardshrink(x, lambd=1.0)
    np.testing.assert_array_equal(out, np.where(np.abs(x) <= 1.0, np.float32(0), x))
    (gx,) = module.hardshrink_vjp(saved, np.ones_like(x), (True,))
    np.testing.assert_array_equal(gx, np.abs(x) > 1.0)
    with pytest.raises(TypeError, match="hardshrink: expected input of float32 or float64, got int64"):
        module.hardshrink(np.arange(3))
    with pytest.raises(TypeError, match="hardshrink_vjp: expected g of float32, got float64"):
        module.hardshrink_vjp(saved, np.ones(100_001), (True,))
