"""Connections and transactions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from psycopg2.errors import ReadOnlySqlTransaction
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from koschei.db.faults import explain
from koschei.errors import DatabaseError

MINIMUM_SERVER_VERSION = 150000
# Of every connection: a database host that does not answer is given up soon, and one that vanishes without a word is
# noticed within a minute.
PATIENCE: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50_000,
}


class Database:
    """One PostgreSQL database: `with database.begin() as session:` is one transaction."""

    def __init__(self, url: str, *, application_name: str = "koschei", pool_size: int = 5, **options: Any) -> None:
        self.url = url
        self.engine: Engine = create_engine(
            url,
            pool_size=pool_size,
            pool_pre_ping=True,
            connect_args={
                "application_name": application_name,
                "options": "-c TimeZone=UTC",
                **PATIENCE,
            },
            **options,
        )
        self.sessions = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def begin(self) -> Iterator[Session]:
        """A transaction: committed at the end of the block, rolled back when it raises.

        Errors: DatabaseError when PostgreSQL is away, in place of the driver's own exception.
        """
        with translated(), self.sessions.begin() as session:
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A read-only transaction: one snapshot for all its queries."""
        with translated(), self.sessions() as session:
            session.connection(execution_options={"isolation_level": "REPEATABLE READ", "postgresql_readonly": True})
            yield session
            session.rollback()

    def check(self) -> None:
        """Raise DatabaseError when the server cannot be reached or is older than what the schema needs."""
        with self.begin() as session:
            version = int(session.execute(text("SHOW server_version_num")).scalar_one())
        if version < MINIMUM_SERVER_VERSION:
            raise DatabaseError(f"PostgreSQL 15 or newer is needed, but the server says {version}: upgrade it")

    def dispose(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def address(url: str) -> str:
    """Where a database is, without the password."""
    return make_url(url).render_as_string(hide_password=True)


@contextmanager
def translated() -> Iterator[None]:
    """Turn trouble with PostgreSQL into a DatabaseError that says what to do; other errors are our own mistakes."""
    try:
        yield
    except DBAPIError as error:
        outside = isinstance(error, OperationalError) or isinstance(error.orig, ReadOnlySqlTransaction)
        if not outside and not error.connection_invalidated:
            raise
        raise DatabaseError(explain(error)) from error
