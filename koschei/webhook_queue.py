"""What webhooks are still to be told, and what became of telling them.

A webhook's row says how far it was told. The order in which events are told is not that of their ids, which are taken
before a transaction commits: one with a lower id may appear later, and would be passed over. So events get a position
once they are seen, under a lock. Events of one package keep their order, since their transactions follow one another.

Delivery is at least once: an attempt whose outcome could not be stored is made again, with the same id.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from koschei.config.schema import WebhooksConfig
from koschei.db.locks import LockSpace
from koschei.messaging.http_post import Answer, seconds_asked
from koschei.model import OutboxEvent, Webhook, WebhookDelivery

LEAST_FAILURES = 5
"""So many in a row it takes to disable a webhook, however long ago the first was: we may have been away ourselves."""
LONGEST_RETRY_AFTER = 86400.0
"""Seconds that a receiver may ask us to wait."""
DELIVERIES_KEPT = 20
GONE = 410

PLACE = text("""
    WITH seen AS MATERIALIZED (
        SELECT id, nextval('outbox_event_position') AS position
        FROM (SELECT id FROM outbox_event WHERE position IS NULL ORDER BY id LIMIT :most) AS unplaced
    )
    UPDATE outbox_event AS e SET position = seen.position FROM seen WHERE e.id = seen.id
""")

# Which events (e) a webhook (w) wants. Events of collections are not about packages, nor about groups of them.
WANTED = """
    (w.kinds = '{}' OR e.kind = ANY(w.kinds))
    AND (w.collections = '{}' OR e.body ->> 'collection' = ANY(w.collections))
    AND ((w.groups = '{}' AND w.packages = '{}')
         OR e.body ->> 'name' = ANY(w.packages) OR e.body -> 'groups' ?| w.groups)
"""

NEXT = text(f"""
    SELECT e.id FROM webhook AS w JOIN outbox_event AS e ON e.position > w.position AND {WANTED}
    WHERE w.id = :webhook_id AND e.position <= :newest
    ORDER BY e.position LIMIT 1
""")  # noqa: S608 - only our own constant is put in

WAITING = text(f"""
    SELECT w.id, count(*) AS number FROM webhook AS w JOIN outbox_event AS e ON e.position > w.position AND {WANTED}
    WHERE w.enabled OR NOT :enabled
    GROUP BY w.id
