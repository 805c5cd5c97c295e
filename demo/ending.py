"""What the database holds at the end: the summary for programs, and everything that is not as it must be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import koji
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from demo.cast import Expected
from demo.hub import Hub
from koschei import collections
from koschei.messaging.events import COLLECTION_STATE_CHANGE, PACKAGE_STATE_CHANGE
from koschei.model import Build, Collection, CollectionStateChange, OutboxEvent, Package, PackageStateChange
from koschei.queries.collections import state_counts
from koschei.rules.states import BuildState, CollectionState, PackageState, message_state

KOJI_FAULTS = (1, 1001)
"""Fault codes of the stand-in's builders that are nobody's failure but Koji's."""
SHOWN = 20


def summary(session: Session, collection_name: str) -> dict[str, Any]:
    """What happened, in numbers. `packages` are those that are looked after: neither untracked nor blocked."""
    collection = collections.by_name(session, collection_name)
    tracked = (Package.collection_id == collection.id, Package.tracked, ~Package.blocked)
    resolved = Counter(
        dict(session.execute(select(Package.resolved, func.count()).where(*tracked).group_by(Package.resolved)).all())
    )
    builds = Counter(dict(session.execute(select(Build.state, func.count()).group_by(Build.state)).all()))
    broken = select(Package.name).where(*tracked, Package.state.in_([PackageState.FAILING, PackageState.UNRESOLVED]))
    changes = [
        session.scalar(select(func.count()).select_from(table)) or 0
        for table in (PackageStateChange, CollectionStateChange)
    ]
    queued, sent = session.execute(select(func.count(), func.count(OutboxEvent.sent))).one()
    return {
        "packages": sum(state_counts(session, [collection.id])[collection.id].values()),
        "resolved": resolved[True],
        "unresolved": resolved[False],
        "builds_complete": builds[BuildState.COMPLETE],
        "builds_failed": builds[BuildState.FAILED],
        "builds_spoiled_by_koji": builds[BuildState.SPOILED] + builds[BuildState.CANCELED],
        "state_changes": sum(changes),
        "events_queued": queued,
        "events_sent": sent,
        "broken_packages": sorted(session.scalars(broken)),
    }


def differences(session: Session, hub: Hub, expected: Expected, collection_name: str) -> list[str]:
    """Everything that is not as the story must end, or that no story may lead to; empty when all is well."""
    collection = collections.by_name(session, collection_name)
    found = states(session, collection)
    wrong = [
        f"{name}: expected {expected.states.get(name, 'nothing')}, found {found.get(name, 'nothing')}"
        for name in sorted(expected.states.keys() | found.keys())
        if expected.states.get(name) != found.get(name)
    ]
    if collection.state is not CollectionState.OK:
        wrong.append(f"the collection: expected ok, found {collection.state}")
    history = histories(session)
    wrong += _paths(expected, found, history)
    wrong += _buildroot(session, collection, expected)
    wrong += submissions(session, hub)
    wrong += _not_counted(session, expected)
    wrong += unbroken(session, history)
    return wrong + announced(session, history)


def states(session: Session, collection: Collection) -> dict[str, PackageState]:
    """The state of every package, by name."""
    query = select(Package.name, Package.state).where(Package.collection_id == collection.id)
    return dict(session.execute(query).all())


def histories(session: Session) -> dict[tuple[int, str], list[PackageStateChange]]:
    """The state changes of each package (by id and name), oldest first."""
    query = (
        select(Package.id, Package.name, PackageStateChange)
        .join(PackageStateChange, PackageStateChange.package_id == Package.id)
        .order_by(PackageStateChange.id)
    )
    result = defaultdict(list)
    for package_id, name, change in session.execute(query):
        result[package_id, name].append(change)
    return result


def _paths(
    expected: Expected,
    found: Mapping[str, PackageState],
    history: Mapping[tuple[int, str], list[PackageStateChange]],
) -> list[str]:
    """Packages that did not come to their states as they must, or changed them although nothing happened to them."""
    since_tracked = {
        name: tuple(change.new for change in changes if change.new is not PackageState.UNKNOWN)
        for (_, name), changes in history.items()
    }
    wrong = []
    for name, state in found.items():
        if state in (PackageState.UNTRACKED, PackageState.BLOCKED):
            continue
        path, usual = since_tracked.get(name, ()), (PackageState.OK,)
        if path != expected.paths.get(name, usual):
            wrong.append(f"{name}: expected to become {_words(expected.paths.get(name, usual))}, became {_words(path)}")
    return wrong


def _buildroot(session: Session, collection: Collection, expected: Expected) -> list[str]:
    query = select(CollectionStateChange).where(CollectionStateChange.collection_id == collection.id)
    changes = list(session.scalars(query.order_by(CollectionStateChange.id)))
    path = tuple(str(state) for state in (*(c.prev for c in changes[:1]), *(c.new for c in changes)))
    if path == expected.collection_path:
        return []
    return [f"the collection: expected to be {_words(expected.collection_path)}, was {_words(path)}"]


