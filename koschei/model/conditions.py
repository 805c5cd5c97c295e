"""The rules of koschei.rules as SQL, for questions about many packages at once; property tests hold both forms equal.

The state rule is the generated column `package.state` (koschei.model.packages.STATE_SQL).
All expressions need Package joined with its Collection.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Float, Integer, and_, case, cast, func, literal, null, or_, select
from sqlalchemy.orm import aliased

from koschei.db.types import UtcDateTime
from koschei.model.builds import Build
from koschei.model.collections import Collection
from koschei.model.packages import Package
from koschei.rules.priority import SHORTEST_HOURS, TIME_FLOOR, Weights

DAY = timedelta(hours=24)


def hours_since_last_build(now: datetime) -> ColumnElement[Any]:
    """Hours since the package's last build was started; NULL without one."""
    # Not extract(): it computes with decimal digits, which takes most of the time of rating all packages.
    return func.date_part("epoch", literal(now, UtcDateTime) - Package.last_build_started, type_=Float) / 3600.0


def time_priority(weights: Weights, now: datetime) -> ColumnElement[float]:
    """koschei.rules.priority.time_priority of the package's last build."""
    magnitude = func.log(func.greatest(SHORTEST_HOURS, hours_since_last_build(now)) / weights.t0)
    return func.greatest(cast(weights.build_threshold * (magnitude / weights.span), Float), TIME_FLOOR)


def priority(weights: Weights, now: datetime) -> ColumnElement[float]:
    """koschei.rules.priority.Priority.total; NULL for a package without a known build."""
    # As numbers with room: two priorities near the largest integer, added as integers, would fail for all packages.
    dynamic = cast(Package.dependency_priority, Float) + Package.build_priority + time_priority(weights, now)
    total = cast(Package.manual_priority, Float) + Package.static_priority + Collection.priority_coefficient * dynamic
    return case((Package.last_build_started.is_(None), cast(null(), Float)), else_=total)


def builds_today(now: datetime) -> ColumnElement[int]:
    """How many scratch builds of the package were started within the last 24 hours, whatever became of them."""
    recent = aliased(Build)
    return (
        select(cast(func.count(), Integer))
        .where(recent.package_id == Package.id, ~recent.real, recent.started > literal(now - DAY, UtcDateTime))
        .correlate(Package)
        .scalar_subquery()
    )


def waiting(now: datetime) -> ColumnElement[bool]:
    """Whether the package must wait: Koji spoiled its build, or there was nothing that could be built."""
    return func.coalesce(Package.retry_after > literal(now, UtcDateTime), False)


def schedulable(now: datetime, builds_per_day_limit: int) -> ColumnElement[bool]:
    """koschei.rules.schedulability.schedulable. Never NULL."""
    return and_(
        Package.tracked,
        ~Package.blocked,
        Package.running_build_id.is_(None),
        or_(func.coalesce(Package.resolved, False), and_(Package.skip_resolution, Package.resolved.is_(None))),
        Package.last_build_id.is_not(None),
        func.coalesce(Collection.latest_repo_resolved, False),
        ~waiting(now),
        builds_today(now) < builds_per_day_limit,
    )
