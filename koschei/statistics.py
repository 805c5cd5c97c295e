"""Statistics, kept up to date: each refresh costs what happened since the last one.

A build is counted once, when it has ended, under the day on which it ended and by how it ended; what is found out later
(that it was untagged, or deleted) changes nothing: it was built, and cost what it cost. A branch's copy of a build is
the same task in Koji, and is not counted again.

Builds are taken in the order of their numbers. `statistics_refresh.build_id` says how far, and moves in the transaction
that counts; those that still ran are remembered in uncounted_build. A number is given before its row can be seen, so
the counting never goes beyond a number below which nobody can still be writing. History from before the first refresh
is counted the same way, a few batches at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import Collection, PackageStateChange, StatisticsRefresh
from koschei.queries import scheduling
from koschei.rules.states import PackageState

BATCH = 5000
"""Builds looked at in one transaction."""
BATCHES = 20
"""Transactions in one refresh: a million old builds take ten of them."""
DAYS_BACK = 60
"""Days without a row that are made up for in one refresh."""
OLDEST = timedelta(days=3 * 366)
DAY = timedelta(days=1)

Counts = dict[PackageState, int]


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did: how many builds it counted, and how many packages wait to be built.

    `behind`: there is more to count.
    """

    builds: int
    waiting: int
    behind: bool


def refresh(
    database: Database, config: Config, now: datetime, *, stopping: Callable[[], bool] = lambda: False
) -> Refreshed:
    """Count what happened since the last refresh. Killed in between, the next one goes on where this one was."""
    horizon = _horizon(database)
    with database.begin() as session:
        _lock(session)
        live = _live(session)
        waiting = _count_today(session, config, now, live)
    if horizon is None:
        horizon = _horizon(database)
    builds, behind = _count_builds(database, horizon, stopping)
    with database.begin() as session:
        state = _lock(session)
        state.refreshed = now
        state.behind = state.behind if behind is None else behind
        return Refreshed(builds, waiting, state.behind)


def _lock(session: Session) -> StatisticsRefresh:
    """The row about the counting, locked: two refreshes at once would count twice."""
    session.execute(text("INSERT INTO statistics_refresh (id) VALUES (1) ON CONFLICT DO NOTHING"))
    return session.scalars(select(StatisticsRefresh).with_for_update()).one()


def _live(session: Session) -> list[int]:
    """The collections, which nobody deletes until the transaction ends."""
    query = select(Collection.id).order_by(Collection.id).with_for_update(read=True, key_share=True)
    return list(session.scalars(query))


# --- Builds

HIGHEST = text("SELECT max(id) FROM build")
# Whoever writes builds holds one of these locks from before a number is given until the row can be seen.
WRITERS = text("""
    SELECT EXISTS (
        SELECT FROM pg_locks
        WHERE relation = 'build'::regclass
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
          AND granted AND pid IS DISTINCT FROM pg_backend_pid())
""")
NEXT = text("""
    SELECT id, state = 2 AS running, copied_from IS NOT NULL AS copy FROM build
    WHERE id > :mark AND id <= :horizon ORDER BY id LIMIT :batch
""")
REMEMBER = text("INSERT INTO uncounted_build (build_id) SELECT unnest(CAST(:ids AS bigint[])) ON CONFLICT DO NOTHING")
ENDED = text("""
    DELETE FROM uncounted_build AS u
    WHERE NOT EXISTS (SELECT FROM build AS b WHERE b.id = u.build_id AND b.state = 2)
    RETURNING build_id
""")
COUNT = text("""
    WITH ended AS MATERIALIZED (
        SELECT b.id, p.collection_id, p.name, (b.finished AT TIME ZONE 'UTC')::date AS day, b.real, b.state,
               greatest(0, extract(epoch FROM b.finished - b.started))::float AS seconds
        FROM build AS b JOIN package AS p ON p.id = b.package_id
        WHERE b.id = ANY(:ids) AND b.state <> 2 AND p.collection_id = ANY(:live)
    ), task AS MATERIALIZED (
        SELECT e.collection_id, e.name, t.arch, (t.finished AT TIME ZONE 'UTC')::date AS day,
               greatest(0, extract(epoch FROM t.finished - t.started))::float AS seconds
        FROM ended AS e JOIN koji_task AS t ON t.build_id = e.id
        WHERE t.finished IS NOT NULL
    ), builds AS (
        INSERT INTO statistics_builds AS s (collection_id, day, real, state, builds, seconds)
        SELECT collection_id, day, real, state, count(*), sum(seconds) FROM ended GROUP BY 1, 2, 3, 4
        ON CONFLICT (collection_id, day, real, state)
        DO UPDATE SET builds = s.builds + excluded.builds, seconds = s.seconds + excluded.seconds
    ), tasks AS (
        INSERT INTO statistics_tasks AS s (collection_id, day, arch, tasks, seconds)
        SELECT collection_id, day, arch, count(*), sum(seconds) FROM task GROUP BY 1, 2, 3
        ON CONFLICT (collection_id, day, arch)
        DO UPDATE SET tasks = s.tasks + excluded.tasks, seconds = s.seconds + excluded.seconds
    ), packages AS (
        INSERT INTO resource_consumption_stats AS s (name, arch, tasks, seconds)
        SELECT name, arch, count(*), sum(seconds) FROM task GROUP BY 1, 2
        ON CONFLICT (name, arch)
        DO UPDATE SET tasks = s.tasks + excluded.tasks, seconds = s.seconds + excluded.seconds
    )
    SELECT (SELECT count(*) FROM ended), (SELECT coalesce(sum(seconds), 0) FROM task)
""")


