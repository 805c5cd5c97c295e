"""Visits to addresses: over HTTP with the clock, and within this process to see what is asked of PostgreSQL."""

from __future__ import annotations

import http.client
import math
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from sqlalchemy import event, text

from bench.branching import processor_time
from bench.pages.addresses import Address
from frontend import people
from koschei.db.engine import Database

FEWEST, LONGEST = 10, 4.0
"""Each address is visited so many times at least, and at most for so many seconds more."""


@dataclass(frozen=True)
class Statement:
    """What was asked of PostgreSQL, and by which function of ours."""

    sql: str
    parameters: Any
    asker: str


@dataclass(frozen=True)
class Visit:
    """How an address answers; times in milliseconds.

    `work`: how long processors worked for an answer, which says more than the clock on a machine that others use too.
    """

    rule: str
    path: str
    who: str
    status: int
    queries: int
    size: int
    median: float
    p95: float
    work: float


@contextmanager
def listening(database: Database) -> Iterator[list[Statement]]:
    """The statements that are sent within the block."""
    statements: list[Statement] = []

    def note(_connection: Any, _cursor: Any, sql: str, parameters: Any, *_rest: Any) -> None:
        statements.append(Statement(sql, parameters, _asker()))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def _asker() -> str:
    """The innermost function of ours that is being called."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module.startswith(("koschei.", "frontend.")) and not module.startswith("koschei.db"):
            return f"{module}.{frame.f_code.co_name}"
        frame = frame.f_back
    return "?"


def cookie(app: Flask, user_id: int, now: float) -> str:
    """The cookie of somebody who has just logged in (at that moment, in seconds since 1970), and administers."""
    serializer = SecureCookieSessionInterface().get_signing_serializer(app)
    assert serializer is not None, "the application has a secret key"
    value = {people.USER: user_id, people.SINCE: int(now) - 1, people.ADMIN: True}
    return f"{app.config['SESSION_COOKIE_NAME']}={serializer.dumps(value)}"


def asked(app: Flask, database: Database, path: str, headers: dict[str, str]) -> tuple[int, list[Statement]]:
    """The status of an answer, and what was asked for it."""
    with listening(database) as statements:
        response = app.test_client(use_cookies=False).get(path, headers=headers)
    response.close()
    return response.status_code, statements


class Worked:
    """How long processors have worked for a frontend of one worker, and for PostgreSQL."""

    def __init__(self, worker: int, server: int, database: Database) -> None:
        self._worker, self._server, self._database = worker, server, database

    def seconds(self) -> float:
        """All in all; processes of PostgreSQL that are gone are counted by the one that made them."""
        query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'koschei-frontend'"
        with self._database.begin() as session:
            pids = list(session.scalars(text(query)))
        gone = Path(f"/proc/{self._server}/stat").read_text().rpartition(")")[2].split()[13:15]
        return sum(map(processor_time, [self._worker, *pids])) + sum(map(int, gone)) / 100


def visited(address: Address, port: int, headers: dict[str, str], repeat: int, worked: Worked) -> dict[str, float]:
    """The times of many visits one after the other, the first ones not counted."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    times: list[float] = []
    size = 0
    try:
        for _ in range(3):
            _get(connection, address.path, headers)
        before, deadline = worked.seconds(), time.monotonic() + LONGEST
        while len(times) < FEWEST or (len(times) < repeat and time.monotonic() < deadline):
            begin = time.perf_counter()
            size = _get(connection, address.path, headers)
            times.append(1000 * (time.perf_counter() - begin))
        work = 1000 * (worked.seconds() - before) / len(times)
    finally:
        connection.close()
    return {"size": size, "median": statistics.median(times), "p95": percentile(times, 0.95), "work": work}


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of them that so many of them do not exceed (nearest rank)."""
    return sorted(values)[math.ceil(share * len(values)) - 1]


def _get(connection: http.client.HTTPConnection, path: str, headers: dict[str, str]) -> int:
    connection.request("GET", path, headers={"Accept-Encoding": "gzip", **headers})
    return len(connection.getresponse().read())
