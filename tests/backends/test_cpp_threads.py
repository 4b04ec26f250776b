"""Threads that behave: the same bits from one and from several, from many Python threads at once, and after a fork.

And what decides about them and about the instruction set: environment variables, the processor, what was compiled.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

import tinygrad_edu.backends.cpp as cpp_backend
from tinygrad_edu import nn, registry
from tinygrad_edu.backend import use_backend
from tinygrad_edu.create import tensor
from tinygrad_edu.nn import functional

CPU = "tinygrad_edu.backends.cpp._cpu"


@pytest.fixture(scope="module")
def cpp() -> Any:
    return registry.backend("cpp")


def results(cpp: Any) -> dict[str, str]:
    """A hash of what each of many kernels gives, on arrays that are large enough to be shared between threads."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 300, 700)).astype(np.float32)
    w = rng.standard_normal((150, 700)).astype(np.float32)
    classes = rng.integers(0, 700, 300)
    found: dict[str, list[Any]] = {}
    for name in ("exp", "tanh", "log1p", "erf", "sin"):
        found[name] = [getattr(cpp, name)(x)]
    for name in ("add", "mul", "maximum", "less", "div"):
        found[name] = [getattr(cpp, name)(x, y), getattr(cpp, name)(x, y[0])]
    for name in ("sum", "prod", "max"):
        found[name] = [getattr(cpp, name)(x, axes, False) for axes in ((0,), (1,), (0, 1))]
    found["matmul"] = [cpp.matmul(x, w.T), cpp.matmul(x.T, y)]
    found["take"] = [cpp.take(x, (classes % 300,))]
    found["put_add"] = [cpp.put_add(x, (classes % 7,), (7, 700))]
    found["random"] = [cpp.random(np.array([1, 2], np.uint64), (100_001,), np.dtype(np.float32))]
    with use_backend("cpp"):
        functions = {
            "linear": lambda a: functional.linear(a, tensor(w)),
            "softmax": lambda a: functional.softmax(a, 1) * functional.softmax(a, 0),
            "log_softmax": lambda a: functional.log_softmax(a, 1) + functional.log_softmax(a, 0),
            "cross_entropy": lambda a: functional.cross_entropy(a, tensor(classes)),
            "mse_loss": lambda a: functional.mse_loss(a, tensor(y)),
            "huber_loss": lambda a: functional.huber_loss(a, tensor(y)),
            "binary_cross_entropy_with_logits": lambda a: functional.binary_cross_entropy_with_logits(a, tensor(y)),
            "layer_norm": lambda a: functional.layer_norm(a, (700,)),
            "gelu": functional.gelu,
        }
        for name, f in functions.items():
            leaf = tensor(x, requires_grad=True)
            out = f(leaf)
            out.sum().backward()
            assert leaf.grad is not None
            found[name] = [out.data, leaf.grad.data]
    return {
        name: sha256(b"".join(np.asarray(a).tobytes() for a in arrays)).hexdigest() for name, arrays in found.items()
    }


@pytest.fixture(scope="module")
def expected(cpp: Any) -> dict[str, str]:
    return results(cpp)


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_the_number_of_threads_does_not_change_a_bit(cpp: Any, expected: dict[str, str], threads: int) -> None:
    before = cpp.kernels.threads()
    try:
        cpp.kernels.set_threads(threads)
        assert cpp.kernels.threads() == threads
        assert results(cpp) == expected
    finally:
        cpp.kernels.set_threads(before)


def test_eight_python_threads_at_once_give_the_same_bits(cpp: Any, expected: dict[str, str]) -> None:
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: results(cpp), range(16)):
            assert found == expected


