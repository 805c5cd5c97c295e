"""What is broken now, since when and why; what was mended; what is being built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select, text, true
from sqlalchemy.orm import Session

from koschei.model import Build, Collection, Package, PackageStateChange
from koschei.queries import changes
from koschei.queries.collections import Counts
from koschei.rules import evr
from koschei.rules.states import BROKEN, BuildState, PackageState
from koschei.rules.suspects import describe

FIXED_WITHIN = timedelta(days=7)
FIXED_CANDIDATES = 1000
BUCKETS = 24
BUCKET = timedelta(hours=1)


@dataclass(frozen=True)
class Trend:
    """The last day: how many more packages are in each state now, and how many were broken in each hour."""

    difference: Counts = field(default_factory=dict)
    broken: tuple[int, ...] = ()


@dataclass(frozen=True)
class Moved:
    """A package that changed its state; `reason` in a line, `build_id` the evidence if it was a build."""

    name: str
    collection: Collection
    state: PackageState
    since: datetime
    reason: str = ""
    build_id: int | None = None


@dataclass(frozen=True)
class Running:
    """A build that runs."""

    id: int
    name: str
    collection_id: int
    version: str
    started: datetime


DAY = text("""
    SELECT p.collection_id, floor(extract(epoch FROM :now - s.timestamp) / 3600)::int AS age, s.prev, s.new, count(*)
    FROM package_state_change AS s JOIN package AS p ON p.id = s.package_id
    WHERE s.timestamp > :since AND p.collection_id = ANY(:ids)
    GROUP BY 1, 2, 3, 4
""")

# Each build and the key of the version of the counted build before it.
FAILED = text("""
    SELECT b.id, b.deps_resolved, b.epoch, b.version, b.release, b.evr_key, previous.evr_key AS previous_key
    FROM build AS b
    LEFT JOIN LATERAL (
        SELECT q.evr_key FROM build AS q
        WHERE q.package_id = b.package_id AND q.started < b.started AND q.state IN (3, 5) AND NOT q.untagged
        ORDER BY q.started DESC, q.id DESC LIMIT 1) AS previous ON true
    WHERE b.id = ANY(:ids)
""")
PROBLEMS = text("""
    SELECT o.id, first.problem, first.total
    FROM unnest(CAST(:ids AS bigint[])) AS o(id)
    CROSS JOIN LATERAL (
        SELECT c.id FROM resolution_change AS c WHERE c.package_id = o.id
        ORDER BY c.timestamp DESC, c.id DESC LIMIT 1) AS newest
    CROSS JOIN LATERAL (
        SELECT r.problem, count(*) OVER () AS total FROM resolution_problem AS r WHERE r.resolution_id = newest.id
        ORDER BY r.position LIMIT 1) AS first
