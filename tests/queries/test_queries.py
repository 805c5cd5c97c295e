"""Services, search, collections, where a package broke."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from koschei.db.engine import Database
from koschei.model import Build, ServiceStatus
from koschei.queries import builds, collections, package, search, services
from koschei.rules.states import BuildState, PackageState
from tests.world import NOW, ago, filling

COMPLETE, FAILED = BuildState.COMPLETE, BuildState.FAILED


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database."""
    database = Database(database_url)
    yield database
    database.dispose()


def test_a_service_lags_after_three_intervals_and_a_minute(database: Database) -> None:
    limit = 3 * 100 + 60
    with filling(database) as world:
        world.service("in-time", limit / 3600, interval=100)
        world.service("late", (limit + 1) / 3600, interval=100)
        world.service("new", None, interval=100, started=ago(0.05))
        world.service("never", None, interval=100, started=ago(1))
        world.service("restarted", 5, interval=100, started=ago(0.01))
        world.service("unwell", 0.001, error="no bus", error_since=ago(1))
    with database.read() as session:
        rows = session.scalars(select(ServiceStatus).order_by(ServiceStatus.service))
        found = {row.service: services.pulse(row, NOW) for row in rows}
    assert [name for name, pulse in found.items() if pulse.lagging] == ["late", "never"]
    assert [name for name, pulse in found.items() if not pulse.well] == ["late", "never", "unwell"]
    assert found["late"].interval == timedelta(seconds=100)


@pytest.mark.parametrize(
    ("term", "names", "exact"),
    [
        ("rust", ("rust",), True),
        ("RUST-A", ("rust-a",), True),
        ("Rust", ("rust",), True),
        ("r", ("R",), True),
        ("Twin", ("Twin",), True),
        ("TWIN", ("Twin", "twin"), False),
        ("rust-*", ("rust-a", "rust-bcd", "librust-c"), False),
        ("r*d", ("rust-bcd",), False),
        ("_", ("with_score",), False),
        ("%", (), False),
        ("*", (), False),
        ("  ", (), False),
        ("\\", (), False),
        ("nix", (), False),
    ],
)
def test_search_finds_parts_of_names_and_takes_only_the_star_as_special(
    database: Database, term: str, names: tuple[str, ...], exact: bool
) -> None:
    with filling(database) as world:
        collection = world.collection()
        for name in ("rust-bcd", "librust-c", "rust", "rust-a", "with_score", "other", "Twin", "twin", "R"):
            world.package(name, collection)
    with database.read() as session:
        found = search.search(session, term, 10)
        assert found == search.Found(names, exact=exact)
        assert search.search(session, "ust", 2).more


def test_names_that_begin_alike_are_offered(database: Database) -> None:
    with filling(database) as world:
        collection = world.collection()
        for name in ("python3", "pytest", "perl"):
            world.package(name, collection)
    with database.read() as session:
        assert search.alike(session, "pytohn", 5) == ["pytest", "python3"]
        assert search.alike(session, "", 5) == []


@pytest.mark.parametrize(
    ("states", "good", "bad"),
    [
        ("CF", 0, 1),
        ("CFFF", 0, 1),
        ("FFCFF", 2, 3),
        ("FCCF", 2, 3),
        ("FFF", None, 0),
        ("CSXF", 0, 3),
        ("CFSF", 0, 1),
        ("CuF", 0, 2),
    ],
)
def test_where_a_package_broke(database: Database, states: str, good: int | None, bad: int) -> None:
    kinds = {"C": COMPLETE, "F": FAILED, "S": BuildState.SPOILED, "X": BuildState.CANCELED, "u": FAILED}
    with filling(database) as world:
        foo, other = (
            world.package(name, collection) for collection in [world.collection()] for name in ("foo", "other")
        )
        made = [
            world.build(foo, kinds[letter], 50 - number, untagged=letter == "u") for number, letter in enumerate(states)
        ]
        world.build(other, COMPLETE, 45.5)
        world.build(other, FAILED, 44.5)
    with database.read() as session:
        found = builds.broke_at(session, foo.id, session.get_one(Build, made[-1].id))
        assert (found.good and found.good.id) == (None if good is None else made[good].id)
        assert found.bad is not None
        assert found.bad.id == made[bad].id


def test_neighbours_of_a_build_are_the_counted_ones(database: Database) -> None:
    with filling(database) as world:
        foo = world.package("foo", world.collection())
        first, _, middle, _, last = (
            world.build(foo, state, 50 - number)
            for number, state in enumerate((COMPLETE, BuildState.SPOILED, FAILED, BuildState.CANCELED, COMPLETE))
        )
    with database.read() as session:
        before, after = builds.neighbours(session, session.get_one(Build, middle.id))
        assert before is not None
        assert after is not None
        assert (before.id, after.id) == (first.id, last.id)
        assert builds.neighbours(session, session.get_one(Build, first.id))[0] is None
        assert builds.build_detail(session, 10**9) is None


def test_collections_are_counted_and_grouped(database: Database) -> None:
    with filling(database) as world:
        f44, f43, eln = (world.collection(name, order=order) for name, order in (("f44", 3), ("f43", 2), ("eln", 1)))
        world.collection_group("fedora", "Fedora", f43, f44)
        world.collection_group("all", "All of them", f44, eln)
        world.collection_group("empty", "Empty")
        world.build(world.package("a", f44))
        world.package("b", f44, tracked=False)
        world.package("c", f44, blocked=True)
        world.package("d", f44, resolved=False)
        world.repository(f44, 6_700_000, 2, 30)
    with database.read() as session:
        every = collections.all_collections(session)
        assert [c.name for c in every] == ["f44", "f43", "eln"]
        assert [(g.title, [c.name for c in g.collections]) for g in collections.grouped(session, every)] == [
            ("All of them", ["f44", "eln"]),
            ("Fedora", ["f44", "f43"]),
        ]
        counts = collections.state_counts(session, [f44.id, f43.id])
        assert counts == {f44.id: {PackageState.OK: 1, PackageState.UNRESOLVED: 1}, f43.id: {}}
        assert collections.left_out(session, f44.id) == {PackageState.UNTRACKED: 1, PackageState.BLOCKED: 1}
        newest = collections.newest_resolutions(session, every)
        assert newest[f44.id].took == timedelta(minutes=30)
        assert list(newest) == [f44.id]


def test_problems_of_a_resolution_keep_their_order(database: Database) -> None:
    texts = tuple(f"problem {number}" for number in (3, 1, 2))
    with filling(database) as world:
        foo = world.package("foo", world.collection())
        world.resolution(foo, 9)
        world.resolution(foo, 5, *texts)
    with database.read() as session:
        newest, older = package.resolutions(session, foo.id, None, 5)
        assert newest.problems == texts
        assert older.problems == ()
        assert package.resolutions(session, foo.id, (newest.timestamp, newest.id), 5) == [older]
        resolvable = package.last_resolvable(session, foo.id)
        assert resolvable is not None
        assert resolvable.id == older.id