def test_a_training_step_in_each_of_several_threads(cpp: Any) -> None:
    def losses(_: int) -> list[float]:
        with use_backend("cpp"):
            rng = np.random.default_rng(0)
            model = nn.Linear(200, 10)
            model.load_state_dict(
                {"weight": rng.standard_normal((10, 200)).astype(np.float32), "bias": np.zeros(10, np.float32)}
            )
            x, y = tensor(rng.standard_normal((512, 200)).astype(np.float32)), tensor(rng.integers(0, 10, 512))
            found = []
            for _ in range(5):
                loss = functional.cross_entropy(model(x), y)
                loss.backward()
                found.append(loss.item())
        return found

    with ThreadPoolExecutor(8) as pool:
        assert len({tuple(found) for found in pool.map(losses, range(8))}) == 1


def _in_child(connection: Any) -> None:
    connection.send(results(registry.backend("cpp")))
    connection.close()


def child_results() -> dict[str, str]:
    """The results of a forked child. TimeoutError if it hangs."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=_in_child, args=(theirs,))
    child.start()
    try:
        if not ours.poll(120):
            raise TimeoutError("the child hangs")
        return dict(ours.recv())
    finally:
        child.kill()
        child.join()


def test_a_forked_child_has_threads_of_its_own(cpp: Any, expected: dict[str, str]) -> None:
    assert child_results() == expected
    assert results(cpp) == expected  # and the parent still has its own


def test_a_fork_while_other_threads_are_in_kernels(cpp: Any, expected: dict[str, str]) -> None:
    stop = threading.Event()

    def keep_busy() -> None:
        x = np.ones((1000, 1000), np.float32)
        while not stop.is_set():
            cpp.sum(x, (0,), False)
            cpp.add(x, x)

    busy = [threading.Thread(target=keep_busy) for _ in range(2)]
    for thread in busy:
        thread.start()
    try:
        for _ in range(4):
            assert child_results() == expected
    finally:
        stop.set()
        for thread in busy:
            thread.join()


def run(code: str, **variables: str) -> str:
    """What a fresh Python says on stderr; it must fail."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode != 0, done.stdout
    return done.stderr


LOAD = "from tinygrad_edu import registry; registry.backend('cpp')"


@pytest.mark.parametrize("value", ["0", "two", "-1", "1.5", ""])
def test_a_wrong_number_of_threads_is_refused(value: str) -> None:
    assert f"TINYGRAD_EDU_THREADS: expected a positive integer, got {value!r}" in run(LOAD, TINYGRAD_EDU_THREADS=value)


def test_an_unknown_instruction_set_is_refused() -> None:
    error = run(LOAD, TINYGRAD_EDU_ISA="sse9")
    assert "TINYGRAD_EDU_ISA: expected one of baseline, avx2, avx512, got 'sse9'" in error


def test_an_instruction_set_that_the_processor_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    class Old:
        @staticmethod
        def supported() -> list[str]:
            return ["baseline"]

    monkeypatch.setitem(sys.modules, CPU, Old)
    monkeypatch.setenv("TINYGRAD_EDU_ISA", "avx512")
    with pytest.raises(ValueError, match="TINYGRAD_EDU_ISA=avx512: this processor has no avx512, it has baseline"):
        cpp_backend.chosen_isa()


WITHOUT_KERNELS = f"import sys; sys.modules[{CPU!r}] = None; "  # as if they had not been compiled


def test_without_kernels_the_error_says_how_to_get_them() -> None:
    error = run(WITHOUT_KERNELS + LOAD)
    assert "backend 'cpp': its kernels are not built" in error
    assert "pip install -e ." in error


def test_without_kernels_the_doctor_says_how_to_get_them() -> None:
    error = run(
        WITHOUT_KERNELS + "from tinygrad_edu import doctor; sys.stdout = sys.stderr; doctor.main(); sys.exit(1)"
    )
    (line,) = [text for text in error.splitlines() if text.startswith("kernels")]
    assert "not loaded, NumPy does the work" in line
    assert "pip install -e ." in line


def test_no_thread_at_all_is_refused(cpp: Any) -> None:
    with pytest.raises(ValueError, match="set_threads: expected a positive number, got 0"):
        cpp.kernels.set_threads(0)
