"""Clipping of gradients, under torch's names. The arrays do not leave the backend."""

from __future__ import annotations

from collections.abc import Iterable

from tinygrad_edu import Tensor, clamp, clamp_max, no_grad, stack, zeros


def clip_grad_norm_(parameters: Tensor | Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale all gradients together so that their common 2-norm is at most `max_norm`; returns the norm before (0-d).

    Source: R. Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013, algorithm 1.
    """
    params = [p for p in _listed(parameters) if p.grad is not None]
    gradients = [p.grad for p in params if p.grad is not None]
    if max_norm < 0.0:
        raise ValueError(f"clip_grad_norm_: expected max_norm >= 0, got {max_norm}")
    if not params:
        return zeros()
    with no_grad():
        total = stack([(g * g).sum() for g in gradients]).sum().sqrt()
        scale = clamp_max(max_norm / (total + 1e-6), 1.0)  # the epsilon is torch's
        for p, g in zip(params, gradients, strict=True):
            p.grad = g * scale
    return total


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of every gradient to between -clip_value and clip_value."""
    with no_grad():
        for p in _listed(parameters):
            if p.grad is not None:
                p.grad = clamp(p.grad, -clip_value, clip_value)


def _listed(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)
