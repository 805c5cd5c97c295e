"""Submitting a scratch build so that it can never be lost, whatever dies when.

1. The intention is stored: a running build without a task.
2. Koji is asked.
3. The task's number is stored.

Whoever dies between 2 and 3 leaves an intention behind; `reconcile` finds its task again in Koji, or gives the
intention up when Koji has none.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import structlog
from sqlalchemy import delete, exists, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from koschei import audit, srpms
from koschei.audit import Actor
from koschei.builds import Progress, answers, finish
from koschei.config import Config
from koschei.db.engine import Database
from koschei.errors import KojiAuthError, KojiError, KojiOutage, KojiRefusal, LostReply
from koschei.koji import load as koji_load
from koschei.koji import repositories, tagging
from koschei.koji import srpms as koji_srpms
from koschei.koji import tasks as koji_tasks
from koschei.koji.arches import build_arches
from koschei.koji.records import TaggedBuild, Task
from koschei.koji.session import KojiSession
from koschei.model import Build, Cause, Package
from koschei.queries import scheduling
from koschei.rules.evr import sort_key
from koschei.rules.states import BuildState, SkipReason
from koschei.transitions import changing

log = structlog.get_logger(__name__)

# Koji's clock and ours may differ by this much when a lost task is looked for.
CLOCK_SKEW = timedelta(minutes=10)
# How long a package without a source package or an architecture waits before Koji is asked again.
SKIP_DELAY = timedelta(hours=24)
# Whether there is a submission whose task is not stored yet.
UNNUMBERED = exists().where(Build.state == BuildState.RUNNING, Build.task_id.is_(None))
# Where Build.submission says when Koji's answer was lost.
LOST = "lost"


class Obstacle(StrEnum):
    """Why nothing was submitted."""

    PACKAGE = "package"  # the package cannot be built now
    LOAD = "load"  # Koji's builders for its architectures are busy
    LIMIT = "limit"  # enough builds are running
    KOJI = "koji"  # Koji was asked for the build and refused it, or its answer was lost
    COLLECTION = "collection"  # Koji refuses to tell about the collection's tags


@dataclass(frozen=True)
class Submitted:
    """Koji took the build."""

    build_id: int
    task_id: int


@dataclass(frozen=True)
class NotSubmitted:
    """Nothing was submitted, and why, in words."""

    reason: str
    obstacle: Obstacle = Obstacle.PACKAGE


@dataclass(frozen=True)
class Plan:
    """Everything Koji will be told."""

    package_id: int
    tagged: TaggedBuild
    source: str
    target: str | None
    opts: dict[str, Any]
    repo_id: int | None
    arches: tuple[str, ...]
    tag_arches: tuple[str, ...]


def submit(
    database: Database,
    koji: KojiSession,
    config: Config,
    package_id: int,
    *,
    actor: Actor,
    now: datetime,
    forced: bool = True,
) -> Submitted | NotSubmitted:
    """Submit a scratch build of a package's latest tagged source.

    A forced one (a person's) ignores limits, load and priority, but not what makes a build impossible.
    What Koji refuses to tell, or tells nonsense about, is no error: the package waits a while, so that others get their
    turn. Errors: KojiOutage, KojiAuthError (nothing happened; the next package would meet the same); LostReply never
    (it is left to `reconcile`).
    """
    koji_tasks.require_login(koji)
    try:
        plan = _plan(database, koji, config, package_id, now)
    except KojiRefusal as error:
        plan = _set_aside(database, config, package_id, error, Obstacle.COLLECTION, now, forced)
    except KojiOutage as error:
        if not answers(koji):
            raise
        plan = _set_aside(database, config, package_id, error, Obstacle.PACKAGE, now, forced)
    if isinstance(plan, NotSubmitted):
        return plan
    threshold = config.koji_config.load_threshold
    if not forced and threshold < 1:
        value = koji_load.load(koji, plan.arches, plan.tag_arches)
        if value > threshold:
            arches = ", ".join(plan.arches)
            return NotSubmitted(f"Koji's load for {arches} is {value:.0%}, above {threshold:.0%}", Obstacle.LOAD)
    with database.begin() as session:
        build_id = _intend(session, config, plan, actor, now, forced)
    if isinstance(build_id, NotSubmitted):
        return build_id
    return _ask_koji(database, koji, config, plan, build_id, now)


def _plan(database: Database, koji: KojiSession, config: Config, package_id: int, now: datetime) -> Plan | NotSubmitted:
    with database.begin() as session:
        package = session.get(Package, package_id)
        if package is None:
            return NotSubmitted("The package is gone")
        collection = package.collection
    if not collection.latest_repo_resolved:
        return NotSubmitted(f"The base buildroot of {collection.display_name} cannot be installed")
    latest = tagging.latest_builds(koji, collection.dest_tag, package=package.name)
    source = koji_srpms.source_path(koji, config.koji_config, latest[0]) if latest else None
    if not latest or source is None:
        return _skip(database, package, SkipReason.NO_SRPM, now)
    tagged = latest[0]
    nvr = (tagged.name, tagged.version, tagged.release)
    facts = srpms.facts(database, koji, [nvr]).get(nvr)
    if facts is None:
        return _skip(database, package, SkipReason.NO_SRPM, now)
    tag_arches = repositories.tag_arches(koji, collection.build_tag)
    choice = build_arches(facts, tag_arches, config.koji_config.build_arches, package.arch_override)
    if choice.empty:
        return _skip(database, package, SkipReason.NO_ARCH, now)
    opts: dict[str, Any] = dict(config.koji_config.build_opts)
    if choice.override:
        opts["arch_override"] = choice.override
    fixed_repo = collection.latest_repo_id if config.koji_config.build_from_repo_id else None
    if fixed_repo is not None:
        opts["repo_id"] = fixed_repo
    opts["scratch"] = True
    target = None if fixed_repo is not None else collection.target
    return Plan(package_id, tagged, source, target, opts, fixed_repo, choice.arches, tag_arches)


def _skip(database: Database, package: Package, reason: SkipReason, now: datetime) -> NotSubmitted:
    """Remember why the package could not be submitted; it is looked at again after a while, or when it changes."""
    with database.begin() as session:
        # Not when it has changed while Koji was being asked: what ends the wait has then happened already.
        session.execute(
            update(Package)
            .where(
                Package.id == package.id,
                Package.last_complete_build_id.is_not_distinct_from(package.last_complete_build_id),
                Package.arch_override.is_not_distinct_from(package.arch_override),
            )
            .values(scheduler_skip_reason=reason, retry_after=now + SKIP_DELAY)
        )
    text = {
        SkipReason.NO_SRPM: f"No SRPM found for package {package.name}",
        SkipReason.NO_ARCH: f"No allowed arches found for package {package.name}",
    }[reason]
    log.info("package cannot be submitted", package=package.name, reason=text)
    return NotSubmitted(text)


def _set_aside(
    database: Database,
    config: Config,
    package_id: int,
    error: KojiError,
    obstacle: Obstacle,
    now: datetime,
    forced: bool,
) -> NotSubmitted:
    """Koji does not tell about a package: unless a person asked, it waits, or the scheduler would never get past it."""
    if not forced:
        wait = timedelta(seconds=config.koji_config.spoiled_retry_delay)
        with database.begin() as session:
            session.execute(
                update(Package)
                .where(Package.id == package_id)
                .values(scheduler_skip_reason=SkipReason.NOT_TOLD, retry_after=now + wait)
            )
    log.warning("Koji does not tell what is needed for a build", package=package_id, error=str(error))
    return NotSubmitted(str(error), obstacle)


def _intend(
    session: Session, config: Config, plan: Plan, actor: Actor, now: datetime, forced: bool
) -> int | NotSubmitted:
    """Store the intention, unless the package or the limits changed while Koji was being asked."""
    if not forced and scheduling.running_builds(session) >= config.koji_config.max_builds:
        return NotSubmitted("Enough builds are running", Obstacle.LIMIT)
    with changing(session, [plan.package_id], Cause.BUILD, now=now) as packages:
        if not packages:
            return NotSubmitted("The package is gone")
        package = packages[0]
        explanation = scheduling.explain(session, package, config, now)
        broken = [c for c in explanation.conditions if not c.holds and (not forced or c.name == "not_running")]
        if broken:
            return NotSubmitted(broken[0].reason)
        terms = explanation.priority.terms() if explanation.priority else ()
        if package.scheduler_skip_reason is not None:  # there is a plan, so what was in its way is not any more
            package.scheduler_skip_reason = package.retry_after = None
        build = Build(
            package_id=package.id,
            state=BuildState.RUNNING,
            started=now,
            epoch=plan.tagged.epoch,
            version=plan.tagged.version,
            release=plan.tagged.release,
            evr_key=sort_key(plan.tagged.epoch, plan.tagged.version, plan.tagged.release),
            repo_id=plan.repo_id,
            submission={
                "source": plan.source,
                "target": plan.target,
                "opts": plan.opts,
                "by": actor.name or "scheduler",
                "priority": {term.name: round(term.value, 2) for term in terms},
            },
        )
        session.add(build)
        session.flush()
        if actor.name is not None:
            audit.record(session, actor, f"Build of {package.name} submitted", base_id=package.base_id)
    return build.id


def _ask_koji(
    database: Database, koji: KojiSession, config: Config, plan: Plan, build_id: int, now: datetime
) -> Submitted | NotSubmitted:
    asked = time.monotonic()
    try:
        task_id = koji_tasks.submit(koji, plan.source, plan.target, plan.opts, config.koji_config.task_priority)
    except LostReply as error:
        log.warning("Koji's answer to a submission was lost; looking for the task", build=build_id, error=str(error))
        _note_lost(database, build_id, now + timedelta(seconds=time.monotonic() - asked))
        return NotSubmitted("Koji's answer was lost; the build appears as soon as its task is found", Obstacle.KOJI)
    except KojiRefusal as error:
        log.warning("Koji refused a build", build=build_id, package=plan.tagged.name, error=str(error))
        with database.begin() as session:
            finish(session, build_id, _refused(error, now), config, now)
        return NotSubmitted(str(error), Obstacle.KOJI)
    except (KojiOutage, KojiAuthError):
        with database.begin() as session:
            give_up(session, build_id, now)
        raise
    if not _store_task(database, build_id, task_id):
        return _unwanted(database, koji, config, build_id, task_id, now)
    log.info("build submitted", package=plan.tagged.name, build=build_id, task=task_id, arches=list(plan.arches))
    return Submitted(build_id, task_id)


def _refused(error: KojiRefusal, now: datetime) -> Progress:
    return Progress(BuildState.SPOILED, now, fault_code=error.code, fault_text=error.text)


def _unwanted(
    database: Database, koji: KojiSession, config: Config, build_id: int, task_id: int, now: datetime
) -> NotSubmitted:
    """A task that nobody would follow is cancelled: its intention was given up while Koji's answer was on its way.

    Or its number belongs to another build already. If that one runs, it has adopted the task, being the same for Koji;
    if not, this is another Koji than before, or one that was restored: then the build is kept as spoiled, so that the
    package waits and the limits of a day count it.
    """
    with database.begin() as session:
        if session.scalar(select(Build.id).where(Build.task_id == task_id, Build.state == BuildState.RUNNING)):
            return NotSubmitted("Koji's task for it belongs to another build", Obstacle.KOJI)
    koji_tasks.cancel(koji, task_id)
    text = f"Koji answered with task {task_id}, which an earlier build has: is it the same Koji as before?"
    with database.begin() as session:
        known = finish(session, build_id, Progress(BuildState.SPOILED, now, fault_text=text), config, now)
    return NotSubmitted(text if known else "Koji answered too late; the task was cancelled", Obstacle.KOJI)


def _note_lost(database: Database, build_id: int, when: datetime) -> None:
    """The grace of a lost answer begins when it was lost: a slow hub may be carrying the request out just now."""
    with database.begin() as session:
        build = session.get(Build, build_id)
        if build is not None:
            build.submission = {**(build.submission or {}), LOST: when.isoformat()}


def _store_task(database: Database, build_id: int, task_id: int) -> bool:
    """Store a build's task; False when the build is gone or follows another task, or another build follows this one."""
    try:
        with database.begin() as session:
            session.execute(
                update(Build)
                .where(Build.id == build_id, Build.task_id.is_(None), Build.state == BuildState.RUNNING)
                .values(task_id=task_id)
            )
            return session.scalar(select(Build.task_id).where(Build.id == build_id)) == task_id
    except IntegrityError:  # uq_build_task: it was taken in this moment, or long ago
        log.warning("a task belongs to another build", build=build_id, task=task_id)
        return False


def give_up(session: Session, build_id: int, now: datetime) -> None:
    """Forget an intention of which nothing came; does nothing once the build has a task."""
    package_id = session.scalar(select(Build.package_id).where(Build.id == build_id))
    if package_id is None:
        return
    with changing(session, [package_id], Cause.BUILD, now=now) as packages:
        for package in packages:
            package.needs_resolution = True  # nothing was compared while it seemed to run
        session.execute(
            delete(Build).where(Build.id == build_id, Build.task_id.is_(None), Build.state == BuildState.RUNNING)
        )


def reconcile(database: Database, koji: KojiSession, config: Config, now: datetime) -> int:
    """Find the tasks of intentions that were left behind, and give up those that Koji never got; how many it settled.

    An intention younger than koji_config.submit_grace may still be on its way and is only adopted, never given up.
    """
    with database.begin() as session:
        query = select(Build).where(Build.state == BuildState.RUNNING, Build.task_id.is_(None)).order_by(Build.id)
        orphans = list(session.scalars(query))
    settled = 0
    for build in orphans:
        submission = build.submission or {}
        found = koji_tasks.find_submissions(
            koji, str(submission["source"]), submission["target"], build.started - CLOCK_SKEW
        )
        task_id = _unclaimed(database, [task.id for task in found if _asked_for(task, submission)])
        if task_id is not None:
            if not _store_task(database, build.id, task_id):
                continue  # somebody else was faster: the next look tells
            log.info("found the task of a lost submission", build=build.id, task=task_id)
            settled += 1
        elif (now - _asked_last(build)).total_seconds() > config.koji_config.submit_grace:
            with database.begin() as session:
                give_up(session, build.id, now)
            log.warning("Koji never got a submission; it is given up", build=build.id)
            settled += 1
    return settled


def _asked_last(build: Build) -> datetime:
    """When Koji may have got the request at the latest."""
    lost = (build.submission or {}).get(LOST)
    return build.started if lost is None else max(build.started, datetime.fromisoformat(lost))


def _asked_for(task: Task, submission: dict[str, Any]) -> bool:
    """Whether a task was made from exactly what we asked: one source may be built for several collections, and a person
    may have built it for real with our account."""
    opts = task.request[2] if task.request and len(task.request) > 2 else None
    asked = {"repo_id": None, "arch_override": None, **(submission.get("opts") or {}), "scratch": True}
    return isinstance(opts, dict) and all(opts.get(key) == value for key, value in asked.items())


def _unclaimed(database: Database, task_ids: list[int]) -> int | None:
    """The newest of these tasks that no build follows."""
    if not task_ids:
        return None
    with database.begin() as session:
        claimed = set(session.scalars(select(Build.task_id).where(Build.task_id.in_(task_ids))))
    return max((task_id for task_id in task_ids if task_id not in claimed), default=None)
