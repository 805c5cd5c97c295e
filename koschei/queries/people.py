"""People as the pages know them."""

from __future__ import annotations

from sqlalchemy.orm import Session

from koschei.model import User


def by_id(session: Session, user_id: int) -> User | None:
    """The user with this number."""
    return session.get(User, user_id)
