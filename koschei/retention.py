"""Letting go of old history, in batches that are one short transaction each.

A package's present answer never loses what it rests on, however old that is: its last builds, the builds they are
compared with, where it broke, the builds of its newest state changes, and the newest answers of the resolver. A run
that is killed leaves whole batches behind; the next one finishes. Everything is looked for again inside the batch's
transaction, and builds go under the lock of their packages, so that services may work meanwhile.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from koschei import audit
from koschei.audit import Actor
from koschei.config.schema import RetentionConfig
from koschei.db.engine import Database
from koschei.errors import InvalidInputError
from koschei.transitions import lock_packages

LEAST_MONTHS = 2
Progress = Callable[["Kind", int], None]


class Kind(StrEnum):
    """What can be let go of, in the words of messages."""

    BUILDS = "builds"
    RESOLUTIONS = "resolution changes"
    STATES = "state changes"
    COLLECTION_STATES = "collection state changes"
    REPOSITORIES = "repository resolutions"
    UNSENDABLE = "unsendable events"
    SENT = "sent events"
    AUDIT = "audit log entries"
    DEPENDENCIES = "orphaned dependencies"


@dataclass(frozen=True)
class Step:
    """Delete what is of this kind and older than `before`."""

    kind: Kind
    before: datetime


@dataclass(frozen=True)
class Rule:
    """`old` picks rows of `table` (as t) by :before; of some :ids, `doomed` tells those that nothing rests on."""

    table: str
    old: str
    doomed: str = "SELECT id FROM {table} AS t WHERE id = ANY(:ids) AND {old}"

    def candidates(self, *, lock: bool) -> TextClause:
        """The next old rows. Locked ones are passed over: another run is at them."""
        suffix = "FOR UPDATE SKIP LOCKED" if lock else ""
        return text(
            f"SELECT id FROM {self.table} AS t WHERE id > :after AND {self.old} ORDER BY id LIMIT :batch {suffix}"  # noqa: S608 - only our own constants are put in
        )

    def select(self) -> TextClause:
        """Which of the candidates may go."""
        return text(self.doomed.format(table=self.table, old=self.old))

    def delete(self) -> TextClause:
        """Delete rows by their ids."""
        return text(f"DELETE FROM {self.table} WHERE id = ANY(:ids)")  # noqa: S608 - only our own constants are put in


# Pages show a build with the one before it: the counted one, and the resolved one that its changes are against
# (koschei.build_resolution, koschei.queries). Each build that a present answer names keeps both. The newest of each
# before the limit stay too, so that the oldest build that is kept for its age can still be compared. The newest real
# build stays because Koji still lists it: polling would register it again.
BUILDS = """
    WITH owner AS (
        SELECT p.* FROM package AS p WHERE p.id IN (SELECT package_id FROM build WHERE id = ANY(:ids))
    ), good AS (
        SELECT p.id AS package_id, c.started AS until, g.started AS since, g.id
        FROM owner AS p
        JOIN build AS c ON c.id = p.last_complete_build_id
        LEFT JOIN LATERAL (
            SELECT id, started FROM build
            WHERE package_id = p.id AND NOT untagged AND state = 3 AND started < c.started
            ORDER BY started DESC, id DESC LIMIT 1) AS g ON true
    ), bad AS (
        SELECT g.package_id, f.id FROM good AS g
        CROSS JOIN LATERAL (
            SELECT id FROM build
            WHERE package_id = g.package_id AND NOT untagged AND state = 5 AND started <= g.until
              AND (g.since IS NULL OR started > g.since)
            ORDER BY started, id LIMIT 1) AS f
    ), named AS (
        SELECT id AS package_id, unnest(ARRAY[last_build_id, last_complete_build_id, running_build_id]) AS id FROM owner
        UNION SELECT package_id, id FROM bad
        UNION SELECT package_id, build_id FROM package_state_change
              WHERE package_id IN (SELECT id FROM owner) AND build_id IS NOT NULL AND timestamp >= :before
        UNION SELECT p.id, m.build_id FROM owner AS p
              CROSS JOIN LATERAL (
                  (SELECT build_id FROM package_state_change WHERE package_id = p.id
                   ORDER BY timestamp DESC, id DESC LIMIT 1)
                  UNION ALL
                  (SELECT build_id FROM package_state_change WHERE package_id = p.id AND new = 'failing'
                   ORDER BY timestamp DESC, id DESC LIMIT 1)) AS m
    ), moment AS (
        SELECT n.package_id, b.started FROM named AS n JOIN build AS b ON b.id = n.id
        UNION SELECT id, CAST(:before AS timestamptz) FROM owner
    ), kept AS (
        SELECT id FROM named WHERE id IS NOT NULL
        UNION SELECT id FROM good WHERE id IS NOT NULL
        UNION SELECT e.id FROM moment AS m
              CROSS JOIN LATERAL (
                  (SELECT id FROM build
                   WHERE package_id = m.package_id AND state IN (3, 5) AND NOT untagged AND started < m.started
                   ORDER BY started DESC, id DESC LIMIT 1)
                  UNION ALL
                  (SELECT id FROM build
                   WHERE package_id = m.package_id AND state IN (3, 5) AND deps_resolved AND started < m.started
                   ORDER BY started DESC, id DESC LIMIT 1)) AS e
        UNION SELECT r.id FROM owner AS p
              CROSS JOIN LATERAL (
                  (SELECT id FROM build WHERE package_id = p.id AND real AND NOT untagged
                   ORDER BY started DESC, id DESC LIMIT 1)
                  UNION ALL
                  (SELECT id FROM build WHERE package_id = p.id AND real AND NOT untagged
                   ORDER BY evr_key DESC, id DESC LIMIT 1)) AS r
    )
    SELECT id FROM build AS t WHERE id = ANY(:ids) AND {old} AND id NOT IN (SELECT id FROM kept)
