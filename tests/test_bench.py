"""The benchmarks' own workings; speeds are not asserted in tests."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest

from tinygrad_edu import bench, cli, registry


def test_every_candidate_has_its_turns() -> None:
    calls: list[str] = []
    candidates: dict[str, Callable[[], object]] = {name: lambda name=name: calls.append(name) for name in "abc"}  # type: ignore[misc]
    found = bench.alternate(candidates, seconds=0.02, block=0.002)
    assert list(found) == ["a", "b", "c"]
    assert all(seconds > 0.0 for seconds in found.values())
    turns = [name for i, name in enumerate(calls) if i == 0 or calls[i - 1] != name]
    assert turns == ["a", "b", "c"] * (len(turns) // 3)
    assert len(turns) > 3


def test_a_slow_candidate_is_called_too() -> None:
    calls: list[int] = []
    found = bench.alternate({"slow": lambda: calls.append(sum(range(200_000)))}, seconds=0.001, block=0.001)
    assert found["slow"] > 0.001
    assert len(calls) >= 2  # warm-up, then once


def test_the_collector_rests_meanwhile_and_comes_back() -> None:
    seen: set[bool] = set()
    assert gc.isenabled()
    bench.alternate({"look": lambda: seen.add(gc.isenabled())}, seconds=0.004, block=0.001)
    assert False in seen
    assert gc.isenabled()

    def fail() -> None:
        if not gc.isenabled():
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        bench.alternate({"fail": fail}, seconds=0.001, block=0.001)
    assert gc.isenabled()


def test_an_unknown_workload_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    message = r"unknown workload 'tiny_mpl' \(did you mean 'tiny_mlp'\?\); there are: .*chain, .*mlp"
    with pytest.raises(ValueError, match=message):
        bench.main(["chain", "tiny_mpl"])
    assert capsys.readouterr().out == ""  # before anything was measured
    assert cli.main(["bench", "tiny_mpl"]) in (1, 2)
    assert "unknown workload 'tiny_mpl'" in capsys.readouterr().err


@pytest.mark.parametrize("name", bench.WORKLOADS)
def test_every_workload_makes_steps_that_run(name: str) -> None:
    steps = bench.WORKLOADS[name]()
    assert {f"tinygrad_edu {backend}" for backend in registry.names("backends")} <= set(steps)
    for step in steps.values():
        step()
        step()


def test_main_prints_a_line_for_each_peer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    steps = {"tinygrad_edu numpy": lambda: None, "peer": lambda: sum(range(100))}
    monkeypatch.setitem(bench.WORKLOADS, "nothing", lambda: steps)
    assert bench.main(["nothing"], seconds=0.002) == 0
    out = capsys.readouterr().out
    assert "microseconds a step" in out
    assert "nothing" in out
    assert "peer" in out
