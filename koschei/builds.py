"""Running builds: how far they are, how they end, and what their end changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.notify import wake
from koschei.errors import KojiOutage, KojiRefusal
from koschei.koji import tasks as koji_tasks
from koschei.koji.records import Task
from koschei.koji.session import KojiSession
from koschei.model import Build, Cause, KojiTask, Package, UnappliedChange
from koschei.rules.priority import Weights, build_priority_after
from koschei.rules.states import BuildState
from koschei.rules.verdict import spoiled_retry_delay, verdict
from koschei.transitions import changing

log = structlog.get_logger(__name__)

# A task that Koji does not know may have been created a moment ago on another replica of its database.
UNKNOWN_TASK_GRACE = timedelta(minutes=10)


@dataclass(frozen=True)
class Progress:
    """What Koji says of a build's task; `state` is its verdict, None while it may still run.

    `fault_text` of one that runs says why Koji would not cancel it.
    """

    state: BuildState | None
    finished: datetime | None = None
    repo_id: int | None = None
    arch_tasks: Sequence[Task] = field(default=())
    fault_code: int | None = None
    fault_text: str | None = None


def refresh(database: Database, koji: KojiSession, config: Config, now: datetime, *, task_id: int | None = None) -> int:
    """Ask Koji about all running builds (or those of one task) and store what it says; returns how many ended.

    One build that cannot be stored, or of which Koji tells nonsense, does not stop the others: its error is logged, it
    is asked about next time, and given up as spoiled when it is overdue.
    Errors: KojiOutage, KojiAuthError; everything stored before stays.
    """
    with database.begin() as session:
        query = select(Build).where(Build.state == BuildState.RUNNING, Build.task_id.is_not(None)).order_by(Build.id)
        if task_id is not None:
            query = query.where(Build.task_id == task_id)
        running = list(session.scalars(query))
    ended = 0
    size = config.koji_config.multicall_chunk_size
    for start in range(0, len(running), size):
        chunk = running[start : start + size]
        ids = sorted({build.task_id for build in chunk if build.task_id is not None})
        found = koji_tasks.tasks(koji, ids)
        children = koji_tasks.children(koji, [i for i, task in found.items() if task is not None])
        for build in chunk:
            try:
                ended += _refresh_one(database, koji, config, build, found, children, now)
            except SQLAlchemyError:
                log.exception("what became of a build could not be stored", build=build.id, task=build.task_id)
    return ended


def answers(koji: KojiSession) -> bool:
    """Whether Koji answers at all: then a senseless answer is about what was asked, and no outage."""
    try:
        koji.read("getAPIVersion")
    except KojiOutage:
        return False
    return True


def _refresh_one(
    database: Database,
    koji: KojiSession,
    config: Config,
    build: Build,
    found: Mapping[int, Task | None],
    children: Mapping[int, list[Task]],
    now: datetime,
) -> bool:
    if build.task_id is None:
        raise ValueError(f"build {build.id} has no task yet: it is the submission's to follow")
    progress = _progress(koji, config, build, found, children, now)
    if progress is None and _overdue(build, config, now):
        text = "Koji did not tell how the build ended within koji_config.task_timeout"
        progress = Progress(BuildState.SPOILED, now, build.repo_id, fault_text=text)
    if progress is None:
        return False
    with database.begin() as session:
        if progress.state is None:
            store_progress(session, build.id, progress)
            return False
        return finish(session, build.id, progress, config, now)


def _progress(
    koji: KojiSession,
    config: Config,
    build: Build,
    found: Mapping[int, Task | None],
    children: Mapping[int, list[Task]],
    now: datetime,
) -> Progress | None:
    """What Koji says of one build; None when that makes no sense, which must not keep us from the others."""
    assert build.task_id is not None
    task = found.get(build.task_id)
    if build.task_id not in found or (task is not None and task.id not in children):
        return None  # the Koji layer has logged it
    try:
        return observe(koji, build, task, children.get(build.task_id, []), config, now)
    except KojiRefusal as error:
        log.warning("Koji would not tell about a build's task", build=build.id, task=build.task_id, error=str(error))
    except KojiOutage as error:
        if not answers(koji):
            raise
        log.warning("Koji tells nonsense about a build's task", build=build.id, task=build.task_id, error=str(error))
    return None


def _overdue(build: Build, config: Config, now: datetime) -> bool:
    return (now - build.started).total_seconds() > config.koji_config.task_timeout


def observe(
    koji: KojiSession, build: Build, task: Task | None, children: Sequence[Task], config: Config, now: datetime
) -> Progress:
    """What became of a build, given its task and the task's children; cancels it when it is overdue or unwanted."""
    arch_tasks = [child for child in children if child.method == "buildArch"]
    repo_id = build.repo_id or koji_tasks.repo_id_of(children)
    if task is None:
        if now - build.started < UNKNOWN_TASK_GRACE:
            return Progress(None)
        text = f"Koji does not know task {build.task_id}"
        return Progress(BuildState.SPOILED, now, repo_id, arch_tasks, fault_text=text)
    state = verdict(int(task.state), None, has_children=bool(children))
    if state is None:
        return _running(koji, build, repo_id, arch_tasks, config, now)
    if state is BuildState.CANCELED:
        return Progress(state, task.finished or now, repo_id, arch_tasks, fault_text="The task was cancelled in Koji")
    if state is BuildState.COMPLETE:
        return _with_repository(Progress(state, task.finished or now, repo_id, arch_tasks))
    outcome = koji_tasks.outcome(koji, task.id)
    if isinstance(outcome, koji_tasks.Succeeded):
        return Progress(None)  # Koji contradicts itself; it is asked again
    package_failed = outcome.kind is koji_tasks.FaultKind.PACKAGE
    state = BuildState.FAILED if package_failed else BuildState.SPOILED
    return _with_repository(Progress(state, task.finished or now, repo_id, arch_tasks, outcome.code, outcome.text))


