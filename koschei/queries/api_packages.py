"""Packages as REST API v2 tells of them: as lines of a list by name, and one of them in all its collections."""

from __future__ import annotations

from collections.abc import Collection as Set
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, any_, func, literal_column, or_, select, tuple_
from sqlalchemy.orm import Session

from koschei.config import Config
from koschei.model import (
    BasePackage,
    Build,
    Collection,
    Package,
    PackageGroup,
    PackageGroupRelation,
    PackageMaintainer,
)
from koschei.queries import api_resolutions, package, scheduling
from koschei.queries.changes import like_pattern
from koschei.queries.package import Somewhere
from koschei.queries.scheduling import Explanation
from koschei.rules.states import LEFT_ALONE, PackageState

Lines = Select[*tuple[Any, ...]]
MANY = 300
"""More packages than this are not looked up one by one."""


@dataclass(frozen=True)
class Line:
    """A package in a collection, in a list."""

    id: int
    name: str
    collection: str
    state: PackageState
    since: datetime
    tracked: bool
    blocked: bool
    priority: float | None
    running_build: int | None
    last_build: int | None
    last_complete_build: int | None
    last_build_started: datetime | None


@dataclass(frozen=True)
class Wanted:
    """Which packages; an empty set or None leaves nothing out. `contains`: a part of the name, `*` is anything."""

    collections: Set[str] = ()
    states: Set[PackageState] = ()
    names: Set[str] = ()
    contains: str | None = None
    group_ids: Sequence[int] | None = None
    maintainer: str | None = None
    tracked: bool | None = None
    running: bool | None = None


@dataclass(frozen=True)
class Place:
    """A package in one collection, with all that decides whether it is built."""

    where: Somewhere
    explanation: Explanation
    problems: tuple[str, ...]


@dataclass(frozen=True)
class Everywhere:
    """A package in each collection that has it."""

    name: str
    groups: Sequence[str] = field(default=())
    maintainers: Sequence[str] = field(default=())
    places: Sequence[Place] = field(default=())


def lines(
    session: Session, wanted: Wanted, after: tuple[str, int] | None, limit: int, config: Config, now: datetime
) -> list[Line]:
    """The packages behind `after` (name and id of a package), by name, and by their ids where names are equal."""
    query = (
        select(
            Package.id,
            Package.name,
            Collection.name,
            Package.state,
            Package.state_since,
            Package.tracked,
            Package.blocked,
            scheduling.priority_column(config, now),
            Package.running_build_id,
            Package.last_build_id,
            Package.last_complete_build_id,
            Package.last_build_started,
        )
        .join(Collection, Collection.id == Package.collection_id)
        .order_by(Package.name, Package.id)
        .limit(limit)
    )
    if after is not None:
        query = query.where(Package.name >= after[0], tuple_(Package.name, Package.id) > after)
    query = _filtered(query, wanted).where(*_belonging(session, wanted))
    return [Line(*row) for row in session.execute(query)]


def _filtered(query: Lines, wanted: Wanted) -> Lines:
    if wanted.collections:
        ids = select(Collection.id).where(Collection.name.in_(wanted.collections))
        query = query.where(Package.collection_id.in_(ids))
    if wanted.states:
        query = query.where(Package.state.in_(sorted(wanted.states)))
        if not set(LEFT_ALONE) & set(wanted.states):  # said once more, so that the index of such packages is used
            query = query.where(~Package.blocked, Package.tracked)
    if wanted.names:
        query = query.where(Package.name.in_(wanted.names))
    if wanted.contains:
        # Each name is looked at once, and not once in each collection.
        alike = BasePackage.name.ilike(like_pattern(wanted.contains), escape="\\")
        query = query.where(Package.base_id.in_(select(BasePackage.id).where(alike)))
    if wanted.tracked is not None:
        query = query.where(Package.tracked == wanted.tracked)
    if wanted.running is not None:
        running = Package.running_build_id.is_not(None)
        query = query.where(running if wanted.running else ~running)
    return query


def _belonging(session: Session, wanted: Wanted) -> Iterator[ColumnElement[bool]]:
    """The conditions that packages are in a group, or somebody's: in the source of that, or in a group of the person's.

    Few packages are looked up, as arrays. Of many, a page is sooner full when packages are read by name, and each is
    looked for among the many: PostgreSQL does so only where the condition is part of an OR.
    """
    relation = PackageGroupRelation
    if wanted.group_ids is not None:
        members = select(relation.base_id).where(relation.group_id.in_(wanted.group_ids))
        if _many(session, members):
            yield or_(Package.base_id.in_(members), literal_column("false"))
        else:
            yield Package.base_id == any_(func.array(members.scalar_subquery()))
    if wanted.maintainer is not None:
        said = select(PackageMaintainer.package).where(PackageMaintainer.user_name == wanted.maintainer)
        groups = select(PackageGroup.id).where(PackageGroup.is_of(wanted.maintainer))
        members = select(relation.base_id).where(relation.group_id == any_(func.array(groups.scalar_subquery())))
        if _many(session, said, members):
            yield or_(Package.name.in_(said), Package.base_id.in_(members))
        else:
            yield or_(
                Package.name == any_(func.array(said.scalar_subquery())),
                Package.base_id == any_(func.array(members.scalar_subquery())),
            )


def _many(session: Session, *sets: Select[Any]) -> bool:
    """Whether there are more than MANY in these sets."""
    counts = [select(func.count()).select_from(one.limit(MANY + 1).subquery()).scalar_subquery() for one in sets]
    return sum(session.execute(select(*counts)).one()) > MANY


def everywhere(
    session: Session, name: str, collections: Sequence[Collection], config: Config, now: datetime
) -> Everywhere:
    """A package in these collections, with all that is known about it; without places where there is none."""
    places = package.everywhere(session, name, collections)
    if not places:
        return Everywhere(name)
    ids = [where.package.id for where in places]
    built = _built_today(session, ids, now)
    unresolved = [w.package.id for w in places if w.package.state is PackageState.UNRESOLVED]
    answers = api_resolutions.newest(session, unresolved) if unresolved else {}
    return Everywhere(
        name,
        _groups(session, places[0].package.base_id),
        list(
            session.scalars(
                select(PackageMaintainer.user_name)
                .where(PackageMaintainer.package == name)
                .order_by(PackageMaintainer.user_name)
            )
        ),
        [
            Place(
                where,
                scheduling.explain(session, where.package, config, now, built=built.get(where.package.id, 0)),
                answers[where.package.id].problems if where.package.id in answers else (),
            )
            for where in places
        ],
    )


def in_collection(session: Session, name: str, collection_id: int) -> int | None:
    """The number of a package in a collection; None when it is not there."""
    return session.scalar(select(Package.id).where(Package.name == name, Package.collection_id == collection_id))


def _built_today(session: Session, package_ids: Sequence[int], now: datetime) -> dict[int, int]:
    query = (
        select(Build.package_id, func.count())
        .where(Build.package_id.in_(package_ids), ~Build.real, Build.started > now - scheduling.DAY)
        .group_by(Build.package_id)
    )
    return dict(session.execute(query).all())


def _groups(session: Session, base_id: int) -> list[str]:
    query = (
        select(PackageGroup)
        .join(PackageGroupRelation, PackageGroupRelation.group_id == PackageGroup.id)
        .where(PackageGroupRelation.base_id == base_id)
        .order_by(*PackageGroup.in_order())
    )
    return [group.full_name for group in session.scalars(query)]
