"""Whatever is asked, the service answers, and says what was wrong; `TINYGRAD_EDU_FUZZ=100000` asks more often."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

ASKED = int(os.environ.get("TINYGRAD_EDU_FUZZ", "2000"))
PIECES = [
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b'"inputs"', b"\\", b"\\u0000", b"\\ud800", b"null", b"true", b"NaN"),
    *(b"Infinity", b"1e400", b"-1e-400", b"1" * 400, b"0x1", b"-", b".", b"e", b"5.1", b"\xff", b"\xed\xa0\x80"),
    *(b"\xef\xbb\xbf", b" " * 50, b"[" * 500, b'{"a":' * 300, b"]]}", b'{"inputs": [[', b'{"inputs": ["', b"\r\n"),
    *(b"\x00", b"/*"),
]


def test_bodies_of_all_sorts(client: Callable[..., Any], iris_file: Path, lenet_file: Path, char_file: Path) -> None:
    asked = client(iris_file, lenet_file, char_file)
    whole = {
        "iris": json.dumps({"inputs": [[5.1, 3.5, 1.4, 0.2]] * 3}).encode(),
        "lenet": json.dumps({"inputs": [[[0.5] * 12] * 12]}).encode(),
        "char": json.dumps({"inputs": ["ab ]", "\n"]}).encode(),
    }
    types = ["application/json"] * 8 + ["image/png", "application/json; charset=utf-8", "application/json;;;=", "\xff"]
    rng = np.random.default_rng(0)
    for i in range(ASKED):
        name = rng.choice(list(whole))
        body = made_up(rng) if i % 2 else changed(bytearray(whole[name]), rng)
        response = asked.post(f"/models/{name}/predict", data=body, content_type=str(rng.choice(types)))
        assert response.status_code in (200, 400, 415, 422), (body, response.text)
        assert response.status_code == 200 or response.json["detail"], body


def made_up(rng: np.random.Generator) -> bytes:
    return b"".join(PIECES[k] for k in rng.integers(len(PIECES), size=rng.integers(20)))


def changed(body: bytearray, rng: np.random.Generator) -> bytes:
    """A good body with a few bytes changed, put in or taken out."""
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(body) + 1))
        piece = PIECES[rng.integers(len(PIECES))] if rng.random() < 0.7 else rng.bytes(3)
        body[place : place + int(rng.integers(4))] = piece if rng.random() < 0.8 else b""
    return bytes(body)


def test_schemathesis_finds_nothing(
    serving: Callable[..., Any],
    needs: Callable[[str], ModuleType],
    iris_file: Path,
    lenet_file: Path,
    char_file: Path,
    tmp_path: Path,
) -> None:
    needs("schemathesis")
    key = "Bearer key"
    with serving(iris_file, lenet_file, char_file, "--workers", "1", "--quiet", TINYGRAD_EDU_API_KEY="key") as server:
        command = [sys.executable, "-m", "schemathesis.cli", "run", f"{server.address}/openapi.json"]
        flags = ["--max-examples", "10", "--seed", "0", "--no-color", "--header", f"Authorization: {key}"]
        environ = {**os.environ, "SCHEMATHESIS_HOOKS": str(Path(__file__).with_name("fuzz_hooks.py"))}
        done = subprocess.run([*command, *flags], cwd=tmp_path, env=environ, capture_output=True, text=True)
        errors = server.events("error")
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert errors == []
