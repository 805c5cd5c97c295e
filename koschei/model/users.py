"""People, and what they and the services did."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from koschei.db.types import StrEnumType
from koschei.model.base import Base, Id, Name, Now


class User(Base):
    """Somebody who logged in, maintains a group, or used the command line.

    `edits_left` is how many edits were left at `edits_at`; none of both before the first (koschei/edit_limits.py).
    """

    __tablename__ = "user"

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)
    admin: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    edits_left: Mapped[float | None]
    edits_at: Mapped[datetime | None]


class Environment(StrEnum):
    """Where an action came from."""

    ADMIN = "admin"
    BACKEND = "backend"
    FRONTEND = "frontend"


class LogEntry(Base):
    """The audit log: who did what. Rows are never changed."""

    __tablename__ = "log_entry"
    __table_args__ = (
        CheckConstraint("user_id IS NOT NULL OR environment = 'backend'", "somebody"),
        CheckConstraint("environment IN ('admin', 'backend', 'frontend')", "environment"),
    )

    id: Mapped[Id]
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"), index=True)
    environment: Mapped[Environment] = mapped_column(StrEnumType(Environment))
    timestamp: Mapped[Now] = mapped_column(index=True)
    message: Mapped[str]
    base_id: Mapped[int | None] = mapped_column(ForeignKey("base_package.id", ondelete="CASCADE"), index=True)

    user: Mapped[User | None] = relationship()
