"""Collections: which there are, how their packages are, and what is known of their newest repository."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session, selectinload

from koschei.model import (
    Build,
    BuildrootProblem,
    Collection,
    CollectionGroup,
    CollectionStateChange,
    Package,
    RepositoryResolution,
)
from koschei.rules.states import PackageState

Counts = dict[PackageState, int]


@dataclass(frozen=True)
class Resolution:
    """How the packages of a collection were resolved in one repository; `finished` is None while that goes on.

    `created`: when Koji made the repository, None if it did not tell.
    """

    repo_id: int
    base_resolved: bool
    started: datetime
    finished: datetime | None
    resolved: int
    unresolved: int
    changed: int
    created: datetime | None = None

    @property
    def took(self) -> timedelta | None:
        """How long it took."""
        return None if self.finished is None else self.finished - self.started


@dataclass(frozen=True)
class Size:
    """How many packages and builds there are."""

    packages: int
    builds: int


@dataclass(frozen=True)
class Grouped:
    """A heading and the collections under it."""

    title: str
    collections: list[Collection] = field(default_factory=list)


def all_collections(session: Session) -> list[Collection]:
    """All collections, in the order in which people see them: highest `order` first."""
    return list(session.scalars(select(Collection).order_by(Collection.order.desc(), Collection.name.desc())))


def size(session: Session, collection_id: int) -> Size:
    """How much a collection holds."""
    packages = select(func.count()).select_from(Package).where(Package.collection_id == collection_id)
    builds = (
        select(func.count())
        .select_from(Build)
        .join(Package, Package.id == Build.package_id)
        .where(Package.collection_id == collection_id)
    )
    return Size(session.scalars(packages).one(), session.scalars(builds).one())


def grouped(session: Session, collections: Sequence[Collection]) -> list[Grouped]:
    """These collections by collection group (one may be in several), those in no group last."""
    groups = session.scalars(
        select(CollectionGroup).options(selectinload(CollectionGroup.collections)).order_by(CollectionGroup.name)
    ).all()
    wanted = {collection.id for collection in collections}
    result = [Grouped(group.display_name, [c for c in group.collections if c.id in wanted]) for group in groups]
    seen = {collection.id for group in result for collection in group.collections}
    rest = [collection for collection in collections if collection.id not in seen]
    result.append(Grouped("Others" if seen else "", rest))
    return [group for group in result if group.collections]


def buildroot_problems(session: Session, collection_ids: Iterable[int]) -> dict[int, list[str]]:
    """Why the base buildroots of these collections cannot be installed, by collection."""
    query = (
        select(BuildrootProblem.collection_id, BuildrootProblem.problem)
        .where(BuildrootProblem.collection_id.in_(list(collection_ids)))
        .order_by(BuildrootProblem.id)
    )
    problems: dict[int, list[str]] = {}
    for collection_id, problem in session.execute(query):
        problems.setdefault(collection_id, []).append(problem)
    return problems


def state_counts(session: Session, collection_ids: Iterable[int]) -> dict[int, Counts]:
    """How many tracked, unblocked packages of each collection are in each state."""
    ids = list(collection_ids)
    query = (
        select(Package.collection_id, Package.state, func.count())
        .where(Package.collection_id.in_(ids), ~Package.blocked, Package.tracked)
        .group_by(Package.collection_id, Package.state)
    )
    result: dict[int, Counts] = {i: {} for i in ids}
    for collection_id, state, count in session.execute(query):
        result[collection_id][state] = count
    return result


def left_out(session: Session, collection_id: int) -> Counts:
    """How many packages of a collection are not tested, because they are untracked or blocked."""
    query = (
        select(Package.state, func.count())
        .where(Package.collection_id == collection_id, Package.blocked | ~Package.tracked)
        .group_by(Package.state)
    )
    return dict(session.execute(query).all())


def newest_resolutions(session: Session, collections: Iterable[Collection]) -> dict[int, Resolution]:
    """The resolution of each collection's newest repository, by collection; missing where there is none."""
    newest = [(c.id, c.latest_repo_id) for c in collections if c.latest_repo_id is not None]
    query = select(RepositoryResolution).where(
        tuple_(RepositoryResolution.collection_id, RepositoryResolution.repo_id).in_(newest)
    )
    return {row.collection_id: _resolution(row) for row in session.scalars(query)} if newest else {}


def resolutions(session: Session, collection_id: int, limit: int) -> list[Resolution]:
    """The newest resolutions of a collection, newest first."""
    query = (
        select(RepositoryResolution)
        .where(RepositoryResolution.collection_id == collection_id)
        .order_by(RepositoryResolution.repo_id.desc())
        .limit(limit)
    )
    return [_resolution(row) for row in session.scalars(query)]


def buildroot_history(session: Session, collection_id: int, limit: int) -> list[CollectionStateChange]:
    """When the base buildroot broke and was mended, newest first."""
    query = (
        select(CollectionStateChange)
        .where(CollectionStateChange.collection_id == collection_id)
        .order_by(CollectionStateChange.timestamp.desc(), CollectionStateChange.id.desc())
        .limit(limit)
    )
    return list(session.scalars(query))


def _resolution(row: RepositoryResolution) -> Resolution:
    return Resolution(
        repo_id=row.repo_id,
        base_resolved=row.base_resolved,
        started=row.started,
        finished=row.finished,
        resolved=row.resolved,
        unresolved=row.unresolved,
        changed=row.changed,
        created=row.repo_created,
    )
