"""What Koji says by itself: a message about a task, a tag or a repository, and what it makes us look at.

A message is a hint. What is stored is what Koji answers when it is asked, so that late, repeated, reordered or false
messages do no harm; and whatever no message told is seen by polling.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from koschei import builds, real_builds, submission
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.notify import wake
from koschei.errors import KojiRefusal, MessageError
from koschei.koji.session import KojiSession
from koschei.model import Build, Collection, Package
from koschei.rules.ids import LARGEST_ID
from koschei.rules.states import BuildState

log = structlog.get_logger(__name__)

LONGEST_NAME = 255
LONGEST_SHOWN = 80
MOST_EARLY = 1000
EARLY_FOR = timedelta(minutes=30)


class EarlyTasks:
    """Tasks that Koji told of while the number of some submission was not stored: one of them may be ours.

    It is in memory only. Whatever is lost with it is seen by polling, as if no message had come.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._tasks: dict[int, datetime] = {}

    def note(self, task_id: int, now: datetime) -> None:
        """Remember it for a while; the oldest go first when there are too many."""
        with self._guard:
            self._tasks.pop(task_id, None)
            self._tasks[task_id] = now
            while len(self._tasks) > MOST_EARLY:
                del self._tasks[next(iter(self._tasks))]

    def ids(self, now: datetime) -> list[int]:
        """Those that are remembered still."""
        with self._guard:
            self._tasks = {task_id: noted for task_id, noted in self._tasks.items() if now - noted < EARLY_FOR}
            return list(self._tasks)

    def forget(self, task_ids: list[int]) -> None:
        """They are dealt with."""
        with self._guard:
            for task_id in task_ids:
                self._tasks.pop(task_id, None)


def follow_up(database: Database, koji: KojiSession, config: Config, early: EarlyTasks, now: datetime) -> int:
    """Look at those of the early tasks that turned out to be ours; returns how many. Errors: KojiError."""
    noted = early.ids(now)
    if not noted:
        return 0
    with database.begin() as session:
        missing = bool(session.scalar(select(submission.UNNUMBERED)))
        ours = list(session.scalars(select(Build.task_id).where(Build.task_id.in_(noted)).order_by(Build.task_id)))
    for task_id in ours:
        builds.refresh(database, koji, config, now, task_id=task_id)
    # Without any submission that misses its number, the others are somebody else's.
    early.forget([task_id for task_id in ours if task_id is not None] if missing else noted)
    return len(ours)


def handle(
    database: Database,
    koji: KojiSession,
    config: Config,
    topic: str,
    body: Mapping[str, Any],
    now: datetime,
    early: EarlyTasks | None = None,
) -> bool:
    """React to a message of Koji; False when it does not concern us.

    `topic` is the whole routing key; `early` takes note of tasks that may turn out to be ours. Errors: KojiError,
    DatabaseError: the message should then be delivered again; MessageError when it makes no sense.
    """
    prefix = config.fedmsg.topic + "."
    if not topic.startswith(prefix) or body.get("instance") != config.fedmsg.instance:
        return False
    match topic.removeprefix(prefix):
        case "task.state.change":
            return _task(database, koji, config, body, now, early)
        case "tag" | "untag":
            return _tag(database, koji, config, body, now)
        case "repo.done":
            return _repo(database, body)
        case _:
            return False


def _task(
    database: Database,
    koji: KojiSession,
    config: Config,
    body: Mapping[str, Any],
    now: datetime,
    early: EarlyTasks | None,
) -> bool:
    if body.get("attribute") != "state":
        return False
    task_id = body.get("id")
    if not isinstance(task_id, int) or isinstance(task_id, bool) or not 0 < task_id <= LARGEST_ID:
        raise MessageError(f"id: {_shown(task_id)} cannot be a task's")
    with database.begin() as session:
        known = session.scalar(select(Build.id).where(Build.task_id == task_id, Build.state == BuildState.RUNNING))
        if known is None and session.scalar(select(submission.UNNUMBERED)):
            # It may be a submission whose number is not stored yet: the scheduler looks for it, and then we do again.
            # Koji tells of every task of everybody, so nobody is woken for less.
            wake(session, "scheduler")
            if early is not None:
                early.note(task_id, now)
    if known is None:
        return False
    builds.refresh(database, koji, config, now, task_id=task_id)
    return True


def _tag(database: Database, koji: KojiSession, config: Config, body: Mapping[str, Any], now: datetime) -> bool:
    name = _name(body, "name")
    _name(body, "tag")
    with database.begin() as session:
        # A tag may be inherited by that of a collection, so every collection that has the package is asked.
        known = select(Package.id).where(Package.collection_id == Collection.id, Package.name == name, ~Package.blocked)
        collections = list(session.scalars(select(Collection).where(known.exists()).order_by(Collection.id)))
    for collection in collections:
        try:
            real_builds.refresh(database, koji, config, collection, now, name=name)
        except KojiRefusal as error:  # a collection whose tag is gone must not stop the others; polling reports it
            log.info("Koji would not tell about a tagged build", collection=collection.name, error=str(error))
    return bool(collections)


def _name(body: Mapping[str, Any], key: str) -> str:
    """A name of Koji's in a message: it goes into queries and into calls. MessageError when it cannot be one."""
    value = body.get(key)
    if isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable():
        return value
    raise MessageError(f"{key}: {_shown(value)} cannot be a name")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}..."


def _repo(database: Database, body: Mapping[str, Any]) -> bool:
    tag = _name(body, "tag")
    with database.begin() as session:
        if not _is_build_tag(session, tag):
            return False
        wake(session, "repo-resolver")
    return True


def _is_build_tag(session: Session, tag: str) -> bool:
    return session.scalar(select(Collection.id).where(Collection.build_tag == tag).limit(1)) is not None
