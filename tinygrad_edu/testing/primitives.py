"""What every primitive must do: calls of each, and NumPy's own answer to them.

`CALLS` has, for each primitive, a function that yields tuples of arguments (NumPy arrays where the backend gets arrays
of its own); `ANSWERS` has what NumPy gives for the same arguments. `check` compares one call on one backend.
A new primitive needs an entry in both.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_edu.backend import Array, Backend
from tinygrad_edu.testing.compare import TOLERANCE, assert_close
from tinygrad_edu.testing.variants import LAYOUTS, PAIRS, POSITIVE, REAL, SHAPES, SPECIAL, Domain, booleans
from tinygrad_edu.testing.windows import WINDOWS, counted_fold, counted_windows

Arguments = tuple[Any, ...]

FLOATS = ("float32", "float64")
NUMBERS = ("uint8", "int32", "int64", *FLOATS)
ALL = ("bool", *NUMBERS)
# Results that may lie in their argument's memory; all others must be fresh.
VIEWS = {"from_numpy", "to_numpy", "reshape", "permute", "expand", "slice", "flip", "windows"}
# Nothing is rounded here, or as IEEE 754 prescribes: the bits must be NumPy's. All else has `TOLERANCE`.
EXACT = VIEWS | {
    *("sqrt", "floor", "cast", "add", "sub", "mul", "div", "maximum", "less", "equal", "where", "max", "argmax"),
    *("remainder", "argsort", "pad", "concat", "take", "nonzero", "assign"),
}
# Every element on its own scale, not the largest one's: near 0 these have a value of their own, which is easily lost.
FINE = {"exp", "expm1", "log", "log1p", "sin", "tanh", "atan2", "erf"}
# Where NumPy has no answer of its own, math's is the true one but for its last bit, and so there is less room.
ULPS = {"erf": 4}


def _array(shape: tuple[int, ...], dtype: Any = "float64", domain: Domain = REAL, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind in "iu":  # small enough that no product or power overflows
        return rng.integers(0, 4, shape).astype(dtype)
    return booleans(rng, shape, None) if dtype == "bool" else domain(rng, shape, dtype)


def _unary(domain: Domain = REAL) -> Iterator[Arguments]:
    for dtype in FLOATS:
        for shape in SHAPES:
            yield (_array(shape, dtype, domain),)
        yield (np.array([*SPECIAL, 1e-8, -1e-8, 1e4, -1e4], dtype),)


def _binary(
    dtypes: tuple[str, ...], domain: Domain = REAL, numbers: tuple[float, ...] = (2, 0, 1)
) -> Iterator[Arguments]:
    for dtype in dtypes:
        for a, b in PAIRS:
            yield _array(a, dtype, domain), _array(b, dtype, domain, seed=1)
        if dtype == "bool":
            continue
        for number in (*numbers, *((2.5, -1.5, float("inf")) if dtype in FLOATS else ())):  # on either side
            yield _array((2, 3), dtype, domain), number
            yield number, _array((), dtype, domain)
    for dtype in FLOATS:
        yield tuple(np.ascontiguousarray(x) for x in np.meshgrid(np.array(SPECIAL, dtype), np.array(SPECIAL, dtype)))
        x = np.array([1.0, -2.5, 0.0, 1e4], dtype)
        yield x, np.nextafter(x, np.array(np.inf, dtype))  # neighbours


def _erf() -> Iterator[Arguments]:
    yield from _unary()
    for dtype in FLOATS:  # from where it is 1 to where it is x, through all the formulas that one may piece it from
        sizes = np.concatenate([np.linspace(0.0, 7.0, 701), np.logspace(-300 if dtype == "float64" else -36, 1, 300)])
        yield (np.concatenate([-sizes, sizes]).astype(dtype),)


def _remainder() -> Iterator[Arguments]:
    yield from _binary(NUMBERS, POSITIVE, (2, 1))
    for dtype in NUMBERS:  # every sign; integers by 0 give 0
        x, y = np.meshgrid(np.arange(-4, 5), np.arange(-3, 4))
        low = 0 if dtype != "uint8" else 4
        yield (x + low).astype(dtype), (y + low).astype(dtype)
        yield (x[0] + low).astype(dtype), 3
    for dtype in ("int32", "int64"):  # the one quotient that has no place in the dtype
        yield np.array([np.iinfo(dtype).min], dtype), np.array([-1], dtype)
    yield np.array([1e4, -1e4, 0.3, -0.3, 5.5]), np.array([0.1, 0.1, 0.1, 0.1, -2.0])


def _atan2() -> Iterator[Arguments]:
    yield from _binary(FLOATS)
    for dtype in FLOATS:
        x = np.array([0.0, -0.0, 1e-30, -1e-30, 1.0, -1.0], dtype)
        yield tuple(np.ascontiguousarray(a) for a in np.meshgrid(x, x))


def _where() -> Iterator[Arguments]:
    for dtype in ALL:
        for a, b in PAIRS:
            yield _array((3, 1, 1, 1), "bool"), _array(a, dtype), _array(b, dtype, seed=1)
        yield _array((), "bool"), _array((), dtype), _array((), dtype, seed=1)
    for dtype in FLOATS:
        condition = _array((2, 3), "bool")
        yield condition, _array((2, 3), dtype), 0.0
        yield condition, -1.5, _array((3,), dtype)
        yield condition, np.full((2, 3), np.nan, dtype), _array((2, 3), dtype)


AXES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    *[((3, 4), axes) for axes in ((0, 1), (0,), (1,), ())],
    *[((2, 3, 4), axes) for axes in ((0, 2), (1,))],
    *[((2, 0, 3), (2,)), ((), ()), ((1,), (0,)), ((300,), (0,)), ((37, 5), (0,))],
)
EMPTY = (((0,), (0,)), ((2, 0, 3), (1,)), ((2, 0, 3), (0, 1, 2)))


def _near_one(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Of either sign, and so near to 1 in size that the product of 300 of them, or of 300 equal ones, is a number."""
    return np.asarray(rng.uniform(0.9, 1.1, shape) * rng.choice([-1, 1], shape), dtype)