def _running(
    koji: KojiSession, build: Build, repo_id: int | None, arch_tasks: Sequence[Task], config: Config, now: datetime
) -> Progress:
    if not (build.cancel_requested or _overdue(build, config, now)) or build.task_id is None:
        return Progress(None, repo_id=repo_id, arch_tasks=arch_tasks)
    reason = "Cancelled on request" if build.cancel_requested else "Cancelled: longer than koji_config.task_timeout"
    try:
        koji_tasks.cancel(koji, build.task_id)
    except KojiRefusal as error:
        log.warning("Koji would not cancel a task", build=build.id, task=build.task_id, error=str(error))
        refusal = f"Koji would not cancel it: {error.text}"
        if not _overdue(build, config, now):
            return Progress(None, None, repo_id, arch_tasks, fault_text=refusal)
        text = f"{refusal}. It has been running for longer than koji_config.task_timeout, and is followed no more"
        return Progress(BuildState.SPOILED, now, repo_id, arch_tasks, fault_text=text)
    return Progress(BuildState.CANCELED, now, repo_id, arch_tasks, fault_text=reason)


def _with_repository(progress: Progress) -> Progress:
    """A verdict needs a repository to be compared in; without one the build tells nothing."""
    if progress.repo_id is not None:
        return progress
    text = progress.fault_text or "Koji did not say which repository the build used"
    return Progress(BuildState.SPOILED, progress.finished, None, progress.arch_tasks, progress.fault_code, text)


def store_progress(session: Session, build_id: int, progress: Progress) -> None:
    """Store the tasks and the repository of a build that is still running; a repository once known is kept.

    When Koji would not cancel it, it goes on, and the request is dropped: asked again, Koji would refuse it again.
    """
    build = session.scalars(select(Build).where(Build.id == build_id).with_for_update()).one_or_none()
    if build is None or build.state is not BuildState.RUNNING:
        return
    if build.repo_id is None and progress.repo_id is not None:
        build.repo_id = progress.repo_id
        wake(session, "build-resolver")
    if progress.fault_text is not None:
        build.cancel_requested = False
        build.fault_text = progress.fault_text
    store_tasks(session, build_id, progress.arch_tasks)


