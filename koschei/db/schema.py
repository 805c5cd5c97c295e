"""The database's schema: bringing it up or down to a revision, and whether it fits this code."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg2.errors
from alembic import command
from alembic.config import Config as AlembicConfig
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from koschei.db.engine import translated
from koschei.db.faults import first_line
from koschei.db.revisions import Applied, Fit, Phase, Revision, SchemaState, judge, needed, pre_half
from koschei.errors import DatabaseError, InvalidInputError, TablesBusy

MIGRATIONS = Path(__file__).resolve().parents[2] / "migrations"
PATIENCE = 120.0
"""Seconds for which a migration tries again to get its locks."""


def alembic_config(url: str) -> AlembicConfig:
    """Alembic's configuration for the migrations of this code."""
    config = AlembicConfig()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def chain() -> tuple[Revision, ...]:
    """The revisions that this code knows, oldest first."""
    return _chain(MIGRATIONS)


@cache
def _chain(folder: Path) -> tuple[Revision, ...]:
    scripts = list(ScriptDirectory.from_config(alembic_config("")).walk_revisions())
    if not scripts:
        raise RuntimeError(f"no migrations in {folder}: the installation is incomplete")
    return tuple(Revision(one.revision, Phase(one.module.phase), one.doc) for one in reversed(scripts))


def head() -> str:
    """The newest revision that this code knows."""
    return chain()[-1].name


def oldest_usable() -> str:
    """The oldest revision that this code can work with."""
    return needed(chain())


def state(connection: Connection) -> SchemaState:
    """How the database fits this code. Two or three small queries, none of which needs a table to be there."""
    there = connection.execute(
        text("SELECT to_regclass('alembic_version') IS NOT NULL, to_regclass('schema_revision') IS NOT NULL")
    ).one()
    names = list(connection.execute(text("SELECT version_num FROM alembic_version")).scalars()) if there[0] else []
    query = "SELECT revision, phase, koschei_version FROM schema_revision ORDER BY applied, revision"
    applied = [Applied(*row) for row in connection.execute(text(query))] if there[1] else []
    return judge(chain(), ", ".join(names) or None, applied)


def look(url: str) -> SchemaState:
    """The same on a connection of its own. Errors: DatabaseError when PostgreSQL is away or lets nobody read."""
    engine = create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": 5})
    with translated(), engine.connect() as connection:
        try:
            return state(connection)
        except ProgrammingError as error:
            if not isinstance(error.orig, psycopg2.errors.InsufficientPrivilege):
                raise
            raise DatabaseError(
                f"PostgreSQL does not let us look: {first_line(error)}. "
                "`koschei-admin create-db`, run by the owner with unpriv_db_username, grants what is needed"
            ) from error


def hindrance(url: str) -> str | None:
    """Why a process of this code must not even start on that database; None when it may.

    It may when PostgreSQL does not answer: that passes, and the process finds out what is there when it does.
    """
    try:
        found = look(url)
    except DatabaseError:
        return None
    return None if found.usable else f"The database cannot be used: {found.words}"


def upgrade(url: str, revision: str = "head", *, say: Callable[[str], None] = lambda words: None) -> None:
    """Bring the database to `revision`, also from nothing. Safe to repeat, to run twice at once, and to kill.

    Each revision is a transaction. One that does not get a lock within seconds lets go, so that nobody waits behind
    it, and is tried again; `say` hears of it. Errors: TablesBusy when that was in vain for PATIENCE seconds.
    """
    deadline = time.monotonic() + PATIENCE
    pause = 0.5
    while True:
        try:
            with migrating():
                command.upgrade(alembic_config(url), revision)
            return
        except TablesBusy as error:
            if time.monotonic() + pause > deadline:
                raise
            say(f"{error}; trying again")
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(pause * 1.5, 10.0)


def upgrade_half(url: str, phase: Phase, *, say: Callable[[str], None] = lambda words: None) -> None:
    """Apply one half of an upgrade: `pre` while the old code still runs, `post` once only this code runs.

    An empty database gets everything by its pre half: there is no old code. Errors: InvalidInputError, and nothing
    was changed, when it is not this half's turn.
    """
    found = look(url)
    if found.usable and not (phase is Phase.POST and found.pending):
        return
    require_migratable(found)
    if phase is Phase.POST:
        if found.fit is not Fit.RIGHT:
            raise InvalidInputError(f"The pre-deploy half comes first: {found.words}")
        upgrade(url, say=say)
    elif found.fit is Fit.EMPTY:
        upgrade(url, say=say)
    else:
        half = pre_half(found.pending)
        if oldest_usable() not in [revision.name for revision in half]:
            raise InvalidInputError(
                f"{found.pending[len(half)].name} is the post-deploy half of an earlier version and comes first. "
                "If that version is what runs now, run `koschei-admin create-db --phase post` from its image; "
                "else stop everything and run the playbook koschei-full.yml"
            )
        upgrade(url, half[-1].name, say=say)


def require_migratable(found: SchemaState) -> None:
    """Errors: DatabaseError for a database that is not this code's to migrate."""
    if not (found.usable or found.migratable):
        raise DatabaseError(f"Nothing can be migrated: {found.words}")


def downgrade(url: str, revision: str) -> None:
    """Take the database back to `revision` ("base": nothing left)."""
    with migrating():
        command.downgrade(alembic_config(url), revision)


@contextmanager
def migrating() -> Iterator[None]:
    """What goes wrong while alembic runs, as errors of ours: TablesBusy, DatabaseError."""
    with translated():
        try:
            yield
        except OperationalError as error:
            if not isinstance(error.orig, psycopg2.errors.LockNotAvailable | psycopg2.errors.DeadlockDetected):
                raise
            statement = " ".join((error.statement or "").split())
            raise TablesBusy(
                f"The tables are in use, and a migration does not wait for them: {first_line(error)} "
                f"({statement[:60]}{'…' if len(statement) > 60 else ''})"
            ) from error
