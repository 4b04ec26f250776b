"""The server itself, as a process: faults, hostile clients, reload, stop, wrong usage."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from tinygrad_edu import cli
from tinygrad_edu.serve import load

BODY = json.dumps({"inputs": [[5.1, 3.5, 1.4, 0.2]]}).encode()
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def talk(server: Any, data: bytes, *, seconds: float = 20.0) -> bytes:
    """What the server says to some bytes, until it closes the connection."""
    with socket.create_connection((server.host, server.port), timeout=seconds) as sock:
        said = b""
        try:
            sock.sendall(data)
            while part := sock.recv(65536):
                said += part
        except ConnectionResetError:  # it had said all that it would
            pass
        return said


class Clients:
    """Threads that ask one after the other, each on its own connection, until told to stop; `broken` connections are
    opened again."""

    def __init__(self, server: Any, count: int) -> None:
        self.server, self.statuses, self.broken, self.stop = server, [], 0, threading.Event()  # type: ignore[var-annotated]
        self.threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()

    def _ask(self) -> None:
        connection = HTTPConnection(self.server.host, self.server.port, timeout=30)
        while not self.stop.is_set():
            try:
                connection.request("POST", "/predict", BODY, {"Content-Type": "application/json"})
                response = connection.getresponse()
                response.read()
                self.statuses.append(response.status)
            except OSError:
                self.broken += 1
                connection.close()
                time.sleep(0.01)
        connection.close()

    def end(self) -> None:
        """Have them stop, and wait for it."""
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def wait_for(self, more: int) -> None:
        """Until so many more answers have come."""
        wanted = len(self.statuses) + more
        for _ in range(1200):
            if len(self.statuses) >= wanted:
                return
            time.sleep(0.05)
        raise AssertionError(
            f"{len(self.statuses)} of {wanted} answers; the log: {self.server.log.read_text()[-2000:]}"
        )


def test_a_worker_that_is_killed_is_replaced(serving: Callable[..., Any], iris_file: Path) -> None:
    with serving(iris_file, "--workers", "2", "--quiet") as server:
        clients = Clients(server, 4)
        clients.wait_for(50)
        killed = server.workers()[0]
        os.kill(killed, signal.SIGKILL)
        clients.wait_for(200)
        server.wait_for("Booting worker", 3)
        clients.wait_for(50)
        clients.end()
        assert set(clients.statuses) == {200}
        assert clients.broken <= 4  # each had one request in flight at most
        assert killed not in server.workers()


def test_a_stop_finishes_what_is_begun(serving: Callable[..., Any], iris_file: Path) -> None:
    with serving(iris_file, "--workers", "1", "--quiet") as server:
        clients = Clients(server, 4)
        clients.wait_for(50)
        clients.stop.set()  # each ends with the request that it is at
        server.signal(signal.SIGTERM)
        clients.end()
        assert set(clients.statuses) == {200}
        assert clients.broken == 0
        assert server.process.wait(60) == 0


def test_a_reload_takes_new_models_and_a_broken_one_leaves_the_old(
    serving: Callable[..., Any], iris: Any, iris_file: Path, tmp_path: Path
) -> None:
    from tinygrad_edu.plugins import GaussianNB
    from tinygrad_edu.serve import save

    path = tmp_path / "m.safetensors"
    shutil.copy(iris_file, path)
    with serving(path, "--workers", "1", "--quiet") as server:
        old = server.ask()[1]["version"]
        clients = Clients(server, 2)
        path.with_suffix(".new").write_bytes(b"broken")
        path.with_suffix(".new").replace(path)
        server.signal(signal.SIGHUP)
        failed = server.wait_for("reload failed; the old models go on")
        assert "not a readable state file" in failed["error"]
        clients.wait_for(50)
        assert server.ask()[1]["version"] == old
        os.kill(max(server.workers()), signal.SIGKILL)  # the one that comes in its place has the old model too
        server.wait_for("Booting worker", 3)
        clients.wait_for(50)
        assert server.ask()[1]["version"] == old
        save(path, GaussianNB().fit(*iris))
        server.signal(signal.SIGHUP)
        server.wait_for("reloaded")
        for _ in range(600):
            if server.ask()[1]["version"] == load(path).version:
                break
            time.sleep(0.05)
        assert server.ask()[1]["version"] == load(path).version != old
        clients.end()
        assert set(clients.statuses) == {200}


def test_slow_idle_and_broken_clients_leave_the_others_served(serving: Callable[..., Any], iris_file: Path) -> None:
    with serving(iris_file, "--workers", "1", "--threads", "2", "--timeout", "3", "--quiet") as server:
        address = (server.host, server.port)
        idle = [socket.create_connection(address) for _ in range(200)]
        slow = [socket.create_connection(address) for _ in range(50)]
        for i, sock in enumerate(slow):  # heads and bodies that do not end
            sock.sendall([b"POST /pre", HEAD, HEAD + b"Content-Length: 100\r\n\r\n{"][i % 3])
        cut = [socket.create_connection(address) for _ in range(20)]
        for sock in cut:
            sock.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
            sock.close()
        for _ in range(20):
            assert server.ask()[0] == 200
        said = slow[0].recv(65536)  # after 3 seconds
        assert said.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in said
        assert server.ask()[0] == 200
        idle[0].sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
        assert idle[0].recv(65536).startswith(b"HTTP/1.1 200 ")
        for sock in idle + slow:
            sock.close()


def test_requests_in_pieces_and_several_at_once(serving: Callable[..., Any], iris_file: Path) -> None:
    whole = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
    last = whole.replace(b"Host: x", b"Host: x\r\nConnection: close")
    chunks = b"".join(b"%x;ext\r\n%s\r\n" % (len(part), part) for part in (BODY[:9], BODY[9:])) + b"0\r\n\r\n"
    chunked = HEAD + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks
    with serving(iris_file, "--workers", "1", "--quiet") as server:
        assert talk(server, whole + whole + last).count(b"HTTP/1.1 200 ") == 3
        assert talk(server, chunked).startswith(b"HTTP/1.1 200 ")
        with socket.create_connection((server.host, server.port), timeout=30) as sock:
            for i in range(len(whole)):
                sock.sendall(whole[i : i + 1])
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
            sock.sendall(HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY))
            assert sock.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
            sock.sendall(BODY)
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")


@pytest.fixture(scope="module")
def one_server(serving: Callable[..., Any], iris_file: Path) -> Iterator[Any]:
    """One for all of these."""
    with serving(iris_file, "--workers", "1", "--max-body-mb", "1", "--quiet") as server:
        yield server


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nBad Header: 1\r\n\r\n", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n12345", 400),
        (HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n", 400),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n0\r\n\r\n", 400),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 5000 + b"\r\n", 431),
        (b"\x00" * 100_000, 414),
        (HEAD + b"Content-Length: 1000000000\r\n\r\n" + b" " * 200_000, 413),
        (HEAD + b"Expect: 100-continue\r\nContent-Length: 1000000000\r\n\r\n", 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"200000\r\n" + b" " * (5 << 18), 413),
    ],
)
def test_what_is_no_http_or_too_much(data: bytes, status: int, one_server: Any) -> None:
    said = talk(one_server, data)
    assert said.startswith(b"HTTP/1.1 %d " % status), said[:300]
    assert b"application/problem+json" in said
    assert one_server.ask()[0] == 200


def test_a_key_is_in_no_log(serving: Callable[..., Any], iris_file: Path) -> None:
    key = "s3cr3t-right"
    with serving(iris_file, "--workers", "1", TINYGRAD_EDU_API_KEY=key) as server:
        assert server.ask(Authorization=f"Bearer {key}")[0] == 200
        for wrong in ("Bearer s3cr3t-wrong", "s3cr3t-wrong"):
            assert server.ask(Authorization=wrong)[0] == 401
        server.ask(path="/s3cr3t-path?key=s3cr3t-query", Authorization="Bearer s3cr3t-wrong")
        talk(server, b"GET / HTTP/1.1\r\nAuthorization s3cr3t-malformed\r\n\r\n")
        talk(server, b"s3cr3t-method / HTTP/1.1\r\nAuthorization: Bearer s3cr3t-x\x00\r\nConnection: close\r\n\r\n")
        server.wait_for("request", 4)
    log = server.log.read_text()
    assert "s3cr3t" not in log
    assert log.count('"status": 401') == 3
    assert all(json.loads(line) for line in log.splitlines())


def test_the_workers_map_the_weights_and_count_together(serving: Callable[..., Any], lenet_file: Path) -> None:
    with serving(lenet_file, "--workers", "2", "--quiet") as server:
        for pid in server.workers():
            assert "lenet.safetensors" in Path(f"/proc/{pid}/maps").read_text()
        for _ in range(20):
            assert server.ask([[[0.5] * 12] * 12])[0] == 200
        connection = HTTPConnection(server.host, server.port, timeout=30)
        connection.request("GET", "/metrics")
        text = connection.getresponse().read().decode()
        connection.close()
    assert 'requests_total{route="/predict",status="200"} 20.0' in text


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["nix.safetensors"], "there is no model file nix.safetensors"),
        (["model.onnx"], "unknown format"),
        (["bad name=IRIS"], "is no name for a model"),
        (["IRIS", "IRIS"], "two models are called 'iris'; give one another name: NAME=FILE"),
        (["IRIS", "--backend", "cuda"], "unknown backend 'cuda'"),
        (["IRIS", "--api-key-file", "EMPTY"], "is empty"),
        (["IRIS", "--port", "TAKEN"], "is in use; stop what listens there, or give another"),
        (["IRIS", "--host", "203.0.113.1"], "cannot listen on 203.0.113.1"),
    ],
)
def test_wrong_usage_is_one_line(
    argv: list[str],
    complaint: str,
    iris_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TINYGRAD_EDU_THREADS", "1")  # else the command sets it
    (tmp_path / "model.onnx").touch()
    (tmp_path / "empty").touch()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        known = {"IRIS": str(iris_file), "EMPTY": "empty", "TAKEN": str(taken.getsockname()[1])}
        words = [known.get(word, word.replace("IRIS", str(iris_file))) for word in argv]
        status = cli.main(["serve", *words, *([] if "--port" in argv else ["--port", "0"])])
    assert status in (1, 2)
    line = capfd.readouterr().err.splitlines()[-1]
    assert line.startswith("tinygrad-edu: error: ")
    assert complaint in line


def test_a_missing_extra_says_how_to_install_it(
    iris_file: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "gunicorn", None)
    assert cli.main(["serve", str(iris_file)]) == 1
    assert "this needs gunicorn: pip install 'tinygrad-edu[serve]'" in capfd.readouterr().err
