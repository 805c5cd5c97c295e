"""What is to be built next, and why a package is or is not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from koschei.config import Config
from koschei.model import Build, Collection, Package, ServiceStatus, conditions
from koschei.rules import priority as rules
from koschei.rules import schedulability
from koschei.rules.priority import Priority, Weights
from koschei.rules.schedulability import Condition, SchedulingFacts
from koschei.rules.states import BuildState


@dataclass(frozen=True)
class Explanation:
    """Why a package is or is not built now.

    `priority` is None as long as no build of it is known; `due` is when elapsed time alone will reach the threshold.
    """

    conditions: tuple[Condition, ...]
    priority: Priority | None
    threshold: int
    due: datetime | None

    @property
    def schedulable(self) -> bool:
        """Whether every condition holds."""
        return all(condition.holds for condition in self.conditions)

    @property
    def queued(self) -> bool:
        """Whether it is built as soon as there is room for it."""
        return self.schedulable and self.priority is not None and self.priority.total >= self.threshold


@dataclass(frozen=True)
class Candidate:
    """A package that may be built, with what it is worth."""

    package_id: int
    name: str
    collection: str
    priority: float


@dataclass(frozen=True)
class Room:
    """What the scheduler found in its last pass, and when: `words` without a full stop."""

    moment: datetime
    words: str


DAY = timedelta(hours=24)


def priority_column(config: Config, now: datetime) -> ColumnElement[float]:
    """The priority as an SQL expression over Package joined with Collection; NULL without a known build."""
    return conditions.priority(Weights.of(config.priorities), now)


def schedulable_column(config: Config, now: datetime) -> ColumnElement[bool]:
    """Whether a package may be built, as an SQL expression over Package joined with Collection."""
    return conditions.schedulable(now, config.koji_config.max_package_builds_per_day)


def candidates(
    session: Session, config: Config, now: datetime, limit: int = 100, *, without: Iterable[str] = ()
) -> list[Candidate]:
    """The packages that may be built and deserve it, most deserving first, equal ones by name.

    `without`: names of collections that are left out.
    """
    value = priority_column(config, now).label("priority")
    query = (
        select(Package.id, Package.name, Collection.name, value)
        .join(Collection, Collection.id == Package.collection_id)
        .where(
            value >= config.priorities.build_threshold,
            schedulable_column(config, now),
            Collection.name.not_in(list(without)),
        )
        .order_by(value.desc(), Package.name, Package.id)
        .limit(limit)
    )
    return [Candidate(*row) for row in session.execute(query)]


def queues(session: Session, config: Config, now: datetime) -> dict[int, int]:
    """How many packages of each collection (by id) may be built and deserve it; those without any are left out."""
    query = (
        select(Package.collection_id, func.count())
        .join(Collection, Collection.id == Package.collection_id)
        .where(
            priority_column(config, now) >= config.priorities.build_threshold,
            schedulable_column(config, now),
        )
        .group_by(Package.collection_id)
    )
    return dict(session.execute(query).all())


def queue_length(session: Session, config: Config, now: datetime) -> int:
    """How many packages may be built and deserve it."""
    return sum(queues(session, config, now).values())


def running_builds(session: Session) -> int:
    """How many scratch builds are running or being submitted; a branch's copy of one is the same task in Koji."""
    query = select(func.count()).select_from(Build)
    return session.execute(query.where(Build.state == BuildState.RUNNING, Build.copied_from.is_(None))).scalar_one()


def room(session: Session) -> Room | None:
    """Why what is queued is not built yet; None as long as the scheduler has no answer, and while its passes fail."""
    found = session.get(ServiceStatus, "scheduler")
    if found is None or found.pass_finished is None or found.error is not None or not found.detail:
        return None
    running, most = found.detail.get("running"), found.detail.get("max_builds")
    words = f"{running} of at most {most} builds are running"
    if waiting_for := found.detail.get("waiting_for"):
        words += f"; it waits for {waiting_for}"
    elif obstacles := found.detail.get("obstacles"):
        words += f"; {obstacles[0]}"
    elif submitted := found.detail.get("submitted"):
        words += f"; {submitted} was submitted last"
    return Room(found.pass_finished, words)


def explain(
    session: Session, package: Package, config: Config, now: datetime, *, built: int | None = None
) -> Explanation:
    """The conditions and the priority of one package; `built`: how many scratch builds within 24 hours, if known."""
    collection = package.collection
    if built is None:
        built = session.execute(
            select(func.count())
            .select_from(Build)
            .where(Build.package_id == package.id, ~Build.real, Build.started > now - DAY)
        ).scalar_one()
    facts = scheduling_facts(package, collection, built, config.koji_config.max_package_builds_per_day, now)
    weights = Weights.of(config.priorities)
    value = current_priority(package, collection, weights, now)
    due = None
    if value is not None and package.last_build_started is not None:
        wait = rules.hours_until_due(value, hours_between(package.last_build_started, now), weights)
        due = None if wait is None else now + timedelta(hours=wait)
    return Explanation(schedulability.conditions(facts), value, weights.build_threshold, due)


def scheduling_facts(
    package: Package, collection: Collection, built_today: int, per_day: int, now: datetime
) -> SchedulingFacts:
    """What the conditions are asked about."""
    return SchedulingFacts(
        tracked=package.tracked,
        blocked=package.blocked,
        resolved=package.resolved,
        skip_resolution=package.skip_resolution,
        has_running_build=package.running_build_id is not None,
        has_known_build=package.last_build_id is not None,
        has_verdict=package.last_complete_build_id is not None,
        skip_reason=package.scheduler_skip_reason,
        collection=collection.display_name,
        base_resolved=collection.latest_repo_resolved,
        builds_today=built_today,
        builds_per_day_limit=per_day,
        retry_after=package.retry_after,
        now=now,
    )


def current_priority(package: Package, collection: Collection, weights: Weights, now: datetime) -> Priority | None:
    """The parts of a package's priority; None as long as no build of it is known."""
    if package.last_build_started is None:
        return None
    return Priority(
        manual=package.manual_priority,
        static=package.static_priority,
        dependency=package.dependency_priority,
        build=package.build_priority,
        time=rules.time_priority(hours_between(package.last_build_started, now), weights),
        coefficient=collection.priority_coefficient,
    )


def hours_between(start: datetime, end: datetime) -> float:
    """Hours from start to end."""
    return (end - start).total_seconds() / 3600
