"""Storing what the resolver found out about packages: only what differs from what is stored already is written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import delete, insert, select, text
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, selectinload

from koschei.config import Config
from koschei.dependencies import DependencyIds, StoredDependency, load_dependencies
from koschei.depsolve.interface import Answer, Nevra, Resolver
from koschei.model import Build, Cause, Package, ResolutionChange, ResolutionProblem, UnappliedChange
from koschei.rules.changes import Change, dependency_changes
from koschei.rules.priority import Weights, dependency_priority
from koschei.transitions import changing

Row = tuple[int | None, int | None, int | None]
AnyDependency = StoredDependency | Nevra
AnyChange = Change[AnyDependency] | Change[StoredDependency]


@dataclass(frozen=True)
class Resolved:
    """The answer for one package, found for the source package of `build_id`."""

    package_id: int
    build_id: int
    name: str
    answer: Answer


@dataclass
class ChunkReport:
    """What storing a chunk did; `new_ids` may be remembered once its transaction is committed."""

    resolved: int = 0
    unresolved: int = 0
    changed: int = 0
    new_ids: dict[Nevra, int] = field(default_factory=dict)


def store_chunk(
    session: Session,
    config: Config,
    ids: DependencyIds,
    resolver: Resolver,
    answers: Sequence[Resolved],
    repo_id: int,
    now: datetime,
) -> ChunkReport:
    """Store the answers for packages in one transaction.

    An answer is dropped when the package has changed since it was asked for (another build, exempted, untracked): it is
    then still marked as needing resolution, so nothing is lost.
    """
    report = ChunkReport()
    by_id = {answer.package_id: answer for answer in answers}
    with changing(session, by_id, Cause.RESOLUTION, now=now, repo_id=repo_id) as packages:
        current = [p for p in packages if _still_asked(p, by_id[p.id])]
        before = _comparison_sets(session, current)
        changes = {p.id: _changes(p, by_id[p.id], before.get(p.id), resolver) for p in current}
        report.new_ids = ids.ids(session, _new_dependencies(changes.values()))
        _store_changes(session, changes, report)
        _store_history(session, current, by_id, repo_id, now, report)
        weights = Weights.of(config.priorities)
        for package in current:
            answer = by_id[package.id].answer
            report.resolved += answer.resolved
            report.unresolved += not answer.resolved
            package.resolved = answer.resolved
            package.needs_resolution = False
            package.dependency_priority = dependency_priority([c.distance for c in changes[package.id]], weights)
    return report


def _still_asked(package: Package, answer: Resolved) -> bool:
    return (
        package.tracked
        and not package.blocked
        and not package.skip_resolution
        and package.last_complete_build_id == answer.build_id
    )


def _comparison_sets(session: Session, packages: Iterable[Package]) -> dict[int, list[StoredDependency]]:
    """By package, the dependencies of its last finished build, or of the newest one before it that could be resolved.

    None while a build is running, and while the dependencies of the last build are still to be found out.
    """
    finished = [p.last_build_id for p in packages if p.running_build_id is None and p.last_build_id is not None]
    builds = session.scalars(select(Build).where(Build.id.in_(finished))).all()
    chosen = {build.package_id: build.id for build in builds if build.deps_resolved}
    chosen.update(_earlier_resolved(session, [build.id for build in builds if build.deps_resolved is False]))
    sets = load_dependencies(session, chosen.values())
    return {package_id: sets[build_id] for package_id, build_id in chosen.items() if build_id in sets}


# For each of these builds, its package and the newest counted build before it whose dependencies are known.
EARLIER_RESOLVED = text("""
    SELECT b.package_id, e.id
    FROM build AS b
    CROSS JOIN LATERAL (
        SELECT id FROM build
        WHERE package_id = b.package_id AND started < b.started AND deps_resolved AND state IN (3, 5)
        ORDER BY started DESC, id DESC LIMIT 1) AS e
    WHERE b.id = ANY(:ids)
