"""Chapter 9's project: profiles, climbs, trains on both backends, draws; and what stands behind its figures."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import cli, registry
from tinygrad_edu.backends import cpp
from tinygrad_edu.models.by_hand import mlp as by_hand
from tinygrad_edu.scripts import ch09_gpu, ch09_ladder, ch09_optimize, ch09_pictures

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("in_an_empty_folder")
BRIEF = [
    "--epochs",
    "1",
    "--hidden",
    "32",
    "--size",
    "64",
    "--seconds",
    "0.01",
    "--out",
    "out",
    "--json",
    "figures.json",
]


def run(*flags: str) -> dict[str, Any]:
    assert cli.main(["run", "optimize", *BRIEF, *flags]) == 0
    return json.loads(Path("figures.json").read_text())


def test_it_measures_and_leaves_everything_behind(capsys: pytest.CaptureFixture[str]) -> None:
    figures = run("--compare", "none", "--seed", "3")
    rungs = {f"{rung}_gflops" for rung in ch09_ladder.RUNGS}
    steps = {name for side, name in ch09_optimize.STEP_NAMES.items() if side != "torch"}
    others = {
        "backend",
        "seed",
        "profiled_step_microseconds",
        "product_share",
        "product_gflops",
        "numpy_product_gflops",
    }
    others |= {"peak_gflops", "one_core_peak_gflops", "copy_gb_per_second", "last_loss", "largest_loss_difference"}
    assert set(figures) == rungs | steps | others | {"gpu_direct_reads", "gpu_tiled_reads"}
    assert all(figures[name] > 0 for name in rungs | steps | others - {"backend", "largest_loss_difference"})
    assert 0.0 < figures["product_share"] < 1.0
    # float32, 12 steps, each rounding by some units of 1.2e-7 in its own order; losses are below 3
    assert figures["largest_loss_difference"] < 1e-4
    assert figures["gpu_direct_reads"] == 2 * 128 * 64 * 32
    assert figures["gpu_tiled_reads"] == figures["gpu_direct_reads"] / 16
    for name in ("profile", "ladder", "roofline", "sizes", "network", "gpu", "gpu_reads"):
        assert Path("out", f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    out = capsys.readouterr().out
    page = Path("out/report.html").read_text()
    for part in (
        "Amdahl",
        "with the same bits",
        "times NumPy&#x27;s speed",
        "in another order",
        "computed, not measured",
    ):
        assert part in page, part
        assert part.replace("&#x27;", "'") in out, part


def test_it_compares_with_torch(needs: Needs) -> None:
    needs("torch")
    figures = run("--compare", "torch")
    assert figures["torch_product_gflops"] > 0
    assert figures["torch_step_microseconds"] > 0
    assert figures["largest_loss_difference"] < 1e-4
    lines = [json.loads(line) for line in Path("out/metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 12
    assert {name for name in lines[0] if "loss" in name} == {f"loss, {side}" for side in ch09_optimize.STEP_NAMES}


def test_without_kernels_it_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(registry.installed(), "_backends", {"numpy": registry.backend("numpy")})
    monkeypatch.setattr(cpp, "import_module", missing)
    assert cli.main(["run", "optimize", *BRIEF, "--backend", "numpy"]) == 1
    err = capsys.readouterr().err
    assert "backend 'cpp': its kernels are not built" in err
    assert "pip install -e ." in err


@pytest.mark.parametrize("flags", [["--size", "100"], ["--size", "32"], ["--epochs", "0"], ["--seconds", "0"]])
def test_a_wrong_option_is_named(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "optimize", *BRIEF, *flags]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"optimize: expected {flags[0]} " in line
    assert f"got {float(flags[1]) if flags[0] == '--seconds' else flags[1]}" in line


# 1. Profile


def test_the_profile_sees_every_function_and_changes_nothing() -> None:
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape).astype(np.float32) for shape in ((5, 4), (5,), (3, 5), (3,))]
    x, y = rng.standard_normal((6, 4)).astype(np.float32), rng.integers(0, 3, 6)
    seen = []

    def through(name: str, function: Callable[..., Any], inputs: tuple[Any, ...]) -> Any:
        assert not any(isinstance(value, ch09_optimize.Intercepted) for value in inputs)
        seen.append(name)
        return function(*inputs)

    plain = by_hand.MLP(start[::2], start[1::2])
    sides = [(plain, by_hand.SGD(plain, 0.9, 1e-4)), ch09_optimize.network(start, through)]
    losses = []
    for model, optimizer in sides:
        for _ in range(3):
            loss, g = by_hand.softmax_cross_entropy(model.forward(x), y)
            optimizer.step(model.backward(g), 0.1)
            losses.append(loss)
    assert losses[:3] == losses[3:]
    for p, q in zip(*(model.weights + model.biases for model, _ in sides), strict=True):
        np.testing.assert_array_equal(p, q.view(np.ndarray))
    assert seen.count("matmul") == 3 * 5  # two forward; two for the weights and one for the hidden layer backward
    assert {"add", "maximum", "add.reduce", "exp", "log", "multiply", "subtract", "divide", "greater"} <= set(seen)


# 2. Ladder


def test_a_wrong_product_is_found() -> None:
    kernels: Any = registry.backend("cpp")
    products = ch09_ladder.products(kernels, with_torch=False)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((20, 64), np.float32), rng.standard_normal((64, 64), np.float32)
    ch09_ladder.check(products, a, b)
    one_bit = lambda a, b: np.nextafter(products["packed"](a, b), np.float32(np.inf))
    with pytest.raises(RuntimeError, match="the product 'packed' of"):
        ch09_ladder.check({**products, "packed": one_bit}, a, b)
    with pytest.raises(RuntimeError, match="the product 'NumPy' of"):
        ch09_ladder.check({**products, "NumPy": lambda a, b: a @ b + np.float32(0.001)}, a, b)


def test_speeds_are_of_the_rows_that_were_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow product is measured on its first rows, and its speed is that of those."""
    asked: dict[str, list[int]] = {"quick": [], "slow": []}

    def product(name: str) -> ch09_ladder.Product:
        return lambda a, b: asked[name].append(len(a))

    times = iter([0.0, 0.0, 0.0, 1.0])  # the quick one doubles its rows once, the slow one takes a second
    monkeypatch.setattr(ch09_ladder.time, "perf_counter", lambda: next(times))
    monkeypatch.setattr(
        ch09_ladder, "alternate", lambda calls, **_: {name: (call(), 0.5)[1] for name, call in calls.items()}
    )
    a, b = np.ones((32, 10), np.float32), np.ones((10, 5), np.float32)
    found = ch09_ladder.measure({name: product(name) for name in asked}, a, b, seconds=0.3)
    assert asked == {"quick": [16, 32], "slow": [16, 16]}
    assert found == {
        "quick": pytest.approx(2 * 32 * 10 * 5 / 0.5 * 1e-9),
        "slow": pytest.approx(2 * 16 * 50 / 0.5 * 1e-9),
    }


