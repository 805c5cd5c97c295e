"""Where messages of the bus are put that make no sense, or that we failed over, so that people can look at them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from koschei.messaging.receiver import Parked
from koschei.model import ParkedMessage

KEPT = 1000
"""How many are kept: somebody who sends nothing else must not fill the database."""


def park(session: Session, message: Parked, now: datetime) -> None:
    """Keep it, and let go of the oldest when there are too many."""
    row = ParkedMessage(
        topic=message.topic,
        message_id=message.message_id,
        body=message.body,
        reason=message.reason,
        received=now,
    )
    session.add(row)
    session.flush()
    session.execute(delete(ParkedMessage).where(ParkedMessage.id <= row.id - KEPT))


def parked(session: Session, limit: int = 100) -> Sequence[ParkedMessage]:
    """The messages that were parked, newest first."""
    return session.scalars(select(ParkedMessage).order_by(ParkedMessage.id.desc()).limit(limit)).all()


def count(session: Session) -> int:
    """How many there are."""
    return session.scalar(select(func.count()).select_from(ParkedMessage)) or 0
