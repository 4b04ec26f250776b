"""A run's folder: refused at once where it cannot be written; at the end the result is there in four forms alike."""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu import report
from tinygrad_edu.run import Run


def make(out: Path, **options: Any) -> Run:
    defaults = {"project": "toy", "out": out, "backend": "numpy", "seed": 3, "settings": {"lr": 0.1, "epochs": 3}}
    return Run(**{**defaults, **options})


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for flag, options in (("--out", {"out": tmp_path / "file" / "run"}), ("--json", {"json": tmp_path / "file" / "j"})):
        message = rf"{flag}: cannot write in {tmp_path}/file(/run)?: (Not a directory|File exists); give another place"
        with pytest.raises(OSError, match=message), make(**{"out": tmp_path / "out", **options}):
            pass
    with pytest.raises(OSError, match="--out: cannot write in /proc/1/run: "), make(Path("/proc/1/run")):
        pass


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match=f"--out: cannot write in {tmp_path}: Permission denied"), make(tmp_path):
        pass


RESULTS = {"test_accuracy": tg.tensor(0.974), "torch_test_accuracy": 0.973, "train_seconds": 1.25, "errors": 9}


def finish(out: Path, **options: Any) -> None:
    with make(out, **options) as run:
        run.result(**RESULTS)
        run.result(sklearn_errors=np.int64(11), gap=float("inf"))
        run.verdict("97.4 % against torch's 97.3 %: equal within noise & <fine>.")


def test_summary_and_json_are_one_flat_object(tmp_path: Path) -> None:
    finish(tmp_path / "out", json=tmp_path / "deep" / "figures.json")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary == {
        "backend": "numpy",
        "seed": 3,
        "test_accuracy": pytest.approx(0.974),
        "torch_test_accuracy": 0.973,
        "train_seconds": 1.25,
        "errors": 9,
        "sklearn_errors": 11,
        "gap": None,
    }
    assert json.loads((tmp_path / "deep" / "figures.json").read_text()) == summary


def test_a_failed_run_leaves_no_figures_of_an_earlier_one(tmp_path: Path) -> None:
    finish(tmp_path, json=tmp_path / "figures.json")

    def fail() -> None:
        with make(tmp_path, json=tmp_path / "figures.json") as run:
            for _ in run.steps(1):
                raise ValueError("no step goes well")

    with pytest.raises(ValueError, match="no step goes well"):
        fail()
    assert (tmp_path / "figures.json").read_text() == ""
    assert not (tmp_path / "summary.json").exists()


def test_the_table_is_printed_with_the_reference_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finish(tmp_path)
    assert capsys.readouterr().out.splitlines() == [
        "               tinygrad_edu  torch  sklearn",
        "test_accuracy  0.974         0.973",
        "train_seconds  1.25",
        "errors         9                    11",
        "gap            not finite",
        "97.4 % against torch's 97.3 %: equal within noise & <fine>.",
        f"report: {tmp_path}/report.html",
    ]


def test_the_report_holds_everything_and_needs_nothing(tmp_path: Path, needs: Callable[[str], ModuleType]) -> None:
    figure = needs("matplotlib.figure").Figure()
    figure.subplots().plot([1, 2])
    with make(tmp_path, settings={"lr": 0.125, "note": "<b>"}) as run:
        run.figure("loss", figure, caption="Loss > 0")
        run.result(**RESULTS)
        run.verdict("As good as torch & <fine>.")
    page = (tmp_path / "report.html").read_text()
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert not re.search(r"https?:|<script|<link|href=|src=\"(?!data:image/png;base64,)", page)
    for text in ("<h1>toy</h1>", "As good as torch &amp; &lt;fine&gt;.", "<figcaption>Loss &gt; 0</figcaption>"):
        assert text in page
    assert "<tr><td>test_accuracy</td><td>0.974</td><td>0.973</td></tr>" in page
    for key, value in (("lr", "0.125"), ("note", "&lt;b&gt;"), ("backend", "numpy"), ("seed", "3")):
        assert f"<tr><td>{key}</td><td>{value}</td></tr>" in page
    assert re.search(rf"numpy {re.escape(np.__version__)}", page)
    assert re.search(r"<td>date</td><td>\d{4}-\d\d-\d\d", page)
    assert 'name="viewport"' in page


SVG = '<svg xmlns="http://www.w3.org/2000/svg"><text>∂</text></svg>'


def test_a_figure_may_be_an_svg_or_a_gif(tmp_path: Path) -> None:
    gif = b"GIF89a and so on"
    with make(tmp_path) as run:
        run.figure("graph", SVG)
        run.figure("film", gif, caption="It moves.")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == SVG
    assert (tmp_path / "film.gif").read_bytes() == gif
    page = (tmp_path / "report.html").read_text()
    shown = re.findall(r'<img alt="(.*?)" src="data:(.*?);base64,(.*?)">', page)
    assert [(alt, kind) for alt, kind, _ in shown] == [("graph", "image/svg+xml"), ("It moves.", "image/gif")]
    assert [base64.b64decode(data) for _, _, data in shown] == [SVG.encode(), gif]
    assert "http" not in page  # the SVG is inside, and not as markup


@pytest.mark.parametrize(
    ("figure", "error", "message"),
    [
        ("graph.svg", ValueError, "figure: expected 'f' as text to be an SVG document, got 'graph.svg'"),
        (b"\x89PNG\r\n", ValueError, "figure: expected 'f' as bytes to be a GIF, got b'.x89PNG"),
        (None, TypeError, r"figure: expected 'f' to be a matplotlib Figure, an SVG .* GIF \(bytes\), got NoneType"),
    ],
)
def test_what_is_no_figure_is_refused(figure: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=message):
        report.save_figure(tmp_path, "f", figure)
    assert list(tmp_path.iterdir()) == []


def test_progress_off_a_terminal_is_sparse(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(report.time, "perf_counter", lambda: clock[0])
    progress = report.Progress("toy")
    progress.total = 99
    for step in range(100):
        clock[0] = float(step)  # one second a step
        progress.show(step, 1, {"loss": 1 / 3})
    progress.close()
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "toy: step 11 of 99, epoch 1, loss 0.3333"
    assert len(told) == 9


def test_progress_on_a_terminal_is_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, needs: Callable[[str], ModuleType]
) -> None:
    needs("tqdm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = report.Progress("toy")
    progress.total = 20
    progress.show(20, 2, {"loss": 0.5})
    progress.close()
    told = capsys.readouterr().err
    assert "toy: 100%" in told
    assert "20/20" in told
    assert "epoch 2, loss 0.5" in told
