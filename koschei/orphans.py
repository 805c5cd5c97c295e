"""Dependencies that nothing names any more: no dependency change, and no build's packed set.

Deleting one is safe only while no resolver can be about to name it. A resolver remembers the ids of binary packages it
has seen, so it must not run; one that starts meanwhile locks packages before it looks up ids, and waits for the batch.
"""

from __future__ import annotations

import time

from sqlalchemy import text
from sqlalchemy.orm import Session

from koschei import audit
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.dependencies import unpack
from koschei.errors import ServiceError
from koschei.retention import Kind, Progress

SETS_AT_ONCE = 500
RANGE = 50_000
# Writers wait for a batch: it is made as large as fits into this time. Each row is looked for in all pending changes.
SECONDS = 0.5
MOST_AT_ONCE = 1000

RUNNING = text("""
    SELECT DISTINCT application_name FROM pg_stat_activity
    WHERE datname = current_database() AND application_name IN ('koschei-repo-resolver', 'koschei-build-resolver')
    ORDER BY 1
""")
PULSE = text("""
    SELECT service, instance, started, pass_started, pass_finished FROM service_status
    WHERE service IN ('repo-resolver', 'build-resolver') ORDER BY service
""")
SETS = text("SELECT build_id, packed_ids FROM build_dependencies WHERE build_id > :after ORDER BY build_id LIMIT :n")
UNNAMED = text("""
    SELECT d.id FROM dependency AS d
    WHERE d.id > :low AND d.id <= :high
      AND NOT EXISTS (SELECT FROM applied_change WHERE prev_dep_id = d.id)
      AND NOT EXISTS (SELECT FROM applied_change WHERE curr_dep_id = d.id)
      AND d.id NOT IN (SELECT prev_dep_id FROM unapplied_change WHERE prev_dep_id > :low AND prev_dep_id <= :high)
      AND d.id NOT IN (SELECT curr_dep_id FROM unapplied_change WHERE curr_dep_id > :low AND curr_dep_id <= :high)
    ORDER BY d.id
""")


class Named:
    """The ids that packed sets name, a bit each, so that a hundred million sets' worth fits into memory."""

    def __init__(self) -> None:
        self._bits = bytearray()

    def add(self, ids: list[int]) -> None:
        """Take note of ids, ascending."""
        if ids and ids[-1] // 8 >= len(self._bits):
            self._bits.extend(bytes(ids[-1] // 8 + 1 - len(self._bits)))
        for number in ids:
            self._bits[number // 8] |= 1 << number % 8

    def __contains__(self, number: int) -> bool:
        return number // 8 < len(self._bits) and bool(self._bits[number // 8] >> number % 8 & 1)


def hindrance(database: Database) -> str | None:
    """Why orphans cannot be deleted at the moment; None when they can."""
    with database.begin() as session:
        return _hindrance(session)


def _hindrance(session: Session) -> str | None:
    names = [name.removeprefix("koschei-") for name in session.scalars(RUNNING)]
    if not names:
        return None
    return f"{' and '.join(names)} running; scale both resolvers to 0 for a while to have them deleted"


def count(database: Database) -> int:
    """How many dependencies are orphans, as far as can be told while others work."""
    named, _ = _named(database)
    with database.begin() as session:
        highest = _highest(session)
    return sum(len(_orphans(database, named, low)) for low in range(0, highest, RANGE))


def sweep(database: Database, actor: Actor, title: str, *, progress: Progress) -> list[str]:
    """Delete the orphans in short transactions; the audit messages.

    Errors: ServiceError when a resolver began to work meanwhile; what was deleted until then is in the audit log.
    """
    named, pulse = _named(database)
    with database.begin() as session:
        highest = _highest(session)
    deleted, size = 0, 10
    try:
        for low in range(0, highest, RANGE):
            waiting = _orphans(database, named, low)
            while waiting:
                ids, waiting = waiting[:size], waiting[size:]
                begun = time.monotonic()
                number = _delete(database, pulse, ids)
                deleted += number
                progress(Kind.DEPENDENCIES, number)
                speed = len(ids) / max(time.monotonic() - begun, 0.001)
                size = max(1, min(MOST_AT_ONCE, 2 * size, round(speed * SECONDS)))
    except (KeyboardInterrupt, ServiceError):
        if deleted:
            with database.begin() as session:
                audit.record(session, actor, f"{title}: Deleted {deleted} {Kind.DEPENDENCIES}, then was interrupted")
        raise
    if not deleted:
        return []
    with database.begin() as session:
        return [audit.record(session, actor, f"{title}: Deleted {deleted} {Kind.DEPENDENCIES}")]


def _delete(database: Database, pulse: list[tuple[object, ...]], ids: list[int]) -> int:
    with database.begin() as session:
        # Readers go on; whoever changes packages, a resolver first of all, waits.
        session.execute(text("LOCK TABLE package IN EXCLUSIVE MODE"))
        if reason := _hindrance(session):
            raise ServiceError(f"Orphaned dependencies stay: {reason}")
        if _pulse(session) != pulse:
            raise ServiceError("A resolver ran meanwhile, orphaned dependencies must be looked for again: repeat this")
        low, high = ids[0] - 1, ids[-1]
        still = set(session.scalars(UNNAMED, {"low": low, "high": high})).intersection(ids)
        session.execute(text("DELETE FROM dependency WHERE id = ANY(:ids)"), {"ids": sorted(still)})
        return len(still)


def _named(database: Database) -> tuple[Named, list[tuple[object, ...]]]:
    """What packed sets name, and the resolvers' pulse before they were read."""
    with database.begin() as session:
        pulse = _pulse(session)
    named, after = Named(), 0
    while True:
        with database.begin() as session:
            rows = session.execute(SETS, {"after": after, "n": SETS_AT_ONCE}).all()
        if not rows:
            return named, pulse
        for _, packed in rows:
            named.add(unpack(packed))
        after = rows[-1][0]


def _orphans(database: Database, named: Named, low: int) -> list[int]:
    with database.begin() as session:
        return [i for i in session.scalars(UNNAMED, {"low": low, "high": low + RANGE}) if i not in named]


def _pulse(session: Session) -> list[tuple[object, ...]]:
    return [tuple(row) for row in session.execute(PULSE)]


def _highest(session: Session) -> int:
    return session.scalar(text("SELECT coalesce(max(id), 0) FROM dependency")) or 0
