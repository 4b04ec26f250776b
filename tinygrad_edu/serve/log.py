"""One JSON object a line on stderr, for every request and whatever else happens: logs that programs can read.

What a client sends never gets into a line, but for the name of the route that it matched: no header, body, query or
path, and so no key, right or wrong.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from datetime import UTC, datetime
from typing import Any

from gunicorn import glogging


def log(event: str, *, level: str = "info", **fields: Any) -> None:
    """Write a line. One `write` each, so that lines of several workers do not mix."""
    when = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": when, "level": level, "event": event, "pid": os.getpid(), **fields}, default=str)
    os.write(2, line.encode() + b"\n")


class JsonLines(logging.Handler):
    """What others log, as lines of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        fields = {}
        if record.exc_info and record.exc_info[0] is not None:
            fields["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        log(record.getMessage(), level=record.levelname.lower(), logger=record.name, **fields)


class Logger(glogging.Logger):
    """gunicorn's logger, writing JSON lines; requests are logged by the application, which knows more of them."""

    def setup(self, cfg: Any) -> None:
        """Called by gunicorn at its start and at a reload."""
        self.error_log.handlers = [JsonLines()]
        self.error_log.propagate = False
        self.error_log.setLevel(logging.INFO)

    def access(self, *_: Any) -> None:
        """Nothing."""

    def reopen_files(self) -> None:
        """Nothing: there are none."""
