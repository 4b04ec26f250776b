"""Batch normalisation: each channel brought to mean 0 and variance 1 over the batch, then scaled and shifted.

    y = (x - mean) / sqrt(var + eps) * weight + bias        mean and var over all dimensions but the channels' (1)

In training mean and var are the batch's own, and so functions of x that the gradient flows through; the layer's running
statistics follow them, running = (1 - momentum) running + momentum batch. In evaluation the running ones are used.

Source: S. Ioffe and C. Szegedy, "Batch Normalization", ICML 2015, algorithms 1 and 2. As in torch the batch is
normalised by its variance as it is, and the running variance follows the unbiased one, times n / (n - 1).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from tinygrad_edu import Tensor, reshape, rsqrt
from tinygrad_edu.autograd import Value
from tinygrad_edu.backend import Array, Backend
from tinygrad_edu.nn.activations import number
from tinygrad_edu.ops.agree import check_float
from tinygrad_edu.ops.linalg import check_product
from tinygrad_edu.ops.op import fused


def batch_statistics(
    b: Backend, x: Array, running_mean: Array | None = None, running_var: Array | None = None, *, momentum: float = 0.0
) -> tuple[Array, Array]:
    """Mean and variance of each channel, (N, C, ...) -> (C,), (C,); the running ones, if given, follow them.

    In primitives. A backend may offer a kernel `batch_statistics` with the same arguments, without the first.
    """
    axes = (0, *range(2, len(x.shape)))
    n = math.prod([x.shape[axis] for axis in axes])
    mean = b.div(b.sum(x, axes, True), float(n))
    d = b.sub(x, mean)
    var, mean = b.div(b.sum(b.mul(d, d), axes, False), float(n)), b.reshape(mean, x.shape[1:2])
    for running, batch in ((running_mean, mean), (running_var, b.mul(var, n / max(n - 1, 1)))):
        if running is not None:
            b.assign(running, b.add(b.mul(running, 1.0 - momentum), b.mul(batch, momentum)))
    return mean, var


def _checked(*args: Any, **settings: Any) -> None:
    """The fused op below is called by a function that has checked everything."""


@fused(_checked)
def _batch_norm(x, mean, var, weight=None, bias=None, *, training, eps):
    """(N, C, ...), four times (C,) -> (N, C, ...). In training mean and var are x's own, so that no kernel has to
    compute them again, and the gradient with respect to x counts what flows through them.
    """
    if training:
        dims = (0, *range(2, x.ndim))
        mean, var = x.mean(dims), x.var(dims, correction=0)
    along = (x.shape[1], *[1] * (x.ndim - 2))
    scale = rsqrt(var + eps) if weight is None else rsqrt(var + eps) * weight
    y = (x - reshape(mean, along)) * reshape(scale, along)
    return y if bias is None else y + reshape(bias, along)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`input` normalised channel by channel: (N, C, ...) and four times (C,) -> (N, C, ...).

    In training by the batch's own mean and variance, and `running_mean` and `running_var`, if given, follow them, in
    place; otherwise by these two. ValueError for shapes that do not fit, and in training for a single value a channel.
    """
    name = "batch_norm"
    tensors = {"running_mean": running_mean, "running_var": running_var, "weight": weight, "bias": bias}
    given = {key: t for key, t in tensors.items() if t is not None}
    check_float(name, input)
    check_product(name, input, *given.values())
    if input.ndim < 2:
        raise ValueError(f"{name}: expected an input of shape (N, C, ...), got {input.shape}")
    for key, t in given.items():
        if t.shape != input.shape[1:2]:
            raise ValueError(f"{name}: expected {key} of shape {input.shape[1:2]}, one for each channel, got {t.shape}")
    momentum, eps = number(name, "momentum", momentum), number(name, "eps", eps)
    b = input.backend
    if training and 0 in input.shape:  # nothing has no mean: as in torch, the running statistics stay as they are
        training, mean, var = False, input.new_zeros(input.shape[1:2]), input.new_ones(input.shape[1:2])
    elif training:
        if math.prod([n for i, n in enumerate(input.shape) if i != 1]) == 1:
            raise ValueError(f"{name}: in training more than one value a channel is needed, got shape {input.shape}")
        running = [None if t is None else t.data for t in (running_mean, running_var)]
        kernel = getattr(b, "batch_statistics", None)
        statistics: Any = kernel or partial(batch_statistics, b)
        arrays = statistics(input.data, *running, momentum=momentum)
        mean, var = [Value.kind(array, b) for array in arrays]
        for buffer in (running_mean, running_var):
            if buffer is not None:
                buffer.changed()
    elif running_mean is None or running_var is None:
        raise ValueError(f"{name}: in evaluation running_mean and running_var are needed, got None")
    else:
        mean, var = running_mean.detach(), running_var.detach()
    if weight is None and bias is not None:
        weight = input.new_ones(bias.shape)
    return _batch_norm(input, mean, var, weight, bias, training=training, eps=eps)
