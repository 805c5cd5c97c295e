"""Events waiting to be announced; each is written in the transaction that made it true."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, Integer, Sequence, text
from sqlalchemy.orm import Mapped, mapped_column

from koschei.model.base import Base, Id, Now


class OutboxEvent(Base):
    """A message for the bus and for webhooks. Its message_id never changes: who sees it twice can tell.

    `position` is its place in the order in which webhooks are told, taken from POSITIONS once it is committed
    (koschei.webhook_queue): ids are taken before, so that a lower one may appear after a higher one.

    `skipped` is when it was given up sending it to the bus, because nobody was there to send it while it was news.
    """

    __tablename__ = "outbox_event"
    __table_args__ = (
        Index("ix_outbox_event_unsent", "id", postgresql_where=text("sent IS NULL AND skipped IS NULL")),
        Index("ix_outbox_event_unplaced", "id", postgresql_where=text("position IS NULL")),
    )

    id: Mapped[Id]
    message_id: Mapped[uuid.UUID] = mapped_column(unique=True, server_default=text("gen_random_uuid()"))
    kind: Mapped[str]
    body: Mapped[dict[str, Any]]
    package_id: Mapped[int | None] = mapped_column(ForeignKey("package.id", ondelete="SET NULL"), index=True)
    created: Mapped[Now]
    sent: Mapped[datetime | None]
    skipped: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    last_error: Mapped[str | None]
    position: Mapped[int | None] = mapped_column(unique=True)


POSITIONS = Sequence("outbox_event_position", metadata=Base.metadata)
