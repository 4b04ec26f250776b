"""metrics.jsonl: what a run logged, one JSON object a line, exact to the byte across kills and resumes.

Lines are collected and written about once a second, so that logging each step costs next to nothing. A checkpoint
syncs the file and keeps its length; a resumed run cuts the file back to that length and logs the rest again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, BinaryIO


class Metrics:
    """The lines of one file; `open` comes when the run takes its folder over, lines may be added before."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last: dict[str, float | None] = {}  # each name's last value, for the progress
        self._lines: list[dict[str, Any]] = []  # added and not yet written
        self._file: BinaryIO | None = None

    def open(self, length: int) -> None:
        """Go on behind the first `length` bytes of the file. Raises ValueError when it has fewer."""
        found = self.path.stat().st_size if self.path.exists() else 0
        if found < length:
            raise ValueError(
                f"--resume: {self.path} has {found} bytes, and had {length} when the checkpoint was written; "
                "put it back, or start anew without --resume"
            )
        self._file = self.path.open("ab")
        self._file.truncate(length)
        if length:
            self._lines.clear()  # logged before the loop, and in the file already

    def close(self) -> None:
        """Write what is not written yet. Without an `open` before, nothing is."""
        if self._file is not None:
            self.flush(sync=True)
            self._file.close()

    def add(self, line: dict[str, Any], values: dict[str, float | None]) -> None:
        """Add one line: `line` says where it was logged, `values` what."""
        if clash := line.keys() & values.keys():
            raise ValueError(f"Run.log: {min(clash)!r} is in every line already; log it under another name")
        self._lines.append({**line, **values})
        self.last.update(values)

    def flush(self, *, sync: bool = False) -> int:
        """Write the lines, with `sync` through to the disk; the file's length in bytes."""
        if self._file is None:
            return 0
        self._file.write("".join(json.dumps(line) + "\n" for line in self._lines).encode())
        self._lines.clear()
        self._file.flush()
        if sync:
            os.fsync(self._file.fileno())
        return self._file.tell()

    def history(self, name: str) -> tuple[list[int], list[float | None]]:
        """The steps and the values of all lines that have `name`."""
        self.flush()
        written = self.path.read_text().splitlines() if self._file is not None else []
        lines = [*map(json.loads, written), *self._lines]
        return [line["step"] for line in lines if name in line], [line[name] for line in lines if name in line]