def _reducing(dtypes: tuple[str, ...], empty: bool, domain: Domain = REAL) -> Iterator[Arguments]:
    for dtype in dtypes:
        for shape, axes in (*AXES, *(EMPTY if empty else ())):
            yield _array(shape, dtype, domain), axes, False
            yield _array(shape, dtype, domain), axes, True
    for dtype in FLOATS:
        for value in SPECIAL[:3]:
            yield np.array([[1.0, value], [2.0, 0.5]], dtype), (1,), False


def _along_one_axis(dtypes: tuple[str, ...], *rest: Any) -> Iterator[Arguments]:
    for dtype in dtypes:
        for shape, axes in AXES:
            if len(axes) == 1:
                yield (_array(shape, dtype), axes[0], *rest)
        yield (np.array([[1, 3, 3], [0, 0, 0]], dtype), 1, *rest)
    for dtype in FLOATS:
        yield (np.array([[1.0, np.nan, np.inf, np.nan], [-np.inf, -np.inf, 0.0, -0.0]], dtype), 1, *rest)


MATRICES = (
    *[((2, 3), (3, 4)), ((1, 1), (1, 1)), ((0, 3), (3, 2)), ((2, 0), (0, 3)), ((2, 3, 4), (2, 4, 5))],
    *[((2, 1, 3, 4), (5, 4, 2)), ((3, 4), (2, 4, 1)), ((0, 2, 3), (3, 2)), ((33, 70), (70, 19))],
)


def _matmul() -> Iterator[Arguments]:
    for dtype in ("int64", *FLOATS):
        for a, b in MATRICES:
            yield _array(a, dtype), _array(b, dtype, seed=1)
    yield np.array([[np.inf, 1.0]]), np.array([[0.0], [1.0]])


def _with(*rows: Arguments) -> Callable[[], Iterator[Arguments]]:
    """Rows of (shape, further arguments) for every dtype."""

    def yields() -> Iterator[Arguments]:
        for dtype in ALL:
            for shape, *rest in rows:
                yield (_array(shape, dtype), *rest)

    return yields


