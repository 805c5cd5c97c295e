"""What a feed tells: packages that newly broke, and packages that were mended, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Row, Select, and_, or_, select, text, true
from sqlalchemy.orm import Session, aliased

from koschei.model import Collection, Package, PackageStateChange
from koschei.queries import maintainers, packages
from koschei.queries.overview import likely_reasons
from koschei.rules.states import BROKEN, PackageState

Which = ColumnElement[bool]
WITHIN = timedelta(days=30)
"""A feed of many packages goes back so far: who reads it less often has other worries."""

CANDIDATES = 400

# The problems that were known when a package became unresolved: the newest answer until then. It is stored in the same
# transaction, a moment before or after.
PROBLEMS = text("""
    SELECT o.id, first.problem, first.total
    FROM unnest(CAST(:ids AS bigint[])) AS o(id)
    JOIN package_state_change AS s ON s.id = o.id
    CROSS JOIN LATERAL (
        SELECT c.id FROM resolution_change AS c
        WHERE c.package_id = s.package_id AND NOT c.resolved AND c.timestamp < s.timestamp + interval '1 minute'
        ORDER BY c.timestamp DESC, c.id DESC LIMIT 1) AS newest
    CROSS JOIN LATERAL (
        SELECT r.problem, count(*) OVER () AS total FROM resolution_problem AS r WHERE r.resolution_id = newest.id
        ORDER BY r.position LIMIT 1) AS first
""")


@dataclass(frozen=True)
class News:
    """A package broke or was mended. `reason`: a line, or empty; `build_id`: the evidence, if it is a build."""

    id: int
    name: str
    collection: Collection
    prev: PackageState
    new: PackageState
    timestamp: datetime
    build_id: int | None
    reason: str = ""


def of_all() -> Which:
    """All packages."""
    return true()


def of_package(name: str) -> Which:
    """The packages of that name."""
    return Package.name == name


def of_group(group_id: int) -> Which:
    """The packages in a group."""
    return packages.in_groups([group_id])


def of_user(name: str) -> Which:
    """What somebody maintains."""
    return maintainers.are_of(name)


def news(
    session: Session,
    collections: Sequence[Collection],
    which: Which,
    since: datetime | None,
    limit: int,
) -> list[News]:
    """What happened in these collections to packages.

    `since`: only what is newer, so that a feed of many packages need not look through all that ever happened.
    """
    by_id = {collection.id: collection for collection in collections}
    here = and_(which, Package.collection_id.in_(by_id))
    rows = [] if since is None else _read(session, _among_newest(since), here, limit)
    if len(rows) < limit:
        newer = true() if since is None else PackageStateChange.timestamp > since
        rows = _read(session, select(PackageStateChange).where(_told(), newer), here, limit)
    reasons = _reasons(session, [row for row, _, _ in rows])
    return [
        News(row.id, name, by_id[place], row.prev, row.new, row.timestamp, row.build_id, reasons.get(row.id, ""))
        for row, name, place in rows
    ]


def _told() -> ColumnElement[bool]:
    """Whether a change of state is news."""
    change = PackageStateChange
    broke = and_(change.new.in_(BROKEN), change.prev.not_in(BROKEN))
    return or_(broke, and_(change.new == PackageState.OK, change.prev.in_(BROKEN)))


def _among_newest(since: datetime) -> Select[PackageStateChange]:
    """The newest changes of all. Among them there are enough of a feed of very many packages, and they are read
    backwards from the last one; few packages are sooner asked one by one.
    """
    change = PackageStateChange
    query = select(change).where(_told(), change.timestamp > since)
    return query.order_by(change.timestamp.desc(), change.id.desc()).limit(CANDIDATES)


def _read(
    session: Session, changes: Select[PackageStateChange], here: Which, limit: int
) -> Sequence[Row[PackageStateChange, str, int]]:
    """The newest of these changes that are of such packages."""
    change = aliased(PackageStateChange, changes.subquery())
    query = (
        select(change, Package.name, Package.collection_id)
        .join(Package, Package.id == change.package_id)
        .where(here)
        .order_by(change.timestamp.desc(), change.id.desc())
        .limit(limit)
    )
    return session.execute(query).all()


def _reasons(session: Session, changes: Sequence[PackageStateChange]) -> dict[int, str]:
    """Why these packages broke, likely, by the change of their state."""
    failed = {c.id: c.build_id for c in changes if c.new is PackageState.FAILING and c.build_id is not None}
    by_build = likely_reasons(session, sorted(set(failed.values())))
    reasons = {number: by_build[build] for number, build in failed.items() if build in by_build}
    unresolved = [c.id for c in changes if c.new is PackageState.UNRESOLVED]
    for number, problem, total in session.execute(PROBLEMS, {"ids": unresolved}) if unresolved else ():
        reasons[number] = problem + (f" (and {total - 1} more)" if total > 1 else "")
    return reasons
