"""What building costs, and whether it gets better: from the rows that koschei.statistics keeps, never from builds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import reduce
from typing import Any

from sqlalchemy import Select, case, func, select, text, tuple_
from sqlalchemy.orm import Session

from koschei.model import ResourceConsumption, StatisticsRefresh, StatisticsTasks
from koschei.queries.collections import Counts
from koschei.queries.paging import cut
from koschei.rules.states import BROKEN, LEFT_ALONE, BuildState, PackageState


@dataclass(frozen=True)
class Period:
    """Equal parts of time up to `last`: `number` of them, each of `size` days; the newest part comes last."""

    last: date
    number: int
    size: int = 1

    @property
    def days(self) -> int:
        """How many days it has."""
        return self.number * self.size

    @property
    def first(self) -> date:
        """Its first day."""
        return self.last - timedelta(days=self.days - 1)

    def start(self, part: int) -> date:
        """The first day of a part."""
        return self.first + timedelta(days=part * self.size)

    def end(self, part: int) -> date:
        """The last day of a part."""
        return self.start(part) + timedelta(days=self.size - 1)


@dataclass(frozen=True)
class Counting:
    """When statistics were last brought up to date. `behind`: not all older builds are counted yet.

    `task_seconds` is what all tasks of all builds took.
    """

    refreshed: datetime
    behind: bool
    task_seconds: float


@dataclass(frozen=True)
class Built:
    """Builds that ended: how many by how they ended, how many of them were real, and how long they took together."""

    states: dict[BuildState, int] = field(default_factory=dict)
    real: int = 0
    seconds: float = 0.0

    def __add__(self, other: Built) -> Built:
        states = {s: self.states.get(s, 0) + other.states.get(s, 0) for s in (*self.states, *other.states)}
        return Built(states, self.real + other.real, self.seconds + other.seconds)

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.states.values())

    @property
    def failed(self) -> int:
        """Those that failed."""
        return self.states.get(BuildState.FAILED, 0)

    @property
    def judged(self) -> int:
        """Those that say something about their package."""
        return self.failed + self.states.get(BuildState.COMPLETE, 0)

    @property
    def inconclusive(self) -> int:
        """Those that were cancelled, or that Koji spoiled."""
        return self.total - self.judged

    @property
    def failed_share(self) -> float | None:
        """How many of the judged ones failed, 0 to 1; None without any."""
        return self.failed / self.judged if self.judged else None


@dataclass(frozen=True)
class Times:
    """A part of a period: packages by state at its end (None: not counted), how many waited to be built on average.

    `resolving` and `waiting` are how long resolving a repository took, and how long answers took from when Koji had
    made it; None where it is not known.
    """

    counts: Counts | None = None
    queue: float | None = None
    repositories: int = 0
    resolve_seconds: float = 0.0
    dated: int = 0
    wait_seconds: float = 0.0

    def __add__(self, other: Times) -> Times:
        counts = self.counts if other.counts is None else other.counts
        if self.counts is not None and other.counts is not None:
            counts = {s: self.counts.get(s, 0) + other.counts.get(s, 0) for s in PackageState}
        queues = [queue for queue in (self.queue, other.queue) if queue is not None]
        return Times(
            counts,
            sum(queues) if queues else None,
            self.repositories + other.repositories,
            self.resolve_seconds + other.resolve_seconds,
            self.dated + other.dated,
            self.wait_seconds + other.wait_seconds,
        )

    @property
    def resolving(self) -> timedelta | None:
        """How long resolving all packages in a repository took on average."""
        return timedelta(seconds=self.resolve_seconds / self.repositories) if self.repositories else None

    @property
    def waiting(self) -> timedelta | None:
        """How long answers took on average from when Koji had made the repository."""
        return timedelta(seconds=self.wait_seconds / self.dated) if self.dated else None

    @property
    def broken(self) -> int | None:
        """How many packages were failing or unresolved."""
        if self.counts is None:
            return None
        return sum(self.counts.get(state, 0) for state in BROKEN)

    @property
    def tested(self) -> int:
        """How many packages were tracked and not blocked."""
        return sum(number for state, number in (self.counts or {}).items() if state not in LEFT_ALONE)


@dataclass(frozen=True)
class Cost:
    """What some tasks took; `package` is empty for those of all packages."""

    arch: str
    tasks: int
    seconds: float
    package: str = ""


@dataclass(frozen=True)
class Cursor:
    """The line beside which a page of the list of costs begins: behind it, or with `back` before it."""

    seconds: float
    package: str
    arch: str
    back: bool = False


@dataclass(frozen=True)
class Costs:
    """Part of the list of costs; `before` and `after` lead to its neighbours, None where there is none."""

    lines: Sequence[Cost] = ()
    before: Cursor | None = None
    after: Cursor | None = None


def counting(session: Session) -> Counting | None:
    """How far the counting is; None before the first refresh."""
    row = session.scalar(select(StatisticsRefresh))
    return None if row is None or row.refreshed is None else Counting(row.refreshed, row.behind, row.task_seconds)


BUILT = text("""
    SELECT least((:last - day) / :size, :number) AS part, real, state, sum(builds), sum(seconds)
    FROM statistics_builds
    WHERE collection_id = ANY(:ids) AND day >= :before AND day <= :last
    GROUP BY 1, 2, 3
