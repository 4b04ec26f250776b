"""detect_anomaly: stop at the op that made the first NaN or infinity, and name the user's line that called it.

An op *makes* a NaN if its result has one and no argument has; it makes an infinity if its result has one and all its
arguments are finite. So a mask filled with -inf, and the softmax of it, are no anomaly. The same holds backward, for
what a gradient rule gives and the gradient that it is given. A NaN that no op made, because it came in with the data or
the weights, is no op's fault and passes forward (it may mark what is missing, and be masked later); where a gradient
rule turns it into a NaN gradient, the error says that it was there already.

Source for the idea: torch's `torch.autograd.detect_anomaly`, which sees NaN in backward passes only.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu.autograd import Node, Value, watching

if TYPE_CHECKING:
    from tinygrad_edu.ops.op import Op
    from tinygrad_edu.tensor import Tensor

Line = tuple[str, int, str]  # file, line, function

# Frames of these modules are never the user's line. Projects and models are: there the mistakes are made.
_OURS = {
    *("autograd", "create", "debug", "drawing", "functions", "gradient_hooks", "lr_scheduler", "nn", "ops", "optim"),
    *("random", "recompute", "tensor", "testing", "transforms"),
}

_here = ContextVar("here", default=False)  # in this thread
_pulling: ContextVar[Node | None] = ContextVar("pulling", default=None)  # whose gradient rule runs, in this thread


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Within the block, in this thread, the op that makes the first NaN or infinity raises RuntimeError.

    The error names the op, what it gave, where, from what, and the user's line that called the op; in a backward pass,
    the line that called it in the forward pass, if that was within such a block too. Every result is looked at, which
    takes time: this is for finding a mistake. Sums of several gradients of one Tensor are not looked at.

    >>> import tinygrad_edu as tg
    >>> with detect_anomaly():
    ...     tg.tensor([1.0, 0.0]) / tg.tensor([2.0, 0.0])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    RuntimeError: detect_anomaly: div gave nan at index (1,), from 0.0 and 0.0
    ...
    """
    token = _here.set(True)
    watching.append(_WATCH)
    try:
        yield
    finally:
        watching.remove(_WATCH)
        _here.reset(token)


class Watch:
    """What ops and backward passes report to while an anomaly is looked for (`autograd.watching`)."""

    def made(self, op: Op, args: Sequence[Any], out: Tensor, elementwise: bool = False) -> None:
        """Look at an op's result. RuntimeError if it has a NaN or an infinity that `args` do not account for."""
        if not _here.get():
            return
        line = _user_line()
        if out.node is not None:
            out.node.line = line
        if _pulling.get() is not None:
            return  # a gradient rule at work: what counts is what it gives in the end
        sources = [x.backend.to_numpy(x.data) if isinstance(x, Value) else np.asarray(x) for x in args if _is_number(x)]
        array = out.backend.to_numpy(out.data)
        index = _new(array, sources)
        if index is not None:
            found = [_at(x, index, array.shape) if elementwise else _describe(x) for x in sources]
            gave = f"{op.name} gave {array[index]} at index {index}, from {' and '.join(found)}"
            raise RuntimeError(f"detect_anomaly: {gave}\n{_show(line)}")

    def pull(self, node: Node, g: Tensor, needs: tuple[bool, ...], linked: bool) -> Sequence[Tensor | None]:
        """The node's gradient rule, looked at. RuntimeError if it gives what is not finite though `g` is."""
        op = node.plan.op
        if not _here.get():
            return op.pull(node, g, needs, linked)
        saved = dict(zip(node.plan.names, node.saved or (), strict=False))
        token = _pulling.set(node)
        try:
            gradients = op.pull(node, g, needs, linked)
        finally:
            _pulling.reset(token)
        given = g.backend.to_numpy(g.data)
        for i, gx in enumerate(gradients):
            array = given if gx is None else gx.backend.to_numpy(gx.data)
            index = _new(array, [given])
            if index is not None:
                already = [name for name, x in saved.items() if np.isnan(x.backend.to_numpy(x.data)).any()]
                note = f"\n{_names(already)} had NaN already, which no op made within this block" * bool(already)
                raise RuntimeError(
                    f"detect_anomaly: the gradient of {op.name} with respect to argument {i} is {array[index]} "
                    f"at index {index}, from a gradient {_describe(given)}{note}\n{op.name} was called here:\n"
                    f"{_show(getattr(node, 'line', None))}"
                )
        return gradients


_WATCH = Watch()


def _is_number(x: Any) -> bool:
    return isinstance(x, (Value, float)) and not isinstance(x, bool)


def _new(out: np.ndarray, sources: Sequence[np.ndarray]) -> tuple[int, ...] | None:
    """Where `out` has a NaN that no source has, or an infinity though all sources are finite; None if all is well."""
    if np.isfinite(out).all():
        return None
    wrong = np.isnan(out)
    if not wrong.any() or any(np.isnan(x).any() for x in sources):
        wrong = np.isinf(out)
        if not wrong.any() or not all(np.isfinite(x).all() for x in sources):
            return None
    return tuple(int(i[0]) for i in np.nonzero(np.atleast_1d(wrong)))[: out.ndim]


def _at(x: np.ndarray, index: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """The value of an operand, broadcast to `shape`, at `index`."""
    return str(np.broadcast_to(x, shape)[index])


def _describe(x: np.ndarray) -> str:
    """One number as it is, more by shape, dtype and range."""
    if x.size == 1:
        return f"{x.item()}"
    finite = x[np.isfinite(x)]
    span = f", {finite.min()} to {finite.max()}" if finite.size else ""
    return f"{x.shape} {x.dtype}{span}" + ", and infinities" * bool(np.isinf(x).any())


def _names(names: Sequence[Any]) -> str:
    """Arguments by name; those of a `*name` parameter are called (name, position)."""
    return ", ".join(f"'{name}'" if isinstance(name, str) else f"'{name[0]}' at {name[1]}" for name in names)


def _user_line() -> Line | None:
    """The innermost line that is not this package's own; in a gradient rule, the one that the node was made at."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        if frame.f_code is Watch.pull.__code__:
            return getattr(_pulling.get(), "line", None)
        package, _, module = frame.f_globals.get("__name__", "").partition(".")
        if package != "tinygrad_edu" or module.partition(".")[0] not in _OURS:
            return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name
        frame = frame.f_back
    return None


def _show(line: Line | None) -> str:
    """A line as tracebacks show it."""
    if line is None:
        return "  (not known: the op was called outside the detect_anomaly block)"
    file, number, function = line
    return f'  File "{file}", line {number}, in {function}\n    {linecache.getline(file, number).strip()}'
