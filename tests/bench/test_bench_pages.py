"""The benchmark of pages: the data that it makes fit together, and its figures are figures."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from bench.pages.__main__ import fault
from bench.pages.copying import row
from bench.pages.filling import fill
from bench.pages.history import Sizes
from bench.pages.plans import plans
from bench.pages.sights import QUERIES, look
from bench.pages.visits import Visit, listening, percentile
from koschei.db.engine import Database
from koschei.queries import collections
from koschei.transitions import derive

NOW = datetime(2026, 5, 14, 12, 0, tzinfo=UTC)
ORPHANS = {
    "builds": "SELECT count(*) FROM build AS b LEFT JOIN package AS p ON p.id = b.package_id WHERE p.id IS NULL",
    "tasks": "SELECT count(*) FROM koji_task AS t LEFT JOIN build AS b ON b.id = t.build_id WHERE b.id IS NULL",
    "changes": """
        SELECT count(*) FROM applied_change AS a LEFT JOIN build AS b ON b.id = a.build_id
        LEFT JOIN dependency AS d ON d.id = coalesce(a.prev_dep_id, a.curr_dep_id)
        WHERE b.id IS NULL OR d.id IS NULL""",
    "members": """
        SELECT count(*) FROM package_group_relation AS r LEFT JOIN base_package AS b ON b.id = r.base_id
        WHERE b.id IS NULL""",
    "two names of one change": """
        SELECT count(*) FROM applied_change AS a JOIN dependency AS p ON p.id = a.prev_dep_id
        JOIN dependency AS c ON c.id = a.curr_dep_id WHERE p.name <> c.name""",
}


@pytest.fixture
def database(empty_database_url: str) -> Database:
    fill(empty_database_url, Sizes().scaled(0.003), NOW, lambda word: None)
    return Database(empty_database_url)


def test_what_is_filled_fits_together(database: Database) -> None:
    with database.begin() as session:
        for what, query in ORPHANS.items():
            assert session.execute(text(query)).scalar_one() == 0, what
        state = text(
            "SELECT id, last_build_id, last_complete_build_id, running_build_id, state FROM package ORDER BY id"
        )
        before = session.execute(state).all()
        derive(session, [row.id for row in before])
        assert session.execute(state).all() == before
        sights = look(session)
        every = collections.all_collections(session)
        counts = collections.state_counts(session, [collection.id for collection in every])
    assert {"ok", "failing"} <= {str(state) for states in counts.values() for state in states}
    assert QUERIES.keys() - sights.names.keys() <= {"running_build", "unresolved"}
    database.dispose()


def test_plans_are_short_and_say_who_asked(database: Database) -> None:
    with database.read() as session:
        with listening(database) as statements:
            collections.all_collections(session)
        ((asker, lines),) = plans(session, statements, 0)
    assert asker == "koschei.queries.collections.all_collections"
    assert any("Scan" in line for line in lines)
    assert max(map(len, lines)) <= 120
    database.dispose()


def test_values_are_written_as_copy_reads_them() -> None:
    assert row(None, True, "a\tb\\", b"\x01\xff", 5) == "\\N\tt\ta\\tb\\\\\t\\\\x01ff\t5"


def test_what_is_too_slow_is_named() -> None:
    def visit(path: str, **figures: float) -> Visit:
        plain = {"status": 200, "queries": 5, "size": 1, "median": 1.0, "p95": 1.0, "work": 1.0}
        return Visit("/", path, "nobody", **{**plain, **figures})  # type: ignore[arg-type]

    assert fault(visit("/")) == ""
    assert fault(visit("/", p95=101, queries=13)) == "slow queries"
    assert fault(visit("/", status=500)) == "status 500"
    assert fault(visit("/api/v1/packages", p95=250)) == ""
    assert percentile(list(range(1, 101)), 0.95) == 95
