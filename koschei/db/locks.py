"""Advisory locks: at most one process does a piece of work, and a process that dies leaves no lock behind.

Lock order everywhere: packages in id order, then builds. Advisory locks come before row locks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import SQLAlchemyError

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
        """Give the lock back by ending its connection's session state; a dead connection has given it back already."""
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
    folded = key & 0x7FFFFFFF
    with translated():
        connection = engine.connect()
        try:
            got = connection.execute(
                text("SELECT pg_try_advisory_lock(:s, :k)"), {"s": int(space), "k": folded}
            ).scalar_one()
            connection.commit()
        except BaseException:
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
