"""A training that is killed ten times, at random moments, ends with the very bits of one that was left alone.

The training is real: a process of its own, dropout (so that the random key counts), Adam (so that its state counts),
shuffled batches, a checkpoint every third step. It waits for a line on its input before each step, as long as the input
is open: so the test can let it go so far, and end it at a random moment of the next step, save or evaluation.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import state

TRAINING = """
import signal, sys
from pathlib import Path
import numpy as np
import tinygrad_edu as tg
from tinygrad_edu import data, nn, optim, state
from tinygrad_edu.run import Run
import tinygrad_edu.nn.functional as F

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may have had it ignored
out, resume = Path(sys.argv[1]), "--resume" in sys.argv
rng = np.random.default_rng(0)
x = rng.standard_normal((100, 8)).astype(np.float32)
y = (x[:, 0] > 0).astype(np.int64)

with Run(project="toy", out=out, backend="numpy", seed=1, settings={}, resume=resume) as run:
    run.checkpoint_steps = 3
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    loader = data.DataLoader(x, y, batch_size=5, seed=run.seed)
    run.track(model=model, optimizer=optimizer, loader=loader)
    for epoch in run.epochs(12):
        model.train()
        for bx, by in run.batches(loader):
            sys.stdin.readline()
            loss = F.cross_entropy(model(bx), by)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            run.log(loss=loss)
            print("step", flush=True)
        model.eval()
        run.log(test_loss=F.cross_entropy(model(tg.tensor(x)), tg.tensor(y)), noise=tg.rand(1))
    state.save(out / "final.safetensors", model.state_dict())
"""


def start(folder: Path, *flags: str, wait: bool = False) -> subprocess.Popen[bytes]:
    """The training in `folder`; with `wait` it needs a line of input for each step."""
    script = folder / "training.py"
    script.write_text(TRAINING)
    command = [sys.executable, "-P", str(script), str(folder / "run"), *flags]
    stdin = subprocess.PIPE if wait else subprocess.DEVNULL
    return subprocess.Popen(command, stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(process: subprocess.Popen[bytes], number: signal.Signals, step: int) -> str:
    """Let a waiting training make `step` steps and send it a signal in the last of them; its errors."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n" * step)
    process.stdin.flush()
    for _ in range(step - 1):
        assert process.stdout.readline() == b"step\n", process.communicate()[1].decode()
    process.send_signal(number)
    return process.communicate()[1].decode()  # this closes its input: a Ctrl-C lets it finish the step


def outcome(out: Path) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """The final weights' bytes, and all logged lines but for the seconds."""
    weights = {name: array.tobytes() for name, array in state.load(out / "final.safetensors").items()}
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return weights, [{key: value for key, value in line.items() if key != "seconds"} for line in lines]


Outcome = tuple[dict[str, bytes], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    folder = tmp_path_factory.mktemp("undisturbed")
    with start(folder) as process:
        assert process.communicate()[1] == b""
    weights, lines = outcome(folder / "run")
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 241))
    assert len(lines) == 252
    return weights, lines


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_ten_ends_and_resumes_leave_no_trace(tmp_path: Path, undisturbed: Outcome, number: signal.Signals) -> None:
    rng, flags = np.random.default_rng(number), list[str]()
    for _ in range(10):
        with start(tmp_path, *flags, wait=True) as process:
            errors = end(process, number, step=int(rng.integers(2, 20)))
        assert process.returncode == -number, errors
        assert state.load(tmp_path / "run" / "checkpoint.safetensors")["step"] < 240
        flags = ["--resume"]
    with start(tmp_path, "--resume") as process:
        assert process.communicate()[1] == b""
    assert outcome(tmp_path / "run") == undisturbed


def test_after_the_last_step_nothing_is_trained_again(tmp_path: Path, undisturbed: Outcome) -> None:
    for flags in ((), ("--resume",)):
        with start(tmp_path, *flags) as process:
            printed, errors = process.communicate()
        assert errors == b""
        assert printed.count(b"step\n") == (0 if flags else 240)
        assert outcome(tmp_path / "run") == undisturbed
