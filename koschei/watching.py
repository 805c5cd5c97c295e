"""What Koji says by itself: a message about a task, a tag or a repository, and what it makes us look at.

A message is a hint. What is stored is what Koji answers when it is asked, so that late, repeated, reordered or false
messages do no harm; and whatever no message told is seen by polling.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from koschei import builds, real_builds
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.notify import wake
from koschei.koji.session import KojiSession
from koschei.model import Build, Collection
from koschei.rules.states import BuildState

log = structlog.get_logger(__name__)


def handle(
    database: Database, koji: KojiSession, config: Config, topic: str, body: Mapping[str, Any], now: datetime
) -> bool:
    """React to a message of Koji; False when it does not concern us or makes no sense.

    `topic` is the whole routing key. Errors: KojiError, DatabaseError; the message should then be delivered again.
    """
    prefix = config.fedmsg.topic + "."
    if not topic.startswith(prefix) or body.get("instance") != config.fedmsg.instance:
        return False
    match topic.removeprefix(prefix):
        case "task.state.change":
            return _task(database, koji, config, body, now)
        case "tag" | "untag":
            return _tag(database, koji, config, body, now)
        case "repo.done":
            return _repo(database, body)
        case _:
            return False


def _task(database: Database, koji: KojiSession, config: Config, body: Mapping[str, Any], now: datetime) -> bool:
    task_id = body.get("id")
    if body.get("attribute") != "state" or not isinstance(task_id, int) or isinstance(task_id, bool):
        return False
    with database.begin() as session:
        known = session.scalar(select(Build.id).where(Build.task_id == task_id, Build.state == BuildState.RUNNING))
        if known is None:
            # It may be a submission whose number is not stored yet: the scheduler looks for it, polling follows it.
            wake(session, "scheduler")
    if known is None:
        return False
    builds.refresh(database, koji, config, now, task_id=task_id)
    return True


def _tag(database: Database, koji: KojiSession, config: Config, body: Mapping[str, Any], now: datetime) -> bool:
    name, tag = body.get("name"), body.get("tag")
    if not isinstance(name, str) or not isinstance(tag, str):
        return False
    with database.begin() as session:
        # A tag may be inherited by that of a collection, so every collection is asked; it is one small call each.
        collections = list(session.scalars(select(Collection).order_by(Collection.id)))
    for collection in collections:
        real_builds.refresh(database, koji, config, collection, now, name=name)
    return bool(collections)


def _repo(database: Database, body: Mapping[str, Any]) -> bool:
    tag = body.get("tag")
    with database.begin() as session:
        if not isinstance(tag, str) or not _is_build_tag(session, tag):
            return False
        wake(session, "repo-resolver")
    return True


def _is_build_tag(session: Session, tag: str) -> bool:
    return session.scalar(select(Collection.id).where(Collection.build_tag == tag).limit(1)) is not None
