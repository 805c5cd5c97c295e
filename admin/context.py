"""What every command needs: who runs it, the settings, one transaction, and Koji when it is asked for."""

from __future__ import annotations

import os
import pwd
import signal
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from koschei.audit import Actor
from koschei.config import Config, load
from koschei.db import schema
from koschei.db.engine import Database
from koschei.errors import DatabaseError
from koschei.model import Collection, Environment

if TYPE_CHECKING:
    from koschei.koji.session import KojiSession

HOW_TO_UPGRADE = "`koschei-admin create-db` brings it up to date, `koschei-admin db-check` looks closer"


@dataclass
class Admin:
    """One run of the command line. Everything is opened when it is first used, and closed by `close`.

    `changed`: whether anything was committed, or handed to Koji, so far.
    """

    config_paths: tuple[Path, ...] = ()
    debug: bool = False
    collection: str | None = None
    changed: bool = False
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
        return make_url(self.config.database_url()).render_as_string(hide_password=True)

    @cached_property
    def database(self) -> Database:
        """The database. Errors: DatabaseError when it is away, or its schema is not the one this code needs."""
        url = self.config.database_url()
        revision, needed = schema.current(url), schema.head()
        if revision != needed:
            state = "has no Koschei tables yet" if revision is None else f"is at revision {revision}"
            raise DatabaseError(f"The database {state}, but this code needs revision {needed}: {HOW_TO_UPGRADE}")
        return Database(url, application_name="koschei-admin", pool_size=1)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """The one transaction of a command: all or nothing. While it is being committed, Ctrl-C waits."""
        before = signal.getsignal(signal.SIGINT)
        try:
            with self.database.begin() as session:
                yield session
                session.flush()
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            self.changed = True
        finally:
            signal.signal(signal.SIGINT, before)

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


def say(messages: Iterable[str | None]) -> None:
    """Print what was done; a command that found nothing to do says so."""
    said = [message for message in messages if message is not None]
    for message in said:
        click.echo(message)
    if not said:
        click.echo("Nothing to change: it is like that already", err=True)


def now() -> datetime:
    """The current time."""
    return datetime.now(UTC)
