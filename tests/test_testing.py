"""The testing tools themselves: what they accept, what they catch, how they say it; the suite on a broken backend."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.backend import PRIMITIVES, get_backend
from tinygrad_edu.backends.numpy_backend import NumpyBackend
from tinygrad_edu.testing import compare_with_torch, gradcheck
from tinygrad_edu.testing.cases import ROWS, cases
from tinygrad_edu.testing.compare import Ours, Torch, compare, trace
from tinygrad_edu.testing.primitives import CALLS, check
from tinygrad_edu.testing.variants import LAYOUTS

X = np.array([[0.5, -1.0, 2.0]])


# --- gradcheck -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "f",
    [
        tg.exp,
        tg.tanh,
        lambda x: x.sum(1, keepdim=True) * x,
        lambda x: (x @ x.T).reshape(-1),
        lambda x: tg.log_softmax(x, 1),
        lambda x: (x * x, tg.sin(x).sum()),
        lambda x: x[0, tg.tensor([0, 2, 0])],
    ],
)
def test_gradcheck_accepts_right_rules_to_second_order(f: Any) -> None:
    gradcheck(f, X, order=2)


def test_gradcheck_takes_tensors_of_any_dtype_and_leaves_them_alone() -> None:
    x, i = tg.tensor(X.astype(np.float32)), tg.tensor([[1, 1, 0]])
    gradcheck(lambda x, i: tg.gather(x * x, 1, i), x, i, order=2)
    np.testing.assert_array_equal(x.numpy(), X.astype(np.float32))
    assert x.dtype == np.float32
    assert not x.requires_grad
    assert x.grad is None


@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 0)])
def test_gradcheck_takes_small_shapes(shape: tuple[int, ...]) -> None:
    gradcheck(lambda x: x * x * x, np.ones(shape), order=2)


def test_gradcheck_names_input_index_and_both_values() -> None:
    with pytest.raises(AssertionError, match=r"^gradient of input 1 at index \(0, 2\): ours 0, numeric \d\.\d+$"):
        gradcheck(lambda x, y: x + tg.where(tg.tensor([True, True, False]), y, y.detach()), X, X)


def test_gradcheck_refuses_other_orders() -> None:
    with pytest.raises(ValueError, match="order 1 or 2, got 3"):
        gradcheck(tg.exp, X, order=3)


# --- compare_with_torch ----------------------------------------------------------------------------------------------


def test_a_view_of_torchs_zeros_without_memory_is_read(needs) -> None:
    """torch gives such Tensors as gradients, and crashed (SIGSEGV) when one's column was read in place."""
    torch = needs("torch")
    column = torch._efficientzerotensor((4, 3))[:, 1]
    np.testing.assert_array_equal(Torch().numpy(column), np.zeros(4, np.float32))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compare_accepts_what_is_equal(dtype: str, needs) -> None:
    torch = needs("torch")
    compare_with_torch(lambda x: x.exp().sum(), lambda x: torch.exp(x).sum(), X.astype(dtype))
    compare_with_torch(lambda x: tg.max(x, 1), lambda x: torch.max(x, 1), X.astype(dtype))
    compare_with_torch(tg.log, torch.log, np.array([-1.0, 0.0, np.inf, np.nan], dtype))


@pytest.mark.parametrize(
    ("ours", "theirs", "message"),
    [
        (lambda x: x * 1.001, lambda x: x * 1, r"value 0 at index \(0, 0\): ours 0.5005, torch's 0.5 \(float64"),
        (lambda x: x.float(), lambda x: x * 1, r"value 0: ours is float32 of shape \(1, 3\), torch's is float64 of"),
        (
            lambda x: x.sum(),
            lambda x: x.sum(1),
            r"value 0: ours is float64 of shape \(\), torch's is float64 of \(1,\)",
        ),
        (lambda x: x.detach() * x, lambda x: x * x, r"gradient of input 0 at index \(0, 0\): ours .*, torch's"),
        (lambda x: x.detach(), lambda x: x * 1, r"expected \['value 0', 'gradient of input 0'"),
        (lambda x: x * 1, lambda x: (x, x), "expected"),
        (lambda x: 1.5, lambda x: x, "expected a Tensor on backend"),
    ],
)
def test_compare_names_what_differs(ours: Any, theirs: Any, message: str, needs) -> None:
    needs("torch")
    with pytest.raises(AssertionError, match=message):
        compare_with_torch(ours, theirs, X)


