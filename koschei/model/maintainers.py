"""Who maintains which package, as a distribution's source of packages says it, and what is known of that source."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, Integer
from sqlalchemy.orm import Mapped, mapped_column

from koschei.model.base import Base, Name


class PackageMaintainer(Base):
    """A person maintains a package. Both are names: neither need be known here, and may be tomorrow."""

    __tablename__ = "package_maintainer"

    user_name: Mapped[Name] = mapped_column(primary_key=True)
    package: Mapped[Name] = mapped_column(primary_key=True, index=True)


class MaintainerSource(Base):
    """The one row about the source: what it last said of itself, when it was last well, and what is wrong since when.

    `refused_since`: since when its answers were too bad to be believed.
    """

    __tablename__ = "maintainer_source"
    __table_args__ = (CheckConstraint("id = 1", "one"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    url: Mapped[str]
    etag: Mapped[str | None]
    last_modified: Mapped[str | None]
    last_good: Mapped[datetime | None]
    error: Mapped[str | None]
    error_since: Mapped[datetime | None]
    refused_since: Mapped[datetime | None]