""")


def built(session: Session, collection_ids: Iterable[int], period: Period) -> tuple[list[Built], Built]:
    """What was built in each part of a period, and in the time before that was as long."""
    values = {
        "ids": list(collection_ids),
        "last": period.last,
        "size": period.size,
        "number": period.number,
        "before": period.first - timedelta(days=period.days),
    }
    parts = [Built() for _ in range(period.number + 1)]
    for part, real, state, builds, seconds in session.execute(BUILT, values):
        parts[part] += Built({BuildState(state): builds}, builds if real else 0, seconds)
    return parts[-2::-1], parts[-1]


TIMES = text("""
    SELECT collection_id, (:last - day) / :size AS part,
           max(ok) FILTER (WHERE (:last - day) % :size = 0) AS ok,
           max(failing) FILTER (WHERE (:last - day) % :size = 0) AS failing,
           max(unresolved) FILTER (WHERE (:last - day) % :size = 0) AS unresolved,
           max(unknown) FILTER (WHERE (:last - day) % :size = 0) AS unknown,
           max(untracked) FILTER (WHERE (:last - day) % :size = 0) AS untracked,
           max(blocked) FILTER (WHERE (:last - day) % :size = 0) AS blocked,
           sum(queue_sum) / nullif(sum(queue_samples), 0) AS queue, sum(repositories) AS repositories,
           sum(resolve_seconds) AS resolve_seconds, sum(dated_repositories) AS dated, sum(wait_seconds) AS wait_seconds
    FROM statistics_day
    WHERE collection_id = ANY(:ids) AND day >= :first AND day <= :last
    GROUP BY 1, 2
""")


def times(session: Session, collection_ids: Iterable[int], period: Period) -> dict[int, list[Times]]:
    """How each collection was in each part of a period."""
    ids = list(collection_ids)
    result = {i: [Times()] * period.number for i in ids}
    values = {"ids": ids, "first": period.first, "last": period.last, "size": period.size}
    for row in session.execute(TIMES, values).mappings():
        counts = None if row["ok"] is None else {state: row[str(state)] for state in PackageState}
        result[row["collection_id"]][period.number - 1 - row["part"]] = Times(
            counts,
            None if row["queue"] is None else float(row["queue"]),
            int(row["repositories"]),
            row["resolve_seconds"],
            int(row["dated"]),
            row["wait_seconds"],
        )
    return result


def together(of_collections: Iterable[Sequence[Times]]) -> list[Times]:
    """How several collections were, taken together."""
    return [reduce(Times.__add__, parts) for parts in zip(*of_collections, strict=True)]


def architectures(session: Session, collection_ids: Iterable[int], period: Period) -> list[Cost]:
    """What the tasks of a period took on each architecture, most first."""
    seconds = func.sum(StatisticsTasks.seconds)
    query = (
        select(StatisticsTasks.arch, func.sum(StatisticsTasks.tasks), seconds)
        .where(
            StatisticsTasks.collection_id.in_(list(collection_ids)),
            StatisticsTasks.day >= period.first,
            StatisticsTasks.day <= period.last,
        )
        .group_by(StatisticsTasks.arch)
        .order_by(seconds.desc(), StatisticsTasks.arch)
    )
    return [Cost(arch, int(tasks), seconds) for arch, tasks, seconds in session.execute(query)]


def costs(
    session: Session, cursor: Cursor | None, size: int, *, arch: str | None = None, package: str | None = None
) -> Costs:
    """What packages took on architectures, most first: the lines beside the cursor (None: the first), at most `size`.

    `arch`, `package`: only of these.
    """
    back = cursor is not None and cursor.back
    row = ResourceConsumption
    query = select(row)
    if arch is not None:
        query = query.where(row.arch == arch)
    if package is not None:
        query = query.where(row.name == package)
    if cursor is not None:
        query = _beside(query, cursor)
    order = (row.seconds.asc(), row.name.desc(), row.arch.desc()) if back else (row.seconds.desc(), row.name, row.arch)
    found, before, after = cut(session.scalars(query.order_by(*order).limit(size + 1)).all(), size, cursor)
    if not found:
        return Costs()
    first, last = found[0], found[-1]
    return Costs(
        [Cost(line.arch, line.tasks, line.seconds, line.name) for line in found],
        Cursor(first.seconds, first.name, first.arch, back=True) if before else None,
        Cursor(last.seconds, last.name, last.arch) if after else None,
    )


def _beside(query: Select[Any], cursor: Cursor) -> Select[Any]:
    """The lines behind the cursor, or before it: most seconds first, then by name."""
    row = ResourceConsumption
    here, there = tuple_(row.name, row.arch), tuple_(cursor.package, cursor.arch)
    if cursor.back:
        edge, beside = row.seconds >= cursor.seconds, case((row.seconds == cursor.seconds, here < there), else_=True)
    else:
        edge, beside = row.seconds <= cursor.seconds, case((row.seconds == cursor.seconds, here > there), else_=True)
    return query.where(edge, beside)
