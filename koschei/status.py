"""The pulse of the services, and the report that tells an operator whether all is well.

A service calls `started` once, then `pass_started` and `pass_finished` or `pass_failed` around each pass. Each is one
statement; a service whose row is gone (a restored database) gets one again with its next pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import func, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from koschei import notices, outbox, webhooks
from koschei.config import Config
from koschei.model import Build, Collection, Package, ServiceStatus
from koschei.queries import scheduling, services
from koschei.queries.collections import all_collections, newest_resolutions
from koschei.rules.pulse import SERVICES
from koschei.rules.states import BuildState, CollectionState, PackageState

LONGEST_ERROR = 1000


def started(session: Session, service: str, instance: str, interval: float, now: datetime) -> None:
    """A process of a service began to work. `instance` names it (host, process id); `interval` is in seconds.

    What earlier processes said of their successes and errors stays: a crash loop must not look like health.
    """
    who = {"instance": instance, "interval": interval, "started": now, "pass_started": None}
    row = insert(ServiceStatus).values(service=service, **who)
    session.execute(row.on_conflict_do_update(index_elements=["service"], set_=who))


def pass_started(session: Session, service: str, instance: str, interval: float, now: datetime) -> None:
    """A pass begins; says again who works, and how often."""
    who = {"instance": instance, "interval": interval, "pass_started": now}
    row = insert(ServiceStatus).values(service=service, started=now, **who)
    session.execute(row.on_conflict_do_update(index_elements=["service"], set_=who))


def pass_finished(session: Session, service: str, now: datetime, detail: Mapping[str, Any] | None = None) -> None:
    """A pass came to its end, and earlier errors to theirs. `detail`: what it did, in JSON values."""
    session.execute(
        update(ServiceStatus)
        .where(ServiceStatus.service == service)
        .values(
            pass_finished=now,
            last_success=now,
            error=None,
            error_since=None,
            failures=0,
            detail=null() if detail is None else dict(detail),
        )
    )


def pass_failed(session: Session, service: str, now: datetime, error: str) -> None:
    """A pass broke off. Failures are counted, and the first in a row says since when."""
    session.execute(
        update(ServiceStatus)
        .where(ServiceStatus.service == service)
        .values(
            pass_finished=now,
            error=error.replace("\0", "")[:LONGEST_ERROR],
            error_since=func.coalesce(ServiceStatus.error_since, now),
            failures=ServiceStatus.failures + 1,
        )
    )


# --- The report


class Health(StrEnum):
    """How a service is. LAGGING: it is not known to do anything. FAILING: its passes break off."""

    OK = "ok"
    LAGGING = "lagging"
    FAILING = "failing"
    NEVER_SEEN = "never seen"


@dataclass(frozen=True)
class ServiceReport:
    """A service; everything but its name and health is None as long as it was never seen."""

    service: str
    health: Health
    instance: str | None = None
    started: datetime | None = None
    last_success: datetime | None = None
    error: str | None = None
    error_since: datetime | None = None
    failures: int = 0
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class CollectionReport:
    """A collection: its newest repository and how long resolving all packages in it took, and how its packages are."""

    name: str
    display_name: str
    state: CollectionState
    repo_id: int | None
    resolution_started: datetime | None
    resolution_finished: datetime | None
    resolution_took: timedelta | None
    packages: Mapping[PackageState, int]
    needing_resolution: int


@dataclass(frozen=True)
class RunningBuild:
    """A build that runs; without a task while Koji's answer to its submission is awaited."""

    package: str
    collection: str
    task_id: int | None
    started: datetime
    age: timedelta


@dataclass(frozen=True)
class StatusReport:
    """Everything at a glance. `queue`: packages that may be built and deserve it; `outbox`: events not sent yet.

    Nobody sends them unless `publishing`.
    """

    now: datetime
    notice: str | None
    services: tuple[ServiceReport, ...]
    collections: tuple[CollectionReport, ...]
    running: tuple[RunningBuild, ...]
    max_builds: int
    queue: int
    outbox: int
    outbox_oldest: datetime | None
    publishing: bool
    webhooks: tuple[webhooks.Summary, ...] = ()

    @property
    def well(self) -> bool:
        """Whether every service does its work."""
        return all(service.health is Health.OK for service in self.services)


def report(session: Session, config: Config, now: datetime) -> StatusReport:
    """The state of everything, in a fixed number of queries."""
    waiting, oldest = outbox.backlog(session)
    return StatusReport(
        now=now,
        notice=notices.current(session),
        services=_services(session, now),
        collections=_collections(session),
        running=_running(session, now),
        max_builds=config.koji_config.max_builds,
        queue=scheduling.queue_length(session, config, now),
        outbox=waiting,
        outbox_oldest=oldest,
        publishing=config.publishing,
        webhooks=tuple(webhooks.summaries(session)),
    )


def _services(session: Session, now: datetime) -> tuple[ServiceReport, ...]:
    rows = {row.service: row for row in session.scalars(select(ServiceStatus))}
    names = [*SERVICES, *sorted(rows.keys() - SERVICES.keys())]
    return tuple(
        _service(rows[name], now) if name in rows else ServiceReport(name, Health.NEVER_SEEN) for name in names
    )


def _service(row: ServiceStatus, now: datetime) -> ServiceReport:
    pulse = services.pulse(row, now)
    return ServiceReport(
        service=row.service,
        health=Health.LAGGING if pulse.lagging else Health.OK if pulse.well else Health.FAILING,
        instance=row.instance,
        started=row.started,
        last_success=row.last_success,
        error=row.error,
        error_since=row.error_since,
        failures=row.failures,
        detail=row.detail,
    )


def _collections(session: Session) -> tuple[CollectionReport, ...]:
    collections = all_collections(session)
    resolutions = newest_resolutions(session, collections)
    counts: dict[int, dict[PackageState, int]] = {}
    query = select(Package.collection_id, Package.state, func.count()).group_by(Package.collection_id, Package.state)
    for collection_id, state, count in session.execute(query):
        counts.setdefault(collection_id, {})[state] = count
    needing = dict(
        session.execute(
            select(Package.collection_id, func.count())
            .where(Package.needs_resolution, Package.tracked, ~Package.blocked, ~Package.skip_resolution)
            .group_by(Package.collection_id)
        ).all()
    )
    reports = []
    for collection in collections:
        resolution = resolutions.get(collection.id)
        reports.append(
            CollectionReport(
                name=collection.name,
                display_name=collection.display_name,
                state=collection.state,
                repo_id=collection.latest_repo_id,
                resolution_started=resolution.started if resolution else None,
                resolution_finished=resolution.finished if resolution else None,
                resolution_took=resolution.took if resolution else None,
                packages={s: counts[collection.id][s] for s in PackageState if s in counts.get(collection.id, {})},
                needing_resolution=needing.get(collection.id, 0),
            )
        )
    return tuple(reports)


def _running(session: Session, now: datetime) -> tuple[RunningBuild, ...]:
    query = (
        select(Package.name, Collection.name, Build.task_id, Build.started)
        .join(Package, Package.id == Build.package_id)
        .join(Collection, Collection.id == Package.collection_id)
        .where(Build.state == BuildState.RUNNING)
        .order_by(Build.started, Build.id)
    )
    rows: Sequence[tuple[str, str, int | None, datetime]] = session.execute(query).all()
    return tuple(RunningBuild(*row, age=now - row[-1]) for row in rows)
