"""Chapter 11's lessons: the numbers they print are right, and the table becomes the exact answer."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import ModuleType

import pytest

from tinygrad_edu.scripts.lessons import ch11


def test_the_q_table_is_written_out_and_becomes_right(
    capsys: pytest.CaptureFixture[str], needs: Callable[[str], ModuleType]
) -> None:
    needs("gymnasium")
    ch11.q_table()
    out = capsys.readouterr().out
    updates = re.findall(r"^  walk \d   Q\((\d+), (\w+)\) +← (.*) = (\S+)$", out, re.MULTILINE)
    assert [(int(s), a) for s, a, _, _ in updates[:5]] == [
        (8, "up"),
        (4, "up"),
        (0, "right"),
        (1, "right"),
        (2, "right"),
    ]
    assert len(updates) == 15
    table: dict[tuple[str, str], str] = {}
    for s, a, right, result in updates:
        assert eval(right.replace("·", "*")) == pytest.approx(eval(result), abs=1e-4)  # four digits are printed
        assert right.startswith(table.get((s, a), "0") + " + 0.5·(")  # goes on from what it was
        assert right.count("0.9·") == (s != "2")  # nothing follows the goal
        table[s, a] = result
    gains = [eval(result) > 0 for *_, result in updates]
    assert gains == [k < walk for walk in (1, 2, 3) for k in (4, 3, 2, 1, 0)]  # one cell further back each time

    lines = out.splitlines()
    (top,) = [k for k, line in enumerate(lines) if line.endswith("exact, by value iteration")]
    at, last = lines[top].index("exact"), lines[top].index("1000")
    exact, learnt = ([line[a:b].split() for line in lines[top + 1 : top + 4]] for a, b in ((at, None), (last, at)))
    assert exact == learnt
    assert exact == [["→", "→", "→", "G"], ["↑", "#", "↑", "o"], ["↑→", "→", "↑", "←"]]  # found by looking at the map
    values = out.partition("exact\n")[2].splitlines()[:3]
    assert all(line.split()[:4] == line.split()[4:] for line in values)
    assert values[2].split()[0] == f"{0.9**4 * 0.96 - 0.04 * (1 + 0.9 + 0.9**2 + 0.9**3):.3f}"  # the way's rewards
    assert re.search(r"^Optimal actions: 9 of 9\. Largest difference of a value: \de-1\d$", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 120
