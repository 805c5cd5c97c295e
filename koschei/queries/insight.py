"""What an operator asks at a shell: what is built next, why a package is as it is, and what will become of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from koschei.config import Config
from koschei.model import Build, Collection, Package
from koschei.queries import builds, changes, package, scheduling
from koschei.queries.build_lines import BuildLine, line
from koschei.queries.changes import Binary
from koschei.queries.scheduling import Explanation
from koschei.rules.changes import Change
from koschei.rules.priority import Term, Weights
from koschei.rules.schedulability import Condition
from koschei.rules.states import PackageState

SHOWN_CHANGES = 20


@dataclass(frozen=True)
class Queued:
    """A package that may be built and deserves it; `place` begins with 1."""

    place: int
    package: str
    collection: str
    priority: float
    terms: tuple[Term, ...]


def queue(session: Session, config: Config, now: datetime, limit: int, collection: Collection | None) -> list[Queued]:
    """What would be submitted next if no limit held, most deserving first."""
    others: Sequence[str] = ()
    if collection is not None:
        others = session.scalars(select(Collection.name).where(Collection.id != collection.id)).all()
    found = scheduling.candidates(session, config, now, limit, without=others)
    query = (
        select(Package)
        .options(joinedload(Package.collection))
        .where(Package.id.in_([candidate.package_id for candidate in found]))
    )
    packages = {item.id: item for item in session.scalars(query)}
    weights = Weights.of(config.priorities)
    result = []
    for place, candidate in enumerate(found, 1):
        item = packages[candidate.package_id]
        value = scheduling.current_priority(item, item.collection, weights, now)
        terms = value.terms() if value is not None else ()
        result.append(Queued(place, candidate.name, candidate.collection, candidate.priority, terms))
    return result


@dataclass(frozen=True)
class DependencyChange:
    """A changed build dependency: versions before and after as text, None where it is not there."""

    name: str
    kind: str
    before: str | None
    after: str | None
    distance: int | None


@dataclass(frozen=True)
class Insight:
    """Everything about why a package in a collection is as it is.

    `priority` is None as long as no build is known; `due`: when elapsed time alone makes it deserve a build. `good` and
    `bad` are where it broke; `changes` those since its last build, or, for a failing one, those of the first bad build.
    `then`: what will happen next, in sentences.
    """

    package: str
    collection: str
    state: PackageState
    since: datetime
    cause: str | None
    problems: tuple[str, ...]
    conditions: tuple[Condition, ...]
    priority: float | None
    terms: tuple[Term, ...]
    threshold: int
    due: datetime | None
    running: BuildLine | None
    last: BuildLine | None
    good: BuildLine | None
    bad: BuildLine | None
    changes: tuple[DependencyChange, ...]
    changes_total: int
    changes_of: str
    then: tuple[str, ...]


def insight(session: Session, item: Package, config: Config, now: datetime) -> Insight:
    """Why a package is as it is, and what comes next."""
    explanation = scheduling.explain(session, item, config, now)
    moves = package.state_changes(session, item.id, 1)
    answers = package.resolutions(session, item.id, None, 1) if item.resolved is False else []
    last = _build(session, item.last_complete_build_id)
    running = _build(session, item.running_build_id)
    broke = builds.BrokeAt(None, None)
    if last is not None and item.state is PackageState.FAILING:
        broke = builds.broke_at(session, item.id, last)
    if broke.bad is not None:
        found = changes.of_builds(session, [broke.bad.id], SHOWN_CHANGES)[broke.bad.id]
        whose = f"build {broke.bad.id}, where it broke"
    else:
        found, whose = changes.pending(session, item.id, SHOWN_CHANGES), "now, since its last build"
    value = explanation.priority
    return Insight(
        package=item.name,
        collection=item.collection.name,
        state=item.state,
        since=item.state_since,
        cause=str(moves[0].cause) if moves else None,
        problems=answers[0].problems if answers else (),
        conditions=explanation.conditions,
        priority=None if value is None else value.total,
        terms=() if value is None else value.terms(),
        threshold=explanation.threshold,
        due=explanation.due,
        running=_line(running, item),
        last=_line(last, item),
        good=_line(broke.good, item),
        bad=_line(broke.bad, item),
        changes=tuple(change_line(change) for change in found.shown),
        changes_total=found.total,
        changes_of=whose,
        then=tuple(_then(session, item, explanation)),
    )


def _then(session: Session, item: Package, explanation: Explanation) -> list[str]:
    """What will happen next, in sentences."""
    said = [f"{condition.reason}. {condition.remedy}." for condition in explanation.conditions if not condition.holds]
    if explanation.queued:
        said.append("It is built as soon as the limits and Koji's load allow")
        if room := scheduling.room(session):
            said.append(f"The scheduler at {room.moment:%Y-%m-%d %H:%M} UTC: {room.words}")
    elif explanation.schedulable and explanation.priority is not None:
        if explanation.due is None:
            said.append("Elapsed time alone never brings it to the threshold; a changed dependency or a person can")
        else:
            said.append(f"Unless something changes before, it is built from {explanation.due:%Y-%m-%d %H:%M} UTC on")
    waiting = item.needs_resolution and item.tracked and not item.blocked and not item.skip_resolution
    if waiting and item.last_complete_build_id is not None:
        said.append("Its dependencies are looked at again by the repo-resolver")
    return said


def change_line(change: Change[Binary]) -> DependencyChange:
    """A change with its versions as text."""
    return DependencyChange(change.name, str(change.kind), _evr(change.prev), _evr(change.curr), change.distance)


def _evr(binary: Binary | None) -> str | None:
    if binary is None:
        return None
    return f"{f'{binary.epoch}:' if binary.epoch else ''}{binary.version}-{binary.release}"


def _line(build: Build | None, item: Package) -> BuildLine | None:
    return None if build is None else line(build, item)


def _build(session: Session, build_id: int | None) -> Build | None:
    return None if build_id is None else session.get(Build, build_id)
