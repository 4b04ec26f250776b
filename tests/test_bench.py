"""The benchmarks' own workings; speeds are not asserted in tests."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import bench, cli, registry
from tinygrad_edu.bench import ops, table, training, workloads
from tinygrad_edu.bench.by_hand import BY_HAND
from tinygrad_edu.testing.rows import TinygradNames, TorchNames


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
def test_every_workload_makes_a_candidate_for_each_backend(name: str) -> None:
    steps = bench.WORKLOADS[name]()
    loaded = {name for name, error in workloads.backends().items() if error is None}
    assert {f"tinygrad_edu {backend}" for backend in loaded} <= set(steps)
    assert "numpy" in loaded


@pytest.mark.parametrize("name", ["tiny_mlp", "mlp", "chain"])
def test_every_candidate_makes_steps_that_run(name: str) -> None:
    for step in bench.WORKLOADS[name]().values():
        step()
        step()


def test_autograd_computes_what_we_do(needs) -> None:
    needs("autograd")
    steps = bench.WORKLOADS["mlp"]()
    for _ in range(3):
        losses = {key: float(steps[key]()) for key in ("tinygrad_edu numpy", "autograd")}  # type: ignore[arg-type]
        assert losses["autograd"] == pytest.approx(losses["tinygrad_edu numpy"], rel=1e-5)


def test_a_backend_that_does_not_load_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load = registry.backend

    def refuse(name: str) -> Any:
        if name == "cpp":
            raise ImportError("its kernels are not built")
        return load(name)

    monkeypatch.setattr(registry, "backend", refuse)
    workloads.backends.cache_clear()
    try:
        assert bench.main(["tiny_mlp"], seconds=0.002) == 0
    finally:
        workloads.backends.cache_clear()
    out = capsys.readouterr().out
    assert "without backend 'cpp', which does not load: its kernels are not built" in out
    assert "tinygrad_edu numpy" in out
    assert "tinygrad_edu cpp" not in out


def test_the_summary_is_a_geometric_mean() -> None:
    assert training.geometric_mean([0.5, 2.0, 8.0]) == pytest.approx(2.0)
    line = training.summary("numpy", {"mlp": 0.5, "cnn": 2.0})
    assert line == "numpy / torch, geometric mean over the nine: 1.00, the worst is cnn: 2.00"


def test_main_prints_a_line_for_each_peer(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    steps = {"tinygrad_edu numpy": lambda: None, "peer": lambda: sum(range(100))}
    monkeypatch.setitem(bench.WORKLOADS, "nothing", lambda: steps)
    assert bench.main(["nothing"], seconds=0.002) == 0
    out = capsys.readouterr().out
    assert "microseconds a step" in out
    assert "nothing" in out
    assert "peer" in out


@pytest.mark.parametrize("n", [ops.TINY, 150])
@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand_and_we_compute_the_same(name: str, n: int) -> None:
    """float64, so that only the rounding of a few operations lies between: a thousand times its epsilon."""
    arrays = BY_HAND[name].arrays(n, np.float64)
    with tg.use_backend("numpy"):
        ours = ops.tensor_step(tg, name, arrays)()
    theirs = ops.hand_step(name, arrays)()
    assert len(theirs) == ops.TIMES
    assert len(ours) == ops.TIMES * (1 + len(arrays))
    out, *gradients = theirs[-1]
    last = [ours[ops.TIMES - 1], *ours[-len(arrays) :]]
    for mine, expected in zip(last, [out, *gradients], strict=True):
        assert mine.shape == np.shape(expected)
        np.testing.assert_allclose(mine.detach().numpy(), expected, rtol=2e-13, atol=2e-13)


@pytest.mark.parametrize("name", BY_HAND)
def test_gradients_by_hand_have_memory_of_their_own(name: str) -> None:
    arrays = BY_HAND[name].arrays(ops.TINY)
    g = ops.cotangent(name, arrays)
    _, *gradients = BY_HAND[name].by_hand(g, *arrays)
    assert not any(np.shares_memory(gx, x) for gx in gradients for x in (g, *arrays))
    assert {gx.dtype for gx in gradients} == {np.dtype(np.float32)}


def test_the_ratios_of_ops_end_with_medians(capsys: pytest.CaptureFixture[str], needs) -> None:
    needs("torch")
    assert ops.main(["mul", "tanh", "--seconds", "0.002"]) == 0
    *_, mul, tanh, median, of_all, wanted = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in (mul, tanh, median)] == ["mul", "tanh", "median"]
    assert all(float(r) > 0.0 for line in (mul, tanh, median) for r in line.split()[1:])
    rows = [sorted(float(r) for r in line.split()[1:4]) for line in (mul, tanh)]
    low, high = sorted([*rows[0], *rows[1]])[2:4]
    assert low - 0.01 <= float(of_all.rpartition(": ")[2]) <= high + 0.01
    assert wanted.split() == ["wanted,", "at", "most", "1.50", "1.50", "1.50", "1.20"]
    with pytest.raises(SystemExit, match="2"):
        ops.main(["mlu"])
    assert "unknown op 'mlu' (did you mean 'mul'?)" in capsys.readouterr().err


def test_the_table_is_measured_row_by_row(capsys: pytest.CaptureFixture[str], needs) -> None:
    needs("torch")
    assert table.main(["add", "pow(number)", "pow", "--seconds", "0.002"]) == 0
    *rows, of_rows, of_functions = capsys.readouterr().out.splitlines()
    ratios = [float(line.split()[-1]) for line in rows]
    assert {line.split()[0] for line in rows} == {"add", "pow(number)", "pow"}
    assert ratios == sorted(ratios)
    assert of_rows == f"median of 3 rows: {ratios[1]:.2f}"
    assert of_functions.startswith("median of 2 functions: ")
    assert of_functions.endswith(" (wanted: at most 1.2)")
    with pytest.raises(SystemExit, match="2"):
        table.main(["ad"])
    assert "unknown row 'ad'" in capsys.readouterr().err


def test_every_differentiable_row_can_be_measured(needs) -> None:
    torch = needs("torch")
    for row in table.differentiable().values():
        ours, theirs = table.step(row, tg, TinygradNames())(), table.step(row, torch, TorchNames())()
        assert len(ours) == len(theirs) > 0, row