def test_intensities_count_the_bytes_of_the_inner_loops() -> None:
    found = ch09_ladder.intensities((14, 32))
    assert found["naive"] == 0.25
    assert found["blocked"] == found["reordered"] == pytest.approx(1 / 6)
    assert found["packed"] == pytest.approx(14 * 32 * 2 / (46 * 4))
    assert set(found) == set(ch09_ladder.RUNGS)


# 4. GPU

SHAPES = [((1, 1, 1), 1), ((4, 6, 8), 2), ((5, 7, 3), 2), ((5, 7, 3), 4), ((9, 4, 10), 3), ((3, 2, 2), 8)]


@pytest.mark.parametrize(("shape", "tile"), SHAPES, ids=str)
def test_the_simulated_gpu_computes_the_product_with_as_many_reads_as_said(
    shape: tuple[int, int, int], tile: int
) -> None:
    rng = np.random.default_rng(0)
    M, K, N = shape
    a, b = rng.standard_normal((M, K)), rng.standard_normal((K, N))
    c, reads = ch09_gpu.simulate(a, b, tile)
    np.testing.assert_allclose(c, a @ b, rtol=0, atol=1e-14)
    launch = ch09_gpu.Launch(M, K, N, tile)
    assert reads == launch.tiled_reads
    if tile == 1:
        assert reads == launch.direct_reads


