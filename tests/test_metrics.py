"""metrics.jsonl: a JSON line for each log, numbers only; cut back to a length that a checkpoint remembers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.metrics import Metrics
from tinygrad_edu.run import Run


def test_seconds_grow_and_history_gives_a_curve(tmp_path: Path) -> None:
    with Run(project="toy", out=tmp_path, backend="numpy", seed=0, settings={}) as run:
        for step in run.steps(3):
            run.log(loss=tg.tensor(step / 2), seen=np.float32(step))
        run.log(test_accuracy=float("nan"))
        assert run.history("loss") == ([1, 2, 3], [0.5, 1.0, 1.5])
        assert run.history("test_accuracy") == ([3], [None])
        assert run.history("nothing") == ([], [])
        assert run.train_seconds > 0
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    seconds = [line.pop("seconds") for line in lines]
    assert seconds == sorted(seconds)
    assert [set(line) for line in lines] == [{"step", "epoch", "loss", "seen"}] * 3 + [
        {"step", "epoch", "test_accuracy"}
    ]


def test_the_file_is_cut_back_to_what_a_checkpoint_remembers(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("an older run's\n")
    first = Metrics(path)
    first.add({"step": 0}, {"early": 1.0})
    assert path.read_text() == "an older run's\n"
    first.open(0)
    first.add({"step": 1}, {"loss": 0.5})
    length = first.flush()
    first.add({"step": 2}, {"loss": 0.25})
    first.close()
    assert path.read_text() == '{"step": 0, "early": 1.0}\n{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.25}\n'
    second = Metrics(path)
    second.add({"step": 0}, {"early": 1.0})  # logged again before the loop: the file has it
    second.open(length)
    second.add({"step": 2}, {"loss": 0.125})
    assert second.history("loss") == ([1, 2], [0.5, 0.125])
    second.close()
    assert path.read_text() == '{"step": 0, "early": 1.0}\n{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.125}\n'


def test_a_metric_cannot_take_a_name_that_is_taken(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match=r"Run.log: 'step' is in every line already"),
        Run(project="toy", out=tmp_path, backend="numpy", seed=0, settings={}) as run,
    ):
        run.log(step=1)
