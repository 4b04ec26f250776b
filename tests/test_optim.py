"""Optimizers against torch in float64, on the kernels and on the readable bodies; their state; bad settings."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
import tinygrad_edu.nn.functional as F
from tinygrad_edu import Tensor, nn, optim
from tinygrad_edu.backends.numpy_backend import NumpyBackend

Needs = Callable[[str], ModuleType]


class Bodies(NumpyBackend):
    """The NumPy backend without kernels: the updates' bodies run."""

    name = "bodies"
    sgd = rmsprop = adadelta = adam = linear = cross_entropy = None  # type: ignore[assignment]


BACKENDS = {"kernels": NumpyBackend(), "bodies": Bodies()}
SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "weight_decay": 0.05}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    ("RMSprop", {"lr": 0.01}),
    ("RMSprop", {"lr": 0.01, "alpha": 0.9, "eps": 1e-4, "weight_decay": 0.05}),
    ("RMSprop", {"lr": 0.003, "momentum": 0.9}),
    ("RMSprop", {"lr": 0.003, "momentum": 0.9, "weight_decay": 0.05}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.05}),
    ("AdamW", {"lr": 0.01}),
    ("AdamW", {"lr": 0.01, "betas": (0.8, 0.95), "weight_decay": 0.3}),
    ("Adadelta", {"lr": 1.0, "eps": 1e-3}),
    ("Adadelta", {"lr": 3.0, "rho": 0.7, "eps": 1e-2, "weight_decay": 0.01}),
]
IDS = ["-".join([name, *map(str, settings)]) for name, settings in SETTINGS]
# Rounding errors grow along a training, by the loss's curvature; in 200 steps of this one they stay well below it.
RTOL = 1e-9


