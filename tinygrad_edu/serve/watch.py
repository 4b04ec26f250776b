"""What stands around the application for every request: security headers on the answer, a count, and a line in the log.

It is WSGI and not Flask's `after_request`, because every microsecond here is spent on every prediction.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from tinygrad_edu.serve.log import log
from tinygrad_edu.serve.metrics import Metrics

ROUTE = "tinygrad_edu.route"  # the environ's key for the rule that a request matched
HEADERS = [
    (
        "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
]


class Watch:
    """`app`, watched. Source of the headers: OWASP Secure Headers Project."""

    def __init__(self, app: Callable[..., Iterable[bytes]], metrics: Metrics, log_requests: bool) -> None:
        self.app, self.metrics, self.log_requests = app, metrics, log_requests

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """WSGI."""
        began = time.perf_counter()
        status = 500

        def start(line: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            nonlocal status
            status = int(line[:3])
            own = {name for name, _ in headers if name == "Cache-Control"}  # as static files have it
            return start_response(line, headers + [pair for pair in HEADERS if pair[0] not in own], *rest)

        try:
            return self.app(environ, start)
        finally:
            seconds, route = time.perf_counter() - began, environ.get(ROUTE, "none")
            self.metrics.answered(route, status, seconds)
            if self.log_requests:
                method = environ["REQUEST_METHOD"] if environ["REQUEST_METHOD"] in METHODS else "other"
                log("request", method=method, route=route, status=status, ms=round(1000 * seconds, 3))


METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
