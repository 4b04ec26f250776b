"""Modules that are one function of `nn.functional` with its settings: activations and losses, under torch's names.

The constructor takes what the function takes after its Tensors. What is a Tensor among it (a loss's weight) becomes a
buffer, and so is in the `state_dict`.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, ClassVar

from tinygrad_edu import Tensor
from tinygrad_edu.nn import functional as F
from tinygrad_edu.nn.module import Module


class FunctionLayer(Module):
    """Base of these: `function` is called with the Module's inputs, `tensors` of them, and with the settings.

    TypeError for settings that the function does not have.
    """

    function: ClassVar[Callable[..., Tensor]]
    tensors: ClassVar[int] = 1

    def __init__(self, *args: Any, **settings: Any) -> None:
        try:
            bound = signature(type(self).function).bind(*[None] * self.tensors, *args, **settings)
        except TypeError as error:
            raise TypeError(f"{type(self).__name__}: {error}") from error
        bound.apply_defaults()
        chosen = list(bound.arguments.items())[self.tensors :]
        self.settings = tuple([name for name, _ in chosen])
        for name, value in chosen:
            if isinstance(value, Tensor):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, *tensors: Tensor) -> Tensor:
        """What the function makes of the inputs."""
        return type(self).function(*tensors, **{name: getattr(self, name) for name in self.settings})

    def extra_repr(self) -> str:
        shown = {name: getattr(self, name) for name in self.settings}
        return ", ".join(f"{name}={v!r}" for name, v in shown.items() if v is not None and not isinstance(v, Tensor))


class Identity(Module):
    """Gives its input; takes any arguments, so that it can stand in for another Module."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        pass

    def forward(self, x: Any) -> Any:
        """x itself."""
        return x


# Activations: any shape, unchanged.


class LeakyReLU(FunctionLayer):
    """x where x > 0, else negative_slope * x (0.01)."""

    function = F.leaky_relu


class ELU(FunctionLayer):
    """x where x > 0, else alpha * (exp(x) - 1), alpha = 1."""

    function = F.elu


class SELU(FunctionLayer):
    """elu with constants that keep mean 0 and variance 1 from layer to layer."""

    function = F.selu


class CELU(FunctionLayer):
    """x where x > 0, else alpha * (exp(x / alpha) - 1), alpha = 1."""

    function = F.celu


class GELU(FunctionLayer):
    """x times the normal distribution's P(X <= x); `approximate` 'none' or 'tanh'."""

    function = F.gelu

    def __init__(self, approximate: str = "none") -> None:
        super().__init__(approximate=approximate)


class SiLU(FunctionLayer):
    """x sigmoid(x)."""

    function = F.silu


class Mish(FunctionLayer):
    """x tanh(softplus(x))."""

    function = F.mish


class Softplus(FunctionLayer):
    """log(1 + exp(beta x)) / beta, beta = 1; x itself where beta x > threshold (20)."""

    function = F.softplus


class Softsign(FunctionLayer):
    """x / (1 + |x|)."""

    function = F.softsign


class LogSigmoid(FunctionLayer):
    """log(sigmoid(x)), without overflow."""

    function = F.logsigmoid


class Hardtanh(FunctionLayer):
    """x limited to min_val..max_val (-1..1)."""

    function = F.hardtanh


class ReLU6(FunctionLayer):
    """x limited to 0..6."""

    function = F.relu6


class Hardsigmoid(FunctionLayer):
    """(x + 3) / 6 limited to 0..1."""

    function = F.hardsigmoid


class Hardswish(FunctionLayer):
    """x hardsigmoid(x)."""

    function = F.hardswish


class GLU(FunctionLayer):
    """a sigmoid(b), a and b being the halves along `dim` (-1): (..., 2 n, ...) -> (..., n, ...)."""

    function = F.glu


class LogSoftmax(FunctionLayer):
    """log(softmax(x)) along `dim`."""

    function = F.log_softmax


# Losses: input, target -> ().


class Loss(FunctionLayer):
    """Base of the losses: `loss(input, target)`."""

    tensors = 2


class CrossEntropyLoss(Loss):
    """-log softmax(input)[target]; takes weight, ignore_index, reduction, label_smoothing."""

    function = F.cross_entropy


class NLLLoss(Loss):
    """-input[target], of log-probabilities; takes weight, ignore_index, reduction."""

    function = F.nll_loss


class BCELoss(Loss):
    """Binary cross entropy of probabilities; takes weight, reduction."""

    function = F.binary_cross_entropy


class BCEWithLogitsLoss(Loss):
    """Binary cross entropy of logits; takes weight, reduction, pos_weight."""

    function = F.binary_cross_entropy_with_logits


class KLDivLoss(Loss):
    """Kullback-Leibler divergence, of log-probabilities; takes reduction, log_target."""

    function = F.kl_div


class SmoothL1Loss(Loss):
    """Squares near 0, straight lines of slope 1 from beta on; takes reduction, beta."""

    function = F.smooth_l1_loss


class MSELoss(Loss):
    """The mean of (input - target)^2."""

    function = F.mse_loss

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class L1Loss(Loss):
    """The mean of |input - target|."""

    function = F.l1_loss

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)


class HuberLoss(Loss):
    """Squares near 0, straight lines of slope delta from there on."""

    function = F.huber_loss

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction, delta=delta)