def submissions(session: Session, hub: Hub) -> list[str]:
    """Scratch builds that the hub and the database do not agree on: each task has one build, with its verdict."""
    with hub.locked():
        tasks = {
            task.id: (task.state, task.fault.faultCode if task.fault else None)
            for task in hub.tasks
            if task.parent is None and task.method == "build" and task.scratch
        }
    query = select(Build.task_id, Build.state).where(~Build.real)
    known: dict[int | None, list[BuildState]] = defaultdict(list)
    for task_id, state in session.execute(query):
        known[task_id].append(state)
    wrong = [f"{len(known[None])} builds have no task"] if None in known else []
    for task_id in sorted(tasks.keys() | {task_id for task_id in known if task_id is not None}):
        builds = known.get(task_id, [])
        if task_id not in tasks:
            wrong.append(f"task {task_id} is followed, but Koji has no such scratch build")
        elif len(builds) != 1:
            wrong.append(f"Koji's task {task_id} is followed by {len(builds)} builds")
        elif builds[0] is not verdict(*tasks[task_id]):
            wrong.append(f"task {task_id}: expected {verdict(*tasks[task_id]).word}, found {builds[0].word}")
    return wrong[:SHOWN]


def verdict(state: int, fault_code: int | None) -> BuildState:
    """What the build of a task in this state must be in the database."""
    match koji.TASK_STATES[state]:
        case "CLOSED":
            return BuildState.COMPLETE
        case "CANCELED":
            return BuildState.CANCELED
        case "FAILED":
            return BuildState.SPOILED if fault_code in KOJI_FAULTS else BuildState.FAILED
        case _:
            return BuildState.RUNNING


def _not_counted(session: Session, expected: Expected) -> list[str]:
    """Whether exactly those builds were spoiled that the story spoils, and were kept."""
    query = (
        select(Package.name, Build.state)
        .join(Package, Package.id == Build.package_id)
        .where(Build.state.in_([BuildState.SPOILED, BuildState.CANCELED]))
        .order_by(Package.name)
    )
    found = [(name, state.word) for name, state in session.execute(query)]
    if found == sorted(expected.not_counted.items()):
        return []
    return [f"builds that do not count: expected {sorted(expected.not_counted.items())}, found {found}"]


def unbroken(session: Session, history: Mapping[tuple[int, str], list[PackageStateChange]]) -> list[str]:
    """Histories with gaps, or that do not end where the package is."""
    current = dict(session.execute(select(Package.id, Package.state)).all())
    wrong = []
    for (package_id, name), changes in history.items():
        if any(before.new is not after.prev for before, after in pairwise(changes)):
            path = ", ".join(f"{change.prev} → {change.new}" for change in changes)
            wrong.append(f"{name}: its history has a gap: {path}")
        if changes[-1].new is not current[package_id]:
            wrong.append(f"{name} is {current[package_id]}, but its history ends with {changes[-1].new}")
    return wrong


def announced(session: Session, history: Mapping[tuple[int, str], list[PackageStateChange]]) -> list[str]:
    """Changes that messages can tell but no event does, and events without such a change."""
    events: dict[int | None, list[tuple[str, str]]] = defaultdict(list)
    for event in session.scalars(select(OutboxEvent).order_by(OutboxEvent.id)):
        key = event.package_id if event.kind == PACKAGE_STATE_CHANGE else None
        if event.kind in (PACKAGE_STATE_CHANGE, COLLECTION_STATE_CHANGE):
            events[key].append((event.body["old"], event.body["new"]))
    names = dict(history.keys())
    changes: dict[int | None, list[tuple[str, str]]] = {
        package_id: visible((c.prev, c.new) for c in changes) for (package_id, _), changes in history.items()
    }
    buildroots = session.scalars(select(CollectionStateChange).order_by(CollectionStateChange.id))
    changes[None] = [(str(change.prev), str(change.new)) for change in buildroots]
    return [
        f"{names.get(key, 'the collection') if key else 'the collection'}: changed as {changes.get(key, [])}, "
        f"but the events say {events.get(key, [])}"
        for key in changes.keys() | events.keys()
        if changes.get(key, []) != events.get(key, [])
    ]


def visible(moves: Iterable[tuple[PackageState, PackageState]]) -> list[tuple[str, str]]:
    """State changes as messages tell them; those they cannot tell are left out."""
    told = [(message_state(prev), message_state(new)) for prev, new in moves]
    return [(old, new) for old, new in told if old != new]


def _words(path: Iterable[str]) -> str:
    return ", then ".join(path) or "nothing"
