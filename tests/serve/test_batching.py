"""Groups of requests: what is computed together, and that nobody gets another's answer."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_edu.serve import Column, Table, load
from tinygrad_edu.serve.batching import Batcher
from tinygrad_edu.serve.problems import Problem
from tinygrad_edu.serve.served import Answer, Served
from tinygrad_edu.serve.trial import rows_together, try_out


class Doubles:
    """A model that doubles, and remembers how many rows it was given; the first call waits for `go`."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.began, self.go = threading.Event(), threading.Event()

    def __call__(self, x: np.ndarray) -> Answer:
        self.sizes.append(len(x))
        self.began.set()
        assert self.go.wait(30)
        if (x < 0).any():
            raise ValueError("negative")
        return Answer(2 * x, x.sum(1, keepdims=True))


def ask_while_one_computes(batcher: Batcher, model: Doubles, requests: list[np.ndarray]) -> list[Any]:
    """The answers, or errors, to requests that wait while another is computed."""

    def ask(x: np.ndarray) -> Any:
        try:
            return batcher(x)
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(requests) + 1) as pool:
        first = pool.submit(ask, np.zeros((1, 2)))
        assert model.began.wait(30)
        rest = []
        for x in requests:
            rest.append(pool.submit(ask, x))
            while len(batcher._queue) < len(rest):  # in this order
                time.sleep(0.001)
        model.go.set()
        assert first.result().predictions.tolist() == [[0.0, 0.0]]
        return [future.result() for future in rest]


def test_those_who_wait_are_computed_together_and_each_gets_its_own() -> None:
    model = Doubles()
    batcher = Batcher(model, rows=4)
    requests = [np.full((n, 2), float(i)) for i, n in enumerate((1, 2, 1, 3, 1))]
    answers = ask_while_one_computes(batcher, model, requests)
    assert model.sizes == [1, 4, 4]
    for x, answer in zip(requests, answers, strict=True):
        np.testing.assert_array_equal(answer.predictions, 2 * x)
        np.testing.assert_array_equal(answer.probabilities, x.sum(1, keepdims=True))


def test_a_request_is_not_split_and_a_large_one_is_computed_alone() -> None:
    model = Doubles()
    model.go.set()
    batcher = Batcher(model, rows=4)
    assert len(batcher(np.zeros((9, 2))).predictions) == 9
    assert model.sizes == [9]


def test_an_error_is_everybodys_in_the_group_and_nobody_elses() -> None:
    model = Doubles()
    answers = ask_while_one_computes(
        Batcher(model, rows=2), model, [np.ones((1, 2)), -np.ones((1, 2)), np.ones((1, 2)), np.ones((1, 2))]
    )
    assert [isinstance(answer, ValueError) for answer in answers] == [True, True, False, False]


def test_who_waits_too_long_is_told_so_and_forgotten() -> None:
    model = Doubles()
    batcher = Batcher(model, rows=4, patience=0.05)
    (answer,) = ask_while_one_computes_slowly(batcher, model)
    assert isinstance(answer, Problem)
    assert answer.status == 503
    assert len(batcher._queue) == 0


def ask_while_one_computes_slowly(batcher: Batcher, model: Doubles) -> list[Any]:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(batcher, np.zeros((1, 2)))
        assert model.began.wait(30)
        try:
            batcher(np.ones((1, 2)))
        except Problem as problem:
            return [problem]
        finally:
            model.go.set()
            first.result()
    return []


def test_too_many_are_told_to_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinygrad_edu.serve.batching.MOST_WAITING", 0)
    with pytest.raises(Problem, match="too many requests wait") as raised:
        Batcher(Doubles(), rows=4)(np.zeros((1, 2)))
    assert raised.value.status == 503


def test_the_first_of_a_group_waits_if_told_to() -> None:
    model = Doubles()
    model.go.set()
    batcher = Batcher(model, rows=2, seconds=30.0)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(batcher, [np.zeros((1, 2)), np.ones((1, 2))]))
    assert model.sizes == [2]


class Stub(Served):
    """A model that does what a test wants when it is tried."""

    task, architecture = "regress", "stub"

    def __init__(self, name: str, does: Any = None) -> None:
        super().__init__(Table((Column("a"),)), None)
        self.name, self.does = name, does

    def compute(self, x: Any) -> Answer:
        """What it was told."""
        if self.does is not None:
            self.does()
        return Answer(np.zeros(len(x)))


def crash() -> None:
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)


def fail() -> None:
    raise LookupError("no such weight")


@pytest.mark.parametrize(
    ("does", "complaint"),
    [
        (crash, "model 'bad': it crashed, or took more than 5 s"),
        (lambda: time.sleep(60), "model 'bad': it crashed, or took more than 5 s"),
        (fail, "model 'bad': it does not answer: LookupError: no such weight"),
    ],
)
def test_a_model_that_does_not_answer_is_found_out(does: Any, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        try_out([Stub("good"), Stub("bad", does)], 4, seconds=5.0)


def test_groups_are_no_larger_than_leaves_the_bits_alone(lenet_file: Path, char_file: Path, iris_file: Path) -> None:
    model = load(lenet_file, backend="cpp")
    rows = rows_together(model, 8)
    assert 1 <= rows <= 8
    x = model.inputs.arrays(model.inputs.example(rows, np.random.default_rng(5)))
    alone = [model.compute(x[i : i + 1]).tobytes() for i in range(rows)]
    assert [model.compute(x)[i : i + 1].tobytes() for i in range(rows)] == alone
    assert rows_together(load(char_file), 8) == rows_together(load(iris_file), 8) == 1


def test_a_model_whose_rows_depend_on_each_other_is_asked_alone(lenet_file: Path) -> None:
    model: Any = load(lenet_file)
    compute = model.compute
    model.compute = lambda x: Answer(compute(x).probabilities + (1e-7 if len(x) > 3 else 0.0))
    assert rows_together(model, 8) <= 3
