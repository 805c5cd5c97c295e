"""What the frontend counts. Every metric is described in docs/operations.md, or a test fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from flask import Flask, Response, g, request
from prometheus_client import Counter, Histogram

REQUESTS = Counter(
    "koschei_frontend_requests",
    "Requests answered, by route, method and class of status",
    ["route", "method", "status"],
)
SECONDS = Histogram(
    "koschei_frontend_request_seconds",
    "Time until an answer was made",
    ["route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30),
)
DATABASE_WAIT = Histogram(
    "koschei_frontend_database_wait_seconds",
    "Time until a request had a connection to PostgreSQL",
    buckets=(0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 30),
)
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
# Whatever somebody makes up must not become a label of its own.
OTHER = "other"


@contextmanager
def waiting_for_the_database() -> Iterator[None]:
    """Count how long the block takes, whether it succeeds or not."""
    began = time.perf_counter()
    try:
        yield
    finally:
        DATABASE_WAIT.observe(time.perf_counter() - began)


def install(app: Flask) -> None:
    """Count every request."""

    @app.before_request
    def begin() -> None:
        g.began = time.perf_counter()

    @app.after_request
    def count(response: Response) -> Response:
        route = request.url_rule.rule if request.url_rule is not None else OTHER
        method = request.method if request.method in METHODS else OTHER
        REQUESTS.labels(route, method, f"{response.status_code // 100}xx").inc()
        if "began" in g:
            SECONDS.labels(route).observe(time.perf_counter() - g.began)
        return response
