"""Chapter 9's lessons: the C++ is compiled and right, the diagram shows every thread, and counts are counted."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tinygrad_edu.scripts.ch09_gpu import Launch
from tinygrad_edu.scripts.lessons import ch09

Needs = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    command = ch09.build_command(ch09.SOURCE, tmp_path_factory.mktemp("lesson"))
    return ch09.build(command, ch09.SOURCE.stem)


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2), (2, 3, 0), (1, 1, 1), (7, 5, 16), (4, 6, 33)], ids=str)
def test_all_ways_give_the_same_distances(compiled: ModuleType, shape: tuple[int, int, int]) -> None:
    n, m, d = shape
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((n, d)), rng.standard_normal((m, d))
    exact = ch09.by_loops(x, y).reshape(n, m)
    for way in (ch09.by_broadcasting, ch09.by_product, compiled.squared_distances):
        # sums of up to 33 squares of order 1, in another order of addition
        np.testing.assert_allclose(way(x, y), exact, rtol=0, atol=1e-12)


def test_the_cpp_refuses_what_it_would_have_to_copy(compiled: ModuleType) -> None:
    x = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"expected points \(n, d\) and \(m, d\)"):
        compiled.squared_distances(x, np.ones((2, 4)))
    for wrong in (x.astype(np.float32), x.T.copy().T):
        with pytest.raises(TypeError, match="incompatible function arguments"):
            compiled.squared_distances(wrong, x)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken.cpp"
    broken.write_text("int f() { return nonsense; }")
    with pytest.raises(OSError, match=r"(?s)the compiler failed:.*nonsense"):
        ch09.build(ch09.build_command(broken, tmp_path), "broken")
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(ch09.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"needs a C\+\+ compiler"):
        ch09.build_command(broken, tmp_path)


def test_the_first_lesson_times_every_way(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ch09, "POINTS", 60)
    monkeypatch.setattr(
        ch09, "alternate", lambda ways, seconds: {name: (way(), 0.002)[1] for name, way in ways.items()}
    )
    ch09.in_cpp()
    out = capsys.readouterr().out
    assert "-o " in out
    times = dict(re.findall(r"^  (\S.*?) +(\S+) ms ", out, re.MULTILINE))
    assert times == {
        "loops in Python": "18.00",  # 20 of 60 points on each side
        "NumPy, by broadcasting": "2.00",
        "NumPy, by a matrix product": "2.00",
        "C++": "2.00",
    }
    apart = [float(number) for number in re.findall(r"^  \S.*? +(\S+e-\d+|0)$", out, re.MULTILINE)]
    assert len(apart) == 3
    assert max(apart) < 1e-12


def test_the_second_lesson_shows_every_thread(capsys: pytest.CaptureFixture[str]) -> None:
    ch09.on_a_gpu()
    out = capsys.readouterr().out
    boxes = [line for line in out.splitlines() if line.startswith("  |")]
    assert len(boxes) == 6
    assert sum(len(re.findall(r"\d,\d ", line.partition("block")[0])) for line in boxes) == 5 * 8 - 1
    assert out.count("[1,1]") == 1
    assert boxes[-1].count(".") == 8
    counts = re.findall(r"(\d) × \1 +(\d+) .* = (\d+) +the product is right", out)
    assert [(int(tile), int(counted)) for tile, counted, _ in counts] == [(1, 320), (2, 176), (4, 104), (8, 52)]
    assert all(counted == formula for _, counted, formula in counts)
    assert max(map(len, out.splitlines())) <= 120


@pytest.mark.parametrize("element", [(0, 0), (3, 5), (4, 7)], ids=str)
def test_a_threads_life_ends_with_the_product(element: tuple[int, int]) -> None:
    a, b = np.arange(15.0).reshape(5, 3), np.arange(24.0).reshape(3, 8)
    life = ch09.life(Launch(5, 4, 8, 2), element, np.pad(a, ((0, 0), (0, 1))), np.pad(b, ((0, 1), (0, 0))))
    assert life.endswith(f"C[{element[0]}, {element[1]}] = {(a @ b)[element]:g}")
    assert life.count("fetches") == 2
