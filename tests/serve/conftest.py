"""Small models in files, the application around them, and real servers on a free loopback port."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg

IRIS = ("setosa", "versicolor", "virginica")


@pytest.fixture(scope="session", autouse=True)
def _extra(needs: Callable[[str], ModuleType]) -> None:
    for module in ("flask", "gunicorn", "pydantic", "prometheus_client", "skops"):
        needs(module)


@pytest.fixture(scope="session")
def iris() -> tuple[np.ndarray, np.ndarray]:
    """Three clouds in four dimensions, X (90, 4) and y (90,): quicker than to import scikit-learn for its irises."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), 30)
    return rng.normal(size=(90, 4)) + 3.0 * y[:, None], y


@pytest.fixture(scope="session")
def iris_file(iris: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A logistic regression of the plugins."""
    from tinygrad_edu.plugins import LogisticRegression
    from tinygrad_edu.serve import save

    path = tmp_path_factory.mktemp("iris") / "iris.safetensors"
    save(path, LogisticRegression().fit(*iris), classes=IRIS)
    return path


@pytest.fixture(scope="session")
def lenet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LeNet that has learnt nothing, for pictures of 12 x 12 pixels."""
    from tinygrad_edu.models.lenet import LeNet
    from tinygrad_edu.serve import Pictures, save

    tg.manual_seed(0)
    path = tmp_path_factory.mktemp("lenet") / "lenet.safetensors"
    pictures = Pictures(12, mean=(0.5,), std=(0.25,))
    save(path, LeNet(1, 12), architecture="lenet", settings={"size": 12}, inputs=pictures, classes=list("0123456789"))
    return path


@pytest.fixture(scope="session")
def char_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A character generator that has learnt nothing."""
    from tinygrad_edu.models.char_rnn import CharRNN
    from tinygrad_edu.serve import Text, save

    tg.manual_seed(0)
    path = tmp_path_factory.mktemp("char") / "char.safetensors"
    save(path, CharRNN(5, 8), architecture="char-rnn", settings=[5, 8], inputs=Text(tuple("ab ]\n"), 20))
    return path


@pytest.fixture
def client() -> Callable[..., Any]:
    """`client(path, ..., key=...)`: Flask's test client of the application that serves these files."""

    def client(*paths: Path, **settings: Any) -> Any:
        from tinygrad_edu.serve.app import Settings, create_app
        from tinygrad_edu.serve.saving import load

        return create_app([load(path) for path in paths], Settings(log_requests=False, **settings)).test_client()

    return client


class Serving:
    """A server that runs: its process, its address, its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log
        self.address = self.wait_for("ready")["address"]
        self.host, port = self.address.removeprefix("http://").split(":")
        self.port = int(port)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log's lines of one kind."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"].startswith(name)]

    def wait_for(self, name: str, count: int = 1) -> dict[str, Any]:
        """The `count`-th line of a kind, once it is there."""
        for _ in range(1200):  # a minute: on a busy machine a start takes seconds
            if len(found := self.events(name)) >= count:
                return found[count - 1]
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended:\n{self.log.read_text()}")
            time.sleep(0.05)
        raise AssertionError(f"no {name!r} in the log:\n{self.log.read_text()}")

    def workers(self) -> list[int]:
        """The workers' process ids."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def signal(self, number: signal.Signals) -> None:
        """Send the master a signal."""
        self.process.send_signal(number)

    def ask(self, rows: Any = ((5.1, 3.5, 1.4, 0.2),), path: str = "/predict", **headers: str) -> tuple[int, Any]:
        """Status and answer of one prediction, on a connection of its own."""
        from http.client import HTTPConnection

        connection = HTTPConnection(self.host, self.port, timeout=30)
        try:
            body = json.dumps({"inputs": rows})
            connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()


@pytest.fixture(scope="session")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`with serving(path, "--workers", "1") as server:` a real server, on a port that was free."""

    @contextmanager
    def serving(*args: Any, **environ: str) -> Iterator[Serving]:
        tmp_path = tmp_path_factory.mktemp("server")
        log = tmp_path / "server.log"
        command = [sys.executable, "-P", "-m", "tinygrad_edu.cli", "serve", *map(str, args), "--port", "0"]
        with open(log, "wb") as file:
            process = subprocess.Popen(command, stderr=file, stdout=file, cwd=tmp_path, env={**os.environ, **environ})
        try:
            yield Serving(process, log)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    return serving