""")


def trends(session: Session, counts: dict[int, Counts], now: datetime) -> dict[int, Trend]:
    """How the states (`counts`, by collection) came about within the last day, from the history of states."""
    rows = session.execute(DAY, {"now": now, "since": now - BUCKETS * BUCKET, "ids": list(counts)}).all()
    result: dict[int, Trend] = {}
    for collection_id, states in counts.items():
        difference: Counts = {}
        arrived = [0] * BUCKETS
        for _, age, prev, new, count in (row for row in rows if row[0] == collection_id):
            before, after = PackageState(prev), PackageState(new)
            difference[before] = difference.get(before, 0) - count
            difference[after] = difference.get(after, 0) + count
            arrived[min(max(age, 0), BUCKETS - 1)] += count * ((after in BROKEN) - (before in BROKEN))
        level = sum(states.get(state, 0) for state in BROKEN)
        levels = [level]
        for step in arrived:  # from now backwards
            level = max(0, level - step)
            levels.append(level)
        result[collection_id] = Trend({k: v for k, v in difference.items() if v}, tuple(reversed(levels)))
    return result


def newly_broken(session: Session, collections: Sequence[Collection], limit: int) -> list[Moved]:
    """The tracked packages that are failing or unresolved, latest first, each with its likely reason."""
    by_id = {collection.id: collection for collection in collections}
    change = (
        select(PackageStateChange.build_id)
        .where(PackageStateChange.package_id == Package.id, PackageStateChange.new == PackageState.FAILING)
        .order_by(PackageStateChange.timestamp.desc(), PackageStateChange.id.desc())
        .limit(1)
        .lateral("change")
    )
    query = (
        select(Package, func.coalesce(change.c.build_id, Package.last_complete_build_id))
        .outerjoin(change, true())
        .where(Package.collection_id.in_(by_id), ~Package.blocked, Package.tracked, Package.state.in_(BROKEN))
        .order_by(Package.state_since.desc(), Package.name, Package.id)
        .limit(limit)
    )
    rows = session.execute(query).all()
    builds = [build_id for package, build_id in rows if package.state is PackageState.FAILING and build_id is not None]
    failures = likely_reasons(session, builds)
    problems = _problems(session, [p.id for p, _ in rows if p.state is PackageState.UNRESOLVED])
    result = []
    for package, build_id in rows:
        failing = package.state is PackageState.FAILING
        result.append(
            Moved(
                package.name,
                by_id[package.collection_id],
                package.state,
                package.state_since,
                failures.get(build_id, "") if failing else problems.get(package.id, ""),
                build_id if failing else None,
            )
        )
    return result


def likely_reasons(session: Session, build_ids: Sequence[int]) -> dict[int, str]:
    """Why each of these builds likely failed, in a line."""
    if not build_ids:
        return {}
    found = changes.of_builds(session, build_ids, 1)
    reasons = {}
    for row in session.execute(FAILED, {"ids": list(build_ids)}):
        first = row.previous_key is None
        other = not first and row.previous_key != row.evr_key
        new_source = evr.display(row.epoch, row.version, row.release) if other else ""
        reasons[row.id] = reason(found[row.id], row.deps_resolved, first=first, new_source=new_source)
    return reasons


def reason(found: changes.Changes, resolved: bool | None, *, first: bool = False, new_source: str = "") -> str:
    """Why a build likely failed: a line, from its dependency changes and whether its source was a new one.

    `resolved`: whether its dependencies are known (None: not yet looked at). `first`: there is none to compare with.
    """
    parts = [f"new source {new_source}"] if new_source else []
    if found.shown:
        others = found.total - 1
        parts.append("since " + describe(found.shown[0]) + (f", with {others} others" if others > 1 else ""))
        if others == 1:
            parts[-1] += ", with 1 other"
    elif first:
        parts.append("no earlier build to compare with")
    elif resolved is None:
        parts.append("dependencies not compared yet")
    elif not resolved:
        parts.append("dependencies could not be compared")
    elif not new_source:
        parts.append("nothing changed in its dependencies")
    return "; ".join(parts)


def _problems(session: Session, package_ids: Sequence[int]) -> dict[int, str]:
    """The first problem of the newest resolution of each package, and how many more there are."""
    if not package_ids:
        return {}
    rows = session.execute(PROBLEMS, {"ids": list(package_ids)})
    return {
        package_id: problem + (f" (and {total - 1} more)" if total > 1 else "") for package_id, problem, total in rows
    }


def newly_fixed(session: Session, collections: Sequence[Collection], now: datetime, limit: int) -> list[Moved]:
    """The packages that stopped being broken within a week and still are ok, latest first."""
    by_id = {collection.id: collection for collection in collections}
    # The candidates first: they are read backwards from the newest, and there are enough of them for any choice.
    change = (
        select(PackageStateChange)
        .where(
            PackageStateChange.timestamp > now - FIXED_WITHIN,
            PackageStateChange.prev.in_(BROKEN),
            PackageStateChange.new == PackageState.OK,
        )
        .order_by(PackageStateChange.timestamp.desc(), PackageStateChange.id.desc())
        .limit(FIXED_CANDIDATES)
        .subquery()
    )
    query = (
        select(Package.name, Package.collection_id, change.c.prev, change.c.timestamp, change.c.build_id)
        .join(Package, Package.id == change.c.package_id)
        .where(
            change.c.timestamp >= Package.state_since,
            Package.state == PackageState.OK,
            Package.collection_id.in_(by_id),
        )
        .order_by(change.c.timestamp.desc(), change.c.id.desc())
        .limit(limit)
    )
    return [
        Moved(name, by_id[collection_id], PackageState.OK, timestamp, f"was {prev}", build_id)
        for name, collection_id, prev, timestamp, build_id in session.execute(query)
    ]


def running(session: Session, collections: Iterable[Collection], limit: int) -> list[Running]:
    """The builds that run, oldest first."""
    query = (
        select(Build.id, Package.name, Package.collection_id, Build.epoch, Build.version, Build.release, Build.started)
        .join(Package, Package.id == Build.package_id)
        .where(Build.state == BuildState.RUNNING, Package.collection_id.in_([c.id for c in collections]))
        .order_by(Build.started, Build.id)
        .limit(limit)
    )
    return [
        Running(build_id, name, collection_id, evr.display(epoch, version, release), started)
        for build_id, name, collection_id, epoch, version, release, started in session.execute(query)
    ]
