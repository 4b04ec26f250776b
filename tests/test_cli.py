"""The command line: what it prints, and what it says to wrong usage."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tinygrad_edu import cli, registry
from tinygrad_edu.errors import MissingExtra
from tinygrad_edu.hookspecs import Project


@dataclass
class Args:
    """Count to a number: this file is a project too."""

    up_to: int = 3
    """The last number."""
    fail: str = ""
    """How to fail."""


def main(args: Args, run: Any) -> None:
    """What `run count` does: counts, or fails as told."""
    if args.fail == "interrupt":
        raise KeyboardInterrupt
    if args.fail == "bug":
        raise LookupError("a bug, not a mistake of the user's")
    if args.fail:
        raise ValueError(args.fail)
    print(f"counted to {args.up_to}, seed {run.seed}, backend {run.backend}")


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TINYGRAD_EDU_BACKEND", raising=False)


@pytest.fixture(autouse=True)
def count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Registers this file as the project `count`."""
    entry = registry.Registered(Project(__name__, "0", "Count to a number"), __name__, "tests")
    monkeypatch.setitem(registry.installed().table("projects"), "count", entry)


def test_list_names_everything_with_its_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["list"]) == 0
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if not line.startswith(" ")] == list(registry.KINDS)
    assert "  count            tests            chapter 0: Count to a number\n" in out
    assert "  numpy            tinygrad-edu     Plain NumPy" in out


def test_list_ends_with_the_plugins_that_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failure = registry.Failure("broken", "broken-one", "import", ImportError("no such thing"))
    monkeypatch.setitem(registry.installed().failures, "broken", failure)
    assert cli.main(["list"]) == 0
    failed = "plugin 'broken' of package 'broken-one' failed to import: ImportError: no such thing"
    assert capsys.readouterr().out.endswith(f"failed plugins\n  {failed}\n")


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["list", "--hlep"], "unknown flag '--hlep' (did you mean '--help'?); there are: --help"),
        (["backends", "cpp"], "unknown argument 'cpp'"),
        (["run"], "run which project? there are: "),
        (
            ["run", "cuont"],
            "unknown project 'cuont' (did you mean 'count'?); there are: ",
        ),
        (["run", "--seed", "1", "count"], "flags come after the project: tinygrad-edu run PROJECT --seed"),
        (["run", "count", "--backend", "cuda"], "unknown backend 'cuda'; there are: "),
        (["check", "--backend", "cuda"], "unknown backend 'cuda'; there are: "),
        (["check"], "check what? FILE.py:function, or --backend NAME; see tinygrad-edu check --help"),
        (["check", "f.py:f", "--backend", "cuda"], "unknown backend 'cuda'; there are: "),
        (["check", "f.py"], "check: expected FILE.py:function, got 'f.py'"),
        (["check", "f.py:f"], "check: there is no file f.py"),
        (["check", "f.py:f", "-x", "g"], "check: expected nothing after f.py:f but --backend NAME, got -x g"),
    ],
)
def test_wrong_usage_is_one_line(argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(argv) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tinygrad-edu: error: ")
    assert complaint in line


@pytest.mark.parametrize(
    ("flag", "complaints"),
    [
        (["--sede", "1"], ["--sede", "--seed", "run count --help"]),
        (["--up-tu", "1"], ["--up-tu", "--up-to", "run count --help"]),
        (["--up-to", "ten"], ["--up-to", "ten", "run count --help"]),
    ],
)
def test_a_projects_wrong_flag(flag: list[str], complaints: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["run", "count", *flag])
    err = capsys.readouterr().err
    assert all(complaint in err for complaint in complaints), err


def test_help_shows_a_projects_flags_and_the_common_ones(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        cli.main(["run", "count", "--help"])
    out = capsys.readouterr().out
    for flag in ("--up-to INT", "--backend STR", "--seed INT", "--out PATH", "--json PATH", "--resume"):
        assert flag in out
    assert "runs/count" in out


def test_run_takes_the_fastest_backend_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TINYGRAD_EDU_BACKEND", raising=False)
    assert cli._fastest_backend() == "cpp"
    monkeypatch.setattr(registry, "backend", lambda name: (_ for _ in ()).throw(ImportError("not built")))
    assert cli._fastest_backend() == "numpy"
    monkeypatch.setenv("TINYGRAD_EDU_BACKEND", "mine")
    assert cli._fastest_backend() == "mine"


def test_run_runs_and_writes_its_figures(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_EDU_BACKEND", "numpy")
    flags = ["--up-to", "5", "--seed", "7", "--out", "here", "--json", "figures.json"]
    assert cli.main(["run", "count", *flags]) == 0
    assert "counted to 5, seed 7, backend numpy" in capsys.readouterr().out
    figures = json.loads(Path("figures.json").read_text())
    assert (figures["backend"], figures["seed"]) == ("numpy", 7)
    assert Path("here").is_dir()


def test_a_failed_run_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "count", "--fail", "no data"]) == 1
    assert "tinygrad-edu: error: no data (--traceback shows where)\n" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no data"):
        cli.main(["run", "count", "--fail", "no data", "--traceback"])


def test_a_bug_keeps_its_traceback() -> None:
    with pytest.raises(LookupError):
        cli.main(["run", "count", "--fail", "bug"])


def test_an_interrupt_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "count", "--fail", "interrupt"]) == 130
    assert "interrupted; go on with: tinygrad-edu run count --fail interrupt --resume\n" in capsys.readouterr().err


