"""What GET /metrics shows, in Prometheus' text format: how many requests, how long they took, how large groups were.

Of several worker processes each counts for itself, in small files that are mapped into memory; whichever is asked adds
them up. For that PROMETHEUS_MULTIPROC_DIR names a folder before prometheus_client is imported; `server` sees to it.

Source: https://prometheus.github.io/client_python, "Multiprocess mode".
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4


class Metrics:
    """An application's counters."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        labels = ("route", "status")
        self._requests = Counter("requests", "Requests answered.", labels, registry=self._registry)
        self._seconds = Histogram(
            "request_seconds", "Time to an answer.", ("route",), registry=self._registry, buckets=SECONDS
        )
        self._rows = Histogram(
            "computed_rows", "Rows that a model computed at once.", ("model",), registry=self._registry, buckets=ROWS
        )
        self._known: dict[tuple[str, int], Counter] = {}

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request. `route` is one of the application's rules, never a client's path."""
        counter = self._known.get((route, status))
        if counter is None:  # finding a label's child is most of the work
            counter = self._known[route, status] = self._requests.labels(route, status)
        counter.inc()
        self._seconds.labels(route).observe(seconds)

    def computed(self, model: str, rows: int) -> None:
        """Count a model's call."""
        self._rows.labels(model).observe(rows)

    def text(self) -> bytes:
        """All workers' counts."""
        if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
            return generate_latest(self._registry)
        together = CollectorRegistry()
        MultiProcessCollector(together)
        return generate_latest(together)
