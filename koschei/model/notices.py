"""Announcements of the people who run the service."""

from sqlalchemy.orm import Mapped, mapped_column

from koschei.model.base import Base

GLOBAL_NOTICE = "global_notice"


class AdminNotice(Base):
    """A text shown on every page."""

    __tablename__ = "admin_notice"

    key: Mapped[str] = mapped_column(primary_key=True)
    content: Mapped[str]
