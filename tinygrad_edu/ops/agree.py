"""How operands are made to agree: dtypes promoted, shapes broadcast, numbers turned into Tensors.

Dtypes are promoted as torch does it: the category (bool < integer < float) of the highest operand decides, and within
it Tensors with dimensions count before 0-d Tensors, and those before Python numbers. So `float32 Tensor * 2.5` and
`float32 Tensor * (0-d float64 Tensor)` stay float32. Source: torch's documentation, "Tensor Attributes", torch.dtype.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

import numpy as np

from tinygrad_edu.autograd import NO_SETTINGS, Node, Value, is_grad_enabled, watching
from tinygrad_edu.backend import Backend, get_backend
from tinygrad_edu.ops.op import Op, check_same_backend, check_tensor, op

DEFAULT_FLOAT = np.dtype(np.float32)
ALL, NUMBERS, FLOATS = "biuf", "iuf", "f"  # kinds of dtypes, by NumPy's letters, that an op takes
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
    key = (value or repr(value), dtype.num, backend)  # 0.0 == -0.0, but they are two constants
    found = _constants.get(key)
    if found is None:
        try:
            array = np.asarray(value, dtype)
        except OverflowError as error:  # torch would wrap it: uint8 300 is 44, and 1 < 300 becomes 1 < 44
            raise ValueError(f"the number {value} does not fit into a Tensor of {dtype}; convert it first") from error
        found = Value.kind(backend.from_numpy(array), backend)
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


def refuse_bool(name: str, *operands: Any) -> None:
    """TypeError if one of the operands is bool, for ops that torch does not have for bools."""
    for x in operands:
        if type(x) is bool or (isinstance(x, Value) and x.data.dtype.kind == "b"):
            raise TypeError(
                f"{name}: not defined for bool; convert it first, x.long() or x.float() (`~x` turns a mask)"
            )


def check_float(name: str, *tensors: Any) -> None:
    """TypeError unless all are float Tensors."""
    for x in tensors:
        check_tensor(name, x)
        if x.data.dtype.kind != "f":
            raise TypeError(f"{name}: expected a float Tensor, got {x.data.dtype}; convert it first, x.float()")


def check_same_dtype(name: str, *tensors: Any) -> None:
    """TypeError unless all are Tensors of one dtype."""
    for x in tensors:
        check_tensor(name, x)
    dtypes = [x.data.dtype for x in tensors]
    if dtypes.count(dtypes[0]) != len(dtypes):
        raise TypeError(f"{name}: expected Tensors of one dtype, got {', '.join(map(str, dtypes))}")


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


def clone(x: Any) -> Any:
    """A copy of x with memory of its own; gradients flow through it."""
    return _cast(x, dtype=x.data.dtype, source=x.data.dtype)


def align(name: str, operands: tuple[Any, ...], kinds: str, backend: Backend | None = None) -> tuple[Value, ...]:
    """Operands of one dtype, of a kind in `kinds`, with shapes that broadcast; numbers become 0-d Tensors.

    For ops on floats (`kinds` "f") integers and bools become the default float; others refuse bools or take them.
    `backend` is where numbers alone go.
    """
    if len(operands) == 2:  # two Tensors that agree, a float Tensor and a number: the common cases first
        a, b = operands
        both = isinstance(a, Value) and isinstance(b, Value)
        if both and a.data.dtype is b.data.dtype and a.data.dtype.kind in kinds and a.backend is b.backend:
            if a.data.shape != b.data.shape:
                broadcast_shapes(name, a.data.shape, b.data.shape)
            return a, b
        if isinstance(a, Value) and type(b) in (float, int) and a.data.dtype.kind == "f":
            return a, constant(b, a.data.dtype, a.backend)
        if isinstance(b, Value) and type(a) in (float, int) and b.data.dtype.kind == "f":
            return constant(a, b.data.dtype, b.backend), b
    operands = tuple([as_operand(name, x) for x in operands])
    if kinds == NUMBERS:
        refuse_bool(name, *operands)
    tensors = [x for x in operands if isinstance(x, Value)]
    backend = check_same_backend(name, tensors) if tensors else backend or get_backend()
    dtype = result_type(*operands)
    if kinds == FLOATS and dtype.kind != "f":
        dtype = DEFAULT_FLOAT
    broadcast_shapes(name, *[x.data.shape for x in tensors])
    return tuple([cast(x, dtype=dtype) if isinstance(x, Value) else constant(x, dtype, backend) for x in operands])


def align_tensors(name: str, operands: tuple[Any, ...], kinds: str) -> tuple[Value, ...]:
    """`align` for Tensors alone: TypeError for a number."""
    for x in operands:
        check_tensor(name, x)
    return align(name, operands, kinds)


def elementwise(compute: Any, kinds: str = ALL, recorded: bool = True, agree: Any = align) -> Any:
    """An op on one or two operands of any dtype, or of those in `kinds`, that are made to agree first.

    `compute` is a function of the backend and the arrays. Most of the ops that a program runs are of this kind, and on
    small arrays the time goes here: hence two functions instead of one with a loop, and the common case tried before
    `align` is called.
    """

    def unary(x: Any) -> Any:
        if not isinstance(x, Value) or not (x.data.dtype is DEFAULT_FLOAT or x.data.dtype.kind in kinds):
            (x,) = align_tensors(this.name, (x,), kinds)
        lib = x.backend
        out = Value.kind(compute(lib, x.data), lib)
        if recorded and x.tracked and is_grad_enabled():
            out.node, out.tracked = Node(this, (x,), NO_SETTINGS, out, True), True
        if watching:
            watching[0].made(this, (x,), out, elementwise=True)
        return out

    def binary(a: Any, b: Any) -> Any:
        same_shape = aligned = False
        if type(b) is not float:
            try:  # isinstance() would cost more
                x, y = a.data, b.data
                dtype = x.dtype
                aligned = (
                    dtype is y.dtype and a.backend is b.backend and (dtype is DEFAULT_FLOAT or dtype.kind in kinds)
                )
            except AttributeError:  # a number, or no operand at all
                aligned = False
        if not aligned:
            a, b = agree(this.name, (a, b), kinds)
        elif not (same_shape := x.shape == y.shape):
            broadcast_shapes(this.name, x.shape, y.shape)
        lib = a.backend
        out = Value.kind(compute(lib, a.data, b.data), lib)
        if recorded and (a.tracked or b.tracked) and is_grad_enabled():
            out.node, out.tracked = Node(this, (a, b), NO_SETTINGS, out, same_shape), True
        if watching:
            watching[0].made(this, (a, b), out, elementwise=True)
        return out

    call = unary if compute.__code__.co_argcount == 2 else binary
    this = Op(compute, call, on_arrays=True)
    return call


numeric = partial(elementwise, kinds=NUMBERS)  # refuses bools, as torch does
floating = partial(elementwise, kinds=FLOATS)  # turns integers and bools into the default float first


def tabled(name: str, doc: str, compute: Any, vjp: Any, kinds: str = ALL, agree: Any = align) -> Any:
    """An elementwise op in a line: name, what it gives, how it is computed, its rules; without rules it gives bools."""
    compute.__name__, compute.__doc__ = name, doc
    call = elementwise(compute, kinds, vjp is not None, agree)
    if vjp is not None:
        call.vjp = vjp
    return call
