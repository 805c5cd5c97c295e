"""Messages from the bus that made no sense, or that we failed over."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Mapped

from koschei.model.base import Base, Id


class ParkedMessage(Base):
    """Such a message, for people to look at: shortened when it is long. Only the newest ones are kept."""

    __tablename__ = "parked_message"

    id: Mapped[Id]
    topic: Mapped[str]
    message_id: Mapped[str]
    body: Mapped[str]
    reason: Mapped[str]
    received: Mapped[datetime]
