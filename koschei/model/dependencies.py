"""Binary packages that builds depended on, and how that set changed between builds.

What names a binary package has no foreign key to it, nor have changes to their build: a check and a lock for each row
would be most of the work of branching a collection. koschei.dependencies and koschei.orphans see to it that nothing
names what is not there, and who deletes builds deletes their changes before.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.orm import Mapped, foreign, mapped_column, relationship, remote

from koschei.model.base import Base, Id, Name


class Dependency(Base):
    """A binary package by its NEVRA; one row each, shared by all builds."""

    __tablename__ = "dependency"
    __table_args__ = (UniqueConstraint("name", "epoch", "version", "release", "arch"),)

    id: Mapped[Id]
    name: Mapped[Name]
    epoch: Mapped[int] = mapped_column(Integer)
    version: Mapped[str]
    release: Mapped[str]
    arch: Mapped[str]
    evr_key: Mapped[bytes] = mapped_column(LargeBinary)


class DependencySweep(Base):
    """One row: how many times dependencies have been deleted. Its table is locked by who names or deletes some."""

    __tablename__ = "dependency_sweep"
    __table_args__ = (CheckConstraint("id = 1", "one"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    generation: Mapped[int]


class AppliedChange(Base):
    """A difference between the dependencies of a build and those of the build before it."""

    __tablename__ = "applied_change"
    __table_args__ = (
        CheckConstraint("prev_dep_id IS DISTINCT FROM curr_dep_id", "differ"),
        # Finds all changes of a binary package: both ids of a change belong to one name, and what was added has only
        # the second. It also finds whatever is named as the first; the second is in the set of the change's build.
        # With the second beside it, it finds all changes from one version to another.
        Index("ix_applied_change_dep_ids", text("coalesce(prev_dep_id, curr_dep_id)"), "curr_dep_id"),
    )

    build_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    distance: Mapped[int | None] = mapped_column(Integer)
    prev_dep_id: Mapped[int | None]
    curr_dep_id: Mapped[int | None]

    prev: Mapped[Dependency | None] = relationship(
        primaryjoin=lambda: foreign(AppliedChange.prev_dep_id) == remote(Dependency.id), viewonly=True
    )
    curr: Mapped[Dependency | None] = relationship(
        primaryjoin=lambda: foreign(AppliedChange.curr_dep_id) == remote(Dependency.id), viewonly=True
    )


class UnappliedChange(Base):
    """A difference between what would be installed now and what the package's last build had."""

    __tablename__ = "unapplied_change"
    __table_args__ = (CheckConstraint("prev_dep_id IS DISTINCT FROM curr_dep_id", "differ"),)

    id: Mapped[Id]
    package_id: Mapped[int] = mapped_column(ForeignKey("package.id", ondelete="CASCADE"), index=True)
    prev_dep_id: Mapped[int | None]
    curr_dep_id: Mapped[int | None]
    distance: Mapped[int | None] = mapped_column(Integer)

    prev: Mapped[Dependency | None] = relationship(
        primaryjoin=lambda: foreign(UnappliedChange.prev_dep_id) == remote(Dependency.id), viewonly=True
    )
    curr: Mapped[Dependency | None] = relationship(
        primaryjoin=lambda: foreign(UnappliedChange.curr_dep_id) == remote(Dependency.id), viewonly=True
    )
