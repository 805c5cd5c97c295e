"""Whether everything that Koschei stands on is there: the solver, PostgreSQL with our tables, Koji."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from koschei.config import Config
from koschei.db import schema
from koschei.db.engine import Database, address
from koschei.db.grants import granted
from koschei.db.revisions import SchemaState
from koschei.depsolve.engines import engine
from koschei.errors import KojiError, KoscheiError, ServiceError
from koschei.koji.session import KojiSession


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it is well, and what was seen or what to do."""

    name: str
    well: bool
    text: str


UPGRADE = "run `koschei-admin create-db`"


@dataclass(frozen=True)
class DatabaseReport:
    """What was seen of the database; `state` is None when it cannot be reached or read."""

    checks: tuple[Check, ...]
    state: SchemaState | None

    @property
    def usable(self) -> bool:
        """Whether this version can work with it as it is."""
        return all(check.well for check in self.checks)

    @property
    def playbook(self) -> str | None:
        """The upgrade playbook that brings this version up on this database; None when neither does."""
        if self.usable:
            return "rolling"
        return "full" if self.state is not None and (self.state.usable or self.state.migratable) else None


def database_report(config: Config) -> DatabaseReport:
    """The server, the revision of the tables, and the rights of the unprivileged role; later ones need earlier ones."""
    url = config.database_url()
    database = Database(url, application_name="koschei-admin", pool_size=1)
    try:
        database.check()
        found = schema.look(url)
    except KoscheiError as error:
        return DatabaseReport((Check("server", False, f"{error} (looked for at {address(url)})"),), None)
    finally:
        database.dispose()
    checks = [
        Check("server", True, "PostgreSQL answers and is new enough"),
        Check("revision", found.usable, found.words),
    ]
    role = config.unpriv_db_username
    if found.usable and role is not None:
        allowed = granted(url, role)
        text = f"{role} may read and write" if allowed else f"{role} may not read and write every table: {UPGRADE}"
        checks.append(Check("rights", allowed, text))
    return DatabaseReport(tuple(checks), found)


def all_checks(config: Config) -> tuple[Check, ...]:
    """Everything."""
    chosen = config.dependency.engine
    return (
        *database_report(config).checks,
        _checked("koji", lambda: _koji(config)),
        _checked("solver", lambda: _solver(chosen)),
    )


def local_checks() -> tuple[Check, ...]:
    """What is installed here, without PostgreSQL or Koji: while an image is built, say."""
    return (
        _checked("migrations", lambda: f"the newest is {schema.head()}"),
        _checked("solver", lambda: _solver("solv")),
    )


def _checked(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except (KoscheiError, ImportError, RuntimeError) as error:  # RuntimeError: an installation that lacks parts
        return Check(name, False, str(error))


def _koji(config: Config) -> str:
    server = config.koji_config.server
    with KojiSession(config.koji_config, anonymous=True) as koji:
        try:
            koji.read("getAPIVersion")
        except KojiError as error:
            raise ServiceError(f"{error} (asked: {server})") from error
    return f"{server} answers"


def _solver(name: str) -> str:
    engine(name)
    return f"{name} can be used"
