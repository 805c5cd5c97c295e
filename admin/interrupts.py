"""Ctrl-C while PostgreSQL works or waits for a lock: the query is cancelled and the interrupt comes through."""

from __future__ import annotations

import select
import time

import psycopg2
import psycopg2.extensions
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, STATUS_SETUP

CONNECT_SECONDS = 10.0


def install() -> None:
    """For all connections of this process; without it psycopg2 hears of signals only when PostgreSQL has answered."""
    psycopg2.extensions.set_wait_callback(wait)


def wait(connection: psycopg2.extensions.connection) -> None:
    """Wait for PostgreSQL's answer. Raises KeyboardInterrupt, after PostgreSQL has stopped, when one came meanwhile."""
    interrupt: KeyboardInterrupt | None = None
    # A connection that is waited for in this way has no other time limit.
    deadline = time.monotonic() + CONNECT_SECONDS if connection.status == STATUS_SETUP else None
    while True:
        try:
            state = connection.poll()
            if state == POLL_OK:
                break
            _wait_for_socket(connection, state, deadline)
        except KeyboardInterrupt as pressed:
            interrupt = pressed
            connection.cancel()
        except psycopg2.Error:
            if interrupt is None:
                raise
            break
    if interrupt is not None:
        raise interrupt


def _wait_for_socket(connection: psycopg2.extensions.connection, state: int, deadline: float | None) -> None:
    patience = None if deadline is None else max(0.0, deadline - time.monotonic())
    sockets = [connection.fileno()]
    readers, writers = (sockets if state == wanted else [] for wanted in (POLL_READ, POLL_WRITE))
    if not any(select.select(readers, writers, [], patience)):
        raise psycopg2.OperationalError(f"no answer within {CONNECT_SECONDS:g} seconds")
