"""A run keeps what it says it keeps, refuses what cannot go on, and says its result in four places alike."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import data, state
from tinygrad_edu.run import Run

X = np.arange(10, dtype=np.float32)


Outcome = tuple[float, list[dict[str, Any]]]  # the final weight, and all that was logged


class Model:
    """One weight; a step adds the batch's sum and a random number to it."""

    def __init__(self) -> None:
        self.w = np.zeros((), np.float64)

    def step(self, x: Any) -> float:
        self.w = self.w + x.numpy().sum() + tg.rand(1).item()
        return float(self.w)

    def state_dict(self) -> dict[str, Any]:
        return {"w": self.w}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.w = state["w"]


def make(out: Path, **options: Any) -> Run:
    defaults = {"project": "toy", "out": out, "backend": "numpy", "seed": 3, "settings": {"lr": 0.1, "epochs": 3}}
    return Run(**{**defaults, **options})


class Stop(Exception):
    """What ends a training in these tests, where a kill would."""


def go_on(run: Run, where: str) -> None:
    """A place that is passed."""


def train(run: Run, epochs: int = 3, *, stop: Callable[[Run, str], None] = go_on) -> Model:
    """A whole small project: 3 epochs of 4 steps. `stop` is called at each place, to raise there if it likes."""
    model, loader = Model(), data.DataLoader(X, batch_size=3, seed=run.seed)
    run.track(model=model, loader=loader)
    run.log(parameters=1)
    for _ in run.epochs(epochs):
        for (x,) in run.batches(loader):
            stop(run, "step")
            run.log(loss=model.step(x))
        stop(run, "evaluation")
        run.log(test_accuracy=tg.rand(1))
    stop(run, "end")
    run.result(weight=model.w)
    return model


def whole(out: Path, *, every: int | None = None, stop: Callable[[Run, str], None] = go_on, **options: Any) -> Model:
    """The whole project with its Run around it, a checkpoint `every` so many steps."""
    with make(out, **options) as run:
        run.checkpoint_steps = every
        return train(run, stop=stop)


def leave(out: Path, **options: Any) -> None:
    """A run that begins its loop, and fails in the first step."""
    with make(out, **options) as run:
        run.track(model=Model())
        for _ in run.steps(5):
            raise Stop


def metrics(out: Path) -> list[dict[str, Any]]:
    """The logged lines, without the seconds, which differ from run to run."""
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    out = tmp_path_factory.mktemp("undisturbed")
    with make(out) as run:
        model = train(run)
    return float(model.w), metrics(out)


# --- metrics ---------------------------------------------------------------------------------------------------------


def test_a_line_says_when(tmp_path: Path, undisturbed: Outcome) -> None:
    lines = undisturbed[1]
    assert lines[0] == {"step": 0, "epoch": 0, "parameters": 1.0}
    assert [(line["step"], line["epoch"]) for line in lines if "loss" in line] == [
        (n, (n + 3) // 4) for n in range(1, 13)
    ]
    assert [(line["step"], line["epoch"]) for line in lines if "test_accuracy" in line] == [(4, 1), (8, 2), (12, 3)]


@pytest.mark.parametrize(
    ("value", "said"), [(float("nan"), "nan"), (float("-inf"), "-inf"), (np.float32("inf"), "inf")]
)
def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, value: Any, said: str
) -> None:
    def diverge(run: Run, where: str) -> None:
        if run.step == 6:
            run.log(train_loss=value)

    message = (
        rf"^train_loss is {said} at step 6, epoch 2: the training has diverged; try a smaller learning rate, .* "
        rf"The checkpoint of step 5 is {tmp_path}/checkpoint.safetensors$"
    )
    with pytest.raises(FloatingPointError, match=message):
        whole(tmp_path, stop=diverge, every=1)
    assert state.load(tmp_path / "checkpoint.safetensors")["step"] == 5
    assert [line["step"] for line in metrics(tmp_path)][-1] == 5
    assert not (tmp_path / "report.html").exists()


def test_weights_that_are_not_finite_are_never_kept(tmp_path: Path) -> None:
    model, mask = Model(), Model()
    mask.w = np.array(-np.inf)  # a constant of the model: allowed
    message = r"^model.w is no longer finite at step 3, epoch 0: .* The checkpoint of step 2 is "

    def body() -> None:
        with make(tmp_path) as run:
            run.checkpoint_steps = 1
            run.track(model=model, mask=mask)
            for step in run.steps(5):
                model.w = np.array(np.nan if step == 3 else step)

    with pytest.raises(FloatingPointError, match=message):
        body()
    assert state.load(tmp_path / "checkpoint.safetensors")["tracked"]["model"]["w"] == 2