def _horizon(database: Database) -> int | None:
    """The highest number up to which all builds can be seen; None when somebody is just writing builds."""
    with database.begin() as session:
        highest = session.scalar(HIGHEST) or 0
        return None if session.scalar(WRITERS) else highest


def _count_builds(database: Database, horizon: int | None, stopping: Callable[[], bool]) -> tuple[int, bool | None]:
    """Count what has ended; how many builds, and whether there are more (None: it could not be looked)."""
    total = 0
    for _ in range(BATCHES):
        with database.begin() as session:
            counted, more = _batch(session, horizon)
        total += counted
        if not more:
            return total, None if horizon is None else False
        if stopping():
            break
    return total, True


def _batch(session: Session, horizon: int | None) -> tuple[int, bool]:
    """One transaction's work: how many builds were counted, and whether there may be more."""
    state = _lock(session)
    live = _live(session)
    ids = list(session.scalars(ENDED))
    rows = session.execute(NEXT, {"mark": state.build_id, "horizon": horizon or 0, "batch": BATCH}).all()
    session.execute(REMEMBER, {"ids": [i for i, running, copy in rows if running and not copy]})
    ids += [i for i, running, copy in rows if not running and not copy]
    counted, seconds = session.execute(COUNT, {"ids": ids, "live": live}).one() if ids else (0, 0.0)
    state.task_seconds += seconds
    if rows:
        state.build_id = rows[-1].id
    return counted, len(rows) == BATCH


# --- Days

# Both in one statement, so that they fit together: the packages as they are, and how they came to be so today.
STATES = text("""
    SELECT collection_id, state AS prev, NULL AS new, count(*) AS number FROM package GROUP BY 1, 2
    UNION ALL
    SELECT p.collection_id, s.prev, s.new, count(*)
    FROM package_state_change AS s JOIN package AS p ON p.id = s.package_id
    WHERE s.timestamp >= :since GROUP BY 1, 2, 3
""")
MOVES = text("""
    SELECT p.collection_id, s.prev, s.new, count(*) AS number
    FROM package_state_change AS s JOIN package AS p ON p.id = s.package_id
    WHERE s.timestamp >= :since AND s.timestamp < :until GROUP BY 1, 2, 3
""")
WRITE = text("""
    INSERT INTO statistics_day (collection_id, day, ok, failing, unresolved, unknown, untracked, blocked)
    VALUES (:collection, :day, :ok, :failing, :unresolved, :unknown, :untracked, :blocked)
    ON CONFLICT (collection_id, day)
    DO UPDATE SET ok = excluded.ok, failing = excluded.failing, unresolved = excluded.unresolved,
                  unknown = excluded.unknown, untracked = excluded.untracked, blocked = excluded.blocked
""")
READ = text("""
    SELECT collection_id, ok, failing, unresolved, unknown, untracked, blocked FROM statistics_day WHERE day = :day
""")
SAMPLE = text("""
    UPDATE statistics_day SET queue_samples = queue_samples + 1, queue_sum = queue_sum + :waiting
    WHERE collection_id = :collection AND day = :day
""")
REPOSITORIES = text("""
    UPDATE statistics_day AS s
    SET repositories = r.repositories, resolve_seconds = r.resolving, dated_repositories = r.dated,
        wait_seconds = r.waiting
    FROM (
        SELECT collection_id, (finished AT TIME ZONE 'UTC')::date AS day, count(*) AS repositories,
               sum(extract(epoch FROM finished - started))::float AS resolving, count(repo_created) AS dated,
               coalesce(sum(greatest(0, extract(epoch FROM finished - repo_created))), 0)::float AS waiting
        FROM repository_resolution WHERE base_resolved AND finished >= :since GROUP BY 1, 2
    ) AS r
    WHERE s.collection_id = r.collection_id AND s.day = r.day
""")


