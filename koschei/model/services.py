"""The pulse of the backend services."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Integer
from sqlalchemy.orm import Mapped, mapped_column

from koschei.model.base import Base, Now


class ServiceStatus(Base):
    """What a service last said of itself; `interval` (seconds) tells how soon to expect more."""

    __tablename__ = "service_status"

    service: Mapped[str] = mapped_column(primary_key=True)
    instance: Mapped[str]
    started: Mapped[Now]
    interval: Mapped[float]
    pass_started: Mapped[datetime | None]
    pass_finished: Mapped[datetime | None]
    last_success: Mapped[datetime | None]
    error: Mapped[str | None]
    error_since: Mapped[datetime | None]
    failures: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    detail: Mapped[dict[str, Any] | None]