# --- checkpoints and resume ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 3, None], ids=["each step", "each third", "first and last alone"])
@pytest.mark.parametrize("place", [*range(16), 99])
def test_a_resumed_run_ends_like_an_undisturbed_one(
    tmp_path: Path, undisturbed: Outcome, place: int, every: int | None
) -> None:
    """Stopped at its nth place (a step, an evaluation, the end) and resumed, until it is through."""
    calls = 0

    def stop(run: Run, where: str) -> None:
        nonlocal calls
        calls += 1
        if calls == place + 1 or (place == 99 and resume and where == "end" and calls < 40):
            raise Stop

    resume = False
    for _ in range(10):
        try:
            model = whole(tmp_path, every=every, stop=stop, resume=resume)
            break
        except Stop:
            assert not (tmp_path / "report.html").exists()
        resume = True
    assert (float(model.w), metrics(tmp_path)) == undisturbed


@pytest.mark.parametrize("total", [4, 7])
def test_steps_resume_too(tmp_path: Path, total: int) -> None:
    def steps(out: Path, resume: bool, stop: int) -> tuple[float, list[int]]:
        seen, model = [], Model()
        with make(out, resume=resume, may_change=("epochs",)) as run:
            run.checkpoint_steps = 2
            run.track(model=model)
            for step in run.steps(total):
                seen.append(step)
                model.step(tg.tensor(X))
                if step == stop:
                    raise Stop
        return float(model.w), seen

    undisturbed, _ = steps(tmp_path / "whole", False, 0)
    with pytest.raises(Stop):
        steps(tmp_path / "parts", False, 4)
    resumed, seen = steps(tmp_path / "parts", True, 0)
    assert seen == list(range(3, total + 1))
    assert resumed == undisturbed


def test_a_finished_run_can_be_given_more_epochs(tmp_path: Path, undisturbed: Outcome) -> None:
    with make(tmp_path, settings={"lr": 0.1, "epochs": 1}) as run:
        train(run, epochs=1)
    model = whole(tmp_path, resume=True)
    assert (float(model.w), metrics(tmp_path)) == undisturbed


def test_what_is_drawn_before_the_loop_is_drawn_alike(tmp_path: Path) -> None:
    drawn, model = [], Model()
    for resume in (False, True):
        with make(tmp_path, resume=resume) as run:
            run.track(model=model)
            drawn.append(tg.rand(1).item())
            for _ in run.steps(3):
                tg.rand(1)
            drawn.append(tg.rand(1).item())
    assert drawn[:2] == drawn[2:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"project": "other"},
            r"was written with project 'toy', now it is 'other'; resume with the same, or start anew",
        ),
        ({"backend": "other"}, r"was written with backend 'numpy', now it is 'other'"),
        ({"seed": 4}, r"was written with seed 3, now it is 4"),
        ({"settings": {"lr": 0.2, "epochs": 3}}, r"was written with lr 0.1, now it is 0.2"),
        ({"settings": {"lr": 0.1, "epochs": 3, "width": 5}}, r"was written with width None, now it is 5"),
        ({"settings": {"epochs": 3}}, r"was written with lr 0.1, now it is None"),
        ({"may_change": (), "settings": {"lr": 0.1, "epochs": 4}}, r"was written with epochs None, now it is 4"),
    ],
)
def test_a_run_with_other_settings_is_not_resumed(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    whole(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=message), make(tmp_path, resume=True, **change):
        pass
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_a_checkpoint_there_is_nothing_to_resume(tmp_path: Path) -> None:
    message = rf"--resume: there is no {tmp_path}/checkpoint.safetensors; start without --resume, or correct --out"
    with pytest.raises(ValueError, match=message), make(tmp_path, resume=True):
        pass


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_can_be_used(tmp_path: Path, undisturbed: Outcome) -> None:
    whole(tmp_path, every=5)
    checkpoint, previous = tmp_path / "checkpoint.safetensors", tmp_path / "checkpoint.previous.safetensors"
    assert state.load(previous)["step"] == 10
    checkpoint.write_bytes(checkpoint.read_bytes()[:-7])
    message = rf"--resume: {checkpoint}: not a readable .*\nThe one before it may be whole: cp {previous} {checkpoint},"
    with pytest.raises(ValueError, match=message), make(tmp_path, resume=True):
        pass
    shutil.copy(previous, checkpoint)  # what the message says
    model = whole(tmp_path, resume=True)
    assert (float(model.w), metrics(tmp_path)) == undisturbed


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    state.save(tmp_path / "checkpoint.safetensors", {"w": X})
    message = "checkpoint.safetensors is not a run's checkpoint; start without --resume"
    with pytest.raises(ValueError, match=message), make(tmp_path, resume=True):
        pass


def test_metrics_that_were_cut_are_named(tmp_path: Path) -> None:
    whole(tmp_path)
    length = (tmp_path / "metrics.jsonl").stat().st_size
    (tmp_path / "metrics.jsonl").write_text("")
    message = (
        rf"metrics.jsonl has 0 bytes, and had {length} when the checkpoint was written; put it back, or start anew"
    )
    with pytest.raises(ValueError, match=message):
        whole(tmp_path, resume=True)


def test_other_tracked_objects_are_named(tmp_path: Path) -> None:
    whole(tmp_path)
    message = r"checkpoint.safetensors holds \['loader', 'model'\], expected \['model', 'optimizer'\]"
    with pytest.raises(ValueError, match=message), make(tmp_path, resume=True) as run:
        run.track(model=Model(), optimizer=Model())


def test_the_old_run_stays_until_the_new_one_has_a_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole(tmp_path, every=5)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"checkpoint.previous.safetensors", "report.html", "summary.json"} <= set(before)

    def never_begins() -> None:
        with make(tmp_path, seed=4) as run:
            run.log(early=1)
            raise Stop

    with pytest.raises(Stop):
        never_begins()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    capsys.readouterr()
    with pytest.raises(Stop):
        leave(tmp_path, seed=4)
    assert f"starting anew in {tmp_path}: the run there is replaced" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.safetensors", "metrics.jsonl"]
    assert state.load(tmp_path / "checkpoint.safetensors")["step"] == 0
    assert metrics(tmp_path) == []


