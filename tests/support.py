"""What tests share and fixtures do not fit: waiting for a condition with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import text

from koschei.db.engine import Database

Value = TypeVar("Value")


def wait_until(condition: Callable[[], Value], timeout: float = 60, message: str = "the condition to hold") -> Value:
    """Call `condition` until it answers something true, and return that; fail after `timeout` seconds.

    An exception of `condition` ends the wait: catch in it what may happen on the way.
    """
    deadline = time.monotonic() + timeout
    pause = 0.005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {timeout:g} s in vain for {message}; the last answer was {value!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)


def wait_for_a_waiter(database: Database, application_name: str | None = None) -> None:
    """Wait until somebody (or this application) waits for a lock in this database; fail after a minute.

    Each look is a transaction of its own: within one, PostgreSQL repeats what pg_stat_activity said first.
    """
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
        "AND (CAST(:name AS text) IS NULL OR application_name = :name)"
    )

    def waiters() -> int:
        with database.begin() as session:
            return int(session.execute(query, {"name": application_name}).scalar_one())

    wait_until(waiters, message="somebody to wait for a lock")
