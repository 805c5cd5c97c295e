"""Personal tokens of the REST API: what a person's scripts may do in the person's name."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, LargeBinary, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from koschei.model.base import Base, Id, Now
from koschei.model.users import User


class ApiToken(Base):
    """A token. Only its digest (SHA-256) is stored: who reads the table cannot use it. `last_used` is to the hour."""

    __tablename__ = "api_token"
    __table_args__ = (
        UniqueConstraint("user_id", "name"),
        CheckConstraint("scopes <@ ARRAY['packages', 'groups'] AND scopes <> '{}'", "scopes"),
    )

    id: Mapped[Id]
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id", ondelete="CASCADE"))
    name: Mapped[str]
    scopes: Mapped[list[str]] = mapped_column(ARRAY(Text))
    digest: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created: Mapped[Now]
    expires: Mapped[datetime]
    last_used: Mapped[datetime | None]

    user: Mapped[User] = relationship()
