"""At every instant of a write a whole checkpoint is there, and a killed write leaves nothing that is in the way."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tinygrad_edu import state
from tinygrad_edu.checkpoint_file import Checkpoint

NAME, PREVIOUS = "checkpoint.safetensors", "checkpoint.previous.safetensors"


def steps(folder: Path) -> dict[str, int]:
    return {path.name: state.load(path)["step"] for path in folder.iterdir()}


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, {})
    checkpoint.write({"step": 0}, first=True)
    assert steps(tmp_path) == {NAME: 0}
    for step in (1, 2):
        checkpoint.write({"step": step}, first=False)
        assert steps(tmp_path) == {NAME: step, PREVIOUS: step - 1}
    Checkpoint(tmp_path, {}).write({"step": 0}, first=True)  # another run: what was before it is not its own
    assert steps(tmp_path) == {NAME: 0}
    checkpoint.remove()
    assert steps(tmp_path) == {}


@pytest.mark.parametrize("call", ["os.fsync", "os.link", "os.replace"])
@pytest.mark.parametrize("nth", [1, 2])
def test_killed_at_any_call_one_is_whole_and_the_next_write_goes_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    """As if killed just before the nth such call: an exception, and no clearing up after it."""
    checkpoint, calls, original = Checkpoint(tmp_path, {}), [0], getattr(os, call.partition(".")[2])
    checkpoint.write({"step": 1}, first=True)
    checkpoint.write({"step": 2}, first=False)

    def killed(*arguments: object) -> None:
        calls[0] += 1
        if calls[0] == nth:
            raise KeyboardInterrupt
        original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(call, killed)
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        if (call, nth) == ("os.link", 2):  # there is one link only
            checkpoint.write({"step": 3}, first=False)
        else:
            with pytest.raises(KeyboardInterrupt):
                checkpoint.write({"step": 3}, first=False)
    step = checkpoint.read(())["step"]
    assert step == (3 if (call, nth) in [("os.link", 2), ("os.fsync", 2)] else 2)
    assert set(steps(tmp_path)) == {NAME, PREVIOUS}  # `read` has removed the halves
    for later in (4, 5):
        checkpoint.write({"step": later}, first=False)
    assert steps(tmp_path) == {NAME: 5, PREVIOUS: 4}


def test_check_names_what_has_become_nan() -> None:
    checkpoint = Checkpoint(Path(), {})
    mask, counts = np.array([0, -np.inf]), np.array([1, 2])
    assert checkpoint.check({"w": np.zeros(2), "mask": mask, "counts": counts}) is None
    assert checkpoint.check({"w": np.ones(2), "mask": mask, "counts": counts}) is None
    assert checkpoint.check({"w": np.array([0, np.nan]), "mask": mask, "counts": counts}) == "w"
    assert checkpoint.check({"w": {"a": np.array(np.inf, np.float32)}, "mask": mask}) == "w.a"
