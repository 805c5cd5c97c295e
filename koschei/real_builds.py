"""Real builds: what maintainers built, as the collection's tag lists it, registered, untagged and tagged again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from koschei.builds import reset_priorities, store_tasks
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.notify import wake
from koschei.koji import tagging
from koschei.koji import tasks as koji_tasks
from koschei.koji.records import BuildState as KojiBuildState
from koschei.koji.records import TaggedBuild, Task
from koschei.koji.session import KojiSession
from koschei.model import Build, Cause, Collection, Package
from koschei.rules.doubt import NAMED, plausible_loss, way_out
from koschei.rules.evr import sort_key
from koschei.rules.names import listed as names
from koschei.rules.states import BuildState
from koschei.transitions import changing

log = structlog.get_logger(__name__)

# How many packages are looked at one by one when the list of all disagrees with what is stored.
SECOND_LOOKS = 200
LARGEST_EPOCH = 2**31 - 1
VERDICTS = {KojiBuildState.COMPLETE: BuildState.COMPLETE, KojiBuildState.FAILED: BuildState.FAILED}


@dataclass(frozen=True)
class NewBuild:
    """A tagged build that is not registered yet."""

    package_id: int
    tagged: TaggedBuild


@dataclass(frozen=True)
class Report:
    """How many builds were registered; `refused` says what was not believed, and why."""

    registered: int
    refused: str | None = None


@dataclass(frozen=True)
class Disagreement:
    """The packages, id to name, of which a list says something else than what is stored, and is to be believed.

    `refused` says what else it says, and why that is not believed.
    """

    packages: dict[int, str]
    refused: str | None = None


def refresh(
    database: Database,
    koji: KojiSession,
    config: Config,
    collection: Collection,
    now: datetime,
    *,
    name: str | None = None,
    believe: bool = False,
) -> Report:
    """Compare a collection's tag with what is registered.

    With `name` only that package is looked at (somebody said that it was tagged or untagged). With `believe` the tag's
    list is taken as it is, however much it lacks: a person has said that it is true.
    """
    listed = [
        tagged
        for tagged in tagging.latest_builds(koji, collection.dest_tag, package=name)
        if tagged.state in VERDICTS and (name is None or tagged.name == name)
    ]
    with database.begin() as session:
        new = unregistered(session, collection, listed)
    size = config.real_builds_insert_chunk
    for start in range(0, len(new), size):
        register(database, koji, new[start : start + size], config, now)
    with database.begin() as session:
        differing = disagreement(session, collection, listed, name=name, believe=believe)
    if name is None and len(differing.packages) <= SECOND_LOOKS:
        # A long list is older than what messages told while it was read and stored; a package's own is not.
        looks = [refresh(database, koji, config, collection, now, name=n) for n in differing.packages.values()]
        return Report(len(new) + sum(look.registered for look in looks), differing.refused)
    with database.begin() as session:
        mark_untagged(session, collection, listed, now, name=name, believe=believe)
    return Report(len(new), differing.refused)


def unregistered(session: Session, collection: Collection, listed: Sequence[TaggedBuild]) -> list[NewBuild]:
    """Which of the listed builds belong to packages we watch and are not registered.

    A build is known by its task; an imported one, which has none, by its version. One whose version cannot be compared
    is left alone.
    """
    rows = session.execute(
        text("""
            SELECT w.position, p.id
            FROM unnest(:names ::text[], :tasks ::bigint[], :keys ::bytea[]) WITH ORDINALITY
                 AS w(name, task_id, evr_key, position)
            JOIN package AS p ON p.collection_id = :collection AND p.name = w.name COLLATE "C"
            WHERE NOT p.blocked AND (p.tracked OR :untracked) AND w.evr_key IS NOT NULL
              AND NOT EXISTS (
                  SELECT FROM build AS b
                  WHERE b.package_id = p.id AND b.real
                    AND CASE WHEN w.task_id IS NULL THEN b.task_id IS NULL AND b.evr_key = w.evr_key
                             ELSE b.task_id = w.task_id END)
            ORDER BY w.position
        """),
        {
            "names": [tagged.name for tagged in listed],
            "tasks": [tagged.task_id for tagged in listed],
            "keys": [evr_key(tagged) for tagged in listed],
            "collection": collection.id,
            "untracked": collection.poll_untracked,
        },
    )
    return [NewBuild(package_id, listed[position - 1]) for position, package_id in rows]


def evr_key(tagged: TaggedBuild) -> bytes | None:
    """The build's version as a sort key; None when it is none that we could compare or store."""
    if (tagged.epoch or 0) > LARGEST_EPOCH:
        return None
    return sort_key(tagged.epoch, tagged.version, tagged.release)


def register(database: Database, koji: KojiSession, new: Sequence[NewBuild], config: Config, now: datetime) -> None:
    """Store real builds with their tasks. One whose repository nobody knows (an imported one) cannot be compared."""
    ids = [item.tagged.task_id for item in new if item.tagged.task_id is not None]
    tasks = koji_tasks.tasks(koji, ids)
    children = koji_tasks.children(koji, [i for i, task in tasks.items() if task is not None])
    with (
        database.begin() as session,
        changing(session, [item.package_id for item in new], Cause.REAL_BUILD, now=now) as packages,
    ):
        by_id = {package.id: package for package in packages}
        for item in new:
            package, task_id = by_id.get(item.package_id), item.tagged.task_id
            if package is None or (task_id is not None and task_id not in tasks):
                continue  # gone meanwhile, or Koji's answer made no sense: there is a next time
            task = None if task_id is None else tasks[task_id]
            if task is not None and task.id not in children:
                continue
            _insert(session, package, item.tagged, task, children[task.id] if task else [], config, now)
        wake(session, "build-resolver", "repo-resolver", "scheduler")


