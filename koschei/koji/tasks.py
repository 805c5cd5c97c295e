"""Tasks: looking at them, how they ended, submitting builds and cancelling them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import partial
from typing import Any

import structlog

from koschei.errors import KojiAuthError, KojiOutage, KojiRefusal, LostReply
from koschei.koji.answers import Row, number, rows
from koschei.koji.records import Task, TaskState
from koschei.koji.session import Call, KojiSession
from koschei.rules.verdict import ACTION_NOT_ALLOWED, Blame, blame

log = structlog.get_logger(__name__)

REPO_ID_AT = {"buildArch": 4, "rebuildSRPM": 2, "buildSRPMFromSCM": 2}
"""Where in its request a child of a build has the options with the repository's id."""

UNFINISHED = (TaskState.FREE, TaskState.OPEN, TaskState.ASSIGNED)
GENERIC_ERROR = 1000


class FaultKind(Enum):
    """Whose failure it is."""

    PACKAGE = "package"
    KOJI = "koji"
    OURS = "ours"


@dataclass(frozen=True)
class Succeeded:
    """The task did what it was asked for."""


@dataclass(frozen=True)
class Failed:
    """The task failed with one of Koji's fault codes (or of python: 1); `text` is for people."""

    code: int
    text: str
    kind: FaultKind


Outcome = Succeeded | Failed


def tasks(session: KojiSession, ids: Iterable[int]) -> dict[int, Task | None]:
    """Tasks by their ids; None for those Koji does not know.

    One about which Koji gives no sensible answer is left out, and logged: ask again later.
    """
    method = "getTaskInfo"
    found: dict[int, Task | None] = {}
    for task_id, answer in _asked_about(session, method, ids).items():
        try:
            found[task_id] = None if answer is None else Task.from_koji(method, _value(answer))
        except (KojiRefusal, KojiOutage) as error:
            log.warning("Koji does not tell about a task", task=task_id, reason=str(error))
    return found


def children(session: KojiSession, ids: Iterable[int]) -> dict[int, list[Task]]:
    """Child tasks by the ids of their parents, each sorted by id (Koji has no order); as `tasks` otherwise."""
    method = "getTaskChildren"
    found: dict[int, list[Task]] = {}
    for task_id, answer in _asked_about(session, method, ids).items():
        try:
            found[task_id] = _by_id(rows(method, _value(answer), partial(Task.from_koji, method)))
        except (KojiRefusal, KojiOutage) as error:
            log.warning("Koji does not tell about a task's children", task=task_id, reason=str(error))
    return found


def repo_id_of(children: Iterable[Task]) -> int | None:
    """Id of the repository that a build uses, known as soon as it has a child; None before."""
    for child in _by_id(children):
        place = REPO_ID_AT.get(child.method)
        request = child.request or ()
        if place is None or len(request) <= place or not isinstance(request[place], Mapping):
            continue
        repo_id = request[place].get("repo_id")
        if isinstance(repo_id, int) and not isinstance(repo_id, bool) and repo_id > 0:
            return repo_id
    return None


def outcome(session: KojiSession, task_id: int) -> Outcome:
    """How a finished `build` task ended.

    KojiRefusal, in Koji's words, for one that has not finished, was cancelled or does not exist.
    """
    # raise_fault=False: a task's own fault, which can be any, must not look like a fault of this session
    calls = [
        Call("getTaskInfo", (task_id,), {"request": True}),
        Call("getTaskResult", (task_id,), {"raise_fault": False}),
        Call("getTaskChildren", (task_id,), {"request": True}),
    ]
    info, result, offspring = session.multicall(calls)
    if isinstance(result, KojiRefusal):
        raise result
    task = Task.from_koji("getTaskInfo", _value(info))
    if task.state is TaskState.CLOSED:
        return Succeeded()
    if task.state is not TaskState.FAILED:
        raise KojiRefusal("getTaskResult", GENERIC_ERROR, f"Task {task_id} is {task.state.name}")
    fault = Row("getTaskResult", result)
    code = fault.flags("faultCode")
    kind = _kind(blame(code, has_children=bool(rows("getTaskChildren", _value(offspring), lambda child: child))))
    return Failed(code, fault.text_or_empty("faultString"), kind)


