"""One package: how it is in each collection, and its history of builds, resolutions and states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session, aliased, joinedload

from koschei.model import (
    BasePackage,
    Build,
    Collection,
    Package,
    PackageStateChange,
    ResolutionChange,
    ResolutionProblem,
)


@dataclass(frozen=True)
class Somewhere:
    """A package in one collection, with the builds that its state rests on."""

    package: Package
    collection: Collection
    last_complete: Build | None
    running: Build | None


@dataclass(frozen=True)
class Resolution:
    """An answer of the resolver that differed from the one before."""

    id: int
    resolved: bool
    timestamp: datetime
    repo_id: int | None
    problems: tuple[str, ...]


def exists(session: Session, name: str) -> bool:
    """Whether there is a package of this name, in whatever collection."""
    return session.scalar(select(BasePackage.id).where(BasePackage.name == name)) is not None


def everywhere(session: Session, name: str, collections: Sequence[Collection]) -> list[Somewhere]:
    """The package in each of these collections that has it, in their order."""
    complete, running = aliased(Build), aliased(Build)
    query = (
        select(Package, complete, running)
        .outerjoin(complete, complete.id == Package.last_complete_build_id)
        .outerjoin(running, running.id == Package.running_build_id)
        .options(joinedload(Package.collection))
        .where(Package.name == name)
    )
    found = {package.collection_id: (package, last, now) for package, last, now in session.execute(query)}
    return [
        Somewhere(package, collection, last, now)
        for collection in collections
        if collection.id in found
        for package, last, now in [found[collection.id]]
    ]


@dataclass(frozen=True)
class History:
    """Part of the history, newest first, and the newest of all; `whole`: the newest are all that there are."""

    builds: list[Build]
    newest: list[Build]
    whole: bool


def history(session: Session, package_id: int, before: datetime | None, limit: int) -> History:
    """Builds; `before`: only those started earlier, the newest ones beside them."""
    newest = _builds(package_id, None, limit)
    wanted = newest if before is None else newest.union(_builds(package_id, before, limit))
    query = select(Build).where(Build.id.in_(wanted)).order_by(Build.started.desc(), Build.id.desc())
    found = list(session.scalars(query))
    part = found if before is None else [build for build in found if build.started < before]
    return History(part[:limit], found[:limit], len(found) < limit)


def _builds(package_id: int, before: datetime | None, limit: int) -> Select[Any]:
    query = select(Build.id).where(Build.package_id == package_id)
    if before is not None:
        query = query.where(Build.started < before)
    return query.order_by(Build.started.desc(), Build.id.desc()).limit(limit)


def resolutions(session: Session, package_id: int, before: tuple[datetime, int] | None, limit: int) -> list[Resolution]:
    """Answers of the resolver, newest first; `before`: only those earlier than the one of this moment and id."""
    problems = (
        select(func.array_agg(aggregate_order_by(ResolutionProblem.problem, ResolutionProblem.position)))
        .where(ResolutionProblem.resolution_id == ResolutionChange.id)
        .correlate(ResolutionChange)
        .scalar_subquery()
    )
    query = select(
        ResolutionChange.id, ResolutionChange.resolved, ResolutionChange.timestamp, ResolutionChange.repo_id, problems
    ).where(ResolutionChange.package_id == package_id)
    if before is not None:
        query = query.where(tuple_(ResolutionChange.timestamp, ResolutionChange.id) < before)
    query = query.order_by(ResolutionChange.timestamp.desc(), ResolutionChange.id.desc()).limit(limit)
    return [
        Resolution(number, resolved, timestamp, repo_id, tuple(texts or ()))
        for number, resolved, timestamp, repo_id, texts in session.execute(query)
    ]


def last_resolvable(session: Session, package_id: int) -> Resolution | None:
    """The newest answer that said its dependencies can be installed."""
    query = (
        select(ResolutionChange.id, ResolutionChange.timestamp, ResolutionChange.repo_id)
        .where(ResolutionChange.package_id == package_id, ResolutionChange.resolved)
        .order_by(ResolutionChange.timestamp.desc(), ResolutionChange.id.desc())
        .limit(1)
    )
    row = session.execute(query).one_or_none()
    return None if row is None else Resolution(row[0], True, row[1], row[2], ())


def state_changes(session: Session, package_id: int, limit: int) -> list[PackageStateChange]:
    """Changes of state, newest first."""
    query = (
        select(PackageStateChange)
        .where(PackageStateChange.package_id == package_id)
        .order_by(PackageStateChange.timestamp.desc(), PackageStateChange.id.desc())
        .limit(limit)
    )
    return list(session.scalars(query))
