"""Whether everything that Koschei stands on is there: the solver, PostgreSQL with our tables, Koji."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from koschei.config import Config
from koschei.db import schema
from koschei.db.engine import Database
from koschei.db.grants import granted
from koschei.errors import KoscheiError
from koschei.koji.session import KojiSession


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it is well, and what was seen or what to do."""

    name: str
    well: bool
    text: str


UPGRADE = "run `koschei-admin create-db`"


def database_checks(config: Config) -> tuple[Check, ...]:
    """The server, the revision of the tables, and the rights of the unprivileged role; later ones need earlier ones."""
    url = config.database_url()
    database = Database(url, application_name="koschei-admin", pool_size=1)
    try:
        database.check()
        found = schema.current(url)
    except KoscheiError as error:
        return (Check("server", False, str(error)),)
    finally:
        database.dispose()
    server = Check("server", True, "PostgreSQL answers and is new enough")
    needed = schema.head()
    if found != needed:
        state = "there are no Koschei tables" if found is None else f"the tables are at revision {found}"
        return server, Check("revision", False, f"{state}, this code needs {needed}: {UPGRADE}")
    checks = (server, Check("revision", True, f"the tables are at revision {found}, as needed"))
    role = config.unpriv_db_username
    if role is None:
        return checks
    allowed = granted(url, role)
    text = f"{role} may read and write" if allowed else f"{role} may not read and write every table: {UPGRADE}"
    return (*checks, Check("rights", allowed, text))


def all_checks(config: Config) -> tuple[Check, ...]:
    """Everything."""
    return (*database_checks(config), _checked("koji", lambda: _koji(config)), _checked("solver", _solver))


def _checked(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, True, look())
    except (KoscheiError, ImportError) as error:
        return Check(name, False, str(error))


def _koji(config: Config) -> str:
    with KojiSession(config.koji_config, anonymous=True) as koji:
        koji.read("getAPIVersion")
    return f"{config.koji_config.server} answers"


def _solver() -> str:
    import solv  # only here: the command line does without it otherwise

    solv.Pool()
    return "libsolv works"
