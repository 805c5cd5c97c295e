"""The outbox: events are written with the change they tell of, and taken out by the sender in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from koschei.messaging import events
from koschei.model import Collection, OutboxEvent, Package, PackageGroup, PackageGroupRelation
from koschei.rules.states import CollectionState, PackageState, message_state


def package_states_changed(session: Session, moved: Mapping[int, tuple[PackageState, PackageState]]) -> None:
    """Queue an event for each package (by id) whose state, as messages tell it, is another one now."""
    visible = {
        package_id: (message_state(prev), message_state(new))
        for package_id, (prev, new) in moved.items()
        if message_state(prev) != message_state(new)
    }
    if not visible:
        return
    packages = session.execute(
        select(Package.id, Package.base_id, Package.name, Collection.name, Collection.display_name)
        .join(Collection, Collection.id == Package.collection_id)
        .where(Package.id.in_(visible))
        .order_by(Package.id)
    ).all()
    groups = _group_names(session, [base_id for _, base_id, *_ in packages])
    rows = []
    for package_id, base_id, name, collection, display_name in packages:
        old, new = visible[package_id]
        event = events.package_state_change(
            name=name,
            old=old,
            new=new,
            collection=collection,
            collection_name=display_name,
            groups=groups.get(base_id, ()),
        )
        rows.append({"kind": event.kind, "body": event.body, "package_id": package_id})
    session.execute(insert(OutboxEvent), rows)


def collection_state_changed(
    session: Session, collection: Collection, prev: CollectionState, new: CollectionState, repo_id: int
) -> None:
    """Queue the event that a collection's base buildroot broke or was mended."""
    event = events.collection_state_change(
        old=prev, new=new, collection=collection.name, collection_name=collection.display_name, repo_id=repo_id
    )
    session.add(OutboxEvent(kind=event.kind, body=event.body))


def _group_names(session: Session, base_ids: Sequence[int]) -> dict[int, list[str]]:
    rows = session.execute(
        select(PackageGroupRelation.base_id, PackageGroup)
        .join(PackageGroup, PackageGroup.id == PackageGroupRelation.group_id)
        .where(PackageGroupRelation.base_id.in_(base_ids))
        .order_by(PackageGroup.namespace, PackageGroup.name)
    ).all()
    names: dict[int, list[str]] = {}
    for base_id, group in rows:
        names.setdefault(base_id, []).append(group.full_name)
    return names


def unsent(session: Session, limit: int = 100, *, after: int = 0) -> list[OutboxEvent]:
    """The oldest events that were not sent, in the order in which they happened; those behind the id `after`."""
    query = (
        select(OutboxEvent)
        .where(OutboxEvent.sent.is_(None), OutboxEvent.skipped.is_(None), OutboxEvent.id > after)
        .order_by(OutboxEvent.id)
        .limit(limit)
    )
    return list(session.scalars(query))


def mark_sent(session: Session, event_id: int, now: datetime) -> None:
    """The broker confirmed the event."""
    session.execute(
        update(OutboxEvent)
        .where(OutboxEvent.id == event_id)
        .values(sent=now, attempts=OutboxEvent.attempts + 1, last_error=None)
    )


def mark_failed(session: Session, event_id: int, error: str) -> None:
    """The broker did not take the event; it stays first in the queue."""
    session.execute(
        update(OutboxEvent)
        .where(OutboxEvent.id == event_id)
        .values(attempts=OutboxEvent.attempts + 1, last_error=error)
    )


def let_go(session: Session, before: datetime, now: datetime) -> int:
    """Mark the events made before that time as never to be sent, and return how many those were.

    For when nobody is there to send them: once somebody is, they would be told as news. An outage is another matter;
    whoever sends to a bus sends everything that waited for it.
    """
    gone = update(OutboxEvent).where(
        OutboxEvent.sent.is_(None), OutboxEvent.skipped.is_(None), OutboxEvent.created < before
    )
    return len(session.scalars(gone.values(skipped=now).returning(OutboxEvent.id)).all())


def backlog(session: Session) -> tuple[int, datetime | None]:
    """How many events wait, and since when the oldest does."""
    count, oldest = session.execute(
        select(func.count(), func.min(OutboxEvent.created)).where(
            OutboxEvent.sent.is_(None), OutboxEvent.skipped.is_(None)
        )
    ).one()
    return count, oldest
