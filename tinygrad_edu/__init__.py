"""tinygrad_edu: a reverse-mode autograd framework you can read in an afternoon.

>>> import tinygrad_edu as tg
>>> x = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
tensor([2., 4., 6.])

`Tensor` and its mathematics are here; layers in `nn`, optimizers in `optim`, data sets and batches in `data`.
"""

import importlib
from typing import Any

import numpy as np

from tinygrad_edu.tensor import Tensor  # isort: skip  (first: its module's name must not hide the function `tensor`)
from tinygrad_edu import random
from tinygrad_edu.autograd import enable_grad, grad, is_grad_enabled, no_grad, set_grad_enabled
from tinygrad_edu.backend import get_backend, set_backend, use_backend
from tinygrad_edu.create import (
    arange,
    eye,
    from_dlpack,
    from_numpy,
    full,
    full_like,
    linspace,
    ones,
    ones_like,
    tensor,
    zeros,
    zeros_like,
)
from tinygrad_edu.functions import *  # noqa: F403
from tinygrad_edu.functions import __all__ as _functions
from tinygrad_edu.ops import *  # noqa: F403
from tinygrad_edu.ops import __all__ as _ops
from tinygrad_edu.ops.op import op
from tinygrad_edu.random import Generator, manual_seed, rand, rand_like, randint, randint_like, randn, randn_like

float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
uint8, int32, int64 = np.dtype(np.uint8), np.dtype(np.int32), np.dtype(np.int64)
bool_ = np.dtype(np.bool_)

_LATER = {  # functions whose modules are imported when first used
    "checkpoint": "recompute",
    "detect_anomaly": "debug",
    "draw": "drawing",
    "hessian": "transforms",
    "hvp": "transforms",
    "jacobian": "transforms",
    "jvp": "transforms",
    "vjp": "transforms",
}

__all__ = [
    *_functions,
    *_ops,
    *_LATER,
    "Generator",
    "Tensor",
    "arange",
    "bool_",
    "enable_grad",
    "eye",
    "float32",
    "float64",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "get_backend",
    "grad",
    "int32",
    "int64",
    "is_grad_enabled",
    "linspace",
    "manual_seed",
    "no_grad",
    "ones",
    "ones_like",
    "op",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "random",
    "set_backend",
    "set_grad_enabled",
    "tensor",
    "uint8",
    "use_backend",
    "zeros",
    "zeros_like",
]


def __getattr__(name: str) -> Any:
    """`tg.nn`, `tg.optim` and the other parts are imported when first used, which keeps `import tinygrad_edu` quick."""
    if name in ("bench", "data", "nn", "optim", "run", "state", "testing"):
        return importlib.import_module(f"tinygrad_edu.{name}")
    if name in _LATER:
        return getattr(importlib.import_module(f"tinygrad_edu.{_LATER[name]}"), name)
    raise AttributeError(f"module 'tinygrad_edu' has no attribute {name!r}")