def _insert(
    session: Session,
    package: Package,
    tagged: TaggedBuild,
    task: Task | None,
    children: Iterable[Task],
    config: Config,
    now: datetime,
) -> None:
    number = evr_key(tagged)
    same = Build.task_id == tagged.task_id
    if tagged.task_id is None:
        same = Build.real & Build.task_id.is_(None) & (Build.evr_key == number)
    if number is None or session.scalar(select(Build.id).where(Build.package_id == package.id, same).limit(1)):
        return  # registered by another process meanwhile
    repo_id = koji_tasks.repo_id_of(children)
    finished = (task.finished if task else None) or tagged.completed or now
    build = Build(
        package_id=package.id,
        real=True,
        state=VERDICTS[tagged.state],
        task_id=tagged.task_id,
        started=task.created if task else finished,
        finished=finished,
        epoch=tagged.epoch,
        version=tagged.version,
        release=tagged.release,
        evr_key=number,
        repo_id=repo_id,
        deps_resolved=None if repo_id is not None else False,
    )
    session.add(build)
    session.flush()
    store_tasks(session, build.id, [child for child in children if child.method == "buildArch"])
    newest = package.last_build_started is None or build.started >= package.last_build_started
    if newest:
        reset_priorities(session, package, build)
        if repo_id is None:
            package.build_priority = config.priorities.newly_added
    log.info("real build registered", package=package.name, build=build.id, task=tagged.task_id, nvr=tagged.nvr)


def mark_untagged(
    session: Session,
    collection: Collection,
    listed: Sequence[TaggedBuild],
    now: datetime,
    *,
    name: str | None = None,
    believe: bool = False,
) -> int:
    """Builds of versions newer than the latest tagged one are no longer tagged, others are; returns packages changed.

    A package that is not listed at all has no tagged build any more. What of the list is believed: `disagreement`.
    """
    ids = list(disagreement(session, collection, listed, name=name, believe=believe).packages)
    if not ids:
        return 0
    with changing(session, ids, Cause.UNTAGGED, now=now):
        session.execute(
            text("""
                UPDATE build AS b SET untagged = NOT b.untagged
                FROM package AS p
                LEFT JOIN unnest(:names ::text[], :keys ::bytea[]) AS w(name, evr_key) ON w.name COLLATE "C" = p.name
                WHERE b.package_id = p.id AND p.id = ANY(:ids)
                  AND b.untagged <> coalesce(b.evr_key > w.evr_key, true)
            """),
            {
                "names": [tagged.name for tagged in listed],
                "keys": [evr_key(tagged) for tagged in listed],
                "ids": ids,
            },
        )
    log.info("builds untagged or tagged again", collection=collection.name, packages=len(ids))
    wake(session, "repo-resolver", "scheduler")
    return len(ids)


def disagreement(
    session: Session,
    collection: Collection,
    listed: Sequence[TaggedBuild],
    *,
    name: str | None = None,
    believe: bool = False,
) -> Disagreement:
    """Where a list (of the package `name` only) says something else than what is stored.

    Too many packages cannot be without any tagged build at once: unless `believe`, that is doubted.
    """
    rows = session.execute(
        text("""
            SELECT p.id, p.name, w.name IS NULL AS absent
            FROM package AS p
            LEFT JOIN unnest(:names ::text[], :keys ::bytea[]) AS w(name, evr_key) ON w.name COLLATE "C" = p.name
            LEFT JOIN build AS l ON l.id = p.last_build_id
            WHERE p.collection_id = :collection AND NOT p.blocked AND (:only ::text IS NULL OR p.name = :only)
              AND (l.id IS NOT NULL AND (w.name IS NULL OR l.evr_key > w.evr_key)
                   OR EXISTS (SELECT FROM build AS u
                              WHERE u.package_id = p.id AND u.untagged AND u.evr_key <= w.evr_key))
        """),
        {
            "names": [tagged.name for tagged in listed],
            "keys": [evr_key(tagged) for tagged in listed],
            "collection": collection.id,
            "only": name,
        },
    ).all()
    gone = sorted(package for _, package, absent in rows if absent)
    known = _known(session, collection) if gone and name is None and not believe else 0
    if not known or plausible_loss(len(gone), known):
        return Disagreement({package_id: package for package_id, package, _ in rows})
    refused = (
        f"Koji's list of builds tagged {collection.dest_tag} has none of {len(gone)} of the {known} packages with "
        f"builds in {collection.name} ({names(gone, NAMED)}), too many to be believed; they stay as they are. "
        f"{way_out(collection.name)}"
    )
    return Disagreement({package_id: package for package_id, package, absent in rows if not absent}, refused)


def _known(session: Session, collection: Collection) -> int:
    query = (
        select(func.count())
        .select_from(Package)
        .where(Package.collection_id == collection.id, Package.last_build_id.is_not(None), ~Package.blocked)
    )
    return session.execute(query).scalar_one()