_SLICES = (
    ((5,), (slice(1, 4, 2),), (2,)),
    ((5,), (slice(3, 3, 1),), (0,)),
    ((3, 4), (slice(0, 3, 2), slice(1, 2, 1)), (2, 1)),
    ((3, 4), (slice(2, 3, 1), slice(0, 4, 3)), (1, 2)),
    ((2, 0, 3), (slice(0, 1, 1), slice(0, 0, 1), slice(0, 3, 1)), (1, 0, 3)),
    ((), (), ()),
)
_INDICES: tuple[tuple[tuple[int, ...], tuple[Any, ...]], ...] = (
    ((4,), ([2, 0, 2, -1],)),
    ((4,), ([],)),
    ((4, 3), ([[1, 1], [0, 3]],)),
    ((4, 3), ([0, 3, 0], [2, 2, 2])),
    ((4, 3, 2), ([[0], [3]], [2, 0, -3])),
    ((1, 0), ([0, 0],)),
)


def _indices() -> Iterator[tuple[tuple[int, ...], tuple[np.ndarray, ...]]]:
    for dtype in ("int64", "int32"):
        for shape, index in _INDICES:
            yield shape, tuple(np.array(i, dtype) for i in index)


def _take() -> Iterator[Arguments]:
    for dtype in ALL:
        for shape, index in _indices():
            yield _array(shape, dtype), index


def _put_add() -> Iterator[Arguments]:
    for dtype in ("int64", *FLOATS):
        for shape, index in _indices():
            yield _array(np.zeros(shape)[index].shape, dtype), index, shape


def _add_up(x: np.ndarray, index: tuple[np.ndarray, ...], shape: tuple[int, ...]) -> np.ndarray:
    """`put_add`, one position at a time."""
    out = np.zeros(shape, x.dtype)
    positions = np.broadcast_arrays(*index)
    for at in np.ndindex(positions[0].shape):
        out[tuple(int(p[at]) for p in positions)] += x[at]
    return out


def _padded(x: np.ndarray, shape: tuple[int, ...], key: Any) -> np.ndarray:
    out = np.zeros(shape, x.dtype)
    out[key] = x
    return out


