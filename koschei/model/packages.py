"""Source packages: their identity across collections, their state in each, and the history of that state."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, Computed, ForeignKey, Index, Integer, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from koschei.db.types import IntEnumType, StrEnumType
from koschei.model.base import Base, Id, Name, Now
from koschei.model.collections import Collection
from koschei.rules.states import BuildState, PackageState, SkipReason

# The state rule (koschei.rules.states.package_state) as PostgreSQL computes it; a property test holds them equal.
STATE_SQL = (
    "CASE WHEN blocked THEN 'blocked' WHEN NOT tracked THEN 'untracked' WHEN resolved IS FALSE THEN 'unresolved' "
    "WHEN last_complete_build_state = 3 THEN 'ok' WHEN last_complete_build_state = 5 THEN 'failing' ELSE 'unknown' END"
)


class Cause(StrEnum):
    """What made a package change its state."""

    BUILD = "build"
    REAL_BUILD = "real-build"
    RESOLUTION = "resolution"
    UNTAGGED = "untagged"
    BLOCKED = "blocked"
    TRACKED = "tracked"
    EDITED = "edited"


class BasePackage(Base):
    """A source package by name, whatever the collection."""

    __tablename__ = "base_package"

    id: Mapped[Id]
    name: Mapped[Name] = mapped_column(unique=True)


class Package(Base):
    """A source package in one collection.

    The columns from `last_build_id` to `last_build_started` follow from the package's builds and are written by
    koschei.transitions alone; `state` follows from the row and is written by PostgreSQL.
    """

    __tablename__ = "package"
    __table_args__ = (
        UniqueConstraint("base_id", "collection_id"),
        CheckConstraint("NOT skip_resolution OR resolved IS NULL", "skip_resolution"),
        Index("ix_package_collection_id_name", "collection_id", "name", unique=True),
        Index(
            "ix_package_collection_id_state",
            "collection_id",
            "state",
            postgresql_where=text("NOT blocked AND tracked"),
        ),
        # Counts packages by state and tells names apart without reading a row.
        Index("ix_package_base_id_collection_id_state", "base_id", "collection_id", "state"),
        Index(
            "ix_package_needs_resolution",
            "collection_id",
            postgresql_where=text("needs_resolution AND tracked AND NOT blocked"),
        ),
    )

    id: Mapped[Id]
    base_id: Mapped[int] = mapped_column(ForeignKey("base_package.id", ondelete="CASCADE"))
    name: Mapped[Name] = mapped_column(index=True)
    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"))

    tracked: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    blocked: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    arch_override: Mapped[str | None]
    skip_resolution: Mapped[bool] = mapped_column(default=False, server_default=text("false"))

    static_priority: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    manual_priority: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    build_priority: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    dependency_priority: Mapped[int] = mapped_column(Integer, default=0, server_default="0")

    # None: not attempted, or skip_resolution. needs_resolution: the answer is out of date before the next repository.
    resolved: Mapped[bool | None]
    needs_resolution: Mapped[bool] = mapped_column(default=True, server_default=text("true"))

    scheduler_skip_reason: Mapped[SkipReason | None] = mapped_column(IntEnumType(SkipReason))
    spoiled_in_a_row: Mapped[int] = mapped_column(Integer, default=0, server_default="0")
    retry_after: Mapped[datetime | None]

    last_build_id: Mapped[int | None] = mapped_column(
        ForeignKey("build.id", ondelete="SET NULL", use_alter=True), index=True
    )
    last_complete_build_id: Mapped[int | None] = mapped_column(
        ForeignKey("build.id", ondelete="SET NULL", use_alter=True), index=True
    )
    last_complete_build_state: Mapped[BuildState | None] = mapped_column(IntEnumType(BuildState))
    running_build_id: Mapped[int | None] = mapped_column(
        ForeignKey("build.id", ondelete="SET NULL", use_alter=True), index=True
    )
    last_build_started: Mapped[datetime | None]

    state: Mapped[PackageState] = mapped_column(StrEnumType(PackageState), Computed(text(STATE_SQL), persisted=True))
    state_since: Mapped[Now]

    base: Mapped[BasePackage] = relationship()
    collection: Mapped[Collection] = relationship()


class PackageStateChange(Base):
    """A package went from one state to another; each has its event in the outbox, from the same transaction."""

    __tablename__ = "package_state_change"
    __table_args__ = (
        Index(None, "package_id", "timestamp"),
        Index(None, "timestamp"),
        CheckConstraint("prev <> new", "moved"),
    )

    id: Mapped[Id]
    package_id: Mapped[int] = mapped_column(ForeignKey("package.id", ondelete="CASCADE"))
    prev: Mapped[PackageState] = mapped_column(StrEnumType(PackageState))
    new: Mapped[PackageState] = mapped_column(StrEnumType(PackageState))
    cause: Mapped[Cause] = mapped_column(StrEnumType(Cause))
    timestamp: Mapped[Now]
    build_id: Mapped[int | None] = mapped_column(ForeignKey("build.id", ondelete="SET NULL"), index=True)
    repo_id: Mapped[int | None]

    package: Mapped[Package] = relationship()
