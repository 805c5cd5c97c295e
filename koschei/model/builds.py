"""Builds: scratch builds that Koschei asked for and real builds of maintainers, with their tasks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from koschei.db.types import IntEnumType
from koschei.model.base import Base, Id
from koschei.model.packages import Package
from koschei.rules.states import BuildState


class Build(Base):
    """One build of one package.

    A scratch build is stored before Koji is asked for it: `task_id` is NULL until Koji's answer is stored, and
    `submission` holds what was asked, so that a task whose number got lost can be found again.
    """

    __tablename__ = "build"
    __table_args__ = (
        CheckConstraint("state IN (2, 3, 4, 5, 6)", "state"),
        CheckConstraint("NOT real OR state IN (3, 5)", "real_complete"),
        # A verdict on a scratch build rests on a task and a repository.
        CheckConstraint("real OR state NOT IN (3, 5) OR (task_id IS NOT NULL AND repo_id IS NOT NULL)", "repo_id"),
        CheckConstraint("state = 2 OR finished IS NOT NULL", "finished"),
        CheckConstraint("state <> 2 OR task_id IS NOT NULL OR submission IS NOT NULL", "submission"),
        UniqueConstraint("package_id", "task_id"),
        Index("ix_build_package_id_started", "package_id", text("started DESC")),
        Index("uq_build_running", "package_id", unique=True, postgresql_where=text("state = 2")),
        # Branching copies rows; every other scratch build has a task of its own.
        Index("uq_build_task", "task_id", unique=True, postgresql_where=text("NOT real AND copied_from IS NULL")),
        Index("ix_build_task_id", "task_id"),
        Index("ix_build_state_started", "state", "started", postgresql_where=text("state = 2")),
        Index("ix_build_started_id", "started", "id"),
        Index("ix_build_untagged", "package_id", postgresql_where=text("untagged")),
        Index(
            "ix_build_unresolved",
            "repo_id",
            postgresql_where=text("deps_resolved IS NULL AND repo_id IS NOT NULL AND state IN (2, 3, 5)"),
        ),
    )

    id: Mapped[Id]
    package_id: Mapped[int] = mapped_column(ForeignKey("package.id", ondelete="CASCADE"))
    state: Mapped[BuildState] = mapped_column(IntEnumType(BuildState), default=BuildState.RUNNING)
    task_id: Mapped[int | None]
    started: Mapped[datetime]
    finished: Mapped[datetime | None]
    epoch: Mapped[int | None] = mapped_column(Integer)
    version: Mapped[str]
    release: Mapped[str]
    evr_key: Mapped[bytes] = mapped_column(LargeBinary)
    repo_id: Mapped[int | None]
    real: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    untagged: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    cancel_requested: Mapped[bool] = mapped_column(default=False, server_default=text("false"))
    deps_resolved: Mapped[bool | None]
    fault_code: Mapped[int | None] = mapped_column(Integer)
    fault_text: Mapped[str | None]
    submission: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    copied_from: Mapped[int | None]

    package: Mapped[Package] = relationship(foreign_keys=[package_id])
    tasks: Mapped[list[KojiTask]] = relationship(order_by="KojiTask.arch", passive_deletes=True)


class KojiTask(Base):
    """A build's task for one architecture; `state` is Koji's number (0 free .. 5 failed)."""

    __tablename__ = "koji_task"
    __table_args__ = (
        UniqueConstraint("build_id", "task_id"),
        CheckConstraint("state BETWEEN 0 AND 5", "state"),
    )

    id: Mapped[Id]
    build_id: Mapped[int] = mapped_column(ForeignKey("build.id", ondelete="CASCADE"))
    task_id: Mapped[int]
    arch: Mapped[str]
    state: Mapped[int] = mapped_column(Integer)
    started: Mapped[datetime]
    finished: Mapped[datetime | None]


class BuildDependencies(Base):
    """The binary packages that were installed for a build: ascending dependency ids, packed by koschei.dependencies."""

    __tablename__ = "build_dependencies"

    build_id: Mapped[int] = mapped_column(ForeignKey("build.id", ondelete="CASCADE"), primary_key=True)
    packed_ids: Mapped[bytes] = mapped_column(LargeBinary)
    # In the order in which sets were stored, whatever their build: what is newer than a number is found at once.
    number: Mapped[int] = mapped_column(Identity(always=False), unique=True)
