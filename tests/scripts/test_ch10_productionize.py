"""Chapter 10's project from the command line: saves, serves, asks, compares, stops."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tinygrad_edu import cli
from tinygrad_edu.scripts.lessons.ch10 import MISTAKES

SMALL = ["--requests", "5", "--clients", "2", "--seconds", "0.1", "--workers", "1"]


@pytest.fixture(autouse=True)
def packages(in_an_empty_folder: None, needs: Callable[[str], ModuleType]) -> None:
    for name in ("flask", "gunicorn", "pydantic", "prometheus_client", "skops"):
        needs(name)


def run(*flags: str) -> dict[str, Any]:
    """Run the project; its figures."""
    command = ["run", "productionize", *SMALL, "--out", "out", "--json", "figures.json", *flags]
    assert cli.main(command) == 0
    return json.loads(Path("figures.json").read_text())


@pytest.mark.parametrize(("model", "file"), [("ours", "iris.safetensors"), ("sklearn", "iris.skops")])
def test_the_service_answers_as_the_model_does_and_stops(
    model: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = run("--model", model)
    assert figures["test_accuracy"] == figures["sklearn_test_accuracy"] > 0.9  # 38 flowers
    assert figures["same_bits"]
    assert figures["exit_status"] == 0
    for prefix in ("", "lesson_"):
        assert 0.0 < figures[f"{prefix}latency_median_ms"] <= figures[f"{prefix}latency_p99_ms"]
        assert figures[f"{prefix}many_clients_requests_per_second"] > 0.0
    out = capsys.readouterr().out
    assert "answers are the same, to the last bit" in out
    told = dict(re.findall(r"^  (.*?) +(\d{3}) \S", out, re.MULTILINE))
    assert told == {what: "400" if what == "broken JSON" else "422" for what in MISTAKES}
    assert Path("out", file).stat().st_size > 0
    assert Path("out/latency.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("flag", ["--requests", "--clients", "--workers"])
def test_mistakes(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "productionize", "--out", "out", flag, "0"]) != 0
    assert f"productionize: expected {flag} of at least 1, got 0" in capsys.readouterr().err
