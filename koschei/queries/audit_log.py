"""Reading the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from koschei.errors import NotFoundError
from koschei.model import BasePackage, Environment, LogEntry, User
from koschei.queries.unknown import unknown_packages
from koschei.rules.names import shown, suggestion


@dataclass(frozen=True)
class Entry:
    """Who did what, and when; services have no `user`, and few entries are about one package."""

    timestamp: datetime
    environment: Environment
    user: str | None
    package: str | None
    message: str


@dataclass(frozen=True)
class Wish:
    """Which entries; None does not choose. From `since` on, and before `until`."""

    user: str | None = None
    package: str | None = None
    environment: Environment | None = None
    since: datetime | None = None
    until: datetime | None = None


def entries(session: Session, wish: Wish, limit: int | None) -> list[Entry]:
    """The newest entries that fit, newest first. Errors: NotFoundError for a user or package that nobody knows."""
    query = (
        select(LogEntry.timestamp, LogEntry.environment, User.name, BasePackage.name, LogEntry.message)
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
    return [Entry(*row) for row in session.execute(query)]
