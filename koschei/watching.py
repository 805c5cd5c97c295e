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

from koschei import builds, real_builds, submission
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.notify import wake
from koschei.errors import KojiRefusal
from koschei.koji.session import KojiSession
from koschei.model import Build, Collection, Package
from koschei.rules.states import BuildState

log = structlog.get_logger(__name__)

LARGEST_ID = 2**63 - 1
LONGEST_NAME = 255


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
    if not 0 < task_id <= LARGEST_ID:
        return False
    with database.begin() as session:
        known = session.scalar(select(Build.id).where(Build.task_id == task_id, Build.state == BuildState.RUNNING))
        if known is None and session.scalar(select(submission.UNNUMBERED)):
            # It may be a submission whose number is not stored yet: the scheduler looks for it, polling follows it.
            # Koji tells of every task of everybody, so nobody is woken for less.
            wake(session, "scheduler")
    if known is None:
        return False
    builds.refresh(database, koji, config, now, task_id=task_id)
    return True


def _tag(database: Database, koji: KojiSession, config: Config, body: Mapping[str, Any], now: datetime) -> bool:
    name = _name(body, "name")
    if name is None or _name(body, "tag") is None:
        return False
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


def _name(body: Mapping[str, Any], key: str) -> str | None:
    """A name of Koji's in a message, if it can be one: it goes into queries and into calls."""
    value = body.get(key)
    if isinstance(value, str) and 0 < len(value) <= LONGEST_NAME and value.isprintable():
        return value
    return None


def _repo(database: Database, body: Mapping[str, Any]) -> bool:
    tag = _name(body, "tag")
    with database.begin() as session:
        if tag is None or not _is_build_tag(session, tag):
            return False
        wake(session, "repo-resolver")
    return True


def _is_build_tag(session: Session, tag: str) -> bool:
    return session.scalar(select(Collection.id).where(Collection.build_tag == tag).limit(1)) is not None
