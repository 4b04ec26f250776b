"""scripts/README.md, the index: every practice line of the road has a row, and what a row names is there."""

from __future__ import annotations

import re
from dataclasses import fields
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

from tinygrad_edu import cli, registry
from tinygrad_edu.scripts.lessons import all_lessons

ROOT = Path(__file__).parents[2]
TO_COME = "to come"  # in a row's third cell: neither files nor tests yet


def tables() -> list[list[list[str]]]:
    """The tables of the page: rows of cells, the head left out."""
    found: list[list[list[str]]] = []
    for block in re.findall(r"^\|.*\n\| ---.*\n((?:\|.*\n)+)", (ROOT / "scripts/README.md").read_text(), re.MULTILINE):
        found.append([[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in block.splitlines()])
    return found


ROAD, ROWS = tables()


def quoted(cell: str) -> list[str]:
    """What stands between backticks."""
    return re.findall(r"`([^`]+)`", cell)


def test_the_road_has_twelve_chapters_and_the_rows_follow_it() -> None:
    assert [int(chapter.split()[0]) for chapter, _ in ROAD] == list(range(1, 13))
    chapters = [int(row[0]) for row in ROWS]
    assert chapters == sorted(chapters)
    assert {len(row) for row in ROWS} == {5}


@pytest.mark.parametrize(
    ("chapter", "line"), [(chapter.split()[0], line.strip()) for chapter, lines in ROAD for line in lines.split(";")]
)
def test_every_practice_line_has_a_row(chapter: str, line: str) -> None:
    assert [row for row in ROWS if row[0] == chapter and line in row[1]]


@pytest.mark.parametrize("row", [row for row in ROWS if row[2] != TO_COME], ids=lambda row: row[1][:40])
def test_what_a_row_names_is_there(row: list[str]) -> None:
    _, _, where, command, test = row
    assert quoted(where)
    for name in quoted(where):
        assert (ROOT / "scripts" / name).exists() or (ROOT / name).exists(), name
    assert quoted(test)
    for name in quoted(test):
        made = name.startswith("make ") and f"\n{name[5:]}:" in (ROOT / "Makefile").read_text()
        assert made or (ROOT / name).exists(), name
    lessons, projects = all_lessons(), registry.installed().table("projects")
    words = [word for part in quoted(command) for word in part.split()]
    assert {"lesson", "run"} & set(words)
    known: set[str] = set()
    for before, word in pairwise(words):
        if before == "lesson":
            assert word in lessons
            assert row[0] == word.partition(".")[0]
        elif before == "run":
            assert word in projects
            known = flags(word)
        elif word.startswith("--"):
            assert word in known


def flags(project: str) -> set[str]:
    """All flags of a project."""
    own = import_module(registry.get("projects", project).module).Args
    names = [field.name for args in (own, cli._common_flags(project)) for field in fields(args)]
    return {f"--{name.replace('_', '-')}" for name in names}


def test_every_lesson_and_every_project_has_a_row() -> None:
    commands = [part for row in ROWS for part in quoted(row[3])]
    lessons = {c.split()[2] for c in commands if c.startswith("tinygrad-edu lesson ")}
    projects = {c.split()[2] for c in commands if c.startswith("tinygrad-edu run ")}
    assert set(all_lessons()) - lessons == set()
    ours = {name for name, entry in registry.installed().table("projects").items() if entry.package == "tinygrad-edu"}
    assert ours - projects == set()
    assert len(ours) >= 12  # the table is not empty


def test_every_projects_row_is_of_its_chapter() -> None:
    for chapter, _, _, command, _ in ROWS:
        for part in quoted(command):
            if part.startswith("tinygrad-edu run "):
                assert registry.get("projects", part.split()[2]).chapter == chapter
