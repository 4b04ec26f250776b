"""The command `tinygrad-edu`: list, run, lesson, backends, bench, check, serve, doctor.

argparse for the skeleton, so that all but `run` work with NumPy and pluggy alone; a project's own options are its
dataclass `Args`, turned into flags by tyro. Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass, make_dataclass
from pathlib import Path
from typing import Any

from tinygrad_edu import registry
from tinygrad_edu.errors import MissingExtra, PluginError, require, unknown
from tinygrad_edu.serve.command import add_flags, serve

# What a user's mistake raises, with a message that says it all; anything else is a bug and keeps its traceback.
USER_ERRORS = (ValueError, TypeError, OSError, FloatingPointError, MissingExtra)


CHECK_HELP = """\
FILE.py:function  its first and second gradients by our rules, by finite differences, and by torch if the file has a
                  function torch_FUNCTION too (for one of methods and operators alone: torch_f = f). Example inputs are
                  its parameters' defaults, or its attribute `inputs`, a tuple: floats, lists, arrays and Tensors are
                  handed over as float64 Tensors, anything else as it is. Exit status 1 if the three differ.
--backend NAME    the conformance suite on a backend; further flags go to pytest."""


class UsageError(ValueError):
    """The command line itself is wrong: exit status 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status of the command line `argv` (default: the process's own arguments)."""
    argv = sys.argv[1:] if argv is None else list(argv)
    traceback = "--traceback" in argv
    argv = [word for word in argv if word != "--traceback"]  # allowed anywhere, also behind a project's own flags
    parser, commands = _parser()
    args, rest = parser.parse_known_args(argv)
    try:
        if args.command is None:
            parser.print_help()
            return 0
        if rest and args.command != "check":  # `check` passes what it does not know on to pytest
            raise UsageError(_unknown_flag(rest[0], args.command, commands[args.command]))
        return args.do(args, rest)
    except KeyboardInterrupt:
        again = ["tinygrad-edu", *(word for word in argv if word != "--resume"), "--resume"]
        print("\ninterrupted", f"; go on with: {shlex.join(again)}" * (args.command == "run"), sep="", file=sys.stderr)
        return 130
    except USER_ERRORS as error:
        if traceback:
            raise
        usage = isinstance(error, UsageError)
        hint = "" if usage or isinstance(error, MissingExtra) else " (--traceback shows where)"
        print(f"tinygrad-edu: error: {str(error) or type(error).__name__}{hint}", file=sys.stderr)
        return 2 if usage else 1


def _parser() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The whole command's parser, and each sub-command's by name."""
    about = "A reverse-mode autograd framework to read, run and extend."
    parser = argparse.ArgumentParser(prog="tinygrad-edu", allow_abbrev=False, description=about)
    parser.add_argument("--traceback", action="store_true", help="show where an error came from")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")

    def command(name: str, do: Any, what: str) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(name, help=what, description=what[0].upper() + what[1:] + ".", allow_abbrev=False)
        sub.set_defaults(do=do)
        return sub

    command("list", _list, "show everything that is registered, and by which package")
    run = command("run", _run, "run a project; `run PROJECT --help` shows its flags")
    run.add_argument("project", metavar="PROJECT", nargs="?", help="its name, as `tinygrad-edu list` shows it")
    run.add_argument("flags", nargs=argparse.REMAINDER, help="its own flags, and those that all projects have")
    lesson = command("lesson", _lesson, "run a lesson, a practice line of the roadmap; without a number, list them")
    lesson.add_argument("number", metavar="NUMBER", nargs="?", help="its chapter and line, such as 7.1")
    command("backends", _backends, "show which backend serves which fused op, and how")
    bench = command("bench", _bench, "time workloads side by side with the reference libraries")
    bench.add_argument("names", nargs="*", metavar="NAME", help="workloads (default: all)")
    check = command("check", _check, "check a function's gradients, or a backend for conformance")
    check.usage = "%(prog)s FILE.py:function [--backend NAME]\n       %(prog)s --backend NAME [PYTEST FLAG ...]"
    check.epilog = CHECK_HELP
    check.formatter_class = argparse.RawDescriptionHelpFormatter
    check.add_argument("--backend", metavar="NAME", help="the backend to test, or to run the function on")
    add_flags(command("serve", _serve, "serve models over HTTP; tinygrad_edu/serve/README.md tells how"))
    command("doctor", _doctor, "tell what works here, what is missing and how to get it")
    return parser, dict(subparsers.choices)


def _unknown_flag(flag: str, name: str, command: argparse.ArgumentParser) -> str:
    if name == "run":  # the parser met it before it met the project
        return f"{flag}: flags come after the project: tinygrad-edu run PROJECT {flag} ..."
    known = set(re.findall(r"--[a-z-]+", command.format_help()))
    kind = "flag" if flag.startswith("-") else "argument"
    return f"{unknown(kind, flag, known)}; see tinygrad-edu {name} --help"


def _list(args: argparse.Namespace, rest: list[str]) -> int:
    """Print every name by kind; 1 when one name is claimed twice, since then its kind is of no use."""
    installed, status = registry.installed(), 0
    for kind in registry.KINDS:
        try:
            print(kind)
            for name, entry in installed.table(kind).items():
                print(f"  {name:<16} {entry.package:<16} {_summary(entry.value)}".rstrip())
            if not installed.table(kind):
                print("  (none)")
        except PluginError as error:
            print(f"  error: {error}")
            status = 1
    if installed.failures:
        print("failed plugins", *installed.failures.values(), sep="\n  ")
    return status


def _summary(value: Any) -> str:
    """One line on a registered thing: a Project's summary, else the first line of the factory's docstring."""
    if hasattr(value, "summary"):
        return f"chapter {value.chapter}: {value.summary}"
    return (getattr(value, "__doc__", None) or "").strip().partition("\n")[0]


def _backends(args: argparse.Namespace, rest: list[str]) -> int:
    """Print each backend's state, then who serves each op with a kernel and each primitive: a module, or the body."""
    from tinygrad_edu import ops
    from tinygrad_edu.backend import KERNELS, PRIMITIVES
    from tinygrad_edu.nn import functional  # noqa: F401  (its losses are fused ops too)

    loaded = {}
    for name, entry in registry.installed().table("backends").items():
        try:
            loaded[name] = registry.backend(name)
            state = "loads"
        except Exception as error:  # a backend that does not load is what this command is there to show
            state = f"does not load: {type(error).__name__}: {error}"
        print(f"{name:<16} {entry.package:<16} {state}")
    for title, found in (("fused op", sorted(ops.FUSED)), ("elementwise op", KERNELS), ("primitive", PRIMITIVES)):
        print(f"\n{title}".ljust(32), *(name.ljust(16) for name in loaded))
        for op in found:
            print(op.ljust(31), *(_server(backend, op).ljust(16) for backend in loaded.values()))
    return 0


def _server(backend: Any, name: str) -> str:
    """The module that has a backend's function of that name, "body" where there is none.

    A C++ primitive leaves dtypes that it is not written for to NumPy; its docstring names those that it is written for.
    """
    function = getattr(backend, name, None)
    return "body" if function is None else function.__module__.rpartition(".")[2]


def _bench(args: argparse.Namespace, rest: list[str]) -> int:
    from tinygrad_edu import bench

    bench.main(args.names)
    return 0


def _check(args: argparse.Namespace, rest: list[str]) -> int:
    """Check one function; or run the installed conformance suite on one backend, and give pytest's exit status."""
    if args.backend is not None:
        _known("backends", args.backend)
    if rest and not rest[0].startswith("-"):
        return _check_function(args, rest)
    if args.backend is None:
        raise UsageError("check what? FILE.py:function, or --backend NAME; see tinygrad-edu check --help")
    require("pytest", "test")
    # -P: Python must not look for the package in the current folder, which may be our bare source folder
    command = [sys.executable, "-P", "-m", "pytest", "--pyargs", "tinygrad_edu.testing", "--tg-backend", args.backend]
    return subprocess.run([*command, *rest], check=False).returncode


def _check_function(args: argparse.Namespace, rest: list[str]) -> int:
    """Check the gradients of the function that `rest` names; 1 if they differ."""
    from tinygrad_edu import use_backend
    from tinygrad_edu.testing.check import Unusable, report

    if rest[1:]:
        raise UsageError(f"check: expected nothing after {rest[0]} but --backend NAME, got {shlex.join(rest[1:])}")
    try:
        with use_backend(args.backend or registry.default_backend_name()):
            return 0 if report(rest[0]) else 1
    except Unusable as error:
        raise UsageError(str(error)) from error


def _serve(args: argparse.Namespace, rest: list[str]) -> int:
    if args.backend is not None:
        _known("backends", args.backend)
    args.backend = args.backend or _fastest_backend()
    return serve(args)


def _doctor(args: argparse.Namespace, rest: list[str]) -> int:
    from tinygrad_edu import doctor

    return doctor.main()


def _run(args: argparse.Namespace, rest: list[str]) -> int:
    """Run a project inside a `Run`, which sets backend and seed, keeps the metrics and writes the report."""
    if args.project is None:
        raise UsageError(f"run which project? there are: {', '.join(registry.names('projects'))}")
    project = _known("projects", args.project)
    tyro = require("tyro", "viz")
    from importlib import import_module

    module = import_module(project.module)
    options, common = _parse(tyro, args.project, project.summary, module.Args, args.flags)
    _known("backends", common.backend)
    from tinygrad_edu.run import Run

    with Run(project=args.project, settings=asdict(options), **vars(common)) as run:
        module.main(options, run)
    return 0


def _lesson(args: argparse.Namespace, rest: list[str]) -> int:
    """Run one lesson, or list them all."""
    from tinygrad_edu.scripts.lessons import all_lessons

    lessons = all_lessons()
    if args.number is None:
        print(*(f"{number:<5} {_summary(lesson)}" for number, lesson in lessons.items()), sep="\n")
    elif args.number in lessons:
        lessons[args.number]()
    else:
        raise UsageError(unknown("lesson", args.number, lessons))
    return 0


def _known(kind: str, name: str) -> Any:
    """What is registered under a name from the command line, where a wrong name is wrong usage."""
    try:
        return registry.get(kind, name)
    except PluginError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from error


def _fastest_backend() -> str:
    """TINYGRAD_EDU_BACKEND's, else "cpp" where its kernels are built, else the default."""
    if not os.environ.get("TINYGRAD_EDU_BACKEND"):
        try:
            return registry.backend("cpp").name
        except ImportError:
            pass  # built without a compiler: `doctor` tells how to get it
    return registry.default_backend_name()


def _common_flags(project: str) -> type:
    """The flags that every project has, as a dataclass whose fields are Run's arguments."""

    @dataclass(frozen=True, kw_only=True)
    class Common:
        backend: str = _fastest_backend()
        """Backend to run on; `tinygrad-edu backends` shows those there are."""
        seed: int = 0
        """Seed of everything random."""
        out: Path = Path("runs") / project
        """Folder for report, metrics, figures and checkpoint."""
        json: Path | None = None
        """File for the project's figures, one flat JSON object."""
        resume: bool = False
        """Go on from the checkpoint in the folder `--out`."""

    return Common


def _parse(tyro: Any, name: str, summary: str, own: type, flags: list[str]) -> tuple[Any, Any]:
    """A project's own options and the common ones, from its command line; tyro answers --help and wrong flags."""
    if not is_dataclass(own):
        raise PluginError(f"project {name!r}: its Args must be a dataclass, got {own!r}")
    common = _common_flags(name)
    taken = {field.name for field in fields(own)} & {field.name for field in fields(common)}
    if taken:
        raise PluginError(f"project {name!r}: every project has {', '.join(sorted(taken))} already; rename in its Args")
    both: Any = make_dataclass("Flags", [("project", own), ("common", common)])  # the two groups that --help shows
    settings = (tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff, tyro.conf.DisallowNone)
    parsed = tyro.cli(both, args=flags, prog=f"tinygrad-edu run {name}", description=summary + ".", config=settings)
    return parsed.project, parsed.common


if __name__ == "__main__":
    sys.exit(main())
