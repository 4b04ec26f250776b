"""Tensor: an array with a gradient. Names, defaults and semantics are torch's.

The mathematics lives in `tinygrad_edu.ops`; this class gives it operators and methods. Results are new Tensors; the
methods that change a Tensor in place end in an underscore (or are `x[...] = ` and `x += `), and are refused while
the Tensor is being recorded for gradients.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu import autograd, gradient_hooks, ops, registry
from tinygrad_edu import functions as fn
from tinygrad_edu.autograd import Value, is_grad_enabled

if TYPE_CHECKING:
    from collections.abc import Callable

    from tinygrad_edu.backend import Array, Operand
    from tinygrad_edu.gradient_hooks import Handle


def _in_place(op: Any) -> Any:
    def method(self: Tensor, other: Any) -> Tensor:
        self._refuse_recorded(other)
        with autograd.no_grad():
            return self.change(self.data, op(self, other))

    method.__doc__ = f"`{op.__name__}`, in place: the result takes the place of this Tensor's elements."
    return method


def _reflected(op: Any) -> Any:
    return lambda self, other: op(other, self)


def _converted(dtype: Any) -> Any:
    def method(self: Tensor) -> Tensor:
        return self.to(dtype)

    method.__doc__ = f"In {np.dtype(dtype)}; itself if it is that already."
    return method


def _where(self: Any, condition: Any, other: Any) -> Any:
    """This Tensor where `condition` (bool) is true, `other` elsewhere."""
    return ops.where(condition, self, other)


class Tensor(Value):
    """An array on a backend, with what autograd needs to know of it. Made by `tg.tensor(...)` and its kin."""

    __slots__ = ()
    __array_ufunc__ = None  # NumPy leaves `array * tensor` to us, which refuses it by name

    # What it is.

    @property
    def shape(self) -> tuple[int, ...]:
        """The size of each dimension."""
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        """The elements' type, a NumPy dtype."""
        return self.data.dtype

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return len(self.data.shape)

    def numel(self) -> int:
        """The number of elements."""
        count = 1
        for n in self.data.shape:
            count *= n
        return count

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        return self.shape if dim is None else self.shape[ops.shape.canonical_dim("size", dim, self.ndim)]

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len: a 0-d Tensor has no length")
        return self.shape[0]

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError(f"index: expected an integer Tensor, got {self.dtype}")
        return int(self.item())

    __hash__ = object.__hash__  # by identity, though == compares elements, as in torch

    def __repr__(self) -> str:
        text = np.array2string(self.backend.to_numpy(self.data), separator=", ", prefix="tensor(")
        dtype = "" if str(self.dtype) in ("float32", "int64", "bool") else f", dtype={self.dtype}"
        source = f", op={self.node.plan.op.name}" if self.node else ", requires_grad=True" if self.tracked else ""
        return f"tensor({text}{dtype}{source})"

    # In and out.

    def numpy(self) -> np.ndarray:
        """The elements as a NumPy array, which may share memory. RuntimeError if gradients are being recorded."""
        if self.tracked:
            raise RuntimeError("numpy: this Tensor requires a gradient, which NumPy would lose; use x.detach().numpy()")
        return self.backend.to_numpy(self.data)

    def __dlpack__(self, **request: Any) -> Any:
        return self.numpy().__dlpack__(**request)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)  # DLPack's number for the CPU

    def item(self) -> Any:
        """The only element, as a Python number. ValueError if there is not exactly one."""
        if self.numel() != 1:
            raise ValueError(f"item: expected a Tensor with one element, got shape {self.shape}")
        return self.backend.to_numpy(self.data).item()

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers."""
        return self.backend.to_numpy(self.data).tolist()

    def to_backend(self, name: str) -> Tensor:
        """A leaf with the same elements on backend `name`; itself if it is there already."""
        backend = registry.backend(name)
        if backend is self.backend:
            return self
        if self.node is not None:
            raise RuntimeError("to_backend: a result under gradients does not move; move the inputs, or detach() it")
        out = Tensor(backend.from_numpy(self.backend.to_numpy(self.data)), backend)
        return out.requires_grad_(self.tracked)

    def to(self, dtype: Any) -> Tensor:
        """In another dtype; itself if it has it already."""
        return ops.cast(self, dtype=dtype)

    float, double, long, bool = (_converted(dtype) for dtype in (np.float32, np.float64, np.int64, np.bool_))

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        """A leaf with memory of its own, its gradient's too, on the same backend: for `copy.deepcopy(model)`."""
        if self.node is not None:
            raise RuntimeError(
                "deepcopy: a result under gradients would leave its graph behind; use x.detach() or x.clone()"
            )
        memo[id(self)] = out = type(self).__new__(type(self))
        Value.__init__(out, self.backend.cast(self.data, self.data.dtype), self.backend)
        out.tracked, out.grad = self.tracked, copy.deepcopy(self.grad, memo)
        return out

    def new_full(self, size: tuple[int, ...], fill_value: Any) -> Tensor:
        """A Tensor of shape `size` with `fill_value` everywhere, in this Tensor's dtype and on its backend."""
        return Tensor(self.backend.from_numpy(np.full(size, fill_value, self.dtype)), self.backend)

    def new_ones(self, size: tuple[int, ...]) -> Tensor:
        """Ones of shape `size`, in this Tensor's dtype and on its backend."""
        return self.new_full(size, 1)

    def new_zeros(self, size: tuple[int, ...]) -> Tensor:
        """Zeros of shape `size`, in this Tensor's dtype and on its backend."""
        return self.new_full(size, 0)

    # Gradients.

    @property
    def requires_grad(self) -> Any:
        """Whether operations on this Tensor are recorded, so that it, or what it was computed from, gets a gradient."""
        return self.tracked

    @requires_grad.setter
    def requires_grad(self, value: Any) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: Any = True) -> Any:
        """Ask for a gradient, or no longer. TypeError if this is not a float Tensor."""
        if requires_grad and self.dtype.kind != "f":
            raise TypeError(
                f"requires_grad: only float Tensors can have gradients, got {self.dtype}; convert it, x.float()"
            )
        if self.node is not None and not requires_grad:
            raise RuntimeError("requires_grad: this is the result of recorded operations; use detach() to cut it off")
        self.tracked = requires_grad
        return self

    @property
    def is_leaf(self) -> Any:
        """Whether this was made by the user, rather than by a recorded operation."""
        return self.node is None

    def detach(self) -> Tensor:
        """The same memory without its history: no gradient flows through it."""
        return self.alias(Tensor)

    def backward(self, gradient: Tensor | None = None, retain_graph: Any = None, create_graph: Any = False) -> None:
        """Add the gradient of this Tensor with respect to every leaf that requires one to the leaf's `.grad`.

        `gradient` is the cotangent to begin with; a Tensor with one element needs none. The graph is freed on the way
        unless `retain_graph` (default: `create_graph`); with `create_graph` the gradients can be differentiated again.
        """
        keep = create_graph if retain_graph is None else retain_graph
        autograd.backward(self, gradient, retain_graph=keep, create_graph=create_graph)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> Handle:
        """Let `hook` see this Tensor's gradient; what it returns takes its place. The handle's `remove()` ends that."""
        return gradient_hooks.register_hook(self, hook)

    def retain_grad(self) -> None:
        """Keep the gradient of this result in `.grad`, as it is after its hooks; a leaf's is kept anyway."""
        gradient_hooks.retain_grad(self)

    # Changes in place.

    def change(self, target: Array, value: Tensor | Operand) -> Tensor:
        """Write `value`, broadcast, into `target`, an array that is this Tensor's memory or a view of it."""
        self.backend.assign(target, self.fitting(target.shape, value))
        self.changed()
        return self

    def fitting(self, shape: tuple[int, ...], value: Tensor | Operand) -> Operand:
        """The number or array of `value`, for writing into `shape`. Refuses what does not fit, or is recorded."""
        self._refuse_recorded(value)
        if isinstance(value, Value):
            ops.op.check_same_backend("in place", (self, value))
            found = value.data.shape
            if found != shape and ops.broadcast_shapes("in place", shape, found) != shape:
                raise ValueError(f"in place: a value of shape {found} does not fit into shape {shape}")
            value = value.data
        kind = type(value).__name__ if isinstance(value, (bool, int, float)) else str(value.dtype)
        if kind.startswith("float") and self.data.dtype.kind != "f":
            raise TypeError(f"in place: {kind} values do not fit into a Tensor of {self.dtype}")
        return value

    def copy_(self, value: Tensor | Operand) -> Tensor:
        """Take over the elements of `value`, broadcast, in place."""
        return self.change(self.data, value)

    def fill_(self, value: Any) -> Tensor:
        """Set every element to a number, in place."""
        return self.change(self.data, value)

    def zero_(self) -> Tensor:
        """Set every element to 0, in place."""
        return self.change(self.data, 0)

    def _refuse_recorded(self, other: Any) -> None:
        if is_grad_enabled() and (self.tracked or (isinstance(other, Value) and other.tracked)):
            raise RuntimeError(
                "in place: a Tensor that takes part in gradients cannot be changed while they are recorded; "
                "write x = x + y instead, or change it under no_grad()"
            )

    add_, sub_, mul_, div_ = (_in_place(op) for op in (ops.add, ops.sub, ops.mul, ops.div))
    __iadd__, __isub__, __imul__, __itruediv__ = add_, sub_, mul_, div_

    # Operators. A function in a class body is a method: `a + b` is `ops.add(a, b)`, without a detour.

    __add__, __sub__, __mul__, __truediv__ = ops.add, ops.sub, ops.mul, ops.div
    __radd__, __rmul__ = ops.add, ops.mul
    __pow__, __matmul__, __neg__, __abs__, __mod__ = ops.pow, ops.matmul, ops.neg, ops.abs, ops.remainder
    __lt__, __le__, __gt__, __ge__, __eq__, __ne__ = ops.lt, ops.le, ops.gt, ops.ge, ops.eq, ops.ne
    __and__, __or__, __xor__ = ops.logical_and, ops.logical_or, ops.logical_xor
    __getitem__, __setitem__ = ops.getitem, fn.setitem

    __rsub__, __rtruediv__, __rpow__, __rmod__ = (_reflected(op) for op in (ops.sub, ops.div, ops.pow, ops.remainder))

    def __invert__(self) -> Tensor:
        if self.dtype.kind != "b":
            raise TypeError(f"~: expected a bool Tensor, got {self.dtype}")
        return ops.logical_not(self)

    # Methods: the functions of `ops` under the same names, so that `x.sum(0)` is `ops.sum(x, 0)`.

    # fmt: off
    exp, exp2, expm1, log, log1p, log2, log10 = ops.exp, ops.exp2, ops.expm1, ops.log, ops.log1p, ops.log2, ops.log10
    sqrt, rsqrt, square, reciprocal, sigmoid = ops.sqrt, ops.rsqrt, ops.square, ops.reciprocal, ops.sigmoid
    sin, cos, tan, sinh, cosh, tanh = ops.sin, ops.cos, ops.tan, ops.sinh, ops.cosh, ops.tanh
    asin, acos, atan, atan2, erf, relu = ops.asin, ops.acos, ops.atan, ops.atan2, ops.erf, ops.relu
    floor, ceil, round, trunc, sign, abs, neg = ops.floor, ops.ceil, fn.round, ops.trunc, ops.sign, ops.abs, ops.neg
    add, sub, mul, div, pow, remainder, lerp = ops.add, ops.sub, ops.mul, ops.div, ops.pow, ops.remainder, ops.lerp
    maximum, minimum, logaddexp, where = ops.maximum, ops.minimum, ops.logaddexp, _where
    clamp, clamp_min, clamp_max, masked_fill = ops.clamp, ops.clamp_min, ops.clamp_max, fn.masked_fill
    eq, ne, lt, le, gt, ge, isnan, isinf = ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge, fn.isnan, fn.isinf
    isfinite, isclose, allclose, logical_not = fn.isfinite, fn.isclose, fn.allclose, ops.logical_not
    logical_and, logical_or, logical_xor = ops.logical_and, ops.logical_or, ops.logical_xor
    sum, mean, var, std, prod, norm, any, all = (
        ops.sum, ops.mean, ops.var, ops.std, ops.prod, ops.norm, fn.any, fn.all)
    max, min, amax, amin, argmax, argmin = fn.max, fn.min, ops.amax, ops.amin, ops.argmax, ops.argmin
    cumsum, cumprod, diff, logsumexp = ops.cumsum, fn.cumprod, fn.diff, ops.logsumexp
    softmax, log_softmax, matmul, mm, mv = ops.softmax, ops.log_softmax, ops.matmul, fn.mm, fn.mv
    bmm, dot, outer, addmm, clone = fn.bmm, fn.dot, fn.outer, fn.addmm, ops.clone
    reshape, view, flatten, unflatten, ravel = ops.reshape, ops.reshape, fn.flatten, fn.unflatten, fn.ravel
    permute, transpose, movedim, squeeze = ops.permute, fn.transpose, fn.movedim, fn.squeeze
    unsqueeze, expand, broadcast_to, repeat = fn.unsqueeze, ops.expand, fn.broadcast_to, fn.repeat
    tile, split, chunk, unbind, flip, roll = fn.tile, fn.split, fn.chunk, fn.unbind, ops.flip, fn.roll
    diag, diagonal, trace, tril, triu = fn.diag, fn.diagonal, fn.trace, fn.tril, fn.triu
    gather, scatter_add, index_select = fn.gather, fn.scatter_add, fn.index_select
    take_along_dim, masked_select = fn.take_along_dim, fn.masked_select
    sort, argsort, topk = fn.sort, fn.argsort, fn.topk
    # fmt: on

    @property
    def T(self) -> Tensor:
        """The transpose of a matrix."""
        if self.ndim != 2:
            raise ValueError(f"T: expected 2 dimensions, got shape {self.shape}; use permute() or mT")
        return ops.permute(self, 1, 0)

    @property
    def mT(self) -> Tensor:
        """The last two dimensions exchanged."""
        return fn.transpose(self, -2, -1)