"""

# The newest answer, the newest that said yes, and the first no after it: since when a package is as it is.
RESOLUTIONS = """
    SELECT id FROM resolution_change AS t
    WHERE id = ANY(:ids) AND {old}
      AND EXISTS (SELECT FROM resolution_change AS n
                  WHERE n.package_id = t.package_id AND (n.timestamp, n.id) > (t.timestamp, t.id))
      AND CASE WHEN t.resolved
          THEN EXISTS (SELECT FROM resolution_change AS n
                       WHERE n.package_id = t.package_id AND n.resolved AND (n.timestamp, n.id) > (t.timestamp, t.id))
          ELSE EXISTS (SELECT FROM resolution_change AS n
                       WHERE n.package_id = t.package_id AND n.resolved AND (n.timestamp, n.id) > (t.timestamp, t.id))
            OR EXISTS (
                SELECT FROM (
                    SELECT q.resolved FROM resolution_change AS q
                    WHERE q.package_id = t.package_id AND (q.timestamp, q.id) < (t.timestamp, t.id)
                    ORDER BY q.timestamp DESC, q.id DESC LIMIT 1) AS e
                WHERE NOT e.resolved)
          END
"""

STATES = """
    SELECT id FROM package_state_change AS t
    WHERE id = ANY(:ids) AND {old}
      AND EXISTS (SELECT FROM package_state_change AS n
                  WHERE n.package_id = t.package_id AND (n.timestamp, n.id) > (t.timestamp, t.id))
      AND (t.new <> 'failing'
           OR EXISTS (SELECT FROM package_state_change AS n
                      WHERE n.package_id = t.package_id AND n.new = 'failing'
                        AND (n.timestamp, n.id) > (t.timestamp, t.id)))
"""

COLLECTION_STATES = """
    SELECT id FROM collection_state_change AS t
    WHERE id = ANY(:ids) AND {old}
      AND EXISTS (SELECT FROM collection_state_change AS n
                  WHERE n.collection_id = t.collection_id AND (n.timestamp, n.id) > (t.timestamp, t.id))
"""

# The collection's row is the judge of what its newest repository is; a page shows the highest number first.
REPOSITORIES = """
    SELECT t.id FROM repository_resolution AS t JOIN collection AS c ON c.id = t.collection_id
    WHERE t.id = ANY(:ids) AND {old} AND t.repo_id IS DISTINCT FROM c.latest_repo_id
      AND EXISTS (SELECT FROM repository_resolution AS n
                  WHERE n.collection_id = t.collection_id AND n.repo_id > t.repo_id)
