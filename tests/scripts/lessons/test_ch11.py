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


def test_the_policy_gradient_is_written_out_and_balances_the_pole(
    capsys: pytest.CaptureFixture[str], needs: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("gymnasium")
    monkeypatch.setattr(ch11, "POLICY_STEPS", 5000)
    ch11.policy_gradient()
    out = capsys.readouterr().out
    number = r"([+-]?\d\.\d+)"
    step = rf"π = \({number}, {number}\)   drawn: ([ab]), G = ([01])   θ \+= 0\.5·[01]·\({number}, {number}\)"
    found = re.findall(rf"{step}   θ = \({number}, {number}\)", out)
    assert len(found) == ch11.BANDIT_STEPS
    theta = [0.0, 0.0]
    for p_a, p_b, action, G, g_a, g_b, *after in found:
        assert float(G) == (action == "b")
        assert float(p_a) + float(p_b) == pytest.approx(1.0, abs=2e-3)  # three digits are printed
        assert [float(g_a), float(g_b)] == pytest.approx(
            [(action == "a") - float(p_a), (action == "b") - float(p_b)], abs=2e-3
        )
        theta = [t + 0.5 * float(G) * float(g) for t, g in zip(theta, (g_a, g_b), strict=True)]
        assert [*map(float, after)] == pytest.approx(theta, abs=5e-3)
    assert theta[1] > 0.3
    for name in ("without", "with a baseline"):
        (means, best) = re.findall(rf"^  {name} +([\d. ]+)   by the best action: ([\d.]+)$", out, re.MULTILINE)[0]
        first, *_, last = map(float, means.split())
        assert last > 1.5 * first, name
        assert float(best) > 2 * first, name
    assert max(map(len, out.splitlines())) <= 120


def test_the_targets_of_deep_q_learning_are_written_out(
    capsys: pytest.CaptureFixture[str], needs: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("gymnasium")
    monkeypatch.setattr(ch11, "Q_STEPS", 2000)
    ch11.deep_q()
    out = capsys.readouterr().out
    found = re.findall(r"^  (the .*?)  +y = (.*?) += (\S+)$", out, re.MULTILINE)
    assert [(end, y) for end, _, y in found] == [
        ("the episode goes on", "3.7"),  # what Q⁻ says of the action that Q chooses, not the largest
        ("the time is up (truncated)", "3.7"),
        ("the pole has fallen (terminated)", "1"),
    ]
    for _, sum_, y in found:
        assert eval(sum_.replace("·", "*")) == pytest.approx(float(y))
    assert re.search(r"^  ( *\d+\.\d){5}   by the best action: \d+\.\d$", out, re.MULTILINE)
    assert max(map(len, out.splitlines())) <= 120
