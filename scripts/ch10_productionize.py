"""Chapter 10: a trained model becomes a service: saved, served, asked, measured, stopped.

1. Logistic regression (`plugins/logistic_regression.py`) learns iris, and is saved: ours as .safetensors, with
   `--model sklearn` scikit-learn's as .skops.
2. `tinygrad-edu serve` runs as a process of its own, as it would anywhere; a client in Python and `curl` ask it, also
   wrongly. Its answers are the model's own, to the last bit.
3. How long it takes: one client, then many at once; beside it the small application of lesson 10.1.

The same in a container: `make image`, and the repository's Dockerfile.
"""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from tinygrad_edu.errors import require
from tinygrad_edu.plugins import LogisticRegression, train_test_split
from tinygrad_edu.run import Run
from tinygrad_edu.scripts import ch10_pictures as pictures
from tinygrad_edu.scripts.beside_sklearn import twin
from tinygrad_edu.scripts.ch10_service import HOST, Client, free_port, one_by_one, running, stop, together
from tinygrad_edu.scripts.lessons.ch10 import APP, MISTAKES


@dataclass
class Args:
    """Put a model on the network, and ask it (chapter 10)."""

    model: Literal["ours", "sklearn"] = "ours"
    """Whose logistic regression is served."""
    workers: int = 2
    """Processes of the service."""
    requests: int = 500
    """How many are asked one after the other, to see how long each takes."""
    clients: int = 16
    """How many then ask at once."""
    seconds: float = 3.0
    """For how long they do."""


def main(args: Args, run: Run) -> None:
    """Train, save, serve, ask, compare, draw."""
    for name in ("requests", "clients", "workers"):
        if getattr(args, name) < 1:
            raise ValueError(f"productionize: expected --{name} of at least 1, got {getattr(args, name)}")
    for package in ("flask", "gunicorn"):
        require(package, extra="serve")
    task = Task(run.seed)
    model, theirs = task.train()
    served = model if args.model == "ours" else theirs
    accuracy, their_accuracy = task.accuracy(model), task.accuracy(theirs)
    run.result(test_accuracy=accuracy, sklearn_test_accuracy=their_accuracy)
    flowers = f"{len(task.test_y)} flowers that it has not learnt from"
    run.verdict(f"{accuracy:.1%} of {flowers} told right; by scikit-learn's logistic regression {their_accuracy:.1%}.")
    ours = serve(args, run, task, served)
    app = serve_lesson(args, task, theirs)
    compare(args, run, ours, app)
    panels = {
        "one client": {"tinygrad-edu serve": ours.alone, "lesson 10.1's app": app.alone},
        f"{args.clients} clients at once": {"tinygrad-edu serve": ours.crowd, "lesson 10.1's app": app.crowd},
    }
    caption = (
        "How many of the requests are answered within a time; the dot is the median. Client and service share this "
    )
    run.figure("latency", pictures.latencies(panels), caption + "machine.")


class Task:
    """Iris, three quarters to learn from; and how its flowers are asked about."""

    def __init__(self, seed: int) -> None:
        iris = require("sklearn.datasets", "viz").load_iris()
        labels = iris.target_names[iris.target]
        parts = train_test_split(iris.data, labels, random_state=seed, stratify=labels)
        self.train_x, self.test_x, self.train_y, self.test_y = parts
        self.columns = iris.feature_names

    def train(self) -> tuple[LogisticRegression, Any]:
        """Our logistic regression, and scikit-learn's with the same settings."""
        model = LogisticRegression(max_iter=1000).fit(self.train_x, self.train_y)
        return model, twin(model).fit(self.train_x, self.train_y)

    def accuracy(self, model: Any) -> float:
        """The share of the test flowers that it tells right."""
        return float((model.predict(self.test_x) == self.test_y).mean())

    def save(self, folder: Path, model: Any) -> Path:
        """The file to serve the model from. Ours says what it learnt from, for the form on the page."""
        from tinygrad_edu.serve import Column, Table, save

        if not isinstance(model, LogisticRegression):
            path = folder / "iris.skops"
            save(path, model)
            return path
        low, high = self.train_x.min(axis=0).tolist(), self.train_x.max(axis=0).tolist()
        columns = [Column(name, low=a, high=b) for name, a, b in zip(self.columns, low, high, strict=True)]
        path = folder / "iris.safetensors"
        save(path, model, inputs=Table(tuple(columns)))
        return path

    def bodies(self, count: int) -> list[dict[str, Any]]:
        """So many requests, a test flower each, over and over."""
        return [{"inputs": [self.test_x[i % len(self.test_x)].tolist()]} for i in range(count)]


