"""What counts as training time, and what does not."""

from __future__ import annotations

import time
from pathlib import Path

from tinygrad_edu.run import Run


def test_time_in_paused_is_not_training_time(tmp_path: Path) -> None:
    with Run(project="p", out=tmp_path, backend="numpy", seed=0, settings={}) as run:
        for step in run.steps(2):
            before = run.train_seconds
            with run.paused():
                time.sleep(0.2)  # seconds
            assert run.train_seconds - before < 0.1
            run.log(loss=1.0 / step)
        assert run.train_seconds < 0.3  # 0.4 were slept
        with run.paused():  # outside a loop, too
            pass