def test_an_output_folder_that_cannot_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("in the way")  # below a file, since root writes into any folder
    assert cli.main(["run", "count", "--out", "file/out"]) == 1
    assert "file/out" in capsys.readouterr().err


def test_a_missing_extra_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "tyro", None)  # as if it were not installed
    assert cli.main(["run", "count"]) == 1
    assert "this needs tyro: pip install 'tinygrad-edu[viz]'" in capsys.readouterr().err
    with pytest.raises(MissingExtra):
        cli.main(["--traceback", "run", "count"])


def test_a_projects_flag_must_not_hide_a_common_one(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass
    class Taken:
        seed: int = 0

    monkeypatch.setattr(sys.modules[__name__], "Args", Taken)
    with pytest.raises(ValueError, match="project 'count': every project has seed already"):
        cli.main(["--traceback", "run", "count"])


def test_backends_shows_who_serves_what(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["backends"]) == 0
    out = capsys.readouterr().out
    assert "numpy            tinygrad-edu     loads\n" in out
    assert "\nfused op" in out
    assert "\ncross_entropy " in out
    assert "\nrelu_gradient " in out


def test_check_hands_further_flags_to_pytest(monkeypatch: pytest.MonkeyPatch) -> None:
    commands = []
    monkeypatch.setattr(
        cli.subprocess, "run", lambda command, check: commands.append(command) or type("Done", (), {"returncode": 5})
    )
    assert cli.main(["check", "--backend", "numpy", "-k", "matmul", "-x"]) == 5
    (command,) = commands
    assert command[-6:] == ["tinygrad_edu.testing", "--tg-backend", "numpy", "-k", "matmul", "-x"]


FUNCTIONS = """
import numpy as np
from tinygrad_edu.ops.op import op

def loss(x=[[0.5, -1.0]], w=np.ones((2, 3)), power=2):
    return ((x @ w).tanh() ** power).sum()

torch_loss = loss

@op
def square(x):
    return x.backend.mul(x.data, x.data)

square.vjp = lambda g, x: g * x
square.inputs = ([1.0, 2.0],)

def missing(x, y=1.0): pass
def whole(x=[1, 2]): pass
def odd(x): pass
odd.inputs = 1.0
def fails(x=1.0): raise LookupError("in the function")
"""


def test_check_prints_a_line_for_each_gradient(capsys: pytest.CaptureFixture[str]) -> None:
    Path("f.py").write_text(FUNCTIONS)
    assert cli.main(["check", "f.py:loss", "--backend", "numpy"]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == "f.py:loss: rule, finite differences and torch_loss"
    assert last == "all agree"


def test_check_of_a_wrong_rule_says_where(capsys: pytest.CaptureFixture[str]) -> None:
    Path("f.py").write_text(FUNCTIONS)
    assert cli.main(["check", "f.py:square"]) == 1
    out = capsys.readouterr().out
    assert "no torch_square in the file" in out
    assert "they differ: gradient of input 0 at index (0,): ours " in out


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("los", "there is no function 'los' in f.py; there are: loss, "),
        ("np", "there is no function 'np' in f.py"),
        (
            "missing",
            "missing a required argument: 'x': give its parameters defaults, as in `def missing(x=[0.5, -1.0])",
        ),
        ("whole", "f.py:whole has no float input"),
        ("odd", "attribute `inputs` to be a tuple, got float"),
    ],
)
def test_check_says_what_a_function_lacks(name: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("f.py").write_text(FUNCTIONS)
    assert cli.main(["check", f"f.py:{name}"]) == 2
    assert complaint in capsys.readouterr().err


def test_check_leaves_a_functions_own_error_alone() -> None:
    Path("f.py").write_text(FUNCTIONS)
    with pytest.raises(LookupError, match="in the function"):
        cli.main(["check", "f.py:fails"])


def test_no_command_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "doctor" in capsys.readouterr().out


def test_doctor_reports_and_passes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_EDU_BAKEND", "cpp")
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    for part in ("python ", "numpy ", "core         works (backend numpy)", "kernels ", "extra viz", "nobody reads it"):
        assert part in out


def test_doctor_fails_when_the_core_does(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINYGRAD_EDU_BACKEND", "cuda")
    assert cli.main(["doctor"]) == 1
    assert "unknown backend 'cuda'; there are: " in capsys.readouterr().out