def test_compare_tolerances_can_be_given(needs) -> None:
    needs("torch")
    compare_with_torch(lambda x: x * 1.001, lambda x: x * 1, X, rtol=2e-3)
    compare_with_torch(lambda x: x + 0.001, lambda x: x * 1, X, rtol=0, atol=2e-3)


def test_compare_sees_infinities_and_large_integers(needs) -> None:
    torch = needs("torch")
    with pytest.raises(AssertionError, match=r"at index \(1,\): ours inf, torch's -inf"):
        compare_with_torch(lambda x: x, lambda x: x * torch.tensor([1, -1]), np.array([1.0, np.inf]), order=0)
    with pytest.raises(AssertionError, match="ours 9007199254740993, torch's 9007199254740992"):
        compare_with_torch(lambda x: x + 1, lambda x: x, np.array(2**53))


def test_a_wrong_kernel_is_caught_on_the_plain_path() -> None:
    """With create_graph=True the body is differentiated, and shows nothing of the kernel's mistake."""

    class Wrong(NumpyBackend):
        name = "wrong kernel"

        def linear_vjp(self, saved: Any, g: Any, needs: Any) -> Any:
            gx, *rest = super().linear_vjp(saved, g, needs)
            return [gx * 1.01, *rest]

    case = next(case for row in ROWS if row.name == "linear" for case in cases(row, "float64"))
    traces = [trace(Ours(b), case.f(tg), case.inputs(b), 2) for b in (Wrong(), get_backend())]
    with pytest.raises(AssertionError, match=r"^gradient of input 0 at"):
        compare(*traces, whose="numpy")


# --- the conformance suite -------------------------------------------------------------------------------------------


class Broken(NumpyBackend):
    """The NumPy backend with one primitive whose result goes through `spoil`."""

    def __init__(self, primitive: str, spoil: Any) -> None:
        right = getattr(self, primitive)
        vars(self)[primitive] = lambda *args: spoil(right(*args), args)


def spoil_value(out: Any, args: Any) -> Any:
    """Another value at one place, if there is one."""
    if isinstance(out, tuple):
        return tuple(spoil_value(x, args) for x in out)
    out = np.array(args[0] if out is None else out)
    if out.size:
        out.flat[-1] = not out.flat[-1] if out.dtype == bool else out.flat[-1] + 1
    if args and isinstance(args[0], np.ndarray) and args[0].flags.writeable and args[0].shape == out.shape:
        args[0][...] = out  # for `assign`
    return out


SPOILS: dict[str, Any] = {
    "value": spoil_value,
    "type": lambda out, args: (out.tolist() if out.ndim else out[()]) if isinstance(out, np.ndarray) else out or 1,
    "dtype": lambda out, args: out.astype("float16") if isinstance(out, np.ndarray) else out or 1,
    "shape": lambda out, args: out[None] if isinstance(out, np.ndarray) else out or 1,
}


@pytest.mark.parametrize(
    ("primitive", "spoil"),
    [
        (primitive, spoil)
        for primitive in PRIMITIVES
        for spoil in SPOILS
        if primitive not in ("from_numpy", "to_numpy") and (primitive, spoil != "value") != ("nonzero", True)
    ],
)
def test_a_wrong_primitive_is_caught(primitive: str, spoil: str) -> None:
    backend: Any = Broken(primitive, SPOILS[spoil])
    with np.errstate(all="ignore"):
        failed = any(fails(backend, primitive, call) for call in CALLS[primitive]())
    assert failed, f"{primitive} with another {spoil} went unseen"


def fails(backend: Any, primitive: str, call: Any) -> bool:
    try:
        check(backend, primitive, call)
    except AssertionError:
        return True
    return False


@pytest.mark.parametrize(
    ("primitive", "sloppy"),
    [
        ("expm1", lambda x: np.exp(x) - 1),
        ("log1p", lambda x: np.log(1 + x)),
        ("tanh", lambda x: 1 - 2 / (np.exp(2 * x) + 1)),
        ("equal", lambda x, y: np.isclose(x, y, rtol=1e-6, atol=0.0)),
        ("less", lambda x, y: x < y * (1 - np.sign(y) * 1e-6)),
    ],
)
def test_a_loss_of_digits_is_caught(primitive: str, sloppy: Callable[..., Any]) -> None:
    backend: Any = NumpyBackend()
    setattr(backend, primitive, lambda *args: np.asarray(sloppy(*args)))
    for dtype in ("float32", "float64"):
        calls = [c for c in CALLS[primitive]() if all(getattr(x, "dtype", None) == dtype for x in c)]
        with np.errstate(all="ignore"):
            assert any(fails(backend, primitive, call) for call in calls), dtype


