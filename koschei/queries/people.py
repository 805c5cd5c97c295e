"""People as the pages know them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from koschei.model import User


def by_id(session: Session, user_id: int) -> User | None:
    """The user with this number."""
    return session.get(User, user_id)


def administrators(session: Session) -> list[str]:
    """Who may administer Koschei by name (those who may as members of a group are not known here)."""
    return list(session.scalars(select(User.name).where(User.admin).order_by(User.name)))
