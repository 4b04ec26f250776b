"""The player: a film's frames in one piece of HTML that asks for nothing from outside."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tinygrad_edu import report
from tinygrad_edu.scripts import pictures
from tinygrad_edu.scripts.player import player

Needs = Callable[[str], ModuleType]


@pytest.fixture(scope="module")
def film(needs: Needs) -> bytes:
    """A GIF of two frames."""
    needs("matplotlib")
    figures = []
    for width in (1, 9):
        figures.append(pictures.new_figure(2.0, 1.0))
        figures[-1].subplots().plot([0, 1], linewidth=width)
    return pictures.animation(figures)


def test_its_frames_are_the_films(film: bytes, needs: Needs) -> None:
    page = player(film, ["</script>", "second"])
    frames, titles = (json.loads(re.findall(rf" {name} = (\[.*?\])[,;]", page)[0]) for name in ("frames", "titles"))
    assert titles == ["</script>", "second"]
    assert page.count("</script>") == 1  # a title cannot end the script
    assert 'max="1"' in page
    with needs("PIL.Image").open(BytesIO(film)) as gif:
        for i, frame in enumerate(frames):
            gif.seek(i)
            png = base64.b64decode(frame.removeprefix("data:image/png;base64,"))
            with needs("PIL.Image").open(BytesIO(png)) as picture:
                assert picture.size == gif.size
                assert picture.convert("RGB").tobytes() == gif.convert("RGB").tobytes()  # the GIF has 64 colours too


def test_a_title_for_each_frame(film: bytes) -> None:
    with pytest.raises(ValueError, match="player: expected 2 titles, one for each frame, got 1"):
        player(film, ["one"])


def test_the_report_shows_it_as_it_is(film: bytes, tmp_path: Path) -> None:
    path = report.save_figure(tmp_path, "film", player(film, ["1", "2"]))
    assert path.name == "film.html"
    page = report.html("toy", {}, {}, [], [(path, "A film.")])
    assert path.read_text() in page
    assert "<figcaption>A film.</figcaption>" in page
    assert not re.findall(r"(?:src|href)=.?https?:", page)


def test_it_plays_in_a_browser(film: bytes, tmp_path: Path, open_page: Callable[..., Any]) -> None:
    path = report.save_figure(tmp_path, "film", player(film, ["one", "two"], seconds=0.05))
    page = tmp_path / "report.html"
    page.write_text(report.html("toy", {}, {}, [], [(path, "A film."), (path, "The same again.")]))
    opened, complaints = open_page(page.as_uri())
    first, second = (opened.locator(".player").nth(i) for i in (0, 1))
    shown = lambda: (first.locator("output").inner_text(), second.locator("output").inner_text())
    assert shown() == ("one", "one")
    first.locator("input").focus()
    opened.keyboard.press("ArrowRight")
    assert shown() == ("two", "one")  # two players on one page know nothing of each other
    click = "button => { button.click(); return button.textContent }"  # in one go: the film takes 0.05 s
    assert first.locator("button").evaluate(click) == "stop"  # from the last frame it begins anew
    first.locator("button", has_text="play").wait_for()  # it stops by itself at the end
    assert shown() == ("two", "one")
    assert not complaints
