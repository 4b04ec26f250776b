"""Ops that work element by element: arithmetic, comparison, exponentials, and how operands are made to agree.

Dtypes are promoted as torch does it: the category (bool < integer < float) of the highest operand decides, and within
it Tensors with dimensions count before 0-d Tensors, and those before Python numbers. So `float32 Tensor * 2.5` and
`float32 Tensor * (0-d float64 Tensor)` stay float32. Source: torch's documentation, "Tensor Attributes", torch.dtype.
"""

from __future__ import annotations

from functools import lru_cache
from inspect import signature
from typing import Any

import numpy as np

from tinygrad_edu.autograd import NO_SETTINGS, Node, Value, mode
from tinygrad_edu.backend import Array, Backend, get_backend
from tinygrad_edu.ops.op import Op, check_same_backend, op

DEFAULT_FLOAT = np.dtype(np.float32)
_CATEGORY = {"b": 0, "u": 1, "i": 1, "f": 2}
_NUMBER_DTYPE = {bool: np.dtype(np.bool_), int: np.dtype(np.int64), float: DEFAULT_FLOAT}


def promote_types(a: np.dtype, b: np.dtype) -> np.dtype:
    """The dtype of an operation on Tensors of dtypes `a` and `b`: the higher category's, else the wider one."""
    ca, cb = _CATEGORY[a.kind], _CATEGORY[b.kind]
    return np.promote_types(a, b) if ca == cb else (a if ca > cb else b)


def result_type(*operands: Any) -> np.dtype:
    """The dtype of an operation on `operands`, Tensors and Python numbers."""
    ranks: list[np.dtype | None] = [None, None, None]  # of Tensors with dimensions, of 0-d Tensors, of numbers
    for x in operands:
        rank, dtype = (0 if x.data.shape else 1, x.data.dtype) if isinstance(x, Value) else (2, _NUMBER_DTYPE[type(x)])
        found = ranks[rank]
        ranks[rank] = dtype if found is None else promote_types(found, dtype)
    dtypes = [d for d in ranks if d is not None]
    top = max(_CATEGORY[d.kind] for d in dtypes)
    return next(d for d in dtypes if _CATEGORY[d.kind] == top)


