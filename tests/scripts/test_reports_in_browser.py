"""Reports in headless Chromium: every picture is shown, nothing is asked for from outside, the console stays empty.

TINYGRAD_EDU_REPORTS names a folder with a report of each project, each in a folder of its own, as `.ci/run` makes them:
then all of them are opened. Without it a report with every kind of picture stands for them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tinygrad_edu import registry, report
from tinygrad_edu.scripts import pictures
from tinygrad_edu.scripts.player import player

OpenPage = Callable[..., tuple[Any, list[str]]]

WIDTHS = (1280, 390)  # pixels: a desk's screen, a phone's
BROKEN = "[...document.images].filter(i => !i.complete || i.naturalWidth === 0).map(i => i.alt)"


def look(open_page: OpenPage, path: Path) -> list[str]:
    """Open a report at both widths, and play what can be played: what is wrong with it."""
    wrong = []
    for width in WIDTHS:
        page, complaints = open_page(path.as_uri(), width=width)
        for film in page.query_selector_all(".player"):
            film.query_selector("input").evaluate("bar => { bar.value = bar.max; bar.oninput(); }")
            film.query_selector("button").click()  # from the beginning again
        page.wait_for_load_state("networkidle")
        wrong += [*complaints, *(f"not shown: {alt}" for alt in page.evaluate(BROKEN))]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wrong.append(f"wider than a screen of {width}")
    return wrong


@pytest.fixture
def every_kind(tmp_path: Path, needs: Callable[[str], ModuleType]) -> Path:
    """A report with a picture of every kind."""
    needs("matplotlib")
    figures = []
    for k in (1, 2, 3):
        figures.append(pictures.new_figure(12.0, 2.0))  # wider than a phone
        figures[-1].subplots().plot([0, k])
    gif = pictures.animation(figures)
    svg = '<svg xmlns="http://www.w3.org/2000/svg" width="2000" height="50"><text y="20">to be scrolled</text></svg>'
    shown = {"png": figures[0], "gif": gif, "svg": svg, "film": player(gif, ["one", "two", "three & <more>"])}
    saved = [(report.save_figure(tmp_path, name, figure), name) for name, figure in shown.items()]
    page = tmp_path / "report.html"
    page.write_text(report.html("all", {"out": "x" * 200}, {"a_figure": 1.0}, ["A sentence."], saved), encoding="utf-8")
    return page


def test_every_kind_of_picture(open_page: OpenPage, every_kind: Path) -> None:
    assert look(open_page, every_kind) == []
    page, _ = open_page(every_kind.as_uri())
    assert len(page.query_selector_all("img")) == 4
    bar, said = page.query_selector(".player input"), page.query_selector(".player output")
    bar.focus()
    page.keyboard.press("ArrowRight")
    assert said.text_content() == "two"
    page.keyboard.press("End")
    assert said.text_content() == "three & <more>"


def test_what_is_wrong_is_seen(open_page: OpenPage, tmp_path: Path) -> None:
    (tmp_path / "style.css").write_text("body { color: red }")
    page = tmp_path / "report.html"
    page.write_text(
        '<!doctype html><link rel="stylesheet" href="style.css"><img alt="gone" src="data:image/png;base64,AAAA">'
        '<p style="width: 2000px">wide</p><script>console.warn("careful"); nothing()</script>'
    )
    wrong = "\n".join(look(open_page, page))
    for complaint in (
        "outside request: file://",
        "not shown: gone",
        "wider than a screen of 390",
        "careful",
        "nothing is",
    ):
        assert complaint in wrong


def test_every_projects_report(open_page: OpenPage, every_kind: Path) -> None:
    folder = os.environ.get("TINYGRAD_EDU_REPORTS")
    reports = sorted(Path(folder).glob("*/report.html")) if folder else [every_kind]
    wrong = {path.parent.name: found for path in reports if (found := look(open_page, path))}
    assert wrong == {}
    if folder:
        titles = {re.findall("<h1>(.*?)</h1>", path.read_text(encoding="utf-8"))[0] for path in reports}
        ours = {n for n, entry in registry.installed().table("projects").items() if entry.package == "tinygrad-edu"}
        assert ours - titles == set()  # a project without a line in .ci/run
