"""Ctrl-C, and being told to end: PostgreSQL's work is cancelled, and a commit is not torn.

The first signal cancels what PostgreSQL does or waits for, and is raised when that has stopped. While a transaction is
being committed it waits for the next one to begin. The second one does not wait for PostgreSQL. What a signal undoes,
and the words about it, are not torn by another that comes within a second of it: that is not heard.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import psycopg2
import psycopg2.extensions
from psycopg2.extensions import POLL_OK, POLL_READ, POLL_WRITE, STATUS_SETUP

CONNECT_SECONDS = 10.0
QUIET_SECONDS = 1.0
WORDS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Told to end (SIGTERM)", signal.SIGHUP: "Hung up"}


class Stopped(KeyboardInterrupt):
    """A signal that ends the command."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = signal.Signals(number)


class _Commit:
    """Whether one is going on, and what arrived meanwhile. There is one of them, as of the process's signals."""

    going_on = False
    arrived: Stopped | None = None


class _Hearing:
    """Whether PostgreSQL is being waited for, and until when signals are not heard otherwise."""

    waiting = False
    quiet_until = 0.0


class Ending:
    """Whether the command has ended, and all that is left is to tell what became of it: nothing is heard any more."""

    begun = False


def install() -> None:
    """For all connections of this process; without it psycopg2 hears of signals only when PostgreSQL has answered.

    Signals that are ignored, as nohup has it, stay so.
    """
    Ending.begun, _Hearing.quiet_until = False, 0.0
    psycopg2.extensions.set_wait_callback(wait)
    for number in WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _arrived)


def uninstall() -> None:
    """From now on a signal ends the process at once, without a word."""
    psycopg2.extensions.set_wait_callback(None)
    for number in WORDS:
        if signal.getsignal(number) is _arrived:
            signal.signal(number, signal.SIG_DFL)


def _arrived(number: int, frame: FrameType | None) -> None:
    if number == signal.SIGHUP:  # the terminal is gone: writing to it would fail
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(nowhere, stream.fileno())
    if Ending.begun or (not _Hearing.waiting and time.monotonic() < _Hearing.quiet_until):
        return
    stopped = Stopped(number)
    if _Commit.going_on and _Commit.arrived is None:
        _Commit.arrived = stopped
    else:
        _be_quiet()
        raise stopped


def _be_quiet() -> None:
    """SQLAlchemy shows the traceback of whatever is raised while it lets go of a connection."""
    _Hearing.quiet_until = time.monotonic() + QUIET_SECONDS


@contextmanager
def committing() -> Iterator[None]:
    """The first signal that arrives in the block is kept for `check`."""
    _Commit.going_on = True
    try:
        yield
    finally:
        _Commit.going_on = False


def check() -> None:
    """Raise what arrived during a commit."""
    stopped, _Commit.arrived = _Commit.arrived, None
    if stopped is not None:
        _be_quiet()
        raise stopped


def wait(connection: psycopg2.extensions.connection) -> None:
    """Wait for PostgreSQL's answer. Raises KeyboardInterrupt, after PostgreSQL has stopped, when one came meanwhile."""
    _Hearing.waiting = True
    try:
        _wait(connection)
    except KeyboardInterrupt:
        _be_quiet()
        raise
    finally:
        _Hearing.waiting = False


def _wait(connection: psycopg2.extensions.connection) -> None:
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
            if interrupt is not None or not _cancel(connection):
                raise
            interrupt = pressed
        except psycopg2.Error:
            if interrupt is None:
                raise
            break
    if interrupt is not None:
        raise interrupt


def _cancel(connection: psycopg2.extensions.connection) -> bool:
    """Whether PostgreSQL was told; it cannot be before it has let us in, or when it is gone."""
    if connection.status == STATUS_SETUP:
        return False
    try:
        connection.cancel()
    except psycopg2.Error:
        return False
    return True


def _wait_for_socket(connection: psycopg2.extensions.connection, state: int, deadline: float | None) -> None:
    patience = None if deadline is None else max(0.0, deadline - time.monotonic())
    sockets = [connection.fileno()]
    readers, writers = (sockets if state == wanted else [] for wanted in (POLL_READ, POLL_WRITE))
    if not any(select.select(readers, writers, [], patience)):
        raise psycopg2.OperationalError(f"no answer within {CONNECT_SECONDS:g} seconds")
