"""`tinygrad-edu lesson`: lists the lessons, runs one, and names those there are when a number is wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tinygrad_edu import cli
from tinygrad_edu.scripts import lessons


def test_it_lists_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lesson"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "7.1   The gradients of a three-layer network for one training example, by hand." in lines
    assert [line.split()[0] for line in lines] == list(lessons.all_lessons())


def test_it_runs_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lesson", "7.1"]) == 0
    assert "∂L/∂W1" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "complaint"),
    [
        (["7.9"], r"unknown lesson '7\.9' \(did you mean '7\.\d+'\?\); there are: .*7\.1, 7\.2"),
        (["seven"], r"unknown lesson 'seven'; there are: .*7\.1, 7\.2"),
        (["7.1", "7.2"], r"unknown argument '7\.2'"),
        (["--all"], r"unknown flag '--all'"),
    ],
)
def test_a_wrong_number_is_wrong_usage(argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["lesson", *argv]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(rf"^tinygrad-edu: error: {complaint}", line), line


def test_every_lesson_is_its_chapters_and_says_what_it_shows() -> None:
    found = lessons.all_lessons()
    for number, lesson in found.items():
        chapter, _, _ = number.partition(".")
        assert lesson.__module__.endswith(f".ch{int(chapter):02}"), number
        assert (lesson.__doc__ or "").partition("\n")[0].endswith("."), number
    files = {path.stem for path in Path(lessons.__file__).parent.glob("ch??.py")}
    assert files == {lesson.__module__.rpartition(".")[2] for lesson in found.values()}
