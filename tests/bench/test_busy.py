"""The busy machine's workings: that the others run when they should, and only then."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from tinygrad_edu.bench import busy


def seconds_of_children() -> list[int]:
    """The processor time that each running child has had, in ticks."""
    tasks = Path("/proc/self/task")
    pids = [pid for task in tasks.iterdir() for pid in (task / "children").read_text().split()]
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return [int(f[11]) + int(f[12]) for f in fields]  # utime and stime, after the name


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads Linux's /proc")
def test_the_others_run_when_told_to_and_end() -> None:
    start = len(seconds_of_children())
    with busy.others(1) as let:
        before = sum(seconds_of_children())
        time.sleep(0.3)
        stopped = sum(seconds_of_children())
        let(True)
        time.sleep(0.5)
        running = sum(seconds_of_children())
        assert len(seconds_of_children()) == start + 1
    assert stopped - before <= 1
    assert running - stopped >= 5  # hundredths of a second, of 50
    assert len(seconds_of_children()) == start


def test_each_side_is_timed_idle_and_busy() -> None:
    states: list[bool] = []
    seen: list[bool] = []
    found = busy.compare({"a": lambda: seen.append(states[-1] if states else False)}, states.append, 0.01)
    idle, loaded = found["a"]
    assert idle > 0.0
    assert loaded > 0.0
    assert states == [False, True, False] * busy.TURNS
    assert {True, False} == set(seen)


def test_main_prints_a_line_for_each_workload(capsys: pytest.CaptureFixture[str]) -> None:
    assert busy.main(["tiny_mlp", "--seconds", "0.02"]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    assert re.match(r"tiny_mlp +.*numpy \d+ \d+ \(\d+\.\d\d\)", line)
    with pytest.raises(SystemExit, match="2"):
        busy.main(["tiny_mpl"])
    assert "unknown workload 'tiny_mpl'" in capsys.readouterr().err