def test_a_primitive_that_changes_its_argument_is_caught() -> None:
    class InPlace(NumpyBackend):
        def exp(self, x: Any) -> Any:
            return np.exp(x, out=x)

    with pytest.raises(AssertionError, match="exp: array 0 was changed: it may change no argument"):
        check(InPlace(), "exp", (np.ones(3),))


def test_a_result_that_shares_memory_is_caught() -> None:
    class Shares(NumpyBackend):
        def cast(self, x: Any, dtype: Any) -> Any:
            return x.astype(dtype, copy=False)

    with pytest.raises(AssertionError, match="must not share an argument's memory"):
        check(Shares(), "cast", (np.zeros(3), np.dtype("float64")))


def test_a_backend_that_ignores_strides_is_caught() -> None:
    class Contiguous(NumpyBackend):
        def exp(self, x: Any) -> Any:
            return np.exp(np.ravel(x, order="K").reshape(x.shape))

    x = np.arange(6.0).reshape(2, 3)
    check(Contiguous(), "exp", (x,))
    with pytest.raises(AssertionError, match=r"exp at index \(0, 1\)"):
        check(Contiguous(), "exp", (x,), "transposed")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(), (0,), (1,), (2, 3), (2, 1, 3)])
def test_layouts_give_the_array(layout: str, shape: tuple[int, ...]) -> None:
    a = np.random.default_rng(0).normal(size=shape)
    got = LAYOUTS[layout].array(get_backend(), a)
    expected = np.broadcast_to(a[:1] if a.ndim else a, shape) if layout == "expanded" else a
    np.testing.assert_array_equal(get_backend().to_numpy(got), expected)
    if shape == (2, 3):
        assert (got.flags.c_contiguous and got.flags.aligned) == (layout == "contiguous")


def suite(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The installed suite, run from an empty folder."""
    command = [sys.executable, "-P", "-m", "pytest", "--pyargs", "tinygrad_edu.testing", "-p", "no:cacheprovider", "-q"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run([*command, *words], cwd=folder, env=environment, text=True, capture_output=True, check=False)


def test_the_suite_passes_on_the_numpy_backend(tmp_path: Path) -> None:
    done = suite(tmp_path, "--tg-backend", "numpy")
    assert done.returncode == 0, done.stdout[-3000:]
    assert " failed" not in done.stdout


def test_the_suite_and_the_ops_treat_arrays_as_opaque(tmp_path: Path) -> None:
    """On a backend whose arrays show their shape and dtype alone; float64 for half of the time."""
    plugin = ["-p", "opaque_backend", "-o", f"pythonpath={Path(__file__).parent}"]
    done = suite(tmp_path, "--tg-backend", "opaque", *plugin, "-k", "not float32 and not test_kernels")
    assert done.returncode == 0, done.stdout[-3000:]


def test_an_unknown_backend_ends_the_suite_at_once(tmp_path: Path) -> None:
    done = suite(tmp_path, "--tg-backend", "nunpy")
    assert done.returncode == 2
    assert "unknown backend 'nunpy' (did you mean 'numpy'?)" in done.stdout + done.stderr


def test_a_primitive_without_a_test_fails_the_suite(tmp_path: Path) -> None:
    (tmp_path / "more.py").write_text(
        "import tinygrad_edu.backend as backend\nbackend.PRIMITIVES = (*backend.PRIMITIVES, 'zeta')\n"
    )
    done = suite(tmp_path, "-p", "more", "-k", "every_primitive or is_offered", "-o", "pythonpath=.")
    assert done.returncode == 1
    assert "test_every_primitive_is_tested" in done.stdout
    assert "has no primitive 'zeta'" in done.stdout


def test_importing_the_tools_imports_neither_torch_nor_pytest() -> None:
    code = (
        "import sys, tinygrad_edu.testing, tinygrad_edu.testing.cases; assert not {'torch', 'pytest'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
