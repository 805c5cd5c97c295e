"""The audit log: who did what, from where."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from koschei.model import Environment, LogEntry, User


@dataclass(frozen=True)
class Actor:
    """Somebody who acts: a person at a page or a shell, or a service (no name)."""

    environment: Environment
    name: str | None = None


BACKEND = Actor(Environment.BACKEND)


def record(session: Session, actor: Actor, message: str, *, base_id: int | None = None) -> str:
    """Write one entry in the caller's transaction; returns the message, for those who also want to print it."""
    user_id = None if actor.name is None else ensure_user(session, actor.name)
    session.add(LogEntry(user_id=user_id, environment=actor.environment, message=message, base_id=base_id))
    return message


def ensure_user(session: Session, name: str) -> int:
    """The id of the user of this name, created when unknown."""
    found = session.scalar(select(User.id).where(User.name == name))
    if found is None:
        session.execute(insert(User).values(name=name).on_conflict_do_nothing())
        found = session.scalars(select(User.id).where(User.name == name)).one()
    return found
