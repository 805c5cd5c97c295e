"""Advisory locks: at most one process does a piece of work, and a process that dies leaves no lock behind.

Lock order everywhere: packages in id order, then builds. Advisory locks come before row locks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum

from psycopg2.errors import LockNotAvailable
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from koschei.db.engine import translated


class LockSpace(IntEnum):
    """First half of an advisory lock's key; the second is an id of the kind named here."""

    REPO_RESOLVER = 1  # collection id
    BUILD_RESOLVER = 2  # Koji repository id
    SERVICE = 3  # number of the service
    SCHEMA = 4  # 0
    WEBHOOKS = 5  # 0: who sends; 1: who orders events


class HeldLock:
    """A lock on a connection of its own."""

    def __init__(self, connection: Connection, space: LockSpace, key: int) -> None:
        self.connection = connection
        self.space = space
        self.key = key

    def alive(self) -> bool:
        """Whether the connection, and with it the lock, still stands."""
        try:
            self.connection.execute(text("SELECT 1"))
            self.connection.commit()
        except SQLAlchemyError:
            return False
        return True

    def release(self) -> None:
        """Give the lock back, and its connection to the pool; one that broke has given the lock back already."""
        try:
            if not self.connection.invalidated:
                self.connection.execute(text("SELECT pg_advisory_unlock(:s, :k)"), {"s": self.space, "k": self.key})
                self.connection.commit()
        except SQLAlchemyError:
            self.connection.invalidate()
        finally:
            self.connection.close()


def try_lock(engine: Engine, space: LockSpace, key: int) -> HeldLock | None:
    """Take the lock if nobody holds it, else None; never waits. `key` is folded to 31 bits (a collision only waits).

    Errors: DatabaseError when PostgreSQL is away.
    """

    def ask(connection: Connection, values: dict[str, int]) -> bool:
        return bool(connection.execute(text("SELECT pg_try_advisory_lock(:s, :k)"), values).scalar_one())

    return _take(engine, space, key, ask)


def wait_for_lock(engine: Engine, space: LockSpace, key: int, seconds: float) -> HeldLock | None:
    """Stand in line for the lock, and take it as soon as its holder is done; None when that takes longer.

    Who only tries does not get it before those who wait. Errors as `try_lock`.
    """

    def ask(connection: Connection, values: dict[str, int]) -> bool:
        patience = {"ms": str(max(1, round(seconds * 1000)))}  # 0 would be for ever
        connection.execute(text("SELECT set_config('lock_timeout', :ms, true)"), patience)
        try:
            connection.execute(text("SELECT pg_advisory_lock(:s, :k)"), values)
        except OperationalError as error:
            if not isinstance(error.orig, LockNotAvailable):
                raise
            return False
        return True

    return _take(engine, space, key, ask)


def _take(
    engine: Engine, space: LockSpace, key: int, ask: Callable[[Connection, dict[str, int]], bool]
) -> HeldLock | None:
    folded = key & 0x7FFFFFFF
    with translated():
        connection = engine.connect()
        try:
            got = ask(connection, {"s": int(space), "k": folded})
            connection.commit()
        except BaseException:
            connection.invalidate()  # it may hold the lock already
            connection.close()
            raise
    if got:
        return HeldLock(connection, space, folded)
    connection.close()
    return None


@contextmanager
def trying_lock(engine: Engine, space: LockSpace, key: int) -> Iterator[bool]:
    """`with trying_lock(...) as mine:` - True while the lock is held by us, False when somebody else has it."""
    lock = try_lock(engine, space, key)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            lock.release()
