"""Facts about source packages that never change, kept for ever: asking Koji for them again is slow."""

from __future__ import annotations

from sqlalchemy import Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from koschei.model.base import Base, Id, Name, Now


class Srpm(Base):
    """BuildRequires and architecture headers of a source RPM."""

    __tablename__ = "srpm"
    __table_args__ = (UniqueConstraint("name", "version", "release"),)

    id: Mapped[Id]
    name: Mapped[Name]
    version: Mapped[str]
    release: Mapped[str]
    build_requires: Mapped[list[str]] = mapped_column(ARRAY(Text))
    buildarchs: Mapped[list[str]] = mapped_column(ARRAY(Text))
    exclusivearch: Mapped[list[str]] = mapped_column(ARRAY(Text))
    excludearch: Mapped[list[str]] = mapped_column(ARRAY(Text))
    fetched: Mapped[Now]
