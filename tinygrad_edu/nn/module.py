"""Module: parameters, buffers and sub-modules under torch's names, so that a torch `state_dict` loads as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_edu import Tensor, no_grad, ops
from tinygrad_edu.backend import Backend


class Parameter(Tensor):
    """A Tensor that a Module trains: it requires a gradient, and `module.parameters()` finds it."""

    __slots__ = ()

    def __init__(self, data: Tensor) -> None:
        super().__init__(data.data, data.backend)
        self.requires_grad_()


class Module:
    """Base of all layers and models. A subclass makes its parts in `__init__` and computes in `forward`.

    Parameters, buffers and Modules assigned to attributes are found by name, in the order in which they were assigned.
    """

    training: bool

    def __init__(self) -> None:
        # Past __setattr__, which needs them.
        self.__dict__.update(_parameters={}, _buffers={}, _modules={}, training=True)

    def forward(self, *args: Any, **settings: Any) -> Any:
        """What the Module computes; a subclass defines it."""
        raise TypeError(f"{type(self).__name__} defines no forward()")

    def __call__(self, *args: Any, **settings: Any) -> Any:
        return self.forward(*args, **settings)

    def __setattr__(self, name: str, value: Any) -> None:
        tables = {k: self.__dict__.get(k) for k in ("_parameters", "_modules", "_buffers")}
        if tables["_parameters"] is None:
            raise AttributeError(f"{type(self).__name__}: call super().__init__() before assigning '{name}'")
        kind = "_parameters" if isinstance(value, Parameter) else "_modules" if isinstance(value, Module) else None
        if kind is None and isinstance(value, Tensor) and name in self._buffers:
            kind = "_buffers"
        for table in tables.values():
            if table is not None and name in table and table is not tables.get(kind or ""):
                del table[name]
        if kind is None:
            object.__setattr__(self, name, value)
        else:
            self.__dict__.pop(name, None)
            self.__dict__[kind][name] = value

    def __getattr__(self, name: str) -> Any:  # only called for what is no ordinary attribute
        for kind in ("_parameters", "_buffers", "_modules"):
            table = self.__dict__.get(kind, {})
            if name in table:
                return table[name]
        raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for kind in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__[kind]:
                del self.__dict__[kind][name]
                return
        object.__delattr__(self, name)

    def register_buffer(self, name: str, tensor: Tensor) -> None:
        """Keep a Tensor that is part of the state but is not trained (running statistics, say)."""
        self._buffers[name] = tensor

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Keep a parameter under `name`; None (a layer without bias, say) is an attribute but not in the state."""
        self._parameters[name] = parameter

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This Module and all within it, each with its dotted name ("" for this one)."""
        yield prefix, self
        for name, module in self._modules.items():
            yield from module.named_modules(f"{prefix}.{name}" if prefix else name)

    def modules(self) -> Iterator[Module]:
        """This Module and all within it."""
        return (module for _, module in self.named_modules())

    def children(self) -> Iterator[Module]:
        """The Modules directly within this one."""
        return iter(self._modules.values())

    def _named(self, kind: str) -> Iterator[tuple[str, Any]]:
        for prefix, module in self.named_modules():
            for name, value in module.__dict__[kind].items():
                if value is not None:
                    yield (f"{prefix}.{name}" if prefix else name), value

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its dotted name, one that is shared under its first name only."""
        seen: set[Parameter] = set()
        for name, parameter in self._named("_parameters"):
            if parameter not in seen:
                seen.add(parameter)
                yield name, parameter

    def parameters(self) -> Iterator[Parameter]:
        """Every parameter, each once."""
        return (parameter for _, parameter in self.named_parameters())

    def named_buffers(self) -> Iterator[tuple[str, Tensor]]:
        """Every buffer with its dotted name."""
        return self._named("_buffers")

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
        for module in self.modules():
            for table in (module._parameters, module._buffers):
                for tensor in table.values():
                    if tensor is not None:
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
        state = {}
        for prefix, module in self.named_modules():
            for name, tensor in {**module._parameters, **module._buffers}.items():
                if tensor is not None:
                    state[f"{prefix}.{name}" if prefix else name] = tensor.detach()
        return state

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
        inner = [f"  ({name}): " + repr(m).replace("\n", "\n  ") for name, m in self._modules.items()]
        body = "\n" + "\n".join(inner) + "\n" if inner else self.extra_repr()
        return f"{type(self).__name__}({body})"


def _as_array(value: Any) -> np.ndarray:
    """A Tensor of ours or torch's, or anything NumPy takes, as an array."""
    value = value.detach() if hasattr(value, "detach") else value
    return np.asarray(value.numpy() if hasattr(value, "numpy") else value)