@dataclass
class Measured:
    """How long a service took: seconds of each request, of one client and of many at once."""

    alone: Sequence[float]
    crowd: Sequence[float]
    crowd_seconds: float

    def figures(self, prefix: str) -> dict[str, float]:
        """The figures to report."""
        return {
            f"{prefix}latency_median_ms": 1000.0 * float(np.median(self.alone)),
            f"{prefix}latency_p99_ms": 1000.0 * float(np.percentile(self.alone, 99)),
            f"{prefix}many_clients_latency_p99_ms": 1000.0 * float(np.percentile(self.crowd, 99)),
            f"{prefix}many_clients_requests_per_second": len(self.crowd) / self.crowd_seconds,
        }


def serve(args: Args, run: Run, task: Task, model: Any) -> Measured:
    """Save the model, serve it, ask for all test flowers, measure, and stop."""
    path, port = task.save(run.out, model), free_port()
    print(f"The model is saved: {path}, {path.stat().st_size} bytes. Served with:\n")
    print(f"  tinygrad-edu serve {path} --port {port} --workers {args.workers}\n")
    command = [sys.executable, "-m", "tinygrad_edu.cli", "serve", str(path), "--port", str(port)]
    begin = time.perf_counter()
    with running([*command, "--workers", str(args.workers), "--quiet"], port) as process:
        client = Client(port)
        client.ask("/readyz")
        started = time.perf_counter() - begin
        _, answer = client.ask("/predict", {"inputs": task.test_x.tolist()})
        same = answer["predictions"] == model.predict(task.test_x).tolist()
        same &= answer["probabilities"] == model.predict_proba(task.test_x).tolist()
        curl(port, task.bodies(1)[0])
        print("\nWhat clients get wrong, they are told:\n")
        for what, (wrong, _) in MISTAKES.items():
            status, problem = client.ask("/predict", wrong)
            places = "; ".join(f"{error['pointer']}: {error['detail']}" for error in problem.get("errors", []))
            print(f"  {what:<18} {status} {places or problem['detail']}")
        client.close()
        measured = measure(args, task, port)
        begin = time.perf_counter()
        status = stop(process)
        stopped = time.perf_counter() - begin
    run.result(same_bits=same, start_seconds=started, stop_seconds=stopped, exit_status=status)
    run.verdict(
        f"Over HTTP the answers are {'the same, to the last bit' if same else 'NOT the same'}, as the model's own."
    )
    return measured


def curl(port: int, body: dict[str, Any]) -> None:
    """Ask by curl, where there is one, and print what was asked and answered."""
    command = ["curl", "-s", "-d", json.dumps(body), "-H", "content-type: application/json", f"{HOST}:{port}/predict"]
    print(f"  curl -d '{json.dumps(body)}' -H 'content-type: application/json' {HOST}:{port}/predict")
    if shutil.which("curl") is None:
        print("  (there is no curl here)")
        return
    print(f"  {subprocess.run([*command, '--noproxy', '*'], check=True, capture_output=True, text=True).stdout}")


def serve_lesson(args: Args, task: Task, model: Any) -> Measured:
    """The same measurements of the lesson's application, which serves scikit-learn's model from a pickle."""
    port = free_port()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.pkl"
        path.write_bytes(pickle.dumps(model))
        with running([sys.executable, str(APP), str(path), HOST, str(port)], port):
            return measure(args, task, port)


def measure(args: Args, task: Task, port: int) -> Measured:
    """Ask one by one, then with many clients."""
    one_by_one(port, "/predict", task.bodies(20))  # whatever is done at the first request only
    alone = one_by_one(port, "/predict", task.bodies(args.requests))
    begin = time.perf_counter()
    crowd = together(port, "/predict", task.bodies(1)[0], clients=args.clients, seconds=args.seconds)
    return Measured(alone, crowd, time.perf_counter() - begin)


def compare(args: Args, run: Run, ours: Measured, app: Measured) -> None:
    """Report both services' times, and say how they compare."""
    run.result(**ours.figures(""), **app.figures("lesson_"))
    one, other = (1000.0 * float(np.median(service.alone)) for service in (ours, app))
    rate, other_rate = (len(service.crowd) / service.crowd_seconds for service in (ours, app))
    run.verdict(
        f"One client waits {one:.2f} ms (median), {args.clients} clients get {rate:.0f} answers a second; from lesson "
        f"10.1's application {other:.2f} ms, and {other_rate:.0f}: {rate / other_rate:.1f} times as many. The clients "
        "are in Python, and on the same cores."
    )