@pytest.mark.parametrize(("shape", "tile"), SHAPES, ids=str)
def test_every_element_has_one_thread(shape: tuple[int, int, int], tile: int) -> None:
    launch = ch09_gpu.Launch(*shape, tile)
    owners = {launch.owner(i, j) for i in range(launch.M) for j in range(launch.N)}
    assert len(owners) == launch.M * launch.N <= launch.threads
    rows, columns = launch.grid
    for (by, bx), (ty, tx) in owners:
        assert by < rows
        assert bx < columns
        assert max(ty, tx) < tile


def test_a_block_of_more_than_1024_threads_is_refused() -> None:
    with pytest.raises(ValueError, match="tiles of at most 32 x 32"):
        ch09_gpu.Launch(1, 1, 1, 33)


EMULATION = """\
// The CUDA kernel, on the processor: a thread for each thread of a block, one block after the other.
#include <cstdio>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>
struct Index { int x, y; };
static thread_local Index threadIdx, blockIdx;
static std::mutex mutex;
static std::condition_variable all_here;
static int waiting = 0, round_number = 0;
static void __syncthreads() {
    std::unique_lock<std::mutex> lock(mutex);
    if (++waiting == T * T) { waiting = 0; ++round_number; all_here.notify_all(); return; }
    all_here.wait(lock, [before = round_number] { return round_number != before; });
}
#define __global__
#define __shared__ static
KERNEL
int main() {
    const int M = 5, K = 7, N = 4;
    std::vector<float> A(M * K), B(K * N), C(M * N, -1);
    for (int i = 0; i < M * K; ++i) A[i] = i % 5 - 2;
    for (int i = 0; i < K * N; ++i) B[i] = i % 7 - 3;
    for (int by = 0; by < (M + T - 1) / T; ++by)
        for (int bx = 0; bx < (N + T - 1) / T; ++bx) {
            std::vector<std::thread> threads;
            for (int t = 0; t < T * T; ++t)
                threads.emplace_back([&, by, bx, t] {
                    blockIdx = {bx, by}, threadIdx = {t % T, t / T};
                    product(A.data(), B.data(), C.data(), M, K, N);
                });
            for (auto& thread : threads) thread.join();
        }
    for (float c : C) std::printf("%g ", c);
}
"""


@pytest.mark.parametrize("tile", [1, 2, 3])
def test_the_cuda_kernel_computes_the_product(tile: int, tmp_path: Path) -> None:
    """Its very text, compiled as C++ with what CUDA adds to the language written out."""
    compiler = shutil.which("g++") or shutil.which("c++")
    assert compiler, "a C++ compiler builds the backend, and this"
    (tmp_path / "emulation.cpp").write_text(EMULATION.replace("KERNEL", ch09_gpu.KERNEL))
    program = tmp_path / "emulation"
    subprocess.run([compiler, "-std=c++17", "-pthread", f"-DT={tile}", f"{program}.cpp", "-o", program], check=True)
    printed = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    a, b = (np.arange(35) % 5 - 2).reshape(5, 7), (np.arange(28) % 7 - 3).reshape(7, 4)
    assert [int(number) for number in printed.split()] == (a @ b).ravel().tolist()


@pytest.mark.parametrize("launch", [ch09_gpu.Launch(60, 48, 90, 16), ch09_gpu.Launch(1, 1, 1, 2)], ids=str)
def test_any_launch_can_be_drawn(launch: ch09_gpu.Launch) -> None:
    text = " ".join(t.get_text() for ax in ch09_pictures.gpu(launch).axes for t in (*ax.texts, ax.title))
    rows, columns = launch.grid
    assert f"The grid: {rows} × {columns} blocks" in text
    assert f"= {launch.tiled_reads:,}" in text
