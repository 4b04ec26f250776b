"""The examples in docstrings run, by import name, and say what they print."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = [path for path in (ROOT / "tinygrad_edu").rglob("*.py") if "test_" not in path.name]
FILES += [path for folder in ("models", "plugins", "rl", "scripts") for path in (ROOT / folder).rglob("*.py")]


def name_of(path: Path) -> str:
    """The name that a source file is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts if parts[0] == "tinygrad_edu" else ("tinygrad_edu", *parts)).removesuffix(".__init__")


MODULES = sorted(map(name_of, FILES))


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name))]
    assert sum(bool(test.examples) for test in found) >= 5
