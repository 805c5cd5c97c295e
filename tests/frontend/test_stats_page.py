"""The statistics page: figures in words first, charts with their tables, costs page by page, and nothing believed."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from koschei import statistics
from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import ResourceConsumption, StatisticsRefresh
from koschei.rules.states import BuildState, PackageState
from tests.frontend.conftest import counting
from tests.frontend.test_pages import checked, words
from tests.world import NOW, filling

COMPLETE, FAILED, SPOILED = BuildState.COMPLETE, BuildState.FAILED, BuildState.SPOILED
DAY = 24


@pytest.fixture
def counted(database: Database) -> Database:
    """Two collections of which polling has counted everything: 1 of 4 failed, before that 1 of 2."""
    with filling(database) as world:
        f44, f43 = world.collection("f44", "Fedora 44", order=2), world.collection("f43", "Fedora 43", order=1)
        foo, bar = world.package("foo", f44), world.package("bar", f43, manual_priority=900)
        world.build(foo, FAILED, 45 * DAY)
        world.build(bar, COMPLETE, 40 * DAY)
        world.build(foo, COMPLETE, 20 * DAY, tasks={"x86_64": 2, "s390x": 2}, minutes=60)
        world.build(foo, COMPLETE, 10 * DAY, real=True, tasks={"x86_64": 2}, minutes=60)
        world.build(bar, COMPLETE, 5 * DAY, tasks={"noarch": 2}, minutes=30)
        bad = world.build(foo, FAILED, 2 * DAY)
        world.moved(foo, PackageState.OK, PackageState.FAILING, 2 * DAY, build=bad)
        world.build(bar, SPOILED, DAY)
        world.repository(f44, 1, 30, 20, repo_created=NOW - timedelta(hours=31))
    statistics.refresh(database, Config(), NOW)
    return database


def test_it_says_in_words_whether_it_gets_better(client: FlaskClient, counted: Database) -> None:
    seen = words(checked(client, "/stats"))
    assert "5 builds in the last 30 days, 25.0 % of them failed" in seen
    assert "It is getting better: in the 30 days before, 50.0 % of 2 builds failed." in seen
    assert "1 build says nothing, because it was cancelled or Koji spoiled it" in seen
    assert "1 of 2 tracked packages" in seen
    assert "1 package, on average" in seen
    assert "1 h 20 min on average of which resolving took 20 min; 1 repository" in seen
    assert "4 scratch builds, 1 real one" in seen
    assert "just now, by polling" in seen


def test_what_is_too_few_or_nothing_is_not_compared(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        f44 = world.collection("f44", "Fedora 44")
        foo = world.package("foo", f44, tracked=False)
        world.build(foo, FAILED, 45 * DAY)
        for hours in range(11):
            world.build(foo, COMPLETE, DAY + hours)
    statistics.refresh(database, Config(), NOW)
    page = checked(client, "/stats")
    assert "In the 30 days before, only 1 build ended: too few to compare." in words(page)
    assert "It is getting" not in words(page)


def test_it_can_be_about_one_collection_and_other_periods(client: FlaskClient, counted: Database) -> None:
    assert "3 builds in the last 30 days, 33.3 % of them failed" in words(checked(client, "/stats?collection=f44"))
    assert "5 builds in the last 90 days, 40.0 %" not in words(checked(client, "/stats?days=90&collection="))
    assert "7 builds in the last 90 days, 33.3 % of them failed" in words(checked(client, "/stats?days=90&collection="))
    year = checked(client, "/stats?days=365&collection=")
    assert "7 builds in the last 52 weeks" in words(year)
    assert "Builds that ended, by week" in words(year)


def test_every_chart_has_words_and_a_table_with_the_same_figures(client: FlaskClient, counted: Database) -> None:
    page = checked(client, "/stats")
    assert 'aria-label="5 builds ended: 3 succeeded, 1 failed, 1 say nothing about their package"' in page
    assert 'aria-label="0 of 2 tracked packages were broken when this begins, 1 of 2 at its end"' in page
    assert "2026-05-12: 1 failed, 0 inconclusive, 0 succeeded" in page
    row = re.search(r'<tr><th scope="row">2026-05-12</th>(.*?)</tr>', page)
    assert row is not None
    assert re.findall(r">(\d+)<", row[1]) == ["1", "0", "0"]


def test_costs_are_listed_by_package_and_architecture(client: FlaskClient, counted: Database) -> None:
    seen = words(checked(client, "/stats"))
    assert "3 h in all" not in seen
    assert "4 h in all" in seen
    assert "foo x86_64 2 2 h 1 h 57.143 %" in seen
    assert "x86_64 2 2 h 1 h 57.1 %" in seen
    assert "bar" not in words(checked(client, "/stats?arch=x86_64")).partition("Cost by package")[2]
    assert "foo" not in words(checked(client, "/stats?package=bar")).partition("Cost by package")[2]
    assert "Nothing was built of nix on vax" in words(checked(client, "/stats?package=nix&arch=vax"))


def test_the_list_of_costs_is_turned_page_by_page_to_and_fro(client: FlaskClient, counted: Database) -> None:
    with counted.begin() as session:
        for number in range(60):
            row = {"name": f"p{number:02}", "arch": "x86_64", "tasks": 1, "seconds": float(number // 2) + 0.1}
            session.add(ResourceConsumption(**row))

    def shown(page: str) -> list[str]:
        return re.findall(r'<th scope="row"><a href="/package/([^"?]+)', page)

    def link(page: str, rel: str) -> str:
        found = re.search(rf'<a rel="{rel}" href="([^"]+)"', page)
        return found[1].replace("&amp;", "&") if found else ""

    page, pages = checked(client, "/stats"), []
    while True:
        pages.append(shown(page))
        if not (after := link(page, "next")):
            break
        page = checked(client, after)
    assert [len(names) for names in pages] == [25, 25, 13]
    everything = [name for names in pages for name in names]
    assert len(everything) == 63
    assert everything[:5] == ["foo", "foo", "bar", "p58", "p59"]
    assert everything[-2:] == ["p00", "p01"]
    back = [shown(page)]
    while before := link(page, "prev"):
        page = checked(client, before)
        back.append(shown(page))
    assert back[::-1] == pages


@pytest.mark.parametrize(
    "arguments",
    [
        "days=1",
        "days=",
        "days=" + "9" * 5000,
        "after=x",
        "after=1:2",
        "before=nan:a:b",
        "after=1e999:a:b",
        "after=1:a:" + "b" * 1000,
        "after=1:a:%00",
        "package=" + "b" * 1000,
        "arch=%00",
    ],
)
def test_an_address_without_sense_is_refused(client: FlaskClient, counted: Database, arguments: str) -> None:
    assert client.get(f"/stats?{arguments}").status_code == 400


def test_before_the_first_counting_it_says_so(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        world.collection("f44")
    seen = words(checked(client, "/stats"))
    assert "Nothing was counted yet" in seen
    assert "not counted yet" in words(checked(client, "/collections"))
    assert "Packages were not counted in this time." in words(checked(client, "/collection/f44"))
    statistics.refresh(database, Config(), NOW)
    seen = words(checked(client, "/stats"))
    assert "No build ended in the last 30 days" in seen
    assert "No task has ended since counting began." in seen


def test_it_says_that_older_builds_are_still_being_counted(client: FlaskClient, counted: Database) -> None:
    assert "still being counted" not in checked(client, "/stats")
    with counted.begin() as session:
        session.get_one(StatisticsRefresh, 1).behind = True
    assert "Older builds are still being counted" in words(checked(client, "/stats"))


def test_collections_show_their_states_over_time(client: FlaskClient, counted: Database) -> None:
    page = checked(client, "/collection/f44")
    assert "0 of 1 tracked packages were broken when this begins, 1 of 1 at its end" in page
    assert "Made by Koji 1 day ago" not in words(page)
    assert 'aria-label="0 broken then, 1 now"' in checked(client, "/collections")
    assert '"/stats?collection=f44"' in page


def test_the_age_of_the_newest_repository_is_told(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        f44 = world.collection("f44", repo_id=7)
        world.repository(f44, 7, 1, 20, repo_created=NOW - timedelta(hours=2))
    assert "Made by Koji 2 hours ago Taken up 1 hour ago" in words(checked(client, "/collection/f44"))


@pytest.mark.parametrize("address", ["/stats", "/stats?days=365", "/collections", "/collection/f44"])
def test_few_queries_are_asked(client: FlaskClient, sample: Database, address: str) -> None:
    with counting(sample) as statements:
        checked(client, address)
    assert len(statements) <= 12, statements
