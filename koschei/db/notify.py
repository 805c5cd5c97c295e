"""Waking a service by NOTIFY. A notification is a hint and may be lost: every service also looks by itself, slowly."""

from __future__ import annotations

import os
import select
from contextlib import suppress

import psycopg2
import psycopg2.extensions
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from koschei.db.engine import PATIENCE

CHANNEL = "koschei_wake"


def wake(session: Session, *services: str) -> None:
    """Wake services when this transaction commits; several calls with one name are one notification."""
    for service in services:
        session.execute(text("SELECT pg_notify(:channel, :service)"), {"channel": CHANNEL, "service": service})


class Listener:
    """Waits for notifications to one service, for `nudge()` or `interrupt()`. Reconnects by itself at the next wait."""

    def __init__(self, url: str, service: str) -> None:
        # Without SQLAlchemy's driver name the address is one that libpq understands.
        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._service = service
        self._connection: psycopg2.extensions.connection | None = None
        self._pipe_out, self._pipe_in = os.pipe()
        os.set_blocking(self._pipe_in, False)

    def interrupt(self) -> None:
        """End the current or the next wait; safe in a signal handler and from other threads."""
        self._write(b"x")

    def nudge(self) -> None:
        """The same, but as a notification would: something in our own process wants the service to look."""
        self._write(b"n")

    def _write(self, what: bytes) -> None:
        with suppress(OSError):  # a full pipe already means "wake up", a closed one that nobody waits
            os.write(self._pipe_in, what)

    def listen(self) -> None:
        """Start listening now: nothing announced after this call is missed. Does nothing when PostgreSQL is away."""
        if self._connection is not None:
            return
        try:
            connection = psycopg2.connect(self._dsn, **PATIENCE)
            connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
            with connection.cursor() as cursor:
                cursor.execute(f"LISTEN {CHANNEL}")
        except psycopg2.Error:
            self._connection = None  # the slow poll carries on; the service itself reports the outage
        else:
            self._connection = connection

    def wait(self, seconds: float) -> bool:
        """Sleep up to `seconds`; True when woken by a notification or nudge, False on time-out or interrupt."""
        self.listen()
        watched: list[int] = [self._pipe_out]
        if self._connection is not None:
            if self._taken():
                return True
            watched.append(self._connection.fileno())
        ready, _, _ = select.select(watched, [], [], max(0.0, seconds))
        if self._pipe_out in ready:
            return b"n" in os.read(self._pipe_out, 4096)
        return bool(ready) and self._taken()

    def _taken(self) -> bool:
        """Read what has arrived; True if any of it is for us, or if the connection broke (better look once more)."""
        if self._connection is None:
            return False
        try:
            self._connection.poll()
        except psycopg2.Error:
            self._connection.close()
            self._connection = None
            return True
        mine = any(notification.payload == self._service for notification in self._connection.notifies)
        self._connection.notifies.clear()
        return mine

    def close(self) -> None:
        """Stop listening."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for pipe in (self._pipe_in, self._pipe_out):
            if pipe >= 0:
                os.close(pipe)
        self._pipe_in = self._pipe_out = -1  # the numbers may soon be somebody else's