CALLS: dict[str, Callable[[], Iterator[Arguments]]] = {
    "from_numpy": lambda: ((_array(shape, dtype),) for dtype in (*ALL, "uint64") for shape in SHAPES),
    "to_numpy": lambda: ((_array(shape, dtype),) for dtype in (*ALL, "uint64") for shape in SHAPES),
    **dict.fromkeys(("exp", "expm1", "sin", "cos", "tanh", "floor"), _unary),
    **dict.fromkeys(("log", "log1p", "sqrt"), lambda: _unary(POSITIVE)),
    "cast": lambda: ((_array(s, a), np.dtype(b)) for a in ALL for b in ALL for s in ((), (0,), (2, 3))),
    **dict.fromkeys(("add", "mul", "maximum", "equal", "less"), lambda: _binary(ALL)),
    "sub": lambda: _binary(NUMBERS),
    "div": lambda: _binary(FLOATS, POSITIVE),
    "pow": lambda: _binary(NUMBERS, POSITIVE),
    "remainder": _remainder,
    "atan2": _atan2,
    "erf": _erf,
    "where": _where,
    "sum": lambda: _reducing(NUMBERS, True),
    "prod": lambda: _reducing(NUMBERS, True, _near_one),
    "max": lambda: _reducing(ALL, False),
    "argmax": lambda: (call for keepdims in (False, True) for call in _along_one_axis(ALL, keepdims)),
    "cumsum": lambda: _along_one_axis(NUMBERS),
    "argsort": lambda: _along_one_axis(ALL),
    "matmul": _matmul,
    "reshape": _with(((2, 6), (3, 4)), ((), (1, 1)), ((1,), ()), ((0, 2), (4, 0)), ((5,), (5,))),
    "permute": _with(((2, 3, 4), (2, 0, 1)), ((2, 0), (1, 0)), ((), ()), ((3,), (0,))),
    "expand": _with(((3, 1), (3, 4)), ((), (2, 3)), ((), ()), ((4,), (2, 1, 4)), ((1,), (0,)), ((2, 3), (2, 3))),
    "slice": _with(*[(shape, key) for shape, key, _ in _SLICES]),
    "pad": _with(*[(part, shape, key) for shape, key, part in _SLICES]),
    "flip": _with(((2, 3), (0, 1)), ((2, 3), (1,)), ((), ()), ((0, 2), (0,)), ((2, 3), ())),
    "concat": lambda: (
        ([_array(s, dtype, seed=i) for i, s in enumerate(shapes)], axis)
        for dtype in ALL
        for shapes, axis in [
            (((2, 3), (4, 3)), 0),
            (((2, 3), (2, 0), (2, 1)), 1),
            (((3,),), 0),
            (((0,), (0,)), 0),
            (((2, 1, 3), (2, 2, 3)), 1),
        ]
    ),
    "take": _take,
    "put_add": _put_add,
    "windows": _with(*WINDOWS),
    "fold": lambda: (
        (_array(counted_windows(np.zeros(shape), size, *steps).shape, dtype), shape[-len(size) :], *steps)
        for dtype in ("int64", *FLOATS)
        for shape, size, *steps in WINDOWS
    ),
    "nonzero": lambda: ((_array(s, dtype),) for dtype in ALL for s in ((5,), (0,), (1,), (3, 4), (2, 0, 3), (2, 3, 2))),
    "random": lambda: (
        (np.array(key, np.uint64), shape, np.dtype(dtype))
        for dtype in FLOATS
        for key in ((0, 0), (1, 7), (2**64 - 1, 2**63))
        for shape in ((), (0,), (1,), (2, 3), (1001,))
    ),
    "assign": lambda: (
        (_array(target, dtype), value)
        for dtype in ALL
        for target, value in [
            *((pair[0], _array(pair[1], dtype, seed=1)) for pair in PAIRS if np.broadcast_shapes(*pair) == pair[0]),
            ((2, 3), 1),
            ((), 0),
            ((0,), 1),
        ]
    ),
}


