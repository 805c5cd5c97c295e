"""Statistics: what was built, how packages were, and what it cost, in rows that outlive the builds they count.

koschei.statistics alone writes them. A few thousand rows a year: they are kept for good.
"""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Integer, SmallInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from koschei.db.types import IntEnumType
from koschei.model.base import Base, Name
from koschei.rules.states import BuildState

ZERO = "0"


class StatisticsRefresh(Base):
    """The one row about the counting: every build up to `build_id` is counted, or waits in uncounted_build.

    `behind`: there is more to count than fitted into the last refresh. `task_seconds` is the sum of all
    resource_consumption_stats.
    """

    __tablename__ = "statistics_refresh"
    __table_args__ = (CheckConstraint("id = 1", "one"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    build_id: Mapped[int] = mapped_column(default=0, server_default=ZERO)
    task_seconds: Mapped[float] = mapped_column(default=0.0, server_default=ZERO)
    behind: Mapped[bool] = mapped_column(default=True, server_default=text("true"))
    refreshed: Mapped[datetime | None]


class UncountedBuild(Base):
    """A build that ran when the counting came by. Without a foreign key: nobody shall wait for nobody over it."""

    __tablename__ = "uncounted_build"

    build_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)


class StatisticsDay(Base):
    """A collection at the end of a day (UTC): its packages by state, and how that day went.

    `queue_sum` ÷ `queue_samples`: how many packages waited to be built. `resolve_seconds` ÷ `repositories`: how long
    resolving all packages took; `wait_seconds` ÷ `dated_repositories`: from Koji's making a repository to the last
    answer in it, for those whose age is known.
    """

    __tablename__ = "statistics_day"

    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    ok: Mapped[int] = mapped_column(Integer)
    failing: Mapped[int] = mapped_column(Integer)
    unresolved: Mapped[int] = mapped_column(Integer)
    unknown: Mapped[int] = mapped_column(Integer)
    untracked: Mapped[int] = mapped_column(Integer)
    blocked: Mapped[int] = mapped_column(Integer)
    queue_samples: Mapped[int] = mapped_column(Integer, default=0, server_default=ZERO)
    queue_sum: Mapped[int] = mapped_column(default=0, server_default=ZERO)
    repositories: Mapped[int] = mapped_column(Integer, default=0, server_default=ZERO)
    resolve_seconds: Mapped[float] = mapped_column(default=0.0, server_default=ZERO)
    dated_repositories: Mapped[int] = mapped_column(Integer, default=0, server_default=ZERO)
    wait_seconds: Mapped[float] = mapped_column(default=0.0, server_default=ZERO)


class StatisticsBuilds(Base):
    """The builds of a collection that ended on a day, by how; `seconds`: how long they took together."""

    __tablename__ = "statistics_builds"

    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    real: Mapped[bool] = mapped_column(primary_key=True)
    state: Mapped[BuildState] = mapped_column(IntEnumType(BuildState), primary_key=True)
    builds: Mapped[int] = mapped_column(Integer)
    seconds: Mapped[float]


class StatisticsTasks(Base):
    """The tasks of a collection's builds that ended on a day on an architecture; `seconds`: how long they took."""

    __tablename__ = "statistics_tasks"

    collection_id: Mapped[int] = mapped_column(ForeignKey("collection.id", ondelete="CASCADE"), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    arch: Mapped[str] = mapped_column(primary_key=True)
    tasks: Mapped[int] = mapped_column(Integer)
    seconds: Mapped[float]


class ResourceConsumption(Base):
    """What building a package on an architecture took since counting began, in all collections, deleted ones too."""

    __tablename__ = "resource_consumption_stats"
    __table_args__ = (
        Index("ix_resource_consumption_stats_seconds", text("seconds DESC"), "name", "arch"),
        Index("ix_resource_consumption_stats_arch_seconds", "arch", text("seconds DESC"), "name"),
    )

    name: Mapped[Name] = mapped_column(primary_key=True)
    arch: Mapped[str] = mapped_column(primary_key=True)
    tasks: Mapped[int] = mapped_column(Integer)
    seconds: Mapped[float]
