"""How a run is told: progress while it runs, a table at the end, and one page that holds everything and needs nothing.

The page is a single HTML file with its pictures inside: it can be mailed, and opens without a network, on a phone too.
"""

from __future__ import annotations

import base64
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tinygrad_edu.errors import require

REFERENCES = ("torch", "sklearn", "scipy")  # `torch_test_accuracy` is shown beside `test_accuracy`

MEDIA_TYPES = {".png": "image/png", ".svg": "image/svg+xml", ".gif": "image/gif"}  # of the pictures, by file name

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 50rem; margin: 2rem auto;
       padding: 0 1rem; overflow-wrap: anywhere }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2rem }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ddd; vertical-align: top }
thead th { border-bottom: 2px solid #222 } td { font-variant-numeric: tabular-nums }
.verdict { background: #f2f5fa; border-left: 4px solid #36c; padding: .6rem 1rem; margin: .6rem 0 }
figure { margin: 1.5rem 0 } img { max-width: 100%; height: auto } figcaption { color: #555 }
figure div { overflow-x: auto } img[src^="data:image/svg"] { max-width: none } /* small text: scroll, do not shrink */
"""


class Progress:
    """Progress on stderr, about once a second: a bar on a terminal, elsewhere a line every ten seconds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.total: int | None = None  # steps of the whole training, when known
        self._bar: Any = None
        self._last_line = time.perf_counter()

    def show(self, step: int, epoch: int, values: Mapping[str, float | None]) -> None:
        """Tell where the training is and what it logged last."""
        told = ", ".join(
            [f"epoch {epoch}"] * (epoch > 0) + [f"{name} {number(value)}" for name, value in values.items()]
        )
        if sys.stderr.isatty():
            if self._bar is None:
                tqdm = require("tqdm", "viz").tqdm
                self._bar = tqdm(desc=self.name, total=self.total, initial=step, unit="step", dynamic_ncols=True)
            self._bar.set_postfix_str(told, refresh=False)
            self._bar.update(step - self._bar.n)
        elif time.perf_counter() - self._last_line > 10:  # seconds
            self._last_line = time.perf_counter()
            print(f"{self.name}: step {step} of {self.total or '?'}, {told}", file=sys.stderr)

    def close(self) -> None:
        """Leave the bar as it is, and go to the next line."""
        if self._bar is not None:
            self._bar.close()


def surroundings() -> dict[str, str]:
    """What the run ran on: date, machine, and the versions of all that had a part in it."""
    versions = {"python": platform.python_version(), "tinygrad-edu": version("tinygrad-edu")}
    for name in ("numpy", *REFERENCES):
        if name in sys.modules:
            versions[name] = sys.modules[name].__version__
    return {
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %z"),
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "machine": f"{_processor()}, {os.cpu_count()} CPUs, {platform.system()} {platform.release()}",
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")  # on Linux alone; platform.processor() is often empty there
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def table(results: Mapping[str, Any]) -> list[list[str]]:
    """The figures as rows of text, the references' beside ours; the first row is the head."""
    twins = {f"{library}_{name}" for library in REFERENCES for name in results}
    used = [library for library in REFERENCES if any(f"{library}_{name}" in results for name in results)]
    rows = [["", "tinygrad_edu", *used]]
    for name, value in results.items():
        if name not in twins:
            beside = [number(results[f"{lib}_{name}"]) if f"{lib}_{name}" in results else "" for lib in used]
            rows.append([name, number(value), *beside])
    return rows


def number(value: Any) -> str:
    """A figure as text: four digits that count."""
    if value is None:
        return "not finite"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def lines(results: Mapping[str, Any], verdicts: Sequence[str]) -> list[str]:
    """The table and the verdicts as plain text."""
    rows = table(results) if results else []
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*text, *verdicts]


def save_figure(folder: Path, name: str, figure: Any) -> Path:
    """The file NAME.png, .svg, .gif or .html in `folder`, with what `figure` shows.

    It is a matplotlib Figure, an SVG document or one `<div>` of HTML as text, or a GIF as bytes. TypeError for another
    kind of object, ValueError for text that is neither and bytes that are no GIF.
    """
    if isinstance(figure, str) and figure.startswith("<div"):
        path = folder / f"{name}.html"
        path.write_text(figure, encoding="utf-8")
    elif isinstance(figure, str):
        if "<svg" not in figure:
            raise ValueError(f"figure: expected {name!r} as text to be an SVG document, got {figure[:40]!r}")
        path = folder / f"{name}.svg"
        path.write_text(figure, encoding="utf-8")
    elif isinstance(figure, bytes):
        if not figure.startswith(b"GIF8"):
            raise ValueError(f"figure: expected {name!r} as bytes to be a GIF, got {figure[:8]!r}")
        path = folder / f"{name}.gif"
        path.write_bytes(figure)
    elif hasattr(figure, "savefig"):
        path = folder / f"{name}.png"
        figure.savefig(path, dpi=120, bbox_inches="tight")
    else:
        raise TypeError(
            f"figure: expected {name!r} to be a matplotlib Figure, an SVG document (str) or a GIF (bytes), "
            f"got {type(figure).__name__}"
        )
    return path


def _data_uri(path: Path) -> str:
    """The picture itself, as an address that needs no file and no network."""
    return f"data:{MEDIA_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"


def html(
    title: str,
    facts: Mapping[str, Any],
    results: Mapping[str, Any],
    verdicts: Sequence[str],
    figures: Sequence[tuple[Path, str]],
) -> str:
    """The page: `facts` about the run, `results` as `table` has them, verdicts, picture files with captions."""
    head, *rows = table(results)
    parts = [f"<h1>{escape(title)}</h1>"]
    parts += [f'<p class="verdict">{escape(verdict)}</p>' for verdict in verdicts]
    if results:
        parts.append(f"<h2>Figures</h2>\n<table><thead>{_row(head, 'th')}</thead>")
        parts += [*(_row(row, "td") for row in rows), "</table>"]
    if figures:
        parts.append("<h2>Pictures</h2>")
    for path, caption in figures:
        inline = path.suffix == ".html"  # a picture with a script in it, which an <img> would not run
        image = path.read_text(encoding="utf-8") if inline else f'<img alt="{escape(caption)}" src="{_data_uri(path)}">'
        parts.append(f"<figure><div>{image}</div><figcaption>{escape(caption)}</figcaption></figure>")
    parts += [
        "<h2>What ran</h2>\n<table>",
        *(_row([key, str(value)], "td") for key, value in facts.items()),
        "</table>",
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"
