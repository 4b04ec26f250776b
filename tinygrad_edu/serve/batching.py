"""Requests that wait are computed together: a matrix product of many rows costs little more than that of one.

There is no thread that computes. Whoever comes leaves their rows in the queue and waits for a turn; whose turn it is
takes from the queue what fits, computes it, and hands the others their answers. While one computes, others come, so
that groups grow with the load, and who is alone waits for nobody (unless `seconds` says so).

A request is never split, and one larger than a group is computed alone.

Source: D. Hendler, I. Incze, N. Shavit, M. Tzafrir, "Flat combining and the synchronization-parallelism tradeoff",
2010; the two settings, size and time, are TensorFlow Serving's `max_batch_size` and `batch_timeout_micros`.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from tinygrad_edu.serve.problems import Problem
from tinygrad_edu.serve.served import Answer

MOST_WAITING = 1024  # requests: what comes then is told to come again later


class _Job:
    def __init__(self, x: np.ndarray) -> None:
        self.x = x
        self.answer: Answer | None = None
        self.error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.answer is not None or self.error is not None


class Batcher:
    """`compute`, called by many threads, with at most `rows` rows at once, from one or more of them.

    The first of a group waits up to `seconds` for more to come. Who has no answer after `patience` seconds gets a
    Problem, as does everybody while too many wait.
    """

    def __init__(
        self, compute: Callable[[np.ndarray], Answer], *, rows: int, seconds: float = 0.0, patience: float = 10.0
    ) -> None:
        self.compute, self.rows, self.seconds, self.patience = compute, rows, seconds, patience
        self._queue: deque[_Job] = deque()
        self._turn = threading.Lock()

    def __call__(self, x: np.ndarray) -> Answer:
        """The answer to the rows x (n, ...)."""
        if self.rows <= 1 or len(x) > self.rows:
            return self.compute(x)
        if len(self._queue) >= MOST_WAITING:
            raise Problem(503, "too many requests wait; try again", headers={"Retry-After": "1"})
        job = _Job(x)
        self._queue.append(job)
        if not self._turn.acquire(timeout=self.patience):
            with suppress(ValueError):  # it is being computed, but too late
                self._queue.remove(job)
            raise Problem(503, f"no answer within {self.patience:g} s", headers={"Retry-After": "1"})
        try:
            while not job.done:  # else somebody whose turn came earlier has done it
                self._group()
        finally:
            self._turn.release()
        if job.error is not None:
            raise job.error
        assert job.answer is not None
        return job.answer

    def _group(self) -> None:
        """Compute what waits first, as much as fits."""
        end = time.monotonic() + self.seconds
        while self.seconds and len(self._queue) < self.rows and time.monotonic() < end:
            time.sleep(min(self.seconds, 2e-4))
        jobs, rows = [], 0
        while self._queue and rows + len(self._queue[0].x) <= self.rows:
            jobs.append(self._queue.popleft())
            rows += len(jobs[-1].x)
        try:
            answer = self.compute(jobs[0].x if len(jobs) == 1 else np.concatenate([job.x for job in jobs]))
        except Exception as error:  # each of them raises it, in its own thread
            for job in jobs:
                job.error = error
            return
        begin = 0
        for job in jobs:
            job.answer = answer[begin : begin + len(job.x)]
            begin += len(job.x)
