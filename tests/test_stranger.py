"""A stranger's package (tests/stranger/) is installed by pip into an environment of its own, and the command line there
lists, checks and runs what it adds. Nothing of ours is told about it.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """Runs `tinygrad-edu` in an environment with the stranger's package and, by a .pth file, all that this one has."""
    folder = tmp_path_factory.mktemp("stranger")
    venv.create(folder / "env", with_pip=False)
    python = folder / "env" / "bin" / "python"
    (site,) = (folder / "env" / "lib").glob("python*/site-packages")
    (site / "here.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    source = shutil.copytree(
        Path(__file__).parent / "stranger", folder / "source"
    )  # pip builds inside the source folder
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--no-build-isolation", str(source)], check=True)
    (folder / "empty").mkdir()

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        line = [str(python), "-m", "tinygrad_edu.cli", *words]
        return subprocess.run(line, cwd=folder / "empty", text=True, capture_output=True, check=False)

    return command


def test_list_shows_all_three_with_their_package(command: Command) -> None:
    done = command("list")
    assert done.returncode == 0, done.stderr
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    for kind, name in [("backends", "stranger"), ("datasets", "line"), ("projects", "fit-line")]:
        start = lines.index([kind])
        assert [name, "tinygrad-edu-stranger"] in [line[:2] for line in lines[start:]], done.stdout


def test_backends_shows_the_strangers(command: Command) -> None:
    done = command("backends")
    assert done.returncode == 0, done.stderr
    assert "stranger         tinygrad-edu-stranger loads" in done.stdout


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (
            ["--backend", "stranger", "--dataset", "line", "--steps", "50"],
            "slope 2.00 on stranger, 100 matrix products",
        ),
        (["--backend", "numpy"], "slope 2.00 on numpy, 0 matrix products"),
    ],
)
def test_run_runs_the_strangers_project(command: Command, flags: list[str], told: str) -> None:
    done = command("run", "fit-line", *flags, "--json", "figures.json")
    assert done.returncode == 0, done.stderr
    assert told in done.stdout


def test_check_puts_the_strangers_backend_to_the_test(command: Command) -> None:
    done = command("check", "--backend", "stranger", "-q", "-k", "matmul or add", "-p", "no:cacheprovider")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
