"""What every command needs: who runs it, the settings, one transaction, and Koji when it is asked for."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy import text
from sqlalchemy.orm import Session

from admin import interrupts
from koschei.audit import Actor
from koschei.config import Config, load
from koschei.config.loading import DEFAULT_PATH, is_anything_set
from koschei.db import schema
from koschei.db.engine import Database, address
from koschei.errors import DatabaseError, KojiAuthError, KojiOutage
from koschei.model import Collection, Environment

if TYPE_CHECKING:
    from koschei.koji.session import KojiSession

WROTE = text("SELECT pg_current_xact_id_if_assigned()")


@dataclass
class Admin:
    """One run of the command line. Everything is opened when it is first used, and closed by `close`.

    `changed`: whether anything was committed so far. `uncertain`: PostgreSQL has not said whether it was.
    """

    config_paths: tuple[Path, ...] = ()
    debug: bool = False
    collection: str | None = None
    changed: bool = False
    uncertain: bool = False
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    @cached_property
    def config(self) -> Config:
        """The settings. Errors: ConfigError."""
        return load(self.config_paths or None, self.environ)

    @cached_property
    def actor(self) -> Actor:
        """Whoever runs the command, for the audit log."""
        return Actor(Environment.ADMIN, identity(self.environ))

    @cached_property
    def koji(self) -> KojiSession:
        """Koji, as the settings say we log in there."""
        from koschei.koji.session import KojiSession  # late: its libraries take long to load, and few commands need it

        return KojiSession(self.config.koji_config)

    @property
    def database_address(self) -> str:
        """Where the database is, without its password."""
        return address(self.config.database_url())

    def what_to_do(self, error: Exception) -> str:
        """Where something outside was looked for, and what became of the command: what an error's own words lack."""
        if isinstance(error, DatabaseError):
            where = f" (looked for at {self.database_address}{self._source()})."
        elif isinstance(error, KojiOutage | KojiAuthError):
            where = f" (asked: {self.config.koji_config.server})."
        else:
            return ""
        if isinstance(error, KojiOutage):
            where += " Try again when Koji works, or correct koji_config.server."
        return f"{where} {self.outcome()}"

    def _source(self) -> str:
        """What is to be said of an address that nobody has set."""
        if is_anything_set(self.config_paths or None, self.environ):
            return ""
        return f", as no settings were found: {DEFAULT_PATH} is not there, and KOSCHEI_CONFIG names none"

    def outcome(self) -> str:
        """What is left of a command that did not come to its end."""
        if self.uncertain:
            return "Whether the last step was done is not known: `koschei-admin log` shows it"
        if self.changed:
            return "What was done before stays; the same command goes on with the rest"
        return "Nothing was changed"

    @cached_property
    def database(self) -> Database:
        """The database. Errors: DatabaseError when it is away, or its schema is not the one this code needs."""
        url = self.config.database_url()
        found = schema.look(url)
        if not found.usable:
            raise DatabaseError(f"The database cannot be used: {found.words}")
        return Watched(url, self)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """The one transaction of a command, or one of its steps: all or nothing."""
        with self.database.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that changes nothing."""
        with self.database.read() as session:
            yield session

    def find_collection(self, session: Session) -> Collection | None:
        """The collection that was named on the command line. Errors: NotFoundError."""
        return None if self.collection is None else self.the_collection(session)

    def the_collection(self, session: Session) -> Collection:
        """The same, for commands that cannot do without."""
        if self.collection is None:
            raise click.UsageError("Missing option '--collection'")
        from koschei import collections  # late, for the same reason

        return collections.by_name(session, self.collection)

    def close(self) -> None:
        """Let go of what was opened."""
        opened = vars(self)
        if "koji" in opened:
            self.koji.close()
        if "database" in opened:
            self.database.dispose()


class Watched(Database):
    """The database of one run, which is told what was committed. Ctrl-C waits for a commit."""

    def __init__(self, url: str, run: Admin) -> None:
        super().__init__(url, application_name="koschei-admin", pool_size=1)
        self.run = run

    @contextmanager
    def begin(self) -> Iterator[Session]:
        interrupts.check()
        with ExitStack() as commit:
            try:
                with super().begin() as session:
                    yield session
                    if session.in_transaction():  # not rolled back, as a dry run is
                        session.flush()
                        self.run.uncertain = session.scalar(WROTE) is not None
                        commit.enter_context(interrupts.committing())
            except (DatabaseError, KeyboardInterrupt):
                raise
            except BaseException:
                self.run.uncertain = False  # it was rolled back
                raise
            self.run.changed |= self.run.uncertain
            self.run.uncertain = False

    @contextmanager
    def read(self) -> Iterator[Session]:
        interrupts.check()
        with super().read() as session:
            yield session


def identity(environ: Mapping[str, str]) -> str:
    """The name of whoever runs this: the one who used sudo, else the user of this process.

    On OpenShift processes run as numbers that have no name; environment variables other than sudo's can say anything.
    """
    if environ.get("SUDO_USER"):
        return environ["SUDO_USER"]
    uid = os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid-{uid}"


def now() -> datetime:
    """The current time."""
    return datetime.now(UTC)
