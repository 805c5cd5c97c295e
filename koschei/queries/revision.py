"""Whether the database has the tables that this code needs: for processes before they work, and while they do."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from koschei.db import schema


@dataclass(frozen=True)
class Readiness:
    """Whether the database can be used, and what is the matter with it."""

    usable: bool
    words: str


def readiness(session: Session) -> Readiness:
    """How the database fits this code, at this moment: it may be migrated under a process that runs."""
    found = schema.state(session.connection())
    return Readiness(True, "ok") if found.usable else Readiness(False, f"The database cannot be used: {found.words}")
