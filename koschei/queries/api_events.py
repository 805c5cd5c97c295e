"""Events in the order in which everybody is told of them, for readers that ask for what is behind their last one.

Events have their positions once they are committed (koschei.webhook_queue): nothing ever appears before a position
that was read. They are kept for a while after they were sent; whoever comes back too late is told so.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection as Set
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from koschei.model import OutboxEvent

LOOKED_AT = 5000
"""So many events are looked at for one page at most: a page may have fewer than were asked for, or none at all."""


@dataclass(frozen=True)
class Event:
    """A change of state as messages tell of it."""

    position: int
    id: uuid.UUID
    kind: str
    time: datetime
    body: Mapping[str, Any]


@dataclass(frozen=True)
class Wanted:
    """Which events; an empty set leaves nothing out. One of any of `packages` or `groups` will do."""

    kinds: Set[str] = ()
    collections: Set[str] = ()
    packages: Set[str] = ()
    groups: Set[str] = ()


@dataclass(frozen=True)
class Found:
    """Some events. `position`: all up to there were looked at; `more`: there are others behind.

    `safe`: nothing behind the position was sent before this moment, None when there is nothing behind.
    """

    events: Sequence[Event]
    position: int
    more: bool
    safe: datetime | None


def behind(session: Session, position: int, wanted: Wanted, limit: int) -> Found:
    """The events behind a position, in order; `limit` at most, and fewer when few of very many fit."""
    ahead = select(OutboxEvent.position).where(OutboxEvent.position > position)
    ahead = ahead.order_by(OutboxEvent.position).limit(LOOKED_AT)
    last = session.scalar(select(func.max(ahead.subquery().c.position)))
    if last is None:
        return Found((), position, False, None)
    query = select(
        OutboxEvent.position, OutboxEvent.message_id, OutboxEvent.kind, OutboxEvent.created, OutboxEvent.body
    )
    query = query.where(OutboxEvent.position > position, OutboxEvent.position <= last)
    if wanted.kinds:
        query = query.where(OutboxEvent.kind.in_(wanted.kinds))
    if wanted.collections:
        query = query.where(OutboxEvent.body["collection"].astext.in_(wanted.collections))
    if wanted.packages or wanted.groups:
        named = OutboxEvent.body["name"].astext.in_(wanted.packages)
        grouped = [OutboxEvent.body["groups"].contains([group]) for group in wanted.groups]
        query = query.where(or_(named, *grouped))
    events = [Event(*row) for row in session.execute(query.order_by(OutboxEvent.position).limit(limit))]
    reached = events[-1].position if len(events) == limit else last
    following = session.execute(
        select(OutboxEvent.created).where(OutboxEvent.position > reached).order_by(OutboxEvent.position).limit(1)
    ).one_or_none()
    return Found(events, reached, following is not None, following[0] if following else None)


def newest(session: Session) -> int:
    """The position of the newest event; 0 without any."""
    return session.scalar(select(func.max(OutboxEvent.position))) or 0