def _count_today(session: Session, config: Config, now: datetime, live: Iterable[int]) -> int:
    """Write today's rows, and those of days that have none; how many packages wait to be built."""
    today = now.astimezone(UTC).date()
    counts: dict[int, Counts] = {collection_id: {} for collection_id in live}
    moves = []
    for collection_id, prev, new, number in session.execute(STATES, {"since": _midnight(today)}):
        if new is not None:
            moves.append((collection_id, prev, new, number))
        elif collection_id in counts:
            counts[collection_id][PackageState(prev)] = number
    known = set(session.scalars(text("SELECT DISTINCT day FROM statistics_day WHERE day < :day"), {"day": today}))
    oldest = min([_oldest(session, today), *known])
    if not session.scalar(text("SELECT EXISTS (SELECT FROM statistics_day WHERE day = :day)"), {"day": today}):
        known -= {max(known, default=today)}  # its last refresh was not at the end of the day
    _write(session, today, counts)
    first = _make_up(session, known, oldest, today, _before(counts, moves))
    session.execute(REPOSITORIES, {"since": _midnight(first - DAY)})
    return _sample(session, config, now, today)


def _make_up(session: Session, known: set[date], oldest: date, today: date, yesterday: dict[int, Counts]) -> date:
    """Write rows of days without one, backwards to `oldest`; the first day that was written, or `today`."""
    day = written = today
    left = DAYS_BACK
    while day > oldest and left:
        day -= DAY
        if day in known:
            continue
        if day == today - DAY:
            counts = yesterday
        else:
            span = {"since": _midnight(day + DAY), "until": _midnight(day + 2 * DAY)}
            moves = [tuple(row) for row in session.execute(MOVES, span)]
            counts = _before(_read(session, day + DAY), moves)
        _write(session, day, counts)
        written, left = day, left - 1
    return written


def _oldest(session: Session, today: date) -> date:
    """The first day of which anything is known: the one before the first change of a state."""
    first = session.scalar(select(func.min(PackageStateChange.timestamp)))
    return today if first is None else max(first.astimezone(UTC).date() - DAY, today - OLDEST)


def _before(counts: Mapping[int, Counts], moves: Iterable[tuple[Any, ...]]) -> dict[int, Counts]:
    """How packages were before they moved. Those that came or went meanwhile are not known: nothing is below zero."""
    result = {collection_id: dict(states) for collection_id, states in counts.items()}
    for collection_id, prev, new, number in moves:
        if collection_id in result:
            states = result[collection_id]
            states[PackageState(new)] = states.get(PackageState(new), 0) - number
            states[PackageState(prev)] = states.get(PackageState(prev), 0) + number
    return {i: {state: max(0, number) for state, number in states.items()} for i, states in result.items()}


def _read(session: Session, day: date) -> dict[int, Counts]:
    rows = session.execute(READ, {"day": day}).mappings()
    return {row["collection_id"]: {state: row[str(state)] for state in PackageState} for row in rows}


def _write(session: Session, day: date, counts: Mapping[int, Counts]) -> None:
    for collection_id, states in counts.items():
        numbers = {str(state): states.get(state, 0) for state in PackageState}
        session.execute(WRITE, {"collection": collection_id, "day": day, **numbers})


def _sample(session: Session, config: Config, now: datetime, today: date) -> int:
    """Note how many packages of each collection may be built and deserve it; the sum."""
    waiting = scheduling.queues(session, config, now)
    ours = text("SELECT collection_id FROM statistics_day WHERE day = :day")
    for collection_id in session.scalars(ours, {"day": today}).all():
        number = waiting.get(collection_id, 0)
        session.execute(SAMPLE, {"collection": collection_id, "day": today, "waiting": number})
    return sum(waiting.values())


def _midnight(day: date) -> datetime:
    """The beginning of a day, UTC."""
    return datetime.combine(day, time(), UTC)