class Cotangent(Tensor):
    """A Tensor inside a backward pass that is not itself recorded; users never see one.

    Shapes, dtypes and backends agree there, since the forward pass saw to it, and nothing is recorded: so arithmetic
    goes straight to the primitives, in two thirds of the time that it takes on a small Tensor otherwise.
    """

    __slots__ = ()

    def __add__(self, other: Any) -> Cotangent:
        return Cotangent(self.backend.add(self.data, other.data if isinstance(other, Value) else other), self.backend)

    def __sub__(self, other: Any) -> Cotangent:
        return Cotangent(self.backend.sub(self.data, other.data if isinstance(other, Value) else other), self.backend)

    def __rsub__(self, other: Any) -> Cotangent:
        return Cotangent(self.backend.sub(other.data if isinstance(other, Value) else other, self.data), self.backend)

    def __mul__(self, other: Any) -> Cotangent:
        return Cotangent(self.backend.mul(self.data, other.data if isinstance(other, Value) else other), self.backend)

    def __truediv__(self, other: Any) -> Cotangent:
        return Cotangent(self.backend.div(self.data, other.data if isinstance(other, Value) else other), self.backend)

    def __neg__(self) -> Cotangent:
        return Cotangent(self.backend.mul(self.data, -1.0), self.backend)


Value.kind = Tensor
Value.cotangent = Cotangent