""")


def _earlier_resolved(session: Session, build_ids: Sequence[int]) -> dict[int, int]:
    """By package; one question for a whole chunk, since after an outage or at first every package may need it."""
    if not build_ids:
        return {}
    rows = session.execute(EARLIER_RESOLVED, {"ids": list(build_ids)})
    return dict(tuple(row) for row in rows)


def _changes(
    package: Package, resolved: Resolved, before: list[StoredDependency] | None, resolver: Resolver
) -> list[Change[AnyDependency]]:
    """The differences, with distances only when there are any: most packages have none."""
    if before is None or not resolved.answer.resolved:
        return []
    found: list[Change[AnyDependency]] = dependency_changes(before, resolved.answer.installed, {})
    if not found:
        return []
    return dependency_changes(before, resolved.answer.installed, resolver.distances(package.name))


def _new_dependencies(changes: Iterable[Sequence[Change[AnyDependency]]]) -> set[Nevra]:
    return {change.curr for found in changes for change in found if isinstance(change.curr, Nevra)}


def change_rows(changes: Iterable[AnyChange], ids: dict[Nevra, int]) -> set[Row]:
    """Changes as (previous id, current id, distance)."""

    def number(dependency: AnyDependency | None) -> int | None:
        if dependency is None:
            return None
        return dependency.id if isinstance(dependency, StoredDependency) else ids[dependency]

    return {(number(change.prev), number(change.curr), change.distance) for change in changes}


def _store_changes(session: Session, changes: dict[int, list[Change[AnyDependency]]], report: ChunkReport) -> None:
    stored: dict[int, set[Row]] = defaultdict(set)
    rows = session.execute(
        select(
            UnappliedChange.package_id,
            UnappliedChange.prev_dep_id,
            UnappliedChange.curr_dep_id,
            UnappliedChange.distance,
        ).where(UnappliedChange.package_id.in_(changes))
    )
    for package_id, prev, curr, distance in rows:
        stored[package_id].add((prev, curr, distance))
    wanted = {package_id: change_rows(found, report.new_ids) for package_id, found in changes.items()}
    differing = [package_id for package_id, found in wanted.items() if found != stored[package_id]]
    if not differing:
        return
    report.changed += len(differing)
    session.execute(delete(UnappliedChange).where(UnappliedChange.package_id.in_(differing)))
    new = [
        {"package_id": package_id, "prev_dep_id": prev, "curr_dep_id": curr, "distance": distance}
        for package_id in differing
        for prev, curr, distance in wanted[package_id]
    ]
    if new:
        session.execute(insert(UnappliedChange), new)


def _store_history(
    session: Session,
    packages: Sequence[Package],
    by_id: dict[int, Resolved],
    repo_id: int,
    now: datetime,
    report: ChunkReport,
) -> None:
    """Add a history entry where the answer changed, or where a package that stays unresolvable has other problems."""
    unresolved = [p.id for p in packages if p.resolved is False and not by_id[p.id].answer.resolved]
    known = _last_problems(session, unresolved)
    for package in packages:
        answer = by_id[package.id].answer
        same = package.resolved == answer.resolved
        if same and (answer.resolved or set(answer.problems) == known.get(package.id)):
            continue
        entry = ResolutionChange(package_id=package.id, resolved=answer.resolved, timestamp=now, repo_id=repo_id)
        entry.problems = [ResolutionProblem(position=i, problem=problem) for i, problem in enumerate(answer.problems)]
        session.add(entry)


def _last_problems(session: Session, package_ids: Sequence[int]) -> dict[int, set[str]]:
    """By package, the problems of its newest history entry."""
    query = (
        select(ResolutionChange)
        .where(ResolutionChange.package_id.in_(package_ids))
        .ext(distinct_on(ResolutionChange.package_id))
        .order_by(ResolutionChange.package_id, ResolutionChange.timestamp.desc(), ResolutionChange.id.desc())
        .options(selectinload(ResolutionChange.problems))
    )
    return {entry.package_id: {p.problem for p in entry.problems} for entry in session.scalars(query)}
