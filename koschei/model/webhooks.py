"""Webhooks: who is told of events by HTTP, how far each was told, and how the last deliveries went."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from koschei.model.base import Base, Id, Name, Now

NONE = text("'{}'")
NOT_YET = text("0")


class Webhook(Base):
    """A subscription. An empty list of kinds, collections, groups or packages leaves nothing out.

    Everything up to `position` (that of OutboxEvent) is done with: delivered, or not wanted. The secrets sign, so they
    are stored as they are; no page, command or message shows them again.
    """

    __tablename__ = "webhook"
    __table_args__ = (CheckConstraint("enabled = (disabled_reason IS NULL)", "reason"),)

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)
    url: Mapped[str]
    description: Mapped[str] = mapped_column(default="", server_default=text("''"))
    kinds: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NONE)
    collections: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NONE)
    groups: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NONE)
    packages: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=NONE)
    secret: Mapped[str]
    old_secret: Mapped[str | None]
    old_secret_until: Mapped[datetime | None]
    created: Mapped[Now]
    created_by: Mapped[str]
    enabled: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    disabled_reason: Mapped[str | None]
    disabled_since: Mapped[datetime | None]
    position: Mapped[int] = mapped_column(default=0, server_default=NOT_YET)
    failures: Mapped[int] = mapped_column(Integer, default=0, server_default=NOT_YET)
    failing_since: Mapped[datetime | None]
    next_attempt: Mapped[datetime | None]
    last_error: Mapped[str | None]
    last_success: Mapped[datetime | None]


class WebhookDelivery(Base):
    """One attempt to deliver one event; only the last few of each webhook are kept. `status`: of the HTTP answer."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (Index("ix_webhook_delivery_webhook_id_id", "webhook_id", "id"),)

    id: Mapped[Id]
    webhook_id: Mapped[int] = mapped_column(ForeignKey("webhook.id", ondelete="CASCADE"))
    message_id: Mapped[uuid.UUID]
    kind: Mapped[str]
    time: Mapped[datetime]
    seconds: Mapped[float]
    outcome: Mapped[str]
    status: Mapped[int | None] = mapped_column(Integer)
    error: Mapped[str | None]
