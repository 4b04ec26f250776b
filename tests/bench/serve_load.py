"""How the service holds under load, with the client on the same machine: `wrk` (Debian's package) sends the requests.

    python tests/bench/serve_load.py                        all but the ten minutes
    python tests/bench/serve_load.py minutes --seconds 600

iris      single flowers: answers a second, with a log line for each and without
lenet     single pictures, computed together (--max-batch 32) and not (1), in turn, with the same processes and threads
lesson    64 clients, ours and the lesson's application, in turn
half      clients that pause, so that half of iris' answers a second are asked for: the 99th percentile
faults    how long one client waits beside slow and idle clients, a body of 1 GB and requests that are cut off
killed    a worker is killed under load: what that costs
minutes   full load for long: errors, and memory every 30 seconds
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import tinygrad_edu as tg
from tinygrad_edu.models.lenet import LeNet
from tinygrad_edu.plugins import LogisticRegression
from tinygrad_edu.scripts.ch10_service import HOST, free_port, one_by_one, running
from tinygrad_edu.scripts.lessons import ch10
from tinygrad_edu.serve import Pictures, save

FLOWER = {"inputs": [[5.1, 3.5, 1.4, 0.2]]}
PICTURE = {"inputs": [np.random.default_rng(0).random((28, 28)).round(4).tolist()]}
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


class Bench:
    """Models in a folder, and how to ask a server that has them."""

    def __init__(self, folder: Path, seconds: float) -> None:
        from sklearn.datasets import load_iris

        self.folder, self.seconds = folder, seconds
        self.iris, self.lenet = folder / "iris.safetensors", folder / "lenet.safetensors"
        self.pickle = folder / "iris.pkl"
        iris = load_iris()
        save(self.iris, LogisticRegression().fit(iris.data, iris.target), classes=list(iris.target_names))
        tg.manual_seed(0)
        kind: Any = {"architecture": "lenet", "settings": {"size": 28}}
        save(self.lenet, LeNet(1, 28), inputs=Pictures(28, mean=(0.5,), std=(0.25,)), classes=[*"0123456789"], **kind)
        with contextlib.redirect_stdout(io.StringIO()):
            ch10.save_iris(self.pickle)

    @contextlib.contextmanager
    def ours(self, model: Path, *flags: str) -> Iterator[tuple[int, int]]:
        """Our server, all workers warm: its port, its process."""
        port = free_port()
        command = [sys.executable, "-m", "tinygrad_edu.cli", "serve", str(model), "--port", str(port), *flags]
        with running(command, port) as process:
            self.wrk(port, FLOWER if model == self.iris else PICTURE, 16, seconds=2)
            yield port, process.pid

    @contextlib.contextmanager
    def lesson(self) -> Iterator[int]:
        """The lesson's application: its port."""
        port = free_port()
        with running([sys.executable, str(ch10.APP), str(self.pickle), HOST, str(port)], port):
            yield port

    def wrk(
        self, port: int, body: Any, clients: int, *, pause_ms: float = 0.0, seconds: float | None = None
    ) -> dict[str, float]:
        """Answers a second and the 99th percentile in ms of so many clients, and what was not answered by 200."""
        script = self.folder / "wrk.lua"
        pause = f"function delay() return {pause_ms:.0f} end\n" if pause_ms else ""
        script.write_text(
            f"wrk.method = 'POST'\nwrk.body = '{json.dumps(body)}'\n"
            f"wrk.headers['Content-Type'] = 'application/json'\n{pause}"
        )
        command = ["wrk", "-t1", f"-c{clients}", f"-d{seconds or self.seconds:.0f}s", "--latency", "-s", str(script)]
        said = subprocess.run(
            [*command, f"http://{HOST}:{port}/predict"], check=True, capture_output=True, text=True
        ).stdout
        number, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", said).groups()  # type: ignore[union-attr]
        broken = re.findall(r" (\d+)", " ".join(re.findall(r"(?:Socket errors|Non-2xx).*", said)))
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])  # type: ignore[index]
        return {
            "rate": rate,
            "p99_ms": float(number) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[unit],
            "errors": sum(map(int, broken)),
        }


def iris(bench: Bench) -> dict[str, Any]:
    """Single flowers, with a line in the log for each and without."""
    found: dict[str, Any] = {}
    for flags in ((), ("--quiet",)):
        with bench.ours(bench.iris, *flags) as (port, _):
            for clients in (1, 4, 16, 64):
                found[f"{' '.join(flags) or 'logged'}, {clients} clients"] = bench.wrk(port, FLOWER, clients)
    return found


def lenet(bench: Bench) -> dict[str, Any]:
    """Pictures computed together and one by one, for several numbers of processes and threads."""
    found: dict[str, Any] = {}
    for workers, threads in ((1, 8), (1, 32), (2, 4)):
        flags = ["--workers", str(workers), "--threads", str(threads), "--quiet"]
        name = f"{workers} workers of {threads} threads"
        with (
            bench.ours(bench.lenet, *flags) as (together, _),
            bench.ours(bench.lenet, *flags, "--max-batch", "1") as (alone, _),
        ):
            pairs = [[bench.wrk(port, PICTURE, 64)["rate"] for port in (together, alone)] for _ in range(3)]
        found[name] = {"together": median(a for a, _ in pairs), "alone": median(b for _, b in pairs)}
        found[name]["ratio"] = median(a / b for a, b in pairs)
    return found


