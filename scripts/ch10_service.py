"""A service started as a process of its own, asked over HTTP and stopped: for chapter 10's lesson and project."""

from __future__ import annotations

import http.client
import json
import shlex
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

HOST = "127.0.0.1"


def free_port() -> int:
    """A port on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


@contextmanager
def running(command: Sequence[str], port: int, *, patience: float = 60.0) -> Iterator[subprocess.Popen[bytes]]:
    """The process of `command`, from the moment it accepts connections on `port` of this machine; stopped at the end.

    ChildProcessError, with what it wrote, if it ends before or does not listen within `patience` seconds.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await_port(process, port, patience)
            yield process
        except TimeoutError as error:
            log.seek(0)
            said = log.read().decode(errors="replace")
            raise ChildProcessError(f"{shlex.join(command)}: {error}; it wrote:\n{said}") from error
        finally:
            stop(process)


def _await_port(process: subprocess.Popen[bytes], port: int, patience: float) -> None:
    end = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError("ended at once" if process.poll() is not None else f"not listening after {patience:g} s")


def stop(process: subprocess.Popen[bytes], patience: float = 20.0) -> int:
    """Ask it to end (SIGTERM), and kill it if it has not after `patience` seconds; its exit status."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


class Client:
    """Asks one service, over a connection that is kept while the service keeps it."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=30)

    def ask(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and answer: GET, or POST of `body` as JSON; an answer that is JSON is read, another is text."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        self._connection.request("GET" if data is None else "POST", path, data, headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if "json" in (answer.getheader("Content-Type") or "") else text

    def seconds(self, path: str, body: Any) -> float:
        """How long one request takes, to the last byte of the answer. ConnectionError if it is not answered well."""
        begin = time.perf_counter()
        status, answer = self.ask(path, body)
        took = time.perf_counter() - begin
        if status != 200:
            raise ConnectionError(f"{path}: expected status 200, got {status}: {answer}")
        return took

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def one_by_one(port: int, path: str, bodies: Iterable[Any]) -> list[float]:
    """How long each of these requests takes, one after the other over one connection; seconds."""
    client = Client(port)
    took = [client.seconds(path, body) for body in bodies]
    client.close()
    return took


def together(port: int, path: str, body: Any, *, clients: int, seconds: float) -> list[float]:
    """How long requests take that so many clients send, each as fast as it is answered, for so many seconds."""
    end = time.perf_counter() + seconds

    def until_the_end(_: int) -> list[float]:
        client, took = Client(port), []
        while time.perf_counter() < end:
            took.append(client.seconds(path, body))
        client.close()
        return took

    with ThreadPoolExecutor(clients) as pool:
        return [second for client in pool.map(until_the_end, range(clients)) for second in client]
