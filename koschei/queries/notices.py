"""What people who run the service want everybody to know."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from koschei.model import AdminNotice


def announcements(session: Session) -> list[str]:
    """The texts to be shown on every page. They are plain text, whatever they contain."""
    return list(session.scalars(select(AdminNotice.content).order_by(AdminNotice.key)))