@lru_cache(maxsize=1024)
def broadcast_shapes(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that `shapes` broadcast to. ValueError names the shapes and the dimension at fault."""
    out: list[int] = []
    for dim in range(-max(map(len, shapes), default=0), 0):
        sizes = {shape[dim] for shape in shapes if len(shape) >= -dim} - {1}
        if len(sizes) > 1:
            listed = " and ".join(map(str, shapes))
            raise ValueError(
                f"{name}: shapes {listed} do not broadcast: dimension {dim} must be equal or 1, got "
                f"{' and '.join(str(shape[dim]) for shape in shapes if len(shape) >= -dim)}"
            )
        out.append(sizes.pop() if sizes else 1)
    return tuple(out)


_constants: dict[Any, Value] = {}


def constant(value: float, dtype: np.dtype, backend: Backend) -> Value:
    """A Python number as a 0-d Tensor. The common ones are kept, since making one costs more than most small ops."""
    key = (value, dtype.num, backend.name)
    found = _constants.get(key) if value else None  # 0.0 and -0.0 would be one key
    if found is None:
        found = Value.kind(backend.from_numpy(np.asarray(value, dtype)), backend)
        if len(_constants) < 1000:
            _constants[key] = found
    return found


def as_operand(name: str, x: Any) -> Any:
    """`x` if it is a Tensor, a Python number if it is any number. TypeError for anything else."""
    if isinstance(x, Value) or type(x) in _NUMBER_DTYPE:
        return x
    if isinstance(x, (bool, int, float, np.generic)) and np.asarray(x).dtype.kind in _CATEGORY:
        return np.asarray(x).item()
    raise TypeError(f"{name}: expected a Tensor or a number, got {type(x).__name__}; make a Tensor with tg.tensor(...)")


def align(name: str, operands: tuple[Any, ...], floating: bool) -> tuple[Value, ...]:
    """Operands of one dtype (a float one if `floating`), with shapes that broadcast; numbers become 0-d Tensors."""
    if len(operands) == 2:  # a float Tensor and a number: the common case first
        a, b = operands
        if isinstance(a, Value) and type(b) in (float, int) and a.data.dtype.kind == "f":
            return a, constant(b, a.data.dtype, a.backend)
        if isinstance(b, Value) and type(a) in (float, int) and b.data.dtype.kind == "f":
            return constant(a, b.data.dtype, b.backend), b
    operands = tuple([as_operand(name, x) for x in operands])
    tensors = [x for x in operands if isinstance(x, Value)]
    backend = check_same_backend(name, tensors) if tensors else get_backend()
    dtype = result_type(*operands)
    if floating and dtype.kind != "f":
        dtype = DEFAULT_FLOAT
    broadcast_shapes(name, *[x.data.shape for x in tensors])
    return tuple([cast(x, dtype=dtype) if isinstance(x, Value) else constant(x, dtype, backend) for x in operands])


def elementwise(forward: Any, floating: bool = False) -> Any:
    """An `op` on one or two operands that are made to agree first; `floating` turns integers into the default float.

    Most of the ops that a program runs are of this kind, and on small arrays the time goes here: hence two functions
    instead of one with a loop.
    """

    def unary(x: Any) -> Any:
        if not isinstance(x, Value) or (floating and x.data.dtype.kind != "f"):
            (x,) = align(this.name, (x,), floating)
        out = Value.kind(forward(x), x.backend)
        if x.tracked and mode.grad and this.rules:
            out.node, out.tracked = Node(this, (x,), NO_SETTINGS, out, True), True
        return out

    def binary(a: Any, b: Any) -> Any:
        same_shape = False
        if isinstance(a, Value) and isinstance(b, Value) and a.backend is b.backend:
            x, y = a.data, b.data
            if x.dtype is not y.dtype or (floating and x.dtype.kind != "f"):
                a, b = align(this.name, (a, b), floating)
            elif not (same_shape := x.shape == y.shape):
                broadcast_shapes(this.name, x.shape, y.shape)
        elif type(b) is float and isinstance(a, Value) and a.data.dtype.kind == "f":
            b = constant(b, a.data.dtype, a.backend)
        else:
            a, b = align(this.name, (a, b), floating)
        out = Value.kind(forward(a, b), a.backend)
        if (a.tracked or b.tracked) and mode.grad and this.rules:
            out.node, out.tracked = Node(this, (a, b), NO_SETTINGS, out, same_shape), True
        return out

    call = unary if len(signature(forward).parameters) == 1 else binary
    this = Op(forward, call)
    return call


def floating(forward: Any) -> Any:
    """An `elementwise` op on floats: integer and bool operands are turned into the default float first."""
    return elementwise(forward, floating=True)


@op
def _cast(x, *, dtype, source):
    return x.backend.cast(x.data, dtype)


_cast.vjp = lambda g, source: cast(g, dtype=source)


def cast(x: Any, *, dtype: Any) -> Any:
    """`x` in `dtype`: itself if it is in it already. A gradient goes back in x's own dtype, and only between floats."""
    dtype = np.dtype(dtype)
    if dtype.kind not in _CATEGORY:
        raise TypeError(f"cast: expected a bool, integer or float dtype, got {dtype}")
    if x.data.dtype == dtype:
        return x
    return _cast(x if dtype.kind == "f" else x.detach(), dtype=dtype, source=x.data.dtype)


# Arithmetic.


@elementwise
def add(a, b) -> Array:
    """a + b, elementwise."""
    return a.backend.add(a.data, b.data)


add.vjp = (lambda g: g, lambda g: g)


@elementwise
def sub(a, b) -> Array:
    """a - b, elementwise. TypeError for bool, as in torch."""
    if a.data.dtype.kind == "b":
        raise TypeError("sub: bool Tensors cannot be subtracted; use != for exclusive or, or cast to a number first")
    return a.backend.sub(a.data, b.data)


sub.vjp = (lambda g: g, lambda g: -g)


@elementwise
def mul(a, b) -> Array:
    """a * b, elementwise."""
    return a.backend.mul(a.data, b.data)


mul.vjp = (lambda g, b: g * b, lambda g, a: g * a)


@floating
def div(a, b) -> Array:
    """a / b, elementwise, a float also for integers."""
    return a.backend.div(a.data, b.data)


div.vjp = (lambda g, b: g / b, lambda g, b, out: -g * out / b)


@elementwise
def neg(a) -> Array:
    """-a, elementwise."""
    return a.backend.mul(a.data, -1)


neg.vjp = lambda g: -g


@elementwise
def _pow(a, b) -> Array:
    return a.backend.pow(a.data, b.data)


_pow.vjp = (
    lambda g, a, b: where(b == 0, 0.0, g * b * a ** (b - 1.0)),
    # d(a**b)/db = a**b log a; where a is 0 and b >= 0 it is 0, and log must not make a NaN of it
    lambda g, a, b, out: where(logical_and(a == 0, b >= 0), 0.0, g * out * log(a)),
)


def pow(a: Any, b: Any) -> Any:
    """a ** b, elementwise. ValueError for an integer Tensor to a negative integer power, as in torch."""
    if type(b) in (int, float) and b == 2:
        return mul(a, a)
    if isinstance(a, Value) and a.data.dtype.kind in "iu" and type(b) is int and b < 0:
        raise ValueError(f"pow: integers to a negative integer power ({b}) are not integers; cast to a float first")
    return _pow(a, b)


@elementwise
def maximum(a, b) -> Array:
    """The larger of a and b, elementwise; NaN if either is NaN. At ties each gets half of the gradient, as in torch."""
    return a.backend.maximum(a.data, b.data)


maximum.vjp = (
    lambda g, a, b: where(a < b, 0.0, where(a == b, g / 2.0, g)),
    lambda g, a, b: where(b < a, 0.0, where(a == b, g / 2.0, g)),
)


def minimum(a: Any, b: Any) -> Any:
    """The smaller of a and b, elementwise; NaN if either is NaN."""
    return neg(maximum(neg(a), neg(b)))


# Comparison. No gradient: the results are bool.


@elementwise
def lt(a, b) -> Array:
    """a < b, elementwise."""
    return a.backend.less(a.data, b.data)


@elementwise
def gt(a, b) -> Array:
    """a > b, elementwise."""
    return a.backend.less(b.data, a.data)


@elementwise
def eq(a, b) -> Array:
    """a == b, elementwise."""
    return a.backend.equal(a.data, b.data)


@elementwise
def le(a, b) -> Array:
    """a <= b, elementwise (not `not b < a`, which NaN would make true)."""
    return a.backend.maximum(a.backend.less(a.data, b.data), a.backend.equal(a.data, b.data))


@elementwise
def ge(a, b) -> Array:
    """a >= b, elementwise."""
    return a.backend.maximum(a.backend.less(b.data, a.data), a.backend.equal(a.data, b.data))


@elementwise
def ne(a, b) -> Array:
    """a != b, elementwise."""
    return a.backend.equal(a.backend.equal(a.data, b.data), False)


def logical_not(a: Any) -> Any:
    """True where a is 0 or False."""
    return eq(a, 0 if a.data.dtype.kind != "b" else False)


def logical_and(a: Any, b: Any) -> Any:
    """True where neither a nor b is 0 or False."""
    return mul(cast(a, dtype=np.bool_), cast(b, dtype=np.bool_))


def logical_or(a: Any, b: Any) -> Any:
    """True where a or b is not 0 or False."""
    return maximum(cast(a, dtype=np.bool_), cast(b, dtype=np.bool_))


@op
def _where(condition, a, b):
    return a.backend.where(condition.data, a.data, b.data)


_where.vjp = (None, lambda g, condition: where(condition, g, 0.0), lambda g, condition: where(condition, 0.0, g))


def where(condition: Any, a: Any, b: Any) -> Any:
    """a where `condition` (bool) is true, b elsewhere; all three broadcast. TypeError if `condition` is not bool."""
    if not isinstance(condition, Value) or condition.data.dtype.kind != "b":
        found = condition.data.dtype if isinstance(condition, Value) else type(condition).__name__
        raise TypeError(f"where: expected a bool Tensor as condition, got {found}")
    a, b = align("where", (a, b), floating=False)
    broadcast_shapes("where", condition.data.shape, a.data.shape, b.data.shape)
    return _where(condition, a, b)


# Exponentials and their kin.


@floating
def exp(x) -> Array:
    """e ** x, elementwise."""
    return x.backend.exp(x.data)


exp.vjp = lambda g, out: g * out


@floating
def expm1(x) -> Array:
    """exp(x) - 1, elementwise, accurate near 0."""
    return x.backend.expm1(x.data)


expm1.vjp = lambda g, out: g * (out + 1.0)


@floating
def log(x) -> Array:
    """The natural logarithm, elementwise: -inf at 0, NaN below."""
    return x.backend.log(x.data)


log.vjp = lambda g, x: g / x


@floating
def log1p(x) -> Array:
    """log(1 + x), elementwise, accurate near 0."""
    return x.backend.log1p(x.data)


log1p.vjp = lambda g, x: g / (x + 1.0)


@floating
def sqrt(x) -> Array:
    """The square root, elementwise: NaN below 0."""
    return x.backend.sqrt(x.data)


sqrt.vjp = lambda g, out: g / (out * 2.0)


@floating
def sin(x) -> Array:
    """The sine of x in radians, elementwise."""
    return x.backend.sin(x.data)


sin.vjp = lambda g, x: g * cos(x)


@floating
def cos(x) -> Array:
    """The cosine of x in radians, elementwise."""
    return x.backend.cos(x.data)


cos.vjp = lambda g, x: -g * sin(x)


@floating
def tanh(x) -> Array:
    """The hyperbolic tangent, elementwise."""
    return x.backend.tanh(x.data)


tanh.vjp = lambda g, out: g * (1.0 - out * out)


@floating
def sigmoid(x) -> Array:
    """1 / (1 + exp(-x)), elementwise."""
    b = x.backend
    return b.div(1.0, b.add(b.exp(b.mul(x.data, -1.0)), 1.0))


sigmoid.vjp = lambda g, out: g * out * (1.0 - out)


@elementwise
def relu(x) -> Array:
    """max(x, 0), elementwise; the gradient at 0 is 0, as in torch."""
    return x.backend.maximum(x.data, 0)


relu.vjp = lambda g, out: where(out == 0, 0.0, g)  # so written, a NaN lets the gradient through, as torch does


@elementwise
def abs(x) -> Array:
    """|x|, elementwise; the gradient at 0 is 0."""
    return x.backend.maximum(x.data, x.backend.mul(x.data, -1))


abs.vjp = lambda g, x: g * (cast(x > 0, dtype=g.dtype) - cast(x < 0, dtype=g.dtype))
