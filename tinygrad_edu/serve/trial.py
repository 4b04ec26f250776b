"""Every model is tried before it serves: whether it answers at all, and how many rows it may compute at once.

A matrix product of many rows need not sum in the same order as that of one, so that a row's last bits may depend on its
company. Here they must not: an answer would change with what strangers ask at the same time. So it is tried which sizes
of groups leave the bits alone, and no larger ones are formed.

The trial runs in a process of its own, forked from the one that loads: what crashes or hangs is found out and does no
harm, and whatever threads a library starts when it first computes, the server that is forked next is free of them.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
from collections.abc import Sequence

import numpy as np

from tinygrad_edu.serve.inputs import Text
from tinygrad_edu.serve.problems import Problem
from tinygrad_edu.serve.served import Served, ServedModule

SECONDS = 120.0  # a trial may take
SEED = 0


def try_out(models: Sequence[Served], max_batch: int, seconds: float = SECONDS) -> None:
    """Set each model's `together`, up to `max_batch`. ValueError names a model that does not answer, and why."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        for sign in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(sign, signal.SIG_DFL)  # not those of the server that forked
        try:
            for model in models:  # a line each, so that it is seen which one crashed
                os.write(writer, json.dumps({model.name: _result(model, max_batch)}).encode() + b"\n")
        finally:
            os._exit(0)
    os.close(writer)
    try:
        said: dict[str, int | str] = {}
        for line in _read(reader, seconds).splitlines():
            said |= json.loads(line)
    finally:
        os.close(reader)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    for model in models:
        result = said.get(model.name, f"it crashed, or took more than {seconds:g} s, when it was tried")
        if not isinstance(result, int):
            raise ValueError(f"model {model.name!r}: {result}")
        model.together = result


def _read(reader: int, seconds: float) -> bytes:
    """What the child writes, until it ends or the time does."""
    data, end = b"", time.monotonic() + seconds
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    while poll.poll(max(0.0, 1000 * (end - time.monotonic()))):
        part = os.read(reader, 1 << 16)
        if not part:
            break
        data += part
    return data


def _result(model: Served, max_batch: int) -> int | str:
    """How many rows to compute at once, or what went wrong."""
    try:
        answer = model.predict(model.inputs.example(1, np.random.default_rng(SEED)))
        answer.check_finite()
        return rows_together(model, max_batch)
    except Problem as problem:
        return f"it does not answer: {problem.detail}"
    except Exception as error:
        return f"it does not answer: {type(error).__name__}: {error}"


def rows_together(model: Served, max_batch: int) -> int:
    """The most rows, up to `max_batch`, such that no group of so many or fewer changes a bit of any row.

    Only networks form groups: an estimator's answer takes less than the wait for others, and texts differ in length.
    """
    if not isinstance(model, ServedModule) or isinstance(model.inputs, Text):
        return 1
    x = model.inputs.arrays(model.inputs.example(max_batch, np.random.default_rng(SEED)))
    alone = [model.compute(x[i : i + 1]).tobytes() for i in range(len(x))]
    for rows in range(2, max_batch + 1):
        together = model.compute(x[:rows])
        if any(together[i : i + 1].tobytes() != alone[i] for i in range(rows)):
            return rows - 1
    return max_batch
