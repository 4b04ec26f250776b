"""The three-way check: a function's gradients by our rules, by finite differences, and by torch.

Finite differences know nothing of rules, and torch's rules are not ours: where all three agree, a mistake would have
had to be made three times. `check` is for tests; `load` and `report` are behind `tinygrad-edu check FILE.py:function`.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_edu.errors import require
from tinygrad_edu.tensor import Tensor
from tinygrad_edu.testing.compare import Torch, compare, trace
from tinygrad_edu.testing.gradcheck import ATOL, RTOL, TORCH_RTOL, Gradient, gradients, in_float64, ours_for

# What stands in a default or in `inputs` for a Tensor; everything else is handed on as it is.
ARRAYS = (float, list, np.ndarray, np.floating, Tensor)


class Unusable(ValueError):
    """There is nothing to check: no such file or function, or no inputs for it."""


def check(
    f: Callable[..., Any],
    *inputs: Any,
    torch_f: Callable[..., Any] | None = None,
    order: int = 2,
    rtol: float = RTOL,
    atol: float = ATOL,
) -> None:
    """Hold the gradients of `f` to `order` against finite differences and, given `torch_f`, against torch; in float64.

    `inputs` are NumPy arrays or Tensors of any shape; the float ones are taken to float64 and differentiated. `f` takes
    our Tensors, `torch_f` torch's; a function of methods and operators alone may serve as both. AssertionError names
    the first element that differs: first or second gradient, which input, which index, and the three values. `f` must
    be smooth near the inputs. `rtol` and `atol` are for finite differences; torch is held to `TORCH_RTOL`.

    >>> import numpy as np, tinygrad_edu as tg
    >>> check(lambda x, y: (x * y).tanh(), np.array([0.5, -1.0]), np.ones((3, 1)))
    >>> check(lambda x: x.detach() * x, np.array([0.5, -1.0]))
    Traceback (most recent call last):
    ...
    AssertionError: gradient of input 0 at index (0,): ours 0.5684808437, numeric 1.136961687
    """
    for gradient in found(f, inputs, torch_f, order):
        gradient.check(rtol, atol)


def found(f: Callable[..., Any], inputs: Any, torch_f: Callable[..., Any] | None, order: int) -> list[Gradient]:
    """Every gradient in the two or three ways. AssertionError if the values differ from torch's: then all else would.

    ValueError for an order other than 1 and 2, and where no input is float.
    """
    if order not in (1, 2):
        raise ValueError(f"check: expected order 1 or 2, got {order}")
    arrays = in_float64(inputs)
    if not any(a.dtype.kind == "f" for a in arrays):
        raise ValueError(f"check: expected at least one float input, got {[str(a.dtype) for a in arrays]}")
    if torch_f is None:
        return list(gradients(f, inputs, order))
    require("torch", "bench")
    torch = Torch()
    compare(trace(ours_for(inputs), f, arrays, 0), trace(torch, torch_f, arrays, 0), "torch", TORCH_RTOL)
    return list(gradients(f, inputs, order, (torch, torch_f)))


def load(target: str) -> tuple[Callable[..., Any], list[Any], Callable[..., Any] | None]:
    """The function that `FILE.py:function` names, example inputs for it, and its torch twin `torch_function` or None.

    The inputs are the defaults in its signature, or its attribute `inputs`, a tuple. Those that are floats, lists,
    arrays or Tensors are handed over as Tensors, anything else (an int, a string) as it is. Unusable says what is
    missing.
    """
    path, _, name = target.rpartition(":")
    if not path.endswith(".py") or not name:
        raise Unusable(f"check: expected FILE.py:function, got {target!r}")
    if not Path(path).is_file():
        raise Unusable(f"check: there is no file {path}")
    module = _import(Path(path))
    f = getattr(module, name, None)
    if not callable(f):
        functions = [(key, value) for key, value in vars(module).items() if inspect.isfunction(value)]
        own = [key for key, value in functions if value.__module__ == module.__name__]
        raise Unusable(f"check: there is no function {name!r} in {path}; there are: {', '.join(own) or 'none'}")
    bound = _example(f, target)
    at = [i for i, x in enumerate(bound.args) if isinstance(x, ARRAYS)]

    def with_settings(function: Callable[..., Any]) -> Callable[..., Any]:
        """The function of the Tensors alone."""

        def call(*tensors: Any) -> Any:
            args = list(bound.args)
            for i, x in zip(at, tensors, strict=True):
                args[i] = x
            return function(*args, **bound.kwargs)

        return functools.wraps(function)(call)

    inputs = [x if isinstance(x, Tensor) else np.asarray(x) for x in [bound.args[i] for i in at]]
    if not any(x.dtype.kind == "f" for x in inputs):
        raise Unusable(f"check: {target} has no float input: {_ADVICE.format(name=name)}")
    torch_f = getattr(module, f"torch_{name}", None)
    return with_settings(f), inputs, with_settings(torch_f) if torch_f else None


_ADVICE = "give its parameters defaults, as in `def {name}(x=[0.5, -1.0]):`, or set `{name}.inputs = ([0.5, -1.0],)`"


def _import(path: Path) -> ModuleType:
    """The module in a file; like a script, it can import from its own folder."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return module


def _example(f: Callable[..., Any], target: str) -> inspect.BoundArguments:
    """The example arguments of a function. Unusable names the parameters that have none."""
    given = getattr(f, "inputs", ())
    if not isinstance(given, tuple):
        raise Unusable(f"check: expected {target}'s attribute `inputs` to be a tuple, got {type(given).__name__}")
    try:
        bound = inspect.signature(f).bind(*given)
    except TypeError as error:
        name = target.rpartition(":")[2]
        raise Unusable(f"check: {target}: {error}: {_ADVICE.format(name=name)}") from error
    bound.apply_defaults()
    return bound


def report(target: str) -> bool:
    """Print one line a gradient: the elements checked, the largest differences. Whether all agree; if not, says where.

    Unusable says what `target`, FILE.py:function, lacks.
    """
    f, inputs, torch_f = load(target)
    name = target.rpartition(":")[2]
    if torch_f is None:
        print(f"{target}: rule and finite differences; no torch_{name} in the file, so nothing of torch's to compare")
    else:
        print(f"{target}: rule, finite differences and torch_{name}")
    print(f"{'largest difference to':>72s}\n{'':42s}{'elements':>9s} {'numeric':>9s} {'torch':>9s}")
    complaint = None
    try:
        for gradient in found(f, inputs, torch_f, 2):
            distance = "-" if gradient.torch is None else f"{_distance(gradient.ours, gradient.torch):.1e}"
            numeric = f"{_distance(gradient.ours, gradient.numeric):.1e}"
            print(f"{gradient.name:42s}{gradient.ours.size:9d} {numeric:>9s} {distance:>9s}")
            try:
                gradient.check()
            except AssertionError as error:
                complaint = complaint or str(error)
    except AssertionError as error:
        complaint = str(error)
    print(f"they differ: {complaint}" if complaint else "all agree")
    return complaint is None


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max(initial=0.0))
