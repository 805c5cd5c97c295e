"""The way to a bug report that is already written."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from frontend.app import create_app
from koschei.config import Config
from koschei.config.frontend import BugreportConfig, BugreportTemplate
from koschei.db.engine import Database
from koschei.model import Cause, Collection
from koschei.rules.states import BuildState, PackageState
from tests.frontend.conftest import counting
from tests.world import NOW, ChangeSpec, filling


@pytest.fixture
def filled(database: Database) -> Database:
    """Packages that can and cannot be reported."""
    with filling(database) as world:
        f44 = world.collection("f44", "Rawhide", order=2, bugzilla_product="Fedora", bugzilla_version="rawhide")
        f43 = world.collection("f43", "Stable", order=1)
        gcc = world.package("gcc", f44)
        world.build(gcc, BuildState.COMPLETE, 50, "1:15.1-1")
        many: list[ChangeSpec] = [(f"dep{number}", "1-1", "2-1", number) for number in range(1, 21)]
        world.build(gcc, BuildState.FAILED, 30, "1:15.2-1", changes=many, tasks={"x86_64": 5, "s390x": 3}, task_id=77)
        world.build(world.package("gcc", f43), BuildState.FAILED, 30)
        glibc = world.package("glibc", f44, resolved=False)
        world.build(glibc, BuildState.COMPLETE, 50)
        world.resolution(glibc, 20, *(f"nothing provides thing{number}" for number in range(7)))
        world.moved(glibc, PackageState.OK, PackageState.UNRESOLVED, 20, Cause.RESOLUTION)
        world.package("new", f44)
        world.build(world.package("blocked", f44, blocked=True), BuildState.FAILED)
        hostile = world.package("zz&x=1#", f44)
        world.build(hostile, BuildState.FAILED, changes=[("é" * 4000, "1-1", "2-{url}", 1)])
    return database


def fields(client: FlaskClient, address: str) -> dict[str, str]:
    answer = client.get(address)
    assert answer.status_code == 302
    assert answer.location.startswith("https://bugzilla.redhat.com/enter_bug.cgi?")
    assert len(answer.location) < 16_000
    found = parse_qs(urlsplit(answer.location).query, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}


def test_a_failing_package_is_reported_with_its_evidence(filled: Database, client: FlaskClient) -> None:
    report = fields(client, "/bugreport/gcc")
    comment = report.pop("comment")
    assert report == {
        "product": "Fedora",
        "component": "gcc",
        "version": "rawhide",
        "short_desc": "gcc: FTBFS in Rawhide",
        "bug_file_loc": "http://localhost/package/gcc?collection=f44",
    }
    assert comment.startswith("gcc cannot be built from source in Rawhide. Koschei found that with gcc-15.2-1.\n\n")
    assert "The build that failed: https://koji.fedoraproject.org/koji/taskinfo?taskID=77\n" in comment
    assert comment.count("/build.log") == comment.count("/root.log") == 1
    assert "First bad build: 1:15.2-1, 2026-05-13 06:00:00 UTC\nLast good build: 1:15.1-1, 2026-05-12" in comment
    assert "nearest first:\n  dep1 1-1 -> 2-1\n  dep2 1-1 -> 2-1\n" in comment
    assert "  dep8 1-1 -> 2-1\n  and 12 more" in comment
    assert comment.endswith("http://localhost/package/gcc?collection=f44")


def test_an_unresolved_package_is_reported_with_its_problems(filled: Database, client: FlaskClient) -> None:
    comment = fields(client, "/bugreport/glibc?collection=f44")["comment"]
    assert "cannot be installed:\n  nothing provides thing0\n" in comment
    assert "  nothing provides thing4\n  and 2 more" in comment
    assert "First bad build" not in comment


@pytest.mark.parametrize("tracked", [True, False])
def test_of_a_package_that_builds_there_is_nothing_to_report(
    filled: Database, client: FlaskClient, tracked: bool
) -> None:
    with filling(filled) as world:
        f44 = world.session.scalars(select(Collection).where(Collection.name == "f44")).one()
        fine = world.package("fine", f44, tracked=tracked)
        world.build(fine, BuildState.FAILED, 50)
        build_id = world.build(fine, BuildState.COMPLETE, 30, "9.11.0-4").id
    answer = client.get("/bugreport/fine?collection=f44")
    assert answer.status_code == 200
    assert "fine builds in Rawhide: nothing to report" in answer.text
    assert f'href="/build/{build_id}">9.11.0-4</a>, succeeded' in answer.text
    assert 'href="/package/fine?collection=f44"' in answer.text
    assert "bugzilla" not in answer.text


def test_an_unresolved_package_is_reported_also_when_no_problem_was_left_behind(
    filled: Database, client: FlaskClient
) -> None:
    with filling(filled) as world:
        f44 = world.session.scalars(select(Collection).where(Collection.name == "f44")).one()
        world.build(world.package("mute", f44, resolved=False), BuildState.COMPLETE, 50)
    assert (
        "\n\nIts build dependencies cannot be installed.\n\n"
        in fields(client, "/bugreport/mute?collection=f44")["comment"]
    )


def test_whatever_a_name_holds_stays_in_its_field(filled: Database, client: FlaskClient) -> None:
    report = fields(client, "/bugreport/zz&x=1%23")
    assert report["component"] == "zz&x=1#"
    assert set(report) == {"product", "component", "version", "short_desc", "bug_file_loc", "comment"}
    assert "…" in report["comment"] or len(report["comment"]) < 3000


@pytest.mark.parametrize(
    "address",
    [
        "/bugreport/new",
        "/bugreport/blocked",
        "/bugreport/nothing",
        "/bugreport/gcc?collection=f43",
        "/bugreport/glibc?collection=f43",
        "/bugreport/gcc?collection=f99",
    ],
)
def test_what_cannot_be_reported_is_not_found(filled: Database, client: FlaskClient, address: str) -> None:
    answer = client.get(address)
    assert answer.status_code == 404
    assert "There is no such page" in answer.text


def test_operators_write_their_own_report(filled: Database, config: Config) -> None:
    template = BugreportTemplate(product="{name}-{version}-{release}.{arch}", version="7", comment="{{{package}}}")
    settings = BugreportConfig(url="https://bugs.example.org/new?x=1&{query}&y=2", template=template)
    client = create_app(config.model_copy(update={"bugreport": settings}), filled, clock=lambda: NOW).test_client()
    address = client.get("/bugreport/gcc?collection=f43").location
    assert address.startswith("https://bugs.example.org/new?x=1&product=gcc-1.0-1.src&")
    assert address.endswith("&comment=%7Bgcc%7D&y=2")


def test_pages_of_broken_packages_lead_there(filled: Database, client: FlaskClient) -> None:
    for name in ("gcc", "glibc"):
        assert f'href="/bugreport/{name}?collection=f44"' in client.get(f"/package/{name}?collection=f44").text
    for address in ("/package/gcc?collection=f43", "/package/new?collection=f44"):
        assert "/bugreport/" not in client.get(address).text


def test_it_needs_few_queries(filled: Database, client: FlaskClient) -> None:
    with counting(filled) as statements:
        client.get("/bugreport/gcc")
    assert len(statements) <= 8


def test_robots_are_asked_to_stay_away(client: FlaskClient) -> None:
    lines = client.get("/robots.txt").text.splitlines()
    assert {"Crawl-delay: 1", "Disallow: /bugreport/", "Disallow: /affected-by/", "Disallow: /login"} <= set(lines)
