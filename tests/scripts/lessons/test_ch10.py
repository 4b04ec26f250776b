"""Chapter 10's lessons: the small service answers as its model does, its faults are shown, its Dockerfile explained."""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Callable
from types import ModuleType

import pytest

from tinygrad_edu.scripts import ch10_service as service
from tinygrad_edu.scripts.lessons import ch10

Needs = Callable[[str], ModuleType]


def test_the_small_service_answers_and_shows_its_faults(capsys: pytest.CaptureFixture[str], needs: Needs) -> None:
    needs("flask")
    needs("sklearn")
    ch10.small_service()
    out = capsys.readouterr().out
    assert '200 {"predictions": ["setosa"]}' in out
    assert "The model itself says the same." in out
    statuses = dict(re.findall(r"^  (.*?) +(\d{3}), a page: ", out, re.MULTILINE))
    assert statuses == {what: "400" if what == "broken JSON" else "500" for what in ch10.MISTAKES}
    loading = out.partition("Loaded now:")[2]
    assert loading.strip().startswith(">>> this line was printed by the file")
    assert "REDUCE" in out
    assert max(map(len, out.splitlines())) <= 120


def test_the_app_is_about_thirty_lines() -> None:
    code = [line for line in ch10.APP.read_text().splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(code) <= 30


def test_every_line_of_the_dockerfile_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    ch10.container()
    out = capsys.readouterr().out
    lines = ch10.DOCKERFILE.read_text().splitlines()
    assert all(re.search(rf"^  {re.escape(line)}\n      \S", out, re.MULTILINE) for line in lines)
    assert ch10.APP.name in lines[-1]  # what is copied is what runs
    assert max(map(len, out.splitlines())) <= 120


SERVER = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Echo(BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps([self.command, body]).encode())

    do_GET = do_POST = answer

HTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""


def test_a_service_runs_is_asked_and_ends() -> None:
    port = service.free_port()
    with service.running([sys.executable, "-c", SERVER, str(port)], port) as process:
        client = service.Client(port)
        assert client.ask("/") == (200, ["GET", ""])
        assert client.ask("/", {"a": 1}) == (200, ["POST", json.dumps({"a": 1})])
        assert client.ask("/", b"raw") == (200, ["POST", "raw"])
        assert client.seconds("/", [1]) > 0.0
        with pytest.raises(ConnectionError, match="expected status 200, got 404"):
            client.seconds("/missing", [1])
        client.close()
    assert process.poll() is not None
    with socket.socket() as probe:
        assert probe.connect_ex((service.HOST, port)) != 0


def test_a_service_that_does_not_come_up_is_told_with_what_it_said() -> None:
    port = service.free_port()
    with (
        pytest.raises(ChildProcessError, match=r"(?s)ended at once; it wrote:.*out of luck"),
        service.running([sys.executable, "-c", "raise SystemExit('out of luck')"], port),
    ):
        pass
    with (
        pytest.raises(ChildProcessError, match=r"not listening after 0\.1 s"),
        service.running([sys.executable, "-c", "import time; time.sleep(60)"], port, patience=0.1),
    ):
        pass