def problem() -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Weights of a 5-8-3 network with tanh, 20 samples, their classes, from seed 0."""
    rng = np.random.default_rng(0)
    weights = [rng.uniform(-0.5, 0.5, shape) for shape in [(8, 5), (8,), (3, 8), (3,)]]
    return weights, rng.standard_normal((20, 5)), rng.integers(0, 3, 20)


class Ours:
    """The network on our Tensor."""

    def __init__(self, backend: Any = None) -> None:
        backend = backend or tg.get_backend()
        weights, x, y = problem()
        self.params: list[Any] = [Tensor(backend.from_numpy(w), backend).requires_grad_() for w in weights]
        self.x, self.y = (Tensor(backend.from_numpy(a), backend) for a in (x, y))
        self.lib: Any = F

    def step(self, optimizer: Any) -> float:
        """One training step; the loss before it."""
        w1, b1, w2, b2 = self.params
        loss = self.lib.cross_entropy(self.lib.linear(self.lib.linear(self.x, w1, b1).tanh(), w2, b2), self.y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    def numpy(self) -> list[np.ndarray]:
        """The weights."""
        return [p.detach().numpy() for p in self.params]


class Theirs(Ours):
    """The same in torch."""

    def __init__(self, torch: Any) -> None:
        weights, x, y = problem()
        self.params = [torch.tensor(w).requires_grad_() for w in weights]
        self.x, self.y = torch.tensor(x), torch.tensor(y)
        self.lib = torch.nn.functional


def assert_same_weights(ours: Ours, theirs: Ours, rtol: float = RTOL) -> None:
    for p, q in zip(ours.numpy(), theirs.numpy(), strict=True):
        np.testing.assert_allclose(p, q, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=IDS)
def test_200_steps_are_torchs(needs: Needs, backend: str, name: str, settings: dict[str, Any]) -> None:
    torch = needs("torch")
    ours, theirs = Ours(BACKENDS[backend]), Theirs(torch)
    mine, yours = getattr(optim, name)(ours.params, **settings), getattr(torch.optim, name)(theirs.params, **settings)
    losses = [ours.step(mine) for _ in range(200)]
    expected = [theirs.step(yours) for _ in range(200)]
    assert losses == pytest.approx(expected, rel=RTOL, abs=0.0)
    assert losses[-1] < 0.9 * losses[0]
    assert_same_weights(ours, theirs)


@pytest.mark.parametrize("name", ["SGD", "RMSprop", "Adadelta", "Adam", "AdamW"])
def test_the_defaults_are_torchs(needs: Needs, name: str) -> None:
    torch = needs("torch")
    ours, theirs = Ours(), Theirs(torch)
    mine, yours = getattr(optim, name)(ours.params), getattr(torch.optim, name)(theirs.params)
    for _ in range(5):
        ours.step(mine)
        theirs.step(yours)
    assert_same_weights(ours, theirs, 1e-13)


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_groups_have_settings_of_their_own(needs: Needs, name: str) -> None:
    torch = needs("torch")
    ours, theirs = Ours(), Theirs(torch)
    optimizers = []
    for network, lib in ((ours, optim), (theirs, torch.optim)):
        w1, b1, w2, b2 = network.params
        optimizer = getattr(lib, name)([{"params": [w1, w2], "weight_decay": 0.1}, {"params": b1, "lr": 0.02}], lr=0.01)
        optimizer.add_param_group({"params": [b2], "lr": 0.03})
        optimizer.param_groups[2]["lr"] = 0.04
        optimizers.append(optimizer)
    for _ in range(50):
        assert ours.step(optimizers[0]) == pytest.approx(theirs.step(optimizers[1]), rel=1e-11)
    assert_same_weights(ours, theirs, 1e-11)
    assert [group["lr"].item() for group in optimizers[0].param_groups] == [0.01, 0.02, 0.04]


@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=IDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_kernels_are_their_bodies(name: str, settings: dict[str, Any], dtype: Any) -> None:
    """Also where a kernel works in blocks, on a transposed parameter, a single number, and nothing."""
    rng = np.random.default_rng(0)
    shapes = [(40_000,), (3, 4), (), (0, 2)]
    start = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    start[1] = start[1].T
    found = []
    for backend in BACKENDS.values():
        rng = np.random.default_rng(1)
        params = [Tensor(backend.from_numpy(p.copy(order="K")), backend).requires_grad_() for p in start]
        optimizer = getattr(optim, name)(params, **settings)
        for _ in range(5):
            for p in params:
                p.grad = Tensor(backend.from_numpy(rng.standard_normal(p.shape[::-1]).astype(dtype).T), backend)
            optimizer.step()
        found.append([p.detach().numpy() for p in params])
    for p, q in zip(*found, strict=True):
        assert p.dtype == dtype
        # 100 roundings on numbers of order 1
        np.testing.assert_allclose(p, q, rtol=100 * np.finfo(dtype).eps, atol=100 * np.finfo(dtype).eps)


def test_a_parameter_without_gradient_stays() -> None:
    a, b = tg.ones(2, requires_grad=True), tg.ones(2, requires_grad=True)
    optimizer = optim.Adam([a, b], lr=0.1, weight_decay=0.1)
    a.sum().backward()
    optimizer.step()
    assert b.tolist() == [1.0, 1.0]
    assert a.tolist() != [1.0, 1.0]
    optimizer.zero_grad()
    assert a.grad is None


def test_frozen_parameters_are_left_alone() -> None:
    layer = nn.Linear(2, 2)
    layer.weight.requires_grad_(False)
    before = layer.weight.tolist()
    optimizer = optim.SGD(layer.parameters(), lr=0.1)
    layer(tg.ones(1, 2)).sum().backward()
    optimizer.step()
    assert layer.weight.tolist() == before


# --- state -----------------------------------------------------------------------------------------------------------

STATEFUL = [SETTINGS[i] for i in (0, 3, 6, 9, 11, 13, 14)]
STATEFUL_IDS = [IDS[i] for i in (0, 3, 6, 9, 11, 13, 14)]


@pytest.mark.parametrize(("name", "settings"), STATEFUL, ids=STATEFUL_IDS)
def test_state_goes_round(name: str, settings: dict[str, Any]) -> None:
    whole, first, second = Ours(), Ours(), Ours()
    make = getattr(optim, name)
    optimizer = make(whole.params, **settings)
    expected = [whole.step(optimizer) for _ in range(20)]
    before = make(first.params, **settings)
    losses = [first.step(before) for _ in range(10)]
    with tg.no_grad():
        for p, q in zip(second.params, first.params, strict=True):
            p.copy_(q)
    after = make(second.params, lr=9.0, momentum=0.5) if "momentum" in settings else make(second.params, lr=9.0)
    after.load_state_dict(before.state_dict())
    assert losses + [second.step(after) for _ in range(10)] == expected  # to the bit
    assert before.state_dict()["param_groups"] == first_groups(before)


def first_groups(optimizer: Any) -> list[dict[str, Any]]:
    """What the state says of an optimizer with one group of four parameters."""
    (group,) = optimizer.param_groups
    return [{**group, "lr": group["lr"].item(), "params": [0, 1, 2, 3]}]


@pytest.mark.parametrize(("name", "settings"), STATEFUL, ids=STATEFUL_IDS)
def test_torchs_state_loads_and_goes_on_equal(needs: Needs, name: str, settings: dict[str, Any]) -> None:
    torch = needs("torch")
    ours, theirs = Ours(), Theirs(torch)
    yours = getattr(torch.optim, name)(theirs.params, **settings)
    for _ in range(10):
        theirs.step(yours)
    with tg.no_grad():
        for p, q in zip(ours.params, theirs.numpy(), strict=True):
            p.copy_(tg.tensor(q))
    mine = getattr(optim, name)(ours.params, lr=9.0, **({"momentum": 0.1} if "momentum" in settings else {}))
    mine.load_state_dict(yours.state_dict())
    for _ in range(20):
        assert ours.step(mine) == pytest.approx(theirs.step(yours), rel=1e-11)
    own, other = mine.state_dict(), yours.state_dict()
    assert set(own["param_groups"][0]) <= set(other["param_groups"][0])
    assert own["state"].keys() == other["state"].keys()
    for i, slots in own["state"].items():
        for slot, value in slots.items():
            np.testing.assert_allclose(value.numpy(), other["state"][i][slot].numpy(), rtol=1e-9, atol=1e-15)


def test_a_state_that_does_not_fit_changes_nothing() -> None:
    a, b = tg.ones(2, requires_grad=True), tg.ones(3, requires_grad=True)
    optimizer = optim.SGD([a, b], lr=0.1, momentum=0.9)
    state = optimizer.state_dict()
    with pytest.raises(ValueError, match=r"SGD: expected groups of \[2\] parameters in the state, got \[1\]"):
        optimizer.load_state_dict(optim.SGD([a], lr=0.1).state_dict())
    message = r"SGD: parameter 0 has state \['momentum_buffer'\], the one loaded \['exp_avg', 'exp_avg_sq', 'step'\]"
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(optim.Adam([a, b]).state_dict())
    other = {"state": {i: {"momentum_buffer": np.ones(2)} for i in (0, 1)}, "param_groups": state["param_groups"]}
    with pytest.raises(ValueError, match=r"SGD: 'momentum_buffer' of parameter 1 has shape \(3,\), got \(2,\)"):
        optimizer.load_state_dict(other)
    assert [x.tolist() for slots in optimizer.state.values() for x in slots.values()] == [[0.0] * 2, [0.0] * 3]


# --- mistakes --------------------------------------------------------------------------------------------------------


def p() -> Any:
    return tg.ones(2, requires_grad=True)


MISTAKES: list[tuple[type[Exception], Callable[[], Any], str]] = [
    (ValueError, lambda: optim.SGD([]), "SGD: expected at least one parameter, got none"),
    (ValueError, lambda: optim.SGD([p()], lr=-0.1), "SGD: expected lr to be a finite number >= 0, got -0.1"),
    (ValueError, lambda: optim.Adadelta([p()], rho=1.1), "Adadelta: expected rho from 0 to 1, got 1.1"),
    (ValueError, lambda: optim.Adam([p()], lr=math.nan), "Adam: expected lr to be a finite number >= 0, got nan"),
    (ValueError, lambda: optim.Adam([p()], lr=math.inf), "Adam: expected lr to be a finite number >= 0, got inf"),
    (ValueError, lambda: optim.Adam([p()], eps=-1e-8), "Adam: expected eps to be a finite number >= 0, got -1e-08"),
    (ValueError, lambda: optim.AdamW([p()], weight_decay=-1.0), "AdamW: expected weight_decay to be a finite number"),
    (
        ValueError,
        lambda: optim.RMSprop([p()], lr="fast"),
        "RMSprop: expected lr to be a finite number >= 0, got 'fast'",
    ),  # type: ignore[arg-type]
    (
        ValueError,
        lambda: optim.Adam([p()], betas=(0.9, 1.0)),
        "Adam: expected two betas from 0 to below 1, got (0.9, 1",
    ),
    (ValueError, lambda: optim.Adam([p()], betas=(0.9,)), "Adam: expected two betas from 0 to below 1, got (0.9,)"),  # type: ignore[arg-type]
    (ValueError, lambda: optim.Adam([p()], betas=0.9), "Adam: expected two betas from 0 to below 1, got 0.9"),  # type: ignore[arg-type]
    (ValueError, lambda: optim.SGD([{"params": []}]), "SGD: expected 'params' of a group to be at least one Tensor"),
    (ValueError, lambda: optim.SGD([{"parms": p()}]), "SGD: expected 'params' of a group to be at least one Tensor"),
    (ValueError, lambda: optim.SGD([p()], nesterov=True), "SGD: nesterov=True needs a momentum > 0"),
    (ValueError, lambda: optim.SGD([q := p(), q]), "SGD: a parameter of shape (2,) was given twice"),
    (ValueError, lambda: optim.SGD([{"params": p(), "lr": -1.0}]), "SGD: expected lr to be a finite number >= 0"),
    (TypeError, lambda: optim.SGD([p() * 2.0]), "SGD: expected leaf Tensors of floats to train, got tensor("),
    (TypeError, lambda: optim.SGD([tg.tensor([1])]), "SGD: expected leaf Tensors of floats to train, got tensor("),
    (TypeError, lambda: optim.SGD([np.ones(2)]), "SGD: expected leaf Tensors of floats to train, got array("),
]


@pytest.mark.parametrize(("kind", "mistake", "message"), MISTAKES, ids=[row[2][:40] for row in MISTAKES])
def test_bad_settings(kind: type[Exception], mistake: Callable[[], Any], message: str) -> None:
    with pytest.raises(kind) as caught:
        mistake()
    assert message in str(caught.value)


def test_a_gradient_that_does_not_fit() -> None:
    w = p()
    w.grad = tg.ones(3)
    with pytest.raises(ValueError, match=r"a gradient of shape \(3,\) does not fit .*parameter.* \(2,\)"):
        optim.SGD([w]).step()
    assert w.tolist() == [1.0, 1.0]
