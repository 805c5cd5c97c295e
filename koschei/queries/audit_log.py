"""Reading the audit log."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from koschei.errors import InvalidInputError, NotFoundError
from koschei.model import BasePackage, Environment, LogEntry, User
from koschei.queries.unknown import unknown_packages
from koschei.rules.names import shown, suggestion


@dataclass(frozen=True)
class Mark:
    """The place of an entry in the log, for what comes after it; as text it stands in addresses."""

    timestamp: datetime
    id: int

    def __str__(self) -> str:
        return f"{self.timestamp.timestamp():.6f}-{self.id}"

    @classmethod
    def read(cls, text: str) -> Mark:
        """The mark of this text. Errors: InvalidInputError."""
        match = re.fullmatch(r"(\d{1,11}\.\d{6})-(\d{1,18})", text)
        if match is None:
            raise InvalidInputError("That part of the log cannot be found: begin again at its newest entries")
        return cls(datetime.fromtimestamp(float(match[1]), UTC), int(match[2]))


@dataclass(frozen=True)
class Entry:
    """Who did what, and when; services have no `user`, and few entries are about one package."""

    id: int
    timestamp: datetime
    environment: Environment
    user: str | None
    package: str | None
    message: str

    @property
    def mark(self) -> Mark:
        """Its place in the log."""
        return Mark(self.timestamp, self.id)


@dataclass(frozen=True)
class Wish:
    """Which entries; None does not choose. From `since` on, and before `until`; older than the one at `before`."""

    user: str | None = None
    package: str | None = None
    environment: Environment | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: Mark | None = None


def entries(session: Session, wish: Wish, limit: int | None) -> list[Entry]:
    """The newest entries that fit, newest first. Errors: NotFoundError for a user or package that nobody knows."""
    query = (
        select(LogEntry.id, LogEntry.timestamp, LogEntry.environment, User.name, BasePackage.name, LogEntry.message)
        .outerjoin(User, User.id == LogEntry.user_id)
        .outerjoin(BasePackage, BasePackage.id == LogEntry.base_id)
        .order_by(LogEntry.timestamp.desc(), LogEntry.id.desc())
        .limit(limit)
    )
    if wish.user is not None:
        user_id = session.scalar(select(User.id).where(User.name == wish.user))
        if user_id is None:
            hint = suggestion(wish.user, session.scalars(select(User.name)).all(), "Check the spelling.")
            raise NotFoundError(
                f"User not found: {shown(wish.user)}. {hint} People are known once they did something or logged in"
            )
        query = query.where(LogEntry.user_id == user_id)
    if wish.package is not None:
        base_id = session.scalar(select(BasePackage.id).where(BasePackage.name == wish.package))
        if base_id is None:
            raise unknown_packages(session, [wish.package])
        query = query.where(LogEntry.base_id == base_id)
    if wish.environment is not None:
        query = query.where(LogEntry.environment == wish.environment)
    if wish.since is not None:
        query = query.where(LogEntry.timestamp >= wish.since)
    if wish.until is not None:
        query = query.where(LogEntry.timestamp < wish.until)
    if wish.before is not None:
        query = query.where(tuple_(LogEntry.timestamp, LogEntry.id) < (wish.before.timestamp, wish.before.id))
    return [Entry(*row) for row in session.execute(query)]
