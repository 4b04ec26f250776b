"""Chapter 1's text-analyzer from the command line: files, folders, standard input, what is no text, the report."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_edu import cli

Needs = Callable[[str], ModuleType]
pytestmark = pytest.mark.usefixtures("in_an_empty_folder")


def run(*flags: str, status: int = 0) -> dict[str, Any]:
    """Run the project; its figures."""
    argv = ["run", "text-analyzer", "--out", "out", "--json", "figures.json", *flags]
    assert cli.main(argv) == status
    return json.loads(Path("figures.json").read_text()) if status == 0 else {}


def test_a_file_is_counted_as_scikit_learn_counts_it(needs: Needs, capsys: pytest.CaptureFixture[str]) -> None:
    needs("sklearn")
    Path("mine.txt").write_text("The cat. The dog's cat?\n\nNaïve THE, l’été and l'été!", encoding="utf-8")
    figures = run("--text", "mine.txt", "--compare", "sklearn", "--top", "2")
    assert (figures["words"], figures["different_words"], figures["sentences"]) == (10, 6, 3)
    assert (figures["sklearn_words"], figures["sklearn_different_words"]) == (10, 6)
    assert {name: n for name, n in figures.items() if "count_" in name} == {
        "count_the": 3,
        "sklearn_count_the": 3,
        "count_cat": 2,
        "sklearn_count_cat": 2,
    }
    counts = json.loads(Path("out/words.json").read_text(encoding="utf-8"))
    assert counts == {"the": 3, "cat": 2, "l'été": 2, "dog's": 1, "naïve": 1, "and": 1}
    told = capsys.readouterr().out
    assert re.search(r"1  the +3  30\.00%  █+\n", told)
    assert "has the same count for each of them" in told


def test_the_embedded_text_and_the_report(open_page: Callable[..., tuple[Any, list[str]]]) -> None:
    figures = run("--compare", "none")
    assert figures["words"] > 50_000
    assert "sklearn_words" not in figures
    page, complaints = open_page(Path("out/report.html").resolve().as_uri())
    assert complaints == []
    assert page.locator("figure img").count() == 4
    assert all(page.locator("figure img").evaluate_all("images => images.map(i => i.naturalWidth > 100)"))


def test_a_folder_is_the_sum_of_its_texts(capsys: pytest.CaptureFixture[str]) -> None:
    Path("texts/more").mkdir(parents=True)
    Path("texts/a.txt").write_text("one two")
    Path("texts/more/b.txt").write_text("Two three. Four")
    Path("texts/c.bin").write_bytes(b"\x00\x01two")
    figures = run("--text", "texts")
    assert (figures["words"], figures["sentences"], figures["files"]) == (5, 3, 2)
    assert figures["sklearn_words"] == 5
    assert "1 of the 3 files in texts are no texts" in capsys.readouterr().out


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"to be or not to be")))
    figures = run("--text", "-")
    assert (figures["words"], figures["different_words"], "sklearn_words" in figures) == (6, 4, False)


@pytest.mark.parametrize("content", [b"", b" \n\n", b"...", np.random.default_rng(0).bytes(200_000)])
def test_what_is_hardly_a_text_is_counted_too(content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    Path("odd").write_bytes(content)
    figures = run("--text", "odd")
    assert figures["characters"] == len(content.decode("utf-8", "replace"))
    if len(content) > 100:
        assert figures["unreadable_characters"] > 10_000
        assert "another --encoding, or a file that is no text at all?" in capsys.readouterr().out
    else:
        assert figures["words"] == 0


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--text", "none.txt"], "expected a file, a folder or - as --text, and there is no none.txt"),
        (["--text", "."], r"no file with text in the folder \., 0 others"),
        (["--encoding", "klingon"], "unknown encoding: klingon"),
        (["--top", "0"], "expected --top of at least 1, got 0"),
    ],
)
def test_mistakes(flags: list[str], complaint: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    flags = [str(empty) if flag == "." else flag for flag in flags]
    run(*flags, status=1)
    assert re.search(complaint.replace(r"\.", ".*"), capsys.readouterr().err)
