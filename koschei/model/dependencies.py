"""Binary packages that builds depended on, and how that set changed between builds."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, Integer, LargeBinary, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

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


class AppliedChange(Base):
    """A difference between the dependencies of a build and those of the build before it."""

    __tablename__ = "applied_change"
    __table_args__ = (CheckConstraint("prev_dep_id IS DISTINCT FROM curr_dep_id", "differ"),)

    id: Mapped[Id]
    build_id: Mapped[int] = mapped_column(ForeignKey("build.id", ondelete="CASCADE"), index=True)
    prev_dep_id: Mapped[int | None] = mapped_column(ForeignKey("dependency.id"), index=True)
    curr_dep_id: Mapped[int | None] = mapped_column(ForeignKey("dependency.id"), index=True)
    distance: Mapped[int | None] = mapped_column(Integer)

    prev: Mapped[Dependency | None] = relationship(foreign_keys=[prev_dep_id])
    curr: Mapped[Dependency | None] = relationship(foreign_keys=[curr_dep_id])


class UnappliedChange(Base):
    """A difference between what would be installed now and what the package's last build had."""

    __tablename__ = "unapplied_change"
    __table_args__ = (CheckConstraint("prev_dep_id IS DISTINCT FROM curr_dep_id", "differ"),)

    id: Mapped[Id]
    package_id: Mapped[int] = mapped_column(ForeignKey("package.id", ondelete="CASCADE"), index=True)
    prev_dep_id: Mapped[int | None] = mapped_column(ForeignKey("dependency.id"))
    curr_dep_id: Mapped[int | None] = mapped_column(ForeignKey("dependency.id"))
    distance: Mapped[int | None] = mapped_column(Integer)

    prev: Mapped[Dependency | None] = relationship(foreign_keys=[prev_dep_id])
    curr: Mapped[Dependency | None] = relationship(foreign_keys=[curr_dep_id])
