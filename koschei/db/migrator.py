"""What migrations run on: a connection that never waits long, one migrator at a time, and a record of what was done.

For migrations/env.py, and `index_concurrently` for revisions.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from alembic import op
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Connection, DateTime, Engine, MetaData, Table, Text, create_engine, delete, func, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable

import koschei
from koschei.db import schema
from koschei.db.engine import PATIENCE
from koschei.db.locks import LockSpace
from koschei.errors import DatabaseError

APPLICATION = "koschei-migrations"
LOCK_TIMEOUT = "2s"
"""A statement that waits for an exclusive lock holds up everybody behind it: rather it gives up, and comes again."""
INDEX_LOCK_TIMEOUT = "10min"
"""Making an index concurrently waits for old transactions while nobody waits behind it."""
TURN_SECONDS = 60.0

# Old code of any age reads this table (koschei.db.schema.state): it may get columns, and lose or rename none.
RECORD = Table(
    "schema_revision",
    MetaData(),
    Column("revision", Text, primary_key=True),
    Column("phase", Text, nullable=False),
    Column("koschei_version", Text, nullable=False),
    Column("applied", DateTime(timezone=True), nullable=False, server_default=func.clock_timestamp()),
)
MAKE_RECORD = CreateTable(RECORD, if_not_exists=True)


def engine(url: str) -> Engine:
    """Connections for migrating. A server notices within seconds when its migrator was killed, and rolls back."""
    options = f"-c TimeZone=UTC -c lock_timeout={LOCK_TIMEOUT} -c client_connection_check_interval=2s"
    arguments = {"application_name": APPLICATION, "options": options, **PATIENCE}
    return create_engine(url, poolclass=NullPool, connect_args=arguments)


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Be the only migrator of this database until the connection ends. Errors: DatabaseError if that takes a minute.

    It asks again and again: a statement that waits would hold up an index that the other migrator makes concurrently.
    """
    key = {"space": int(LockSpace.SCHEMA)}
    deadline = time.monotonic() + TURN_SECONDS
    while not connection.execute(text("SELECT pg_try_advisory_lock(:space, 0)"), key).scalar_one():
        connection.commit()
        if time.monotonic() > deadline:
            raise DatabaseError("Another migration of this database is running: wait until it has ended, and run again")
        time.sleep(0.2)
    connection.commit()
    yield


def record(ctx: MigrationContext, heads: Collection[str], **_rest: Any) -> None:
    """Alembic's hook after each step, in its transaction: make the record agree with where the database is now."""
    known = schema.chain()
    end = max((i + 1 for i, revision in enumerate(known) if revision.name in heads), default=0)
    names = [revision.name for revision in known[:end]]
    ctx.execute(delete(RECORD).where(RECORD.c.revision.not_in(names)))
    if names:
        rows = [
            {"revision": revision.name, "phase": str(revision.phase), "koschei_version": koschei.__version__}
            for revision in known[:end]
        ]
        ctx.execute(insert(RECORD).values(rows).on_conflict_do_nothing())


def is_ours(name: str | None, kind: str, _parents: object) -> bool:
    """Whether alembic, when it compares tables with models, should look at this one."""
    return not (kind == "table" and name == RECORD.name)


def index_concurrently(name: str, on: str, *, unique: bool = False) -> None:
    """Make an index while everybody goes on writing: `index_concurrently("ix_build_epoch", "build (epoch)")`.

    It cannot be in a transaction, so it must be all that its revision does: what stood before it would be committed.
    What an interrupted attempt left behind (an index that is not valid) is removed first; one that was finished stays.
    """
    context = op.get_context()
    with context.autocommit_block():
        op.execute(f"SET lock_timeout = '{INDEX_LOCK_TIMEOUT}'")
        if not context.as_sql and _invalid(context.connection, name):
            op.execute(f'DROP INDEX CONCURRENTLY "{name}"')
        op.execute(f'CREATE {"UNIQUE " if unique else ""}INDEX CONCURRENTLY IF NOT EXISTS "{name}" ON {on}')
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")


def drop_index_concurrently(name: str) -> None:
    """The way back; in a revision of its own, too."""
    with op.get_context().autocommit_block():
        op.execute(f"SET lock_timeout = '{INDEX_LOCK_TIMEOUT}'")
        op.execute(f'DROP INDEX CONCURRENTLY IF EXISTS "{name}"')
        op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")


def _invalid(connection: Connection | None, name: str) -> bool:
    assert connection is not None, "only alembic's offline mode has no connection"
    query = text("SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass(quote_ident(:name))")
    return bool(connection.execute(query, {"name": name}).scalar_one_or_none())
