"""Optimizers, torch's names, arguments, defaults and `state_dict` layout; the schedules are in `optim.lr_scheduler`.

Each optimizer's update is a plain function on one parameter, `sgd`, `rmsprop`, `adadelta`, `adam`, written in backend
primitives below its formula. A backend may offer a one-pass kernel of the same name, which takes lists of arrays, one
for each parameter; it is used instead. All state is made in the constructor, and the learning rate and the step count
are 0-d arrays, changed by `assign`: so a step is a fixed list of backend calls.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from tinygrad_edu import lr_scheduler as lr_scheduler
from tinygrad_edu.backend import Array, Backend
from tinygrad_edu.tensor import Tensor

FLOAT64 = np.dtype(np.float64)


def sgd(
    b: Backend,
    p: Array,
    g: Array,
    lr: Array,
    momentum_buffer: Array | None = None,
    *,
    momentum: float,
    weight_decay: float,
    nesterov: bool,
) -> None:
    """g += λ p;  v = μ v + g;  p -= η v  (Nesterov: p -= η (g + μ v)). Source: I. Sutskever et al., ICML 2013."""
    if weight_decay:
        g = b.add(g, b.mul(p, weight_decay))
    if momentum_buffer is not None:
        b.assign(momentum_buffer, b.add(b.mul(momentum_buffer, momentum), g))
        g = b.add(g, b.mul(momentum_buffer, momentum)) if nesterov else momentum_buffer
    b.assign(p, b.sub(p, b.mul(g, b.cast(lr, p.dtype))))


def rmsprop(
    b: Backend,
    p: Array,
    g: Array,
    lr: Array,
    square_avg: Array,
    momentum_buffer: Array | None = None,
    *,
    alpha: float,
    eps: float,
    weight_decay: float,
    momentum: float,
) -> None:
    """s = α s + (1 - α) g²;  v = μ v + g / (√s + ε);  p -= η v. Source: G. Hinton, Coursera lecture 6e, 2012."""
    if weight_decay:
        g = b.add(g, b.mul(p, weight_decay))
    b.assign(square_avg, b.add(b.mul(square_avg, alpha), b.mul(b.mul(g, g), 1.0 - alpha)))
    step = b.div(g, b.add(b.sqrt(square_avg), eps))
    if momentum_buffer is not None:
        b.assign(momentum_buffer, b.add(b.mul(momentum_buffer, momentum), step))
        step = momentum_buffer
    b.assign(p, b.sub(p, b.mul(step, b.cast(lr, p.dtype))))


def adadelta(
    b: Backend,
    p: Array,
    g: Array,
    lr: Array,
    square_avg: Array,
    acc_delta: Array,
    *,
    rho: float,
    eps: float,
    weight_decay: float,
) -> None:
    """s = ρ s + (1 - ρ) g²;  Δ = g √(d + ε) / √(s + ε);  d = ρ d + (1 - ρ) Δ²;  p -= η Δ.

    A step has the size of the earlier ones, as √d / √s says: the units of p, not those of p's gradient.
    Source: M. Zeiler, "ADADELTA: an adaptive learning rate method", 2012, arXiv:1212.5701, algorithm 1 (η = 1 there).
    """
    if weight_decay:
        g = b.add(g, b.mul(p, weight_decay))
    b.assign(square_avg, b.add(b.mul(square_avg, rho), b.mul(b.mul(g, g), 1.0 - rho)))
    delta = b.mul(b.div(b.sqrt(b.add(acc_delta, eps)), b.sqrt(b.add(square_avg, eps))), g)
    b.assign(acc_delta, b.add(b.mul(acc_delta, rho), b.mul(b.mul(delta, delta), 1.0 - rho)))
    b.assign(p, b.sub(p, b.mul(delta, b.cast(lr, p.dtype))))


def adam(
    b: Backend,
    p: Array,
    g: Array,
    lr: Array,
    step: Array,
    exp_avg: Array,
    exp_avg_sq: Array,
    *,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """m = β₁ m + (1 - β₁) g;  v = β₂ v + (1 - β₂) g²;  p -= η (m / (1 - β₁ᵗ)) / (√(v / (1 - β₂ᵗ)) + ε).

    Weight decay λ is added to the gradient (Adam), or `decoupled`, p *= 1 - ηλ (AdamW).
    Sources: D. Kingma and J. Ba, ICLR 2015, algorithm 1; I. Loshchilov and F. Hutter, ICLR 2019, algorithm 2.
    """
    if weight_decay and decoupled:
        b.assign(p, b.mul(p, b.cast(b.sub(1.0, b.mul(lr, weight_decay)), p.dtype)))
    elif weight_decay:
        g = b.add(g, b.mul(p, weight_decay))
    b.assign(step, b.add(step, 1.0))
    b.assign(exp_avg, b.add(b.mul(exp_avg, beta1), b.mul(g, 1.0 - beta1)))
    b.assign(exp_avg_sq, b.add(b.mul(exp_avg_sq, beta2), b.mul(b.mul(g, g), 1.0 - beta2)))
    rate = b.div(lr, b.sub(1.0, b.pow(beta1, step)))
    correction = b.sqrt(b.sub(1.0, b.pow(beta2, step)))
    denominator = b.add(b.div(b.sqrt(exp_avg_sq), b.cast(correction, p.dtype)), eps)
    b.assign(p, b.sub(p, b.mul(b.div(exp_avg, denominator), b.cast(rate, p.dtype))))


class ParamGroup(dict[str, Any]):
    """Parameters that share settings. `group["lr"] = 0.1` writes into the 0-d Tensor that the step reads."""

    def __setitem__(self, key: str, value: Any) -> None:
        if key == "lr" and isinstance(self.get("lr"), Tensor):
            self["lr"].fill_(float(value))
        else:
            super().__setitem__(key, value)


class Optimizer:
    """Base of the optimizers. A subclass names its update (`update`), its state (`slots`) and checks its settings.

    `params`: Tensors, or dictionaries {"params": Tensors, "lr": ..., ...} with settings of their own. ValueError for no
    parameters, one given twice, and settings out of range.
    """

    update: Callable[..., None]
    settings: tuple[str, ...] = ()  # the names of what `update` takes by keyword

    def __init__(self, params: Iterable[Any], **defaults: Any) -> None:
        listed = list(params)
        if not listed:
            raise ValueError(f"{type(self).__name__}: expected at least one parameter, got none")
        self.param_groups: list[ParamGroup] = []
        self.state: dict[Tensor, dict[str, Tensor]] = {}
        self.defaults = defaults
        for group in listed if isinstance(listed[0], dict) else [{"params": listed}]:
            self.add_param_group(group)

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Train further parameters; settings that are not given are as in the constructor."""
        name = type(self).__name__
        given = group.get("params", ())
        params = [given] if isinstance(given, Tensor) else list(given)
        if not params:
            raise ValueError(
                f"{name}: expected 'params' of a group to be at least one Tensor, got none; it has {sorted(group)}"
            )
        settings = {key: value for key, value in {**self.defaults, **group}.items() if key != "params"}
        for key, value in settings.items():
            self._check(name, key, value)
        for p in params:
            if not isinstance(p, Tensor) or not p.is_leaf or p.dtype.kind != "f":
                raise TypeError(f"{name}: expected leaf Tensors of floats to train, got {p!r:.80}")
            if p in self.state:
                raise ValueError(f"{name}: a parameter of shape {p.shape} was given twice")
            self.state[p] = {slot: _zeros_like(p, slot) for slot in self.slots(settings)}
        lr = Tensor(params[0].backend.from_numpy(np.array(settings["lr"], FLOAT64)), params[0].backend)
        self.param_groups.append(ParamGroup({**settings, "params": params, "lr": lr}))

    def slots(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """The names of the state of each parameter, in the order in which `update` takes them."""
        return ()

    @staticmethod
    def _check(name: str, key: str, value: Any) -> None:
        if key == "betas":
            if not isinstance(value, (tuple, list)) or len(value) != 2 or not all(0.0 <= beta < 1.0 for beta in value):
                raise ValueError(f"{name}: expected two betas from 0 to below 1, got {value}")
        elif not isinstance(value, (bool, int, float)) or not 0.0 <= value < math.inf:
            raise ValueError(f"{name}: expected {key} to be a finite number >= 0, got {value!r}")
        elif key == "rho" and value > 1.0:
            raise ValueError(f"{name}: expected rho from 0 to 1, got {value}")

    def zero_grad(self) -> None:
        """Forget all gradients (they become None)."""
        for p in self.state:
            p.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient, in place."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if p.grad.data.shape != p.data.shape or p.grad.backend is not p.backend:
                    raise ValueError(f"step: a gradient of shape {p.grad.shape} does not fit a parameter of {p.shape}")
            if params:
                self._update(params, group["lr"].data, self.arguments(group))

    def _update(self, params: list[Tensor], lr: Array, settings: dict[str, Any]) -> None:
        """By the backend's kernel, which takes lists (parameters, gradients, each slot of state), or one by one."""
        backend = params[0].backend
        arrays, grads = [p.data for p in params], [p.grad.data for p in params if p.grad is not None]
        slots = [[t.data for t in slot] for slot in zip(*[self.state[p].values() for p in params], strict=True)]
        kernel = getattr(backend, self.update.__name__, None)
        if kernel is not None:
            kernel(arrays, grads, lr, *slots, **settings)
        else:
            for p, g, *state in zip(arrays, grads, *slots, strict=True):
                self.update(backend, p, g, lr, *state, **settings)
        for p in params:
            p.changed()

    def arguments(self, group: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a group that `update` takes by keyword."""
        return {key: group[key] for key in self.settings}

    def state_dict(self) -> dict[str, Any]:
        """Torch's layout: {"state": {i: {name: Tensor}}, "param_groups": [{settings, "params": [i, ...]}]}."""
        index = {p: i for i, p in enumerate(self.state)}
        groups = [
            {**group, "lr": group["lr"].item(), "params": [index[p] for p in group["params"]]}
            for group in self.param_groups
        ]
        state = {i: {name: t.detach() for name, t in self.state[p].items()} for p, i in index.items() if self.state[p]}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, tree: Mapping[str, Any]) -> None:
        """Go on from a `state_dict()`, ours or torch's.

        ValueError if it is of other parameters or another optimizer; nothing has been changed then.
        """
        name, groups = type(self).__name__, tree["param_groups"]
        sizes = [len(group["params"]) for group in self.param_groups], [len(group["params"]) for group in groups]
        if sizes[0] != sizes[1]:
            raise ValueError(f"{name}: expected groups of {sizes[0]} parameters in the state, got {sizes[1]}")
        loaded = {int(i): slots for i, slots in tree["state"].items()}
        arrays: list[tuple[Tensor, np.ndarray]] = []
        for i, own in enumerate(self.state.values()):
            slots = loaded.get(i, {})
            if {*own} != {*slots} - ({"step"} - {*own}):  # torch's RMSprop and Adadelta count, and make no use of it
                raise ValueError(f"{name}: parameter {i} has state {sorted(own)}, the one loaded {sorted(slots)}")
            for slot, tensor in own.items():
                value = slots[slot]
                array = np.asarray(value.numpy() if hasattr(value, "numpy") else value)
                if array.shape != tensor.shape:
                    raise ValueError(f"{name}: '{slot}' of parameter {i} has shape {tensor.shape}, got {array.shape}")
                arrays.append((tensor, array))
        for tensor, array in arrays:
            tensor.copy_(Tensor(tensor.backend.from_numpy(array), tensor.backend).to(tensor.dtype))
        for group, values in zip(self.param_groups, groups, strict=True):
            for key, value in values.items():
                if key in group and key != "params":
                    group[key] = tuple(value) if isinstance(value, list) else value


def _zeros_like(p: Tensor, slot: str) -> Tensor:
    """State that begins at zero: of the parameter's shape and dtype, or a 0-d float64 for the step count."""
    array = np.zeros((), FLOAT64) if slot == "step" else np.zeros(p.shape, p.dtype)
    return Tensor(p.backend.from_numpy(array), p.backend)


class SGD(Optimizer):
    """Gradient descent, with momentum, Nesterov's momentum, weight decay. See `sgd` for the formula."""

    update = staticmethod(sgd)
    settings = ("momentum", "weight_decay", "nesterov")

    def __init__(
        self, params: Any, lr: float = 1e-3, momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False
    ) -> None:
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov=True needs a momentum > 0")
        super().__init__(params, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=nesterov)

    def slots(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if settings["momentum"] else ()


class RMSprop(Optimizer):
    """Gradients divided by a running root of their mean square. See `rmsprop` for the formula."""

    update = staticmethod(rmsprop)
    settings = ("alpha", "eps", "weight_decay", "momentum")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, weight_decay=weight_decay, momentum=momentum)

    def slots(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        return ("square_avg", "momentum_buffer") if settings["momentum"] else ("square_avg",)


class Adadelta(Optimizer):
    """Gradients scaled to the size of the steps before. See `adadelta` for the formula."""

    update = staticmethod(adadelta)
    settings = ("rho", "eps", "weight_decay")

    def __init__(
        self, params: Any, lr: float = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0.0
    ) -> None:
        super().__init__(params, lr=lr, rho=rho, eps=eps, weight_decay=weight_decay)

    def slots(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        return ("square_avg", "acc_delta")


class Adam(Optimizer):
    """Adaptive moments. See `adam` for the formula."""

    update = staticmethod(adam)
    decoupled = False

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def slots(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        return ("step", "exp_avg", "exp_avg_sq")

    def arguments(self, group: Mapping[str, Any]) -> dict[str, Any]:
        return {
            "beta1": group["betas"][0],
            "beta2": group["betas"][1],
            "eps": group["eps"],
            "weight_decay": group["weight_decay"],
            "decoupled": self.decoupled,
        }


class AdamW(Adam):
    """Adam with decoupled weight decay."""

    decoupled = True

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)
