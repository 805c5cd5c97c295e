"""What stands around every page: what people who run the service want everybody to know, broken base buildroots, and
the pulse of the services. Every page asks for it, so it is one question.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from koschei.db.types import UtcDateTime
from koschei.queries.services import Pulse, pulse


@dataclass(frozen=True)
class Around:
    """Announcements, the problems of base buildroots by collection, and the pulses of the services by name."""

    announcements: list[str] = field(default_factory=list)
    problems: dict[int, list[str]] = field(default_factory=dict)
    pulses: list[Pulse] = field(default_factory=list)


AROUND = text("""
    SELECT 1 AS kind, key AS service, 0 AS number, content AS words, NULL::double precision AS interval,
           NULL::timestamptz AS started, NULL::timestamptz AS pass_started, NULL::timestamptz AS pass_finished,
           NULL::text AS error, NULL::timestamptz AS error_since, 0 AS collection_id
    FROM admin_notice
    UNION ALL SELECT 2, '', id, problem, NULL, NULL, NULL, NULL, NULL, NULL, collection_id
    FROM buildroot_problem WHERE collection_id = ANY(CAST(:broken AS bigint[]))
    UNION ALL SELECT 3, service, 0, '', interval, started, pass_started, pass_finished, error, error_since, 0
    FROM service_status
    ORDER BY kind, service, number
""").columns(
    started=UtcDateTime, pass_started=UtcDateTime, pass_finished=UtcDateTime, error_since=UtcDateTime
)  # fmt: skip


def around(session: Session, broken: Collection[int], now: datetime) -> Around:
    """What stands around a page; `broken`: the collections whose problems are told."""
    found = Around()
    for row in session.execute(AROUND, {"broken": list(broken)}):
        match row.kind:
            case 1:
                found.announcements.append(row.words)
            case 2:
                found.problems.setdefault(row.collection_id, []).append(row.words)
            case _:
                found.pulses.append(pulse(row, now))
    return found
