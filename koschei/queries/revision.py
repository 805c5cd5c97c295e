"""Whether the database has the tables that this code needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.orm import Session

from koschei.db import schema


@dataclass(frozen=True)
class Readiness:
    """Whether the database can be used, and what is the matter with it."""

    usable: bool
    words: str


@cache
def known_revisions() -> frozenset[str]:
    """The revisions that this code has heard of."""
    scripts = ScriptDirectory.from_config(schema.alembic_config(""))
    return frozenset(script.revision for script in scripts.walk_revisions())


def readiness(session: Session) -> Readiness:
    """Compare the database's revision with the code's.

    A revision that we have not heard of is a newer one, made for the processes that are replacing us one by one: until
    they have, we go on.
    """
    if session.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
        return Readiness(False, "The database has no tables: migrate it")
    found = session.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    needed = schema.head()
    if found == needed or (found is not None and found not in known_revisions()):
        return Readiness(True, "ok")
    return Readiness(False, f"The database is at revision {found}, and this code needs {needed}: migrate it")