def store_tasks(session: Session, build_id: int, arch_tasks: Iterable[Task]) -> None:
    """Insert or update the architecture tasks of a build."""
    rows = [
        {
            "build_id": build_id,
            "task_id": task.id,
            "arch": task.label or task.arch,
            "state": int(task.state),
            "started": task.created,
            "finished": task.finished,
        }
        for task in arch_tasks
    ]
    if not rows:
        return
    statement = insert(KojiTask)
    changed = {column: statement.excluded[column] for column in ("state", "started", "finished")}
    session.execute(statement.on_conflict_do_update(index_elements=["build_id", "task_id"], set_=changed), rows)


def finish(session: Session, build_id: int, progress: Progress, config: Config, now: datetime) -> bool:
    """End a running build with its verdict, in the caller's transaction; False when it had ended before.

    A counted build resets what had asked for it. One that was spoiled or cancelled says nothing about the package: its
    priorities stay, and the package waits a while before it is tried again.
    """
    if progress.state is None:
        raise ValueError("a build without a verdict has not ended")
    package_id = session.scalar(select(Build.package_id).where(Build.id == build_id))
    if package_id is None:
        return False
    with changing(session, [package_id], Cause.BUILD, now=now) as packages:
        build = session.scalars(
            select(Build).where(Build.id == build_id).with_for_update().execution_options(populate_existing=True)
        ).one_or_none()
        if build is None or build.state is not BuildState.RUNNING or not packages:
            return False
        build.state = progress.state
        build.finished = progress.finished or now
        build.repo_id = build.repo_id or progress.repo_id
        build.fault_code = progress.fault_code
        build.fault_text = progress.fault_text
        store_tasks(session, build_id, progress.arch_tasks)
        if progress.state.counted:
            reset_priorities(session, packages[0], build)
            previous = previous_verdict(session, build)
            packages[0].build_priority = build_priority_after(
                progress.state, previous, Weights.of(config.priorities), comparable=build.deps_resolved is not False
            )
        else:
            _set_back(packages[0], build, config, now)
    log.info(
        "build ended",
        package=packages[0].name,
        build=build_id,
        task=build.task_id,
        state=progress.state.word,
        fault=progress.fault_code,
    )
    wake(session, "scheduler", "build-resolver", "repo-resolver")
    return True


def reset_priorities(session: Session, package: Package, build: Build) -> None:
    """A counted build answers everything that asked for it: wishes, changed dependencies, doubts, and Koji's faults."""
    _fulfil_wish(package, build)
    package.dependency_priority = 0
    package.build_priority = 0
    package.spoiled_in_a_row = 0
    package.retry_after = None
    package.scheduler_skip_reason = None
    session.execute(delete(UnappliedChange).where(UnappliedChange.package_id == package.id))


def _fulfil_wish(package: Package, build: Build) -> None:
    """The manual priority that caused a build is spent; one that somebody gave while it ran asks for the next."""
    caused = ((build.submission or {}).get("priority") or {}).get("manual")
    if caused is None or package.manual_priority == caused:
        package.manual_priority = 0


def _set_back(package: Package, build: Build, config: Config, now: datetime) -> None:
    if build.cancel_requested:
        _fulfil_wish(package, build)  # the person who cancels does not want the build that a person asked for
    package.needs_resolution = True  # nothing was compared while it ran
    package.spoiled_in_a_row += 1
    package.scheduler_skip_reason = None  # from now on it waits for this
    package.retry_after = now + spoiled_retry_delay(package.spoiled_in_a_row, config.koji_config.spoiled_retry_delay)


def previous_verdict(session: Session, build: Build) -> BuildState | None:
    """The verdict on the package's own build before this one."""
    return session.scalar(
        select(Build.state)
        .where(
            Build.package_id == build.package_id,
            Build.id != build.id,
            Build.started < build.started,
            ~Build.untagged,
            Build.state.in_([BuildState.COMPLETE, BuildState.FAILED]),
        )
        .order_by(Build.started.desc(), Build.id.desc())
        .limit(1)
    )
