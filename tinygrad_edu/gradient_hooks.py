"""Hooks: functions of the user's that see, and may replace, the gradient of one Tensor on its way back.

They are kept, in the order of their registration, by the node that made the Tensor, or by the Tensor itself if it is a
leaf. `walk` in autograd.py calls them with the complete gradient: for a leaf before it is added to `.grad`.
Semantics are torch's, see its documentation of `Tensor.register_hook` and `Tensor.retain_grad`.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tinygrad_edu.tensor import Tensor

    Hook = Callable[[Tensor], Tensor | None]
    Hooks = dict[float, Hook]  # by their age

_ages = itertools.count()
_LAST = float("inf")  # where `retain_grad` stands: after all others


class Handle:
    """What registering a hook gives: `remove()` takes the hook off again."""

    def __init__(self, hooks: dict[float, Any], hook: Callable[..., Any]) -> None:
        self.hooks, self.key = hooks, next(_ages)
        hooks[self.key] = hook

    def remove(self) -> None:
        """Take the hook off; the second time nothing happens."""
        self.hooks.pop(self.key, None)


def _hooks_of(name: str, x: Tensor) -> Hooks:
    """Where x's hooks are kept. RuntimeError if x gets no gradient."""
    if not x.tracked:
        raise RuntimeError(f"{name}: this Tensor gets no gradient; call requires_grad_() on what it is computed from")
    home: Any = x.node or x
    if getattr(home, "hooks", None) is None:
        home.hooks = {}
    return home.hooks


def register_hook(x: Tensor, hook: Hook) -> Handle:
    """A handle on `hook`, which from now on sees x's gradient. RuntimeError if x gets none."""
    hooks = _hooks_of("register_hook", x)
    if not callable(hook):
        raise TypeError(f"register_hook: expected a function of the gradient, got {type(hook).__name__}")
    return Handle(hooks, hook)


def retain_grad(x: Tensor) -> None:
    """Have the result `x` keep its gradient in `.grad`, as a leaf does. RuntimeError if x gets none."""
    hooks = _hooks_of("retain_grad", x)
    result = weakref.ref(x)  # the node must not hold its own result

    def keep(g: Tensor) -> None:
        out = result()
        if out is not None:
            out.grad = g.clone() if out.grad is None else out.grad + g

    if x.node is not None:
        hooks[_LAST] = keep


def call_hooks(hooks: Hooks, g: Tensor, recorded: bool) -> Tensor:
    """What the hooks make of the gradient `g`, in memory of its own: a hook may have kept what it saw.

    ValueError or TypeError for a hook that returns something other than such a gradient, RuntimeError for one that
    changes it in place.
    """
    g = (g if recorded else g.kind(g.data, g.backend)).clone()  # of its own, and no Cotangent is shown to users
    for _, hook in sorted(hooks.items()):
        out = hook(g)
        if g.version is not None and g.version[0]:
            raise RuntimeError("hook: the gradient was changed in place, which others see as well; return a new one")
        if out is not None:
            _check(out, g)
            g = out
    return (g if recorded else g.cotangent(g.data, g.backend)).clone()


def _check(out: Any, g: Tensor) -> None:
    if not isinstance(out, g.kind):
        raise TypeError(f"hook: expected a Tensor in the gradient's place, or None, got {type(out).__name__}")
    if out.backend is not g.backend:
        raise ValueError(f"hook: expected a Tensor on backend '{g.backend.name}', got '{out.backend.name}'")
    if (out.shape, out.dtype) != (g.shape, g.dtype):
        raise ValueError(
            f"hook: expected a Tensor of shape {g.shape} and {g.dtype} like the gradient, got {out.shape}, {out.dtype}"
        )
