"""How PostgreSQL finds what pages ask: EXPLAIN ANALYZE of each query, without what does not matter."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence

from sqlalchemy.orm import Session

from bench.pages.visits import Statement

# What an address is chosen for is what is hot: these are read by everybody.
HOT = (
    "overview.overview",
    "packages.listing",
    "package.detail",
    "search.search",
    "groups.listing",
    "groups.detail",
    "builds.detail",
    "affected.affected",
    "api_v1.packages",
)
KEPT = re.compile(r"->|Scan|Cond:|Filter:|Sort Key:|Group Key:|Execution Time|^\s*\w+.*\(actual")
DROPPED = re.compile(r"Rows Removed by Index|Heap Fetches|Buckets:|Sort Method|Planning|Memory|Cache Key|Cache Mode")
WIDTH = 118


def plan(session: Session, statement: Statement) -> list[str]:
    """The lines of a plan that matter, each short enough to be read."""
    cursor = session.connection().exec_driver_sql(
        f"EXPLAIN (ANALYZE, COSTS OFF, BUFFERS OFF) {statement.sql}", statement.parameters
    )
    lines = [str(line) for (line,) in cursor]
    return [textwrap.shorten(line.strip(), WIDTH) if len(line) > WIDTH else line for line in lines if _matters(line)]


def plans(session: Session, statements: Sequence[Statement], least: float) -> Iterator[tuple[str, list[str]]]:
    """Who asks, and how it is answered, for those that take at least so many milliseconds."""
    for statement in statements:
        if statement.sql.lstrip().upper().startswith(("SELECT", "WITH")):
            lines = plan(session, statement)
            match = re.search(r"Execution Time: ([0-9.]+) ms", lines[-1])
            if match is None or float(match[1]) >= least:
                yield statement.asker, lines


def _matters(line: str) -> bool:
    return bool(KEPT.search(line)) and not DROPPED.search(line)