def submit(session: KojiSession, source: str, target: str | None, opts: Mapping[str, Any], priority: int) -> int:
    """Id of a new scratch build of a source package (see `srpms.source_path`).

    `target` is None when `opts` has a `repo_id`; `priority` is relative to Koji's default (20), larger is less urgent.
    Raises KojiAuthError when Koji does not let us submit: that is about us, and would be said of every package.
    Raises LostReply when it may have been submitted: `find_submissions` tells.
    """
    try:
        answer = session.write("build", source, target, {**opts, "scratch": True}, priority=priority)
    except KojiRefusal as refusal:
        if refusal.code != ACTION_NOT_ALLOWED:
            raise
        raise KojiAuthError(
            f"Koji lets us submit no builds: {refusal.text}. Check koji_config.login_method, login_args and "
            "task_priority, and what Koji's policies allow us"
        ) from refusal
    try:
        return number("build", answer)
    except KojiOutage as error:
        raise LostReply(f"{source} may have been submitted: {error}") from error


def require_login(session: KojiSession) -> None:
    """Raise KojiAuthError when we do not log in, so that Koji need not be asked for what it would refuse."""
    if session.config.login_method == "logout":
        raise KojiAuthError(
            "Nothing can be submitted without a login to Koji; set koji_config.login_method and login_args"
        )


def find_submissions(session: KojiSession, source: str, target: str | None, since: datetime) -> list[Task]:
    """Our own builds of that source for that target that Koji created after `since` by its own clock, oldest first."""
    user = _ourselves(session)
    if user is None:
        raise KojiAuthError(
            "Koji does not know who we are, so our builds cannot be found; set koji_config.login_method"
        )
    found = _builds_of(session, user, createdAfter=since.timestamp())
    return [task for task in found if task.created >= since and (task.request or ())[:2] == (source, target)]


def unfinished_submissions(session: KojiSession) -> list[Task]:
    """Our own scratch builds that Koji has not finished, oldest first; none when we do not log in to Koji."""
    user = _ourselves(session)
    if user is None:
        return []
    found = _builds_of(session, user, state=[state.value for state in UNFINISHED])
    return [task for task in found if _is_scratch(task)]


def cancel(session: KojiSession, task_id: int) -> None:
    """Cancel a task and its children; one that has finished or does not exist needs nothing.

    KojiRefusal if it is not ours.
    """
    try:
        # as good twice as once, so it may be repeated like a read
        session.read("cancelTask", task_id)
    except KojiRefusal as refusal:
        if refusal.code != GENERIC_ERROR or session.read("getTaskInfo", task_id) is not None:
            raise


def _ourselves(session: KojiSession) -> int | None:
    user = session.read("getLoggedInUser")
    return None if user is None else Row("getLoggedInUser", user).number("id")


def _builds_of(session: KojiSession, user: int, **wanted: Any) -> list[Task]:
    """Tasks that a person asked for with the method `build`, oldest first."""
    opts = {"owner": user, "method": "build", "parent": None, "decode": True, **wanted}
    answer = session.read("listTasks", opts=opts, queryOpts={"order": "id"})
    return _by_id(rows("listTasks", answer, partial(Task.from_koji, "listTasks")))


def _is_scratch(task: Task) -> bool:
    opts = task.request[2] if task.request and len(task.request) > 2 else None
    return isinstance(opts, Mapping) and bool(opts.get("scratch"))


def _asked_about(session: KojiSession, method: str, ids: Iterable[int]) -> dict[int, Any]:
    wanted = list(dict.fromkeys(ids))
    answers = session.multicall([Call(method, (task_id,), {"request": True}) for task_id in wanted])
    return dict(zip(wanted, answers, strict=True))


def _value(answer: Any) -> Any:
    if isinstance(answer, KojiRefusal):
        raise answer
    return answer


def _by_id(found: Iterable[Task]) -> list[Task]:
    return sorted(found, key=lambda task: task.id)


def _kind(spoiler: Blame | None) -> FaultKind:
    match spoiler:
        case Blame.KOJI:
            return FaultKind.KOJI
        case Blame.OURS:
            return FaultKind.OURS
        case None:
            return FaultKind.PACKAGE