""")  # noqa: S608 - only our own constant is put in


class Outcome(StrEnum):
    """What became of an attempt. DISABLED: it failed, and the webhook is not tried any more."""

    DELIVERED = "delivered"
    FAILED = "failed"
    DISABLED = "disabled"


@dataclass(frozen=True)
class Job:
    """An event that one webhook is to be told next. `secrets`: those that its receiver may check with."""

    webhook_id: int
    url: str
    secrets: tuple[str, ...]
    position: int
    message_id: str
    kind: str
    body: Mapping[str, Any]
    created: datetime


def place(session: Session, most: int | None = None) -> None:
    """Give each event that has none its position (at most so many of them); several processes may try at once."""
    session.execute(
        text("SELECT pg_advisory_xact_lock(:space, 1)"),
        {"space": int(LockSpace.WEBHOOKS)},
    )
    session.execute(PLACE, {"most": most})


def unplaced(session: Session) -> bool:
    """Whether any event has no position yet."""
    return session.scalar(select(OutboxEvent.id).where(OutboxEvent.position.is_(None)).limit(1)) is not None


def newest(session: Session) -> int:
    """The position of the newest event; 0 without any."""
    return session.scalar(select(func.max(OutboxEvent.position))) or 0


def any_enabled(session: Session) -> bool:
    """Whether there is anybody to be told."""
    return session.scalar(select(Webhook.id).where(Webhook.enabled).limit(1)) is not None


def due(session: Session, now: datetime) -> list[int]:
    """The ids of the webhooks that have events to look at and are not waiting to be tried again."""
    last = newest(session)
    ready = Webhook.next_attempt.is_(None) | (Webhook.next_attempt <= now)
    query = select(Webhook.id).where(Webhook.enabled, ready, Webhook.position < last)
    return list(session.scalars(query.order_by(Webhook.id)))


def next_retry(session: Session) -> datetime | None:
    """When the next webhook is to be tried again."""
    return session.scalar(select(func.min(Webhook.next_attempt)).where(Webhook.enabled))


def waiting(session: Session, *, enabled: bool = False) -> dict[int, int]:
    """How many events each webhook (by id; `enabled` ones only) is still to be told; those without any are left out."""
    rows = session.execute(WAITING, {"enabled": enabled}).all()
    return {row.id: row.number for row in rows}


def take(session: Session, webhook_id: int, now: datetime) -> Job | None:
    """The next event to tell a webhook; None when there is none, or the webhook must wait, is disabled or gone.

    What the webhook does not want is passed over for good.
    """
    webhook = session.scalar(select(Webhook).where(Webhook.id == webhook_id).with_for_update())
    if webhook is None or not webhook.enabled or (webhook.next_attempt is not None and webhook.next_attempt > now):
        return None
    last = newest(session)
    found = session.scalar(NEXT, {"webhook_id": webhook_id, "newest": last})
    event = None if found is None else session.get(OutboxEvent, found)
    if event is None or event.position is None:
        webhook.position = max(webhook.position, last)
        return None
    return Job(
        webhook_id=webhook.id,
        url=webhook.url,
        secrets=secrets(webhook, now),
        position=event.position,
        message_id=str(event.message_id),
        kind=event.kind,
        body=event.body,
        created=event.created,
    )


def secrets(webhook: Webhook, now: datetime) -> tuple[str, ...]:
    """What to sign with: after a rotation the old secret, too, for a while."""
    if webhook.old_secret is not None and webhook.old_secret_until is not None and webhook.old_secret_until > now:
        return webhook.secret, webhook.old_secret
    return (webhook.secret,)


def record(session: Session, config: WebhooksConfig, job: Job, answer: Answer, now: datetime) -> Outcome | None:
    """Store what became of an attempt; None when the webhook is gone meanwhile.

    One that was disabled, skipped forward or given another address meanwhile is not troubled by an old failure.
    """
    webhook = session.scalar(select(Webhook).where(Webhook.id == job.webhook_id).with_for_update())
    if webhook is None:
        return None
    outcome = Outcome.DELIVERED if answer.delivered else Outcome.FAILED
    if answer.delivered:
        webhook.position = max(webhook.position, job.position)
        webhook.failures, webhook.failing_since, webhook.next_attempt, webhook.last_error = 0, None, None, None
        webhook.last_success = now
    elif webhook.enabled and webhook.url == job.url and webhook.position < job.position:
        outcome = _failed(webhook, config, answer, now)
    session.add(
        WebhookDelivery(
            webhook_id=webhook.id,
            message_id=job.message_id,
            kind=job.kind,
            time=now,
            seconds=answer.seconds,
            outcome=outcome,
            status=answer.status,
            error=answer.error,
        )
    )
    session.flush()
    kept = select(WebhookDelivery.id).where(WebhookDelivery.webhook_id == webhook.id)
    kept = kept.order_by(WebhookDelivery.id.desc()).limit(DELIVERIES_KEPT)
    session.execute(
        delete(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook.id, WebhookDelivery.id.not_in(kept))
    )
    return outcome


def _failed(webhook: Webhook, config: WebhooksConfig, answer: Answer, now: datetime) -> Outcome:
    webhook.failures += 1
    webhook.failing_since = webhook.failing_since or now
    webhook.last_error = answer.error
    webhook.next_attempt = now + timedelta(seconds=_patience(webhook.failures, config, answer, now))
    failing = now - webhook.failing_since
    if answer.status == GONE:
        reason = "the receiver says that it is gone for good (HTTP status 410)"
    elif failing >= timedelta(hours=config.disable_after) and webhook.failures >= LEAST_FAILURES:
        reason = (
            f"{webhook.failures} failures in a row since {webhook.failing_since:%Y-%m-%d %H:%M} UTC: {answer.error}"
        )
    else:
        return Outcome.FAILED
    webhook.enabled, webhook.disabled_reason, webhook.disabled_since = False, reason, now
    webhook.next_attempt = None
    return Outcome.DISABLED


def _patience(failures: int, config: WebhooksConfig, answer: Answer, now: datetime) -> float:
    """Seconds until the next attempt: more with each failure, with jitter, and never less than the receiver asks."""
    delay = config.retry_delay * 2.0 ** min(failures - 1, 30) * random.uniform(0.75, 1.25)  # noqa: S311 - only jitter
    asked = min(seconds_asked(answer.retry_after, now.timestamp()), LONGEST_RETRY_AFTER)
    return max(min(delay, config.longest_retry_delay), asked)