"""

# No enabled webhook is still to be told. One whose receiver fails does not keep events for ever: it is disabled.
TOLD = "NOT EXISTS (SELECT FROM webhook AS w WHERE w.enabled AND (t.position IS NULL OR t.position > w.position))"
# An event that failed while later ones went through fits no schema; one that waits for a broker is not old news yet.
UNSENDABLE = (
    "t.sent IS NULL AND t.created < :before AND t.attempts > 0 "
    f"AND EXISTS (SELECT FROM outbox_event AS n WHERE n.id > t.id AND n.sent IS NOT NULL) AND {TOLD}"
)

RULES = {
    Kind.BUILDS: Rule("build", "t.started < :before AND t.state <> 2", BUILDS),
    Kind.RESOLUTIONS: Rule("resolution_change", "t.timestamp < :before", RESOLUTIONS),
    Kind.STATES: Rule("package_state_change", "t.timestamp < :before", STATES),
    Kind.COLLECTION_STATES: Rule("collection_state_change", "t.timestamp < :before", COLLECTION_STATES),
    Kind.REPOSITORIES: Rule("repository_resolution", "t.started < :before", REPOSITORIES),
    Kind.UNSENDABLE: Rule("outbox_event", UNSENDABLE),
    Kind.SENT: Rule("outbox_event", f"(t.sent < :before OR t.skipped < :before) AND {TOLD}"),
    Kind.AUDIT: Rule("log_entry", "t.timestamp < :before"),
}


def months_before(now: datetime, months: int) -> datetime:
    """The same day and time that many months earlier, or the last day of a month that is too short."""
    index = now.year * 12 + now.month - 1 - months
    year, month = divmod(index, 12)
    day = min(now.day, calendar.monthrange(year, month + 1)[1])
    return now.replace(year=year, month=month + 1, day=day)


def cleanup_steps(months: int, now: datetime) -> list[Step]:
    """What `cleanup` deletes. Errors: InvalidInputError below LEAST_MONTHS, and beyond what a calendar has."""
    if months < LEAST_MONTHS:
        raise InvalidInputError(f"Minimal allowed value is {LEAST_MONTHS} months")
    if months > 12 * (now.year - 1):
        raise InvalidInputError(f"There was nothing {months} months ago: give fewer months")
    before = months_before(now, months)
    return [Step(Kind.BUILDS, before), Step(Kind.RESOLUTIONS, before)]


def policy_steps(config: RetentionConfig, now: datetime) -> list[Step]:
    """What the settings want deleted; orphaned dependencies are koschei.orphans' business."""
    months = {
        Kind.RESOLUTIONS: config.resolutions_months,
        Kind.STATES: config.states_months,
        Kind.COLLECTION_STATES: config.states_months,
        Kind.BUILDS: config.builds_months,  # after the state changes that may have been their last need
        Kind.REPOSITORIES: config.repositories_months,
        Kind.AUDIT: config.audit_log_months,
    }
    steps = [Step(kind, months_before(now, number)) for kind, number in months.items() if number]
    if config.events_days:
        before = now - timedelta(days=config.events_days)
        # Sent ones prove which of the others cannot be: they go last.
        steps += [Step(Kind.UNSENDABLE, before), Step(Kind.SENT, before)]
    return steps


def count(database: Database, steps: Iterable[Step], *, batch: int) -> dict[Kind, int]:
    """How many rows would be deleted now, each step on its own; changes nothing."""
    found: dict[Kind, int] = {}
    for step in steps:
        rule, after = RULES[step.kind], 0
        found[step.kind] = 0
        while True:
            with database.read() as session:
                ids = _ids(session, rule.candidates(lock=False), before=step.before, after=after, batch=batch)
                if not ids:
                    break
                found[step.kind] += len(_ids(session, rule.select(), ids=ids, before=step.before))
            after = ids[-1]
    return found


def carry_out(
    database: Database, actor: Actor, title: str, steps: Sequence[Step], *, batch: int, progress: Progress
) -> list[str]:
    """Delete, one transaction for each `batch` rows looked at; the audit messages, which begin with `title`.

    `progress` hears after each commit how many were deleted. What an interrupted run did is in the audit log too.
    """
    messages = []
    for step in steps:
        deleted, after, ended = 0, 0, False
        try:
            while not ended:
                with database.begin() as session:
                    found, ids = _batch(session, step, after, batch)
                    if found and not deleted:
                        audit.record(session, actor, f"{title}: deleting {step.kind} older than {step.before:%Y-%m-%d}")
                deleted += found
                ended = not ids
                after = ids[-1] if ids else after
                progress(step.kind, found)
        except KeyboardInterrupt:
            _record(database, actor, f"{title}: Deleted {deleted} {step.kind}, then was interrupted", deleted)
            raise
        messages += _record(database, actor, f"{title}: Deleted {deleted} {step.kind}", deleted)
    return messages


def _batch(session: Session, step: Step, after: int, batch: int) -> tuple[int, list[int]]:
    """One transaction's work: how many rows were deleted, and the ids of those that were looked at."""
    rule = RULES[step.kind]
    # Packages are locked before their builds, as everywhere.
    builds = step.kind is Kind.BUILDS
    ids = _ids(session, rule.candidates(lock=not builds), before=step.before, after=after, batch=batch)
    if not ids:
        return 0, []
    if builds:
        owners = text("SELECT DISTINCT package_id FROM build WHERE id = ANY(:ids)")
        lock_packages(session, session.scalars(owners, {"ids": ids}).all())
    doomed = _ids(session, rule.select(), ids=ids, before=step.before)
    if doomed:
        if builds:
            session.execute(text("DELETE FROM applied_change WHERE build_id = ANY(:ids)"), {"ids": doomed})
        session.execute(rule.delete(), {"ids": doomed})
    return len(doomed), ids


def _ids(session: Session, query: TextClause, **parameters: object) -> list[int]:
    return list(session.scalars(query, parameters))


def _record(database: Database, actor: Actor, message: str, deleted: int) -> list[str]:
    if not deleted:
        return []
    with database.begin() as session:
        return [audit.record(session, actor, message)]
