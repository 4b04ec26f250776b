"""The kernels that a backend offers, each against its readable body: fused ops, and the optimizers' steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_edu
from tinygrad_edu import optim
from tinygrad_edu.backend import Backend
from tinygrad_edu.nn import functional  # noqa: F401  (its losses are fused ops too)
from tinygrad_edu.ops import FUSED
from tinygrad_edu.testing.cases import ROWS, Case, cases
from tinygrad_edu.testing.compare import TOLERANCE, Ours, assert_close, compare, trace
from tinygrad_edu.testing.rows import TinygradNames
from tinygrad_edu.testing.variants import LAYOUTS

pytestmark = pytest.mark.filterwarnings("error")

STEPS: dict[str, Callable[..., None]] = {
    "sgd": optim.sgd,
    "rmsprop": optim.rmsprop,
    "adadelta": optim.adadelta,
    "adam": optim.adam,
}
EACH_CASE = [
    case for row in ROWS if row.name in FUSED for dtype in ("float32", "float64") for case in cases(row, dtype)
]


class WithoutKernels:
    """A backend with its primitives alone, so that every fused op runs its body."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.name = f"{backend.name} without kernels"

    def __getattr__(self, name: str) -> Any:
        if name.removesuffix("_vjp") in FUSED or name in (*STEPS, "batch_statistics"):
            raise AttributeError(name)
        return getattr(self.backend, name)


@pytest.fixture(scope="session")
def bodies(tg_backend: Backend) -> Any:
    """The backend under test without its kernels."""
    return WithoutKernels(tg_backend)


def test_every_fused_op_has_cases() -> None:
    assert FUSED.keys() <= {case.row.name for case in EACH_CASE}


@pytest.mark.parametrize("name", sorted(FUSED))
def test_kernels_come_in_pairs(tg_backend: Backend, name: str) -> None:
    if getattr(tg_backend, name, None) is not None:
        assert callable(getattr(tg_backend, f"{name}_vjp", None)), f"expected {name}_vjp beside {name}"


@pytest.mark.parametrize("case", EACH_CASE, ids=str)
def test_fused_op(tg_backend: Backend, bodies: Any, case: Case) -> None:
    """Kernel and body give the same values and gradients."""
    if getattr(tg_backend, case.row.name, None) is None:
        pytest.skip(f"backend {tg_backend.name!r} has no kernel for {case.row.name}: its body runs")
    f = case.f(TinygradNames())
    with_kernel, with_body = (trace(Ours(b), f, case.inputs(b), case.order) for b in (tg_backend, bodies))
    compare(with_kernel, with_body, "the body")


@pytest.mark.parametrize("case", [case for case in EACH_CASE if case.order], ids=str)
def test_fused_op_computes_only_what_is_wanted(tg_backend: Backend, case: Case) -> None:
    """With a gradient wanted for one input alone, it is the same as with all wanted."""
    ours, f = Ours(tg_backend), case.f(TinygradNames())
    inputs = case.inputs(tg_backend)
    floats = [i for i, x in enumerate(inputs) if x.dtype.kind == "f"]
    everything = trace(ours, f, inputs, 1)
    for wanted in floats:
        leaves = [ours.leaf(x, i == wanted) for i, x in enumerate(inputs)]
        out = f(*leaves)
        if not out.requires_grad:  # a loss's weight, which gets no gradient
            assert not everything[f"gradient of input {wanted}"].any()
            continue
        seed = np.random.default_rng(0)  # the cotangent that `trace` begins with
        g = seed.uniform(0.5, 1.5, out.shape) * seed.choice([-1, 1], out.shape)
        (gx,) = tinygrad_edu.grad(out, leaves[wanted], ours.leaf(g.astype(out.dtype), False))
        assert gx is not None
        name = f"gradient of input {wanted}"
        compare({name: ours.numpy(gx)}, {name: everything[name]}, "all wanted")


def settings(name: str) -> list[dict[str, Any]]:
    """Settings of one optimizer's step, each switched on and off."""
    if name == "sgd":
        return [
            {"momentum": momentum, "weight_decay": decay, "nesterov": nesterov}
            for momentum, nesterov in ((0.0, False), (0.9, False), (0.9, True))
            for decay in (0.0, 0.1)
        ]
    if name == "rmsprop":
        return [
            {"alpha": 0.9, "eps": 1e-8, "weight_decay": decay, "momentum": momentum}
            for momentum in (0.0, 0.9)
            for decay in (0.0, 0.1)
        ]
    if name == "adadelta":
        return [{"rho": 0.9, "eps": 1e-6, "weight_decay": decay} for decay in (0.0, 0.1)]
    return [
        {"beta1": 0.9, "beta2": 0.99, "eps": 1e-8, "weight_decay": decay, "decoupled": decoupled}
        for decay in (0.0, 0.1)
        for decoupled in (False, True)
    ]


def arrays(name: str, chosen: dict[str, Any], shape: tuple[int, ...], dtype: str) -> list[np.ndarray]:
    """Parameter, rate and state as the constructor makes them."""
    p = np.random.default_rng(0).normal(size=shape).astype(dtype)
    state = {
        "sgd": [np.zeros_like(p)] * (chosen.get("momentum", 0.0) > 0),
        "rmsprop": [np.zeros_like(p)] * (1 + (chosen.get("momentum", 0.0) > 0)),
        "adadelta": [np.zeros_like(p), np.zeros_like(p)],
        "adam": [np.zeros(()), np.zeros_like(p), np.zeros_like(p)],
    }
    return [p, np.array(0.05), *state[name]]


@pytest.mark.parametrize("layout", ["contiguous", "transposed"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 5), (20_001,)], ids=str)
@pytest.mark.parametrize("name", sorted(STEPS))
def test_optimizer_step(tg_backend: Backend, name: str, shape: tuple[int, ...], dtype: str, layout: str) -> None:
    """Five steps by kernel and by body lead to the same parameter and the same state; the gradient stays as it was."""
    kernel = getattr(tg_backend, name, None)
    if kernel is None:
        pytest.skip(f"backend {tg_backend.name!r} has no kernel for {name}: its body runs")
    for chosen in settings(name):
        sides = []
        for _ in range(2):
            made = [LAYOUTS[layout].array(tg_backend, a.copy()) for a in arrays(name, chosen, shape, dtype)]
            sides.append(made)
        rng = np.random.default_rng(1)
        for _ in range(5):
            gradient = rng.normal(size=shape).astype(dtype)
            g = LAYOUTS[layout].array(tg_backend, gradient)
            (p, lr, *state), (q, lr_q, *state_q) = sides
            kernel([p], [g], lr, *[[slot] for slot in state], **chosen)
            np.testing.assert_array_equal(tg_backend.to_numpy(g), gradient)
            STEPS[name](tg_backend, q, g, lr_q, *state_q, **chosen)
        for i, (ours, theirs) in enumerate(zip(*sides, strict=True)):
            got, expected = np.array(tg_backend.to_numpy(ours)), np.array(tg_backend.to_numpy(theirs))
            assert_close(f"{name}({chosen}), array {i}", got, expected, "the body", TOLERANCE[got.dtype])