def lesson(bench: Bench) -> dict[str, Any]:
    """64 clients, ours and the lesson's application."""
    with bench.ours(bench.iris) as (ours, _), bench.lesson() as theirs:
        pairs = [[bench.wrk(port, FLOWER, 64)["rate"] for port in (ours, theirs)] for _ in range(3)]
    return {"ours": median(a for a, _ in pairs), "lesson": median(b for _, b in pairs)} | {
        "ratio": median(a / b for a, b in pairs)
    }


def half(bench: Bench) -> dict[str, Any]:
    """64 clients that pause: half of the answers a second that 64 without a pause get."""
    with bench.ours(bench.iris) as (port, _):
        full = bench.wrk(port, FLOWER, 64)
        return {"full": full, "half": bench.wrk(port, FLOWER, 64, pause_ms=2 * 64 / full["rate"] * 1e3)}


def faults(bench: Bench) -> dict[str, Any]:
    """The median and the 99th percentile of one client's requests, alone and beside what disturbs."""
    found: dict[str, Any] = {}
    with bench.ours(bench.iris, "--timeout", "60") as (port, _):

        def asked(seconds: float) -> dict[str, float]:
            took, end = [], time.perf_counter() + seconds
            while time.perf_counter() < end:
                took += one_by_one(port, "/predict", [FLOWER] * 100)
            return {"median_ms": 1e3 * median(took), "p99_ms": 1e3 * float(np.quantile(took, 0.99))}

        def beside(name: str, disturb: Any) -> None:
            stop = threading.Event()
            with ThreadPoolExecutor(1) as pool:
                disturbing = pool.submit(disturb, port, stop)
                time.sleep(1.0)
                found[name] = asked(bench.seconds)
                stop.set()
            disturbing.result()  # or what kept it from disturbing
            found[f"alone, after {name}"] = asked(bench.seconds / 2)

        asked(1.0)
        found["alone"] = asked(bench.seconds)
        for disturb in (idle, slow, huge, cut):
            beside(str(disturb.__doc__).rstrip("."), disturb)
    return found


def idle(port: int, stop: threading.Event) -> None:
    """2,000 idle connections."""
    socks = [socket.create_connection((HOST, port)) for _ in range(2000)]
    stop.wait()
    for sock in socks:
        sock.close()


def slow(port: int, stop: threading.Event) -> None:
    """200 clients that send a byte a second."""
    socks = [socket.create_connection((HOST, port)) for _ in range(200)]
    for sock in socks:
        sock.sendall(HEAD + b"Content-Length: 1000\r\n\r\n{")
    while not stop.wait(1.0):
        for sock in socks:
            sock.sendall(b" ")
    for sock in socks:
        sock.close()


def huge(port: int, stop: threading.Event) -> None:
    """a body of 1 GB, again and again."""
    while not stop.is_set():
        with socket.create_connection((HOST, port)) as sock:
            try:
                sock.sendall(HEAD + b"Content-Length: 1000000000\r\n\r\n")
                for _ in range(1000):
                    sock.sendall(bytes(1_000_000))
            except OSError:  # refused
                time.sleep(0.1)


def cut(port: int, stop: threading.Event) -> None:
    """100 requests a second that are cut off."""
    while not stop.wait(0.01):
        with socket.create_connection((HOST, port)) as sock:
            sock.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")


def killed(bench: Bench) -> dict[str, Any]:
    """16 clients; one of two workers is killed in the middle: no more may fail than have a request with it."""
    with bench.ours(bench.iris, "--workers", "2") as (port, master):
        before = children(master)
        timer = threading.Timer(bench.seconds / 2, os.kill, (before[0], signal.SIGKILL))
        timer.start()
        load = bench.wrk(port, FLOWER, 16)
        return {**load, "new_workers": len(set(children(master)) - set(before)), "workers": len(children(master))}


def minutes(bench: Bench) -> dict[str, Any]:
    """64 clients for as long as `--seconds`; the workers' memory in MB (their own and their share of the common)."""
    with bench.ours(bench.iris) as (port, master):
        memory, done = [], threading.Event()

        def look() -> None:
            while not done.wait(30.0):
                memory.append(sum(map(proportional_mb, [master, *children(master)])))

        thread = threading.Thread(target=look)
        thread.start()
        load = bench.wrk(port, FLOWER, 64)
        done.set()
        thread.join()
    return {**load, "memory_mb": memory}


def children(process: int) -> list[int]:
    """The processes it has started that are still there."""
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def proportional_mb(process: int) -> float:
    """A process' memory, what it shares divided among those who share it."""
    return int(re.search(r"Pss:\s+(\d+)", Path(f"/proc/{process}/smaps_rollup").read_text())[1]) / 1024  # type: ignore[index]


SCENES = {scene.__name__: scene for scene in (iris, lenet, lesson, half, faults, killed, minutes)}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description="Load on the service.")
    parser.add_argument("scenes", nargs="*", default=[name for name in SCENES if name != "minutes"])
    parser.add_argument("--seconds", type=float, default=10.0)
    args = parser.parse_args(arguments)
    if unknown := set(args.scenes) - SCENES.keys():
        parser.error(f"there is no scene {', '.join(sorted(unknown))}; there are {', '.join(SCENES)}")
    if shutil.which("wrk") is None:
        parser.error("there is no wrk: apt-get install wrk")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), args.seconds)
        for name in args.scenes:
            print(f"{name}: {SCENES[name].__doc__}")
            for key, value in SCENES[name](bench).items():
                print(f"  {key}: {json.dumps(value, default=float)}", flush=True)


if __name__ == "__main__":
    main()