def test_a_checkpoint_is_due_after_some_seconds(tmp_path: Path) -> None:
    with make(tmp_path) as run:
        run.checkpoint_seconds = 0.0
        run.track(model=Model())
        for step in run.steps(3):
            assert state.load(tmp_path / "checkpoint.safetensors")["step"] == step - 1


def test_a_run_has_one_loop_and_tracks_before_it(tmp_path: Path) -> None:
    loader = data.DataLoader(X, batch_size=5)
    with make(tmp_path) as run:
        with pytest.raises(RuntimeError, match=r"batches\(loader\) belongs in `for epoch in run.epochs\(n\)`, once"):
            next(run.batches(loader))
        for _ in run.epochs(1):
            list(run.batches(loader))
            with pytest.raises(RuntimeError, match=r"once an epoch"):
                next(run.batches(loader))
        with pytest.raises(RuntimeError, match=r"a run has one loop.*make a second Run for a second training"):
            next(run.steps(3))
        with pytest.raises(RuntimeError, match=r"track\(...\) is called once, before the loop"):
            run.track(model=Model())
    with make(tmp_path / "b") as run:
        train(run)
    with pytest.raises(RuntimeError, match=r"--resume needs run.track"), make(tmp_path / "b", resume=True) as run:
        next(run.epochs(5))


# --- Ctrl-C ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [(6, "step"), (8, "evaluation"), (12, "evaluation")])
def test_ctrl_c_finishes_the_step_and_keeps_it(tmp_path: Path, undisturbed: Outcome, at: tuple[int, str]) -> None:
    def press(run: Run, where: str) -> None:
        if (run.step, where) == at:
            os.kill(os.getpid(), signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # pytest may run where it is ignored
    with pytest.raises(KeyboardInterrupt):
        whole(tmp_path, stop=press)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert state.load(tmp_path / "checkpoint.safetensors")["step"] == at[0]
    assert metrics(tmp_path)[-1]["step"] == at[0]
    model = whole(tmp_path, resume=True)
    assert (float(model.w), metrics(tmp_path)) == undisturbed


def test_a_second_ctrl_c_and_one_outside_the_loop_stop_at_once(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    reached = []

    def outside() -> None:
        with make(tmp_path):
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("after the first")

    def twice() -> None:
        with make(tmp_path) as run:
            for _ in run.steps(2):
                os.kill(os.getpid(), signal.SIGINT)
                reached.append("in the loop")
                os.kill(os.getpid(), signal.SIGINT)
                reached.append("after the second")

    for body in (outside, twice):
        with pytest.raises(KeyboardInterrupt):
            body()
    assert reached == ["in the loop"]


def test_a_run_in_another_thread_leaves_ctrl_c_alone(tmp_path: Path) -> None:
    before, during = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with make(tmp_path):
            during.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert during == [before]
