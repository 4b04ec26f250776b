"""Module: parameters, buffers and sub-modules under torch's names, so that a torch `state_dict` loads as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_edu import Tensor, no_grad, ops
from tinygrad_edu.backend import Backend
from tinygrad_edu.gradient_hooks import Handle

ForwardHook = Callable[..., Any]  # (module, its positional arguments, its result) -> None, or another result


class Parameter(Tensor):
    """A Tensor that a Module trains: it requires a gradient, and `module.parameters()` finds it."""

    __slots__ = ()

    def __init__(self, data: Tensor) -> None:
        super().__init__(data.data, data.backend)
        self.requires_grad_()


class Module:
    """Base of all layers and models. A subclass makes its parts in `__init__` and computes in `forward`.

    Parameters and Modules assigned to attributes are found by these names, in the order in which they were assigned;
    so are the Tensors that `register_buffer` was called with.
    """

    training = True
    _buffers: frozenset[str] = frozenset()
    _forward_hooks: dict[float, ForwardHook] | None = None

    def forward(self, *args: Any, **settings: Any) -> Any:
        """What the Module computes; a subclass defines it."""
        raise TypeError(f"{type(self).__name__} defines no forward()")

    def __call__(self, *args: Any, **settings: Any) -> Any:
        out = self.forward(*args, **settings)
        for hook in [*self._forward_hooks.values()] if self._forward_hooks else ():  # a hook may remove itself
            changed = hook(self, args, out)
            out = out if changed is None else changed
        return out

    def register_forward_hook(self, hook: ForwardHook) -> Handle:
        """Have `hook(module, args, out)` called after each call; what it returns, unless None, replaces the result.

        `remove()` of what this returns takes the hook off again.

        >>> from tinygrad_edu import nn, zeros
        >>> layer, shapes = nn.Linear(3, 2), []
        >>> handle = layer.register_forward_hook(lambda module, args, out: shapes.append(out.shape))
        >>> y = layer(zeros(4, 3))
        >>> handle.remove()
        >>> y = layer(zeros(5, 3))
        >>> shapes
        [(4, 2)]
        """
        if self._forward_hooks is None:
            self._forward_hooks = {}
        return Handle(self._forward_hooks, hook)

    def __setattr__(self, name: str, value: Any) -> None:
        old = vars(self).get(name)
        if isinstance(old, Parameter) and isinstance(value, Tensor) and not isinstance(value, Parameter):
            raise TypeError(
                f"{type(self).__name__}.{name} is a Parameter: assign a Parameter, or change its values with copy_()"
            )
        super().__setattr__(name, value)

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """Keep a Tensor that is part of the state but is not trained (running statistics, say), as attribute `name`."""
        setattr(self, name, tensor)
        self._buffers |= {name}

    def _tensors(self) -> list[tuple[str, Tensor]]:
        """The Tensors that are this Module's own state: parameters, then buffers."""
        items = list(vars(self).items())
        parameters = [(name, value) for name, value in items if isinstance(value, Parameter)]
        return parameters + [(name, value) for name, value in items if name in self._buffers and value is not None]

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This Module and all within it, each with its dotted name ("" for this one)."""
        yield prefix, self
        for name, value in vars(self).items():
            if isinstance(value, Module):
                yield from value.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """This Module and all within it."""
        return (module for _, module in self.named_modules())

    def children(self) -> Iterator[Module]:
        """The Modules directly within this one."""
        return (value for value in vars(self).values() if isinstance(value, Module))

    def _named_tensors(self) -> Iterator[tuple[str, Tensor]]:
        for prefix, module in self.named_modules():
            for name, value in module._tensors():
                yield (f"{prefix}.{name}" if prefix else name), value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its dotted name, one that is shared under its first name only."""
        seen: set[Parameter] = set()
        for name, parameter in self._named_tensors():
            if isinstance(parameter, Parameter) and parameter not in seen:
                seen.add(parameter)
                yield name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Every buffer with its dotted name."""
        return ((name, x) for name, x in self._named_tensors() if not isinstance(x, Parameter))

    def train(self, mode: bool = True) -> Any:
        """Set this Module and all within it to training mode (dropout drops) or not; returns the Module."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Any:
        """Set this Module and all within it to evaluation mode; returns the Module."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Train all parameters from now on, or freeze them; returns the Module."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def _apply(self, convert: Callable[[Tensor], Tensor]) -> Any:
        for _, tensor in self._named_tensors():
            converted = convert(tensor.detach())
            tensor.data, tensor.backend, tensor.grad = converted.data, converted.backend, None
            tensor.changed()
        return self

    def double(self) -> Any:
        """Turn all float parameters and buffers into float64, in place; returns the Module."""
        return self._apply(lambda x: x.double() if x.dtype.kind == "f" else x)

    def float(self) -> Any:
        """Turn all float parameters and buffers into float32, in place; returns the Module."""
        return self._apply(lambda x: x.float() if x.dtype.kind == "f" else x)

    def to_backend(self, name: str) -> Any:
        """Move all parameters and buffers to backend `name`, in place; returns the Module. Make optimizers after it."""
        return self._apply(lambda x: x.to_backend(name))

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and buffers by torch's keys, sharing memory with the Module."""
        return {name: tensor.detach() for name, tensor in self._named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Copy the values of `state` (Tensors, arrays, or torch's) into the parameters and buffers of the same keys.

        ValueError names the first key that is missing, unknown (unless not `strict`) or of another shape; nothing has
        been changed then.
        """
        own = self.state_dict()
        for key in [*own, *state] if strict else ():
            if key not in state:
                raise ValueError(f"load_state_dict: '{key}' of {type(self).__name__} is missing from the state")
            if key not in own:
                raise ValueError(f"load_state_dict: '{key}' of the state is unknown to {type(self).__name__}")
        arrays = {key: _as_array(value) for key, value in state.items() if key in own}
        for key, array in arrays.items():
            if array.shape != own[key].shape:
                raise ValueError(f"load_state_dict: expected '{key}' of shape {own[key].shape}, got {array.shape}")
        with no_grad():
            for key, array in arrays.items():
                backend: Backend = own[key].backend
                own[key].copy_(ops.cast(Tensor(backend.from_numpy(array), backend), dtype=own[key].dtype))

    def extra_repr(self) -> str:
        """A subclass's settings, as printed."""
        return ""

    def __repr__(self) -> str:
        inner = [
            f"  ({name}): " + repr(m).replace("\n", "\n  ") for name, m in vars(self).items() if isinstance(m, Module)
        ]
        body = "\n" + "\n".join(inner) + "\n" if inner else self.extra_repr()
        return f"{type(self).__name__}({body})"


def _as_array(value: Any) -> np.ndarray:
    """A Tensor of ours or torch's, or anything NumPy takes, as an array."""
    value = value.detach() if hasattr(value, "detach") else value
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)