def _random(key: np.ndarray, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return np.asarray(np.random.Generator(np.random.Philox(key=key)).random(shape, dtype=dtype.type))


ANSWERS: dict[str, Callable[..., Any]] = {
    **dict.fromkeys(("from_numpy", "to_numpy"), lambda x: x),
    **{name: getattr(np, name) for name in ("exp", "expm1", "log", "log1p", "sqrt", "sin", "cos", "tanh", "floor")},
    "cast": lambda x, dtype: x.astype(dtype),
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "pow": np.power,
    "remainder": np.remainder,
    "atan2": np.arctan2,
    "erf": lambda x: np.array([math.erf(n) for n in x.ravel().tolist()], x.dtype).reshape(x.shape),
    **{name: getattr(np, name) for name in ("maximum", "less", "equal", "where", "matmul", "nonzero", "flip")},
    "sum": lambda x, axes, keepdims: np.sum(x, axis=axes, keepdims=keepdims, dtype=x.dtype),
    "prod": lambda x, axes, keepdims: np.prod(x, axis=axes, keepdims=keepdims, dtype=x.dtype),
    "max": lambda x, axes, keepdims: np.max(x, axis=axes, keepdims=keepdims),
    "argmax": lambda x, axis, keepdims: np.argmax(x, axis=axis, keepdims=keepdims),
    "argsort": lambda x, axis: np.argsort(x, axis=axis, stable=True),
    "cumsum": lambda x, axis: np.cumsum(x, axis=axis, dtype=x.dtype),
    "reshape": np.reshape,
    "permute": np.transpose,
    "expand": np.broadcast_to,
    "slice": lambda x, key: x[key],
    "pad": _padded,
    "concat": np.concatenate,
    "take": lambda x, index: x[index],
    "put_add": _add_up,
    "windows": counted_windows,
    "fold": counted_fold,
    "random": _random,
    "assign": lambda target, value: np.broadcast_to(np.asarray(value, target.dtype), target.shape),
}


def describe(arguments: Arguments) -> str:
    """Arguments in short, as a test's name: float32[2,3] for an array."""

    def short(x: Any) -> str:
        if isinstance(x, np.ndarray):
            return f"{x.dtype}{list(x.shape)}"
        if isinstance(x, slice):
            return f"{x.start}:{x.stop}:{x.step}"
        return "+".join(map(short, x)) if isinstance(x, (tuple, list)) else str(x)

    return "_".join(map(short, arguments)).replace(" ", "")


def check(backend: Backend, primitive: str, arguments: Arguments, layout: str = "contiguous") -> None:
    """AssertionError unless one call gives NumPy's answer, as an array of the backend's, and changes no argument.

    Every array among the arguments is laid out as `layout` says.
    """
    arrays: list[Array] = []

    def ours(x: Any) -> Any:
        if isinstance(x, np.ndarray):
            arrays.append(LAYOUTS[layout].array(backend, x))
            return arrays[-1]
        return type(x)(map(ours, x)) if isinstance(x, (tuple, list)) else x

    def numpys(x: Any) -> Any:
        if isinstance(x, (tuple, list)):
            return type(x)(map(numpys, x))
        return np.array(backend.to_numpy(next(laid)), order="C") if isinstance(x, np.ndarray) else x

    converted = tuple(map(ours, arguments))
    laid = iter(arrays)
    same = tuple(map(numpys, arguments))
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy's own answer may warn, a backend may not
        expected = ANSWERS[primitive](*same)
    before = [np.array(backend.to_numpy(x)) for x in arrays]
    given = same if primitive == "from_numpy" else converted
    result = getattr(backend, primitive)(*given)
    if primitive == "assign":
        assert result is None, f"assign: expected None as result, got {result!r:.200}"
        result, before = arrays[0], [expected, *before[1:]]
    results, answers = (result, expected) if isinstance(expected, tuple) else ((result,), (expected,))
    assert len(results) == len(answers), f"{primitive}: expected {len(answers)} results, got {len(results)}"
    for got, answer in zip(results, answers, strict=True):
        _check_result(backend, primitive, got, np.asarray(answer))
    _check_unchanged(backend, primitive, arrays, before, "it may change no argument")
    if primitive not in VIEWS | {"assign"}:
        for got in results:
            backend.assign(got, 1)
        _check_unchanged(backend, primitive, arrays, before, "its result must not share an argument's memory")


def _check_result(backend: Backend, primitive: str, got: Array, expected: np.ndarray) -> None:
    kind = np.ndarray if primitive == "to_numpy" else type(backend.from_numpy(np.zeros(1)))
    assert isinstance(got, kind), f"{primitive}: expected an array of the backend's ({kind}), got {type(got)}: {got!r}"
    array = np.array(backend.to_numpy(got)) if primitive != "to_numpy" else got
    for name in ("shape", "dtype"):
        found, wanted = [getattr(x, name) for x in (got, array)], getattr(expected, name)
        assert found == [wanted, wanted], (
            f"{primitive}: expected {name} {wanted}, got {found[0]}, by to_numpy {found[1]}"
        )
    rtol = 0.0 if primitive in EXACT else TOLERANCE.get(array.dtype, 0.0)
    if primitive in ULPS:
        rtol = ULPS[primitive] * float(np.finfo(array.dtype).eps)
    assert_close(primitive, array, expected, "NumPy", rtol, 0.0 if primitive in FINE else None)


def _check_unchanged(
    backend: Backend, primitive: str, arrays: list[Array], before: list[np.ndarray], rule: str
) -> None:
    for i, (x, old) in enumerate(zip(arrays, before, strict=True)):
        now = np.asarray(backend.to_numpy(x))
        assert np.array_equal(now, old, equal_nan=old.dtype.kind == "f"), f"{primitive}: array {i} was changed: {rule}"
