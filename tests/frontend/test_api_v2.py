"""API v2 as it is read: what lists and items tell, paging, filters, errors, caching, and that it is cheap."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from demo.postgres import Postgres
from frontend.api_v2.openapi import document
from frontend.app import create_app
from koschei import groups
from koschei.audit import Actor
from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import Environment, PackageMaintainer
from koschei.rules.states import BuildState, PackageState
from tests.frontend.conftest import counting
from tests.world import NOW, World, filling

COMPLETE, FAILED, RUNNING = BuildState.COMPLETE, BuildState.FAILED, BuildState.RUNNING
MOST_QUERIES = 12
SOMEBODY = Actor(Environment.ADMIN, "operator")
V2 = "/api/v2"


@pytest.fixture(scope="module")
def filled(postgres: Postgres, migrated_template: str) -> Iterator[tuple[Database, dict[str, int]]]:
    """A database for all tests of this module, which only read, with two collections and packages in all states."""
    name = "read_by_api_v2"
    database = Database(postgres.create_database(name, migrated_template))
    with filling(database) as world:
        numbers = fill(world)
    yield database, numbers
    database.dispose()
    postgres.drop_database(name)


@pytest.fixture
def built(filled: tuple[Database, dict[str, int]]) -> dict[str, int]:
    """The numbers of some builds."""
    return filled[1]


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """The filled database for tests that ask for its builds; an empty one for the others."""
    if "built" in request.fixturenames:
        yield request.getfixturevalue("filled")[0]
        return
    empty = Database(request.getfixturevalue("database_url"))
    yield empty
    empty.dispose()


def fill(world: World) -> dict[str, int]:
    f44, f43 = world.collection("f44", "Fedora Rawhide", order=2), world.collection("f43", "Fedora 43", order=1)
    world.repository(f44, 6_700_000, 1, 12, resolved=5, unresolved=1)
    good = world.package("good", f44, dependency_priority=64)
    world.build(good, COMPLETE, 30.123456, "1:2.0-3", tasks={"x86_64": 2})
    bad = world.package("bad", f44)
    first = world.build(bad, COMPLETE, 40)
    changes = [("gcc", "15.1-1", "15.2-1", 1), ("cpp", "15.1-1", "15.2-1", 2), ("zlib", None, "1.3-1", None)]
    failed = world.build(
        bad,
        FAILED,
        20,
        tasks={"x86_64": 5, "s390x": 3},
        changes=changes,
        submission={"by": "jane", "priority": {"manual": 500, "time": 41.5}},
    )
    world.moved(bad, PackageState.OK, PackageState.FAILING, 19, build=failed)
    world.pending(bad, ("gcc", "15.2-1", "15.3-1", 1), ("perl", "5-1", None, None))
    old = world.package("bad", f43)
    world.build(old, COMPLETE, 50)
    spoiled = world.build(old, BuildState.SPOILED, 9, fault_text="disk full", fault_code=1)
    lost = world.package("lost", f44, resolved=False)
    world.build(lost, COMPLETE, 60)
    world.resolution(lost, 90)
    world.resolution(lost, 70, "nothing provides libold")
    world.resolution(lost, 5, "nothing provides libfoo", "conflicting requests")
    runs = world.package("runs", f44)
    running = world.build(runs, RUNNING, 1)
    world.package("untracked", f44, tracked=False)
    world.package("Blocked", f44, blocked=True)
    groups.create(world.session, SOMEBODY, "tools", ["bad", "good"], ["jane"])
    groups.create(world.session, SOMEBODY, "amy/own", ["lost"], ["amy"])
    world.session.add(PackageMaintainer(user_name="jane", package="runs"))
    return {"first": first.id, "failed": failed.id, "spoiled": spoiled.id, "running": running.id}


def got(client: FlaskClient, path: str, status: int = 200) -> Any:
    """The answer to a request."""
    response = client.get(V2 + path)
    assert response.status_code == status, response.text
    assert response.mimetype == ("application/json" if status == 200 else "application/problem+json")
    return response.json


def names(client: FlaskClient, query: str) -> list[str]:
    return [f"{item['name']}/{item['collection']}" for item in got(client, f"/packages?{query}")["items"]]


def test_packages_are_listed_by_name_in_each_collection(client: FlaskClient, built: dict[str, int]) -> None:
    page = got(client, "/packages")
    assert page["next"] is None
    assert [(item["name"], item["collection"], item["state"]) for item in page["items"]] == [
        ("Blocked", "f44", "blocked"),
        ("bad", "f44", "failing"),
        ("bad", "f43", "ok"),
        ("good", "f44", "ok"),
        ("lost", "f44", "unresolved"),
        ("runs", "f44", "unknown"),
        ("untracked", "f44", "untracked"),
    ]
    bad = page["items"][1]
    assert bad["since"] == "2026-05-13T17:00:00Z"
    assert bad["last_complete_build"] == bad["last_build"] == built["failed"]
    assert page["items"][5]["running_build"] == built["running"]
    assert page["items"][6]["priority"] is None


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("collection=f43", ["bad/f43"]),
        ("collection=f43&collection=f44&name=bad", ["bad/f44", "bad/f43"]),
        ("name=good&name=lost&name=nix", ["good/f44", "lost/f44"]),
        ("contains=OO", ["good/f44"]),
        ("contains=b*d", ["Blocked/f44", "bad/f44", "bad/f43"]),
        ("state=failing&state=unresolved", ["bad/f44", "lost/f44"]),
        ("state=untracked", ["untracked/f44"]),
        ("group=tools", ["bad/f44", "bad/f43", "good/f44"]),
        ("group=amy/own", ["lost/f44"]),
        ("maintainer=jane", ["bad/f44", "bad/f43", "good/f44", "runs/f44"]),
        ("maintainer=amy", ["lost/f44"]),
        ("maintainer=nobody", []),
        ("tracked=false", ["untracked/f44"]),
        ("running=true", ["runs/f44"]),
        ("running=false&tracked=true&collection=f43", ["bad/f43"]),
    ],
)
def test_packages_are_filtered(client: FlaskClient, built: dict[str, int], query: str, expected: list[str]) -> None:
    assert names(client, query) == expected


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("group=tools", ["bad/f44", "bad/f43", "good/f44"]),
        ("group=tools&state=ok", ["bad/f43", "good/f44"]),
        ("maintainer=jane", ["bad/f44", "bad/f43", "good/f44", "runs/f44"]),
        ("maintainer=jane&group=tools&collection=f43", ["bad/f43"]),
        ("maintainer=nobody", []),
    ],
)
@pytest.mark.parametrize("many", [0, 300])
def test_groups_and_people_with_many_packages_have_those_that_they_would_have_with_few(
    client: FlaskClient,
    built: dict[str, int],
    monkeypatch: pytest.MonkeyPatch,
    many: int,
    query: str,
    expected: list[str],
) -> None:
    monkeypatch.setattr("koschei.queries.api_packages.MANY", many)
    assert names(client, query) == expected


def test_a_group_of_very_many_does_not_name_its_members(
    client: FlaskClient, built: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frontend.api_v2.groups.MOST_MEMBERS", 1)
    found = got(client, "/groups/tools")
    assert (found["members"], found["packages"]) == (None, 2)
    assert got(client, "/groups/amy/own")["members"] == ["lost"]


@pytest.mark.parametrize(
    "address",
    [
        "/packages?limit={}",
        "/packages?limit={}&state=ok&state=failing",
        "/builds?limit={}",
        "/builds?limit={}&collection=f44&real=false",
        "/problems?limit={}",
        "/groups?limit={}",
        "/users/jane/packages?limit={}",
        "/packages/lost/f44/resolutions?limit={}",
        "/builds/{failed}/changes?limit={}",
    ],
)
def test_pages_of_a_list_are_the_list(client: FlaskClient, built: dict[str, int], address: str) -> None:
    address = address.replace("{failed}", str(built["failed"]))
    whole = got(client, address.format(500))
    assert whole["next"] is None
    found: list[Any] = []
    following: str | None = V2 + address.format(1)
    while following:
        response = client.get(following)
        page = response.json or {}
        assert len(page["items"]) <= 1
        found += page["items"]
        following = page["next"]
        assert ("Link" in response.headers) == (following is not None)
        assert following is None or response.headers["Link"] == f'<{following}>; rel="next"'
    assert found == whole["items"]
    assert len(found) > 0


def test_everything_about_a_package_is_told(client: FlaskClient, built: dict[str, int]) -> None:
    found = got(client, "/packages/bad")
    assert (found["groups"], found["maintainers"]) == (["tools"], [])
    here, there = found["collections"]
    assert (here["collection"], here["state"], here["schedulable"]) == ("f44", "failing", True)
    assert all(condition["holds"] and condition["reason"] == "" for condition in here["conditions"])
    assert here["priority"]["threshold"] == 256
    assert sum(term["value"] for term in here["priority"]["terms"]) == pytest.approx(here["priority"]["total"], abs=0.5)
    assert here["last_complete_build"]["id"] == built["failed"]
    assert here["running_build"] is None
    assert there["collection"] == "f43"
    assert there["last_complete_build"]["state"] == "complete"
    lost = got(client, "/packages/lost")["collections"][0]
    assert lost["problems"] == ["nothing provides libfoo", "conflicting requests"]
    refused = [condition for condition in lost["conditions"] if not condition["holds"]]
    assert [condition["reason"] for condition in refused] == ["Package dependencies are not resolvable"]
    assert refused[0]["remedy"]
    assert not lost["schedulable"]
    assert got(client, "/packages/untracked")["collections"][0]["priority"] is None


def test_builds_are_listed_newest_first_and_filtered(client: FlaskClient, built: dict[str, int]) -> None:
    found = got(client, "/builds")["items"]
    assert [build["started"] for build in found] == sorted((build["started"] for build in found), reverse=True)
    assert len(found) == 7

    def ids(query: str) -> list[int]:
        return [build["id"] for build in got(client, f"/builds?{query}")["items"]]

    assert ids("package=bad&collection=f44") == [built["failed"], built["first"]]
    assert ids("state=running") == [built["running"]]
    assert ids("state=spoiled&state=failed") == [built["spoiled"], built["failed"]]
    assert ids("since=2026-05-14T02:00:00Z") == [built["running"], built["spoiled"]]
    assert ids("since=2026-05-14T04:00:00%2B02:00&collection=f43") == [built["spoiled"]]
    assert ids("real=true") == []
    assert ids("package=nix") == []


def test_everything_about_a_build_is_told(client: FlaskClient, built: dict[str, int]) -> None:
    failed = got(client, f"/builds/{built['failed']}")
    assert (failed["build"]["state"], failed["counts"], failed["fault"]) == ("failed", True, None)
    assert [(task["arch"], task["state"]) for task in failed["tasks"]] == [("s390x", "canceled"), ("x86_64", "failed")]
    assert failed["submission"] == {"by": "jane", "terms": {"manual": 500.0, "time": 41.5}}
    assert failed["changes"] == {"added": 1, "upgraded": 2}
    assert (failed["previous_build"], failed["following_build"]) == (built["first"], None)
    spoiled = got(client, f"/builds/{built['spoiled']}")
    assert (spoiled["counts"], spoiled["fault"]) == (False, "disk full (fault 1)")


def test_dependency_changes_are_told_the_most_suspicious_first(client: FlaskClient, built: dict[str, int]) -> None:
    address = f"/builds/{built['failed']}/changes"
    page = got(client, address)
    assert (page["total"], page["compared"]) == (3, True)
    assert [change["name"] for change in page["items"]] == ["gcc", "cpp", "zlib"]
    assert page["items"][0] == {
        "name": "gcc",
        "kind": "upgraded",
        "before": {"epoch": 0, "version": "15.1", "release": "1", "arch": "x86_64"},
        "after": {"epoch": 0, "version": "15.2", "release": "1", "arch": "x86_64"},
        "distance": 1,
    }
    assert page["items"][2]["before"] is None
    assert [change["name"] for change in got(client, f"{address}?kind=added")["items"]] == ["zlib"]
    assert [change["name"] for change in got(client, f"{address}?contains=cp*")["items"]] == ["cpp"]
    pending = got(client, "/packages/bad/f44/changes")
    assert [(change["name"], change["kind"]) for change in pending["items"]] == [
        ("gcc", "upgraded"),
        ("perl", "removed"),
    ]
    assert got(client, "/packages/bad/f44/changes?limit=1")["total"] == 2


def test_resolutions_and_present_problems_are_told(client: FlaskClient, built: dict[str, int]) -> None:
    found = got(client, "/packages/lost/f44/resolutions")["items"]
    assert [(item["resolved"], len(item["problems"])) for item in found] == [(False, 2), (False, 1), (True, 0)]
    problems = got(client, "/problems")["items"]
    assert [(item["package"], item["collection"], item["problems"]) for item in problems] == [
        ("lost", "f44", ["nothing provides libfoo", "conflicting requests"])
    ]
    assert got(client, "/problems?collection=f43")["items"] == []
    assert len(got(client, "/problems?group=amy/own")["items"]) == 1
    assert got(client, "/problems?group=tools")["items"] == []


def test_collections_and_groups_are_told(client: FlaskClient, built: dict[str, int]) -> None:
    items = got(client, "/collections")["items"]
    assert [item["name"] for item in items] == ["f44", "f43"]
    assert items[0]["packages"] == {"unresolved": 1, "ok": 1, "failing": 1, "unknown": 1}
    detail = got(client, "/collections/f44")
    assert (detail["build_tag"], detail["repositories"][0]["repo_id"]) == ("f44-build", 6_700_000)
    assert [item["name"] for item in got(client, "/groups")["items"]] == ["tools", "amy/own"]
    assert [item["name"] for item in got(client, "/groups?of=users")["items"]] == ["amy/own"]
    tools = got(client, "/groups/tools")
    assert (tools["members"], tools["maintainers"]) == (["bad", "good"], ["jane"])
    assert tools["states"] == {"f44": {"failing": 1, "ok": 1}, "f43": {"ok": 1}}
    assert got(client, "/groups/amy/own")["members"] == ["lost"]
    assert got(client, "/users/amy") == {"name": "amy", "groups": ["amy/own"]}
    assert [item["name"] for item in got(client, "/users/jane/packages?collection=f44")["items"]] == [
        "bad",
        "good",
        "runs",
    ]


@pytest.mark.parametrize(
    "path",
    [
        "/packages/nix",
        "/packages/bad/nix/changes",
        "/packages/untracked/f43/resolutions",
        "/packages?collection=nix",
        "/packages?group=nix",
        "/builds/999999",
        "/builds/99999999999999999999999999",
        "/builds/x",
        "/collections/nix",
        "/groups/nix",
        "/groups/a/b",
        "/nothing",
    ],
)
def test_what_there_is_not_is_a_problem(client: FlaskClient, built: dict[str, int], path: str) -> None:
    problem = got(client, path, 404)
    assert (problem["status"], problem["title"], problem["type"]) == (404, "Not Found", "about:blank")
    assert problem["detail"]


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("limit=0", "limit"),
        ("limit=1_0", "limit"),
        ("limit=12.0", "limit"),
        ("limit=٣", "limit"),
        ("limit=5&limit=6", "limit"),
        ("state=nix", "state.0"),
        ("name=a%00b", "name.0"),
        ("name=%ff", "name.0"),
        ("contains=", "contains"),
        ("running=yes", "running"),
        ("pakage=bad", "pakage"),
        ("cursor=abc", "cursor"),
        ("cursor=WyJidWlsZHMiLCJ4IiwxXQ", "cursor"),
        ("cursor=" + "a" * 5000, "cursor"),
        ("name=" + "a" * 201, "name.0"),
    ],
)
def test_what_makes_no_sense_is_named(client: FlaskClient, built: dict[str, int], query: str, where: str) -> None:
    problem = got(client, f"/packages?{query}", 400)
    assert [error["where"] for error in problem["errors"]] == [where]
    assert problem["errors"][0]["message"] in problem["detail"]


@pytest.mark.parametrize("since", ["yesterday", "2026-05-14", "1747224000", "2026-05-14T12:00:00"])
def test_times_have_a_zone(client: FlaskClient, built: dict[str, int], since: str) -> None:
    assert "expected a time like" in got(client, f"/builds?since={since}", 400)["detail"]


def test_other_methods_are_refused_as_a_problem(client: FlaskClient, built: dict[str, int]) -> None:
    response = client.post(f"{V2}/packages")
    assert (response.status_code, response.mimetype) == (405, "application/problem+json")
    assert "GET" in response.headers["Allow"]


def test_an_unchanged_answer_is_not_sent_again(client: FlaskClient, built: dict[str, int]) -> None:
    first = client.get(f"{V2}/packages?state=ok")
    again = client.get(f"{V2}/packages?state=ok", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert client.get(f"{V2}/packages", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200
    assert first.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("coding", ["identity", "gzip", "zstd"])
def test_so_it_is_when_answers_travel_compressed(client: FlaskClient, built: dict[str, int], coding: str) -> None:
    asked = {"Accept-Encoding": coding}
    first = client.get(f"{V2}/packages", headers=asked)
    assert first.headers.get("Content-Encoding", "identity") == coding
    again = client.get(f"{V2}/packages", headers={**asked, "If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_other_sites_may_read_and_not_write(client: FlaskClient, built: dict[str, int]) -> None:
    response = client.get(f"{V2}/packages")
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert "Access-Control-Allow-Credentials" not in response.headers
    asked = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "PUT"}
    preflight = client.options(f"{V2}/groups/tools", headers=asked)
    assert preflight.headers["Access-Control-Allow-Methods"] == "GET, HEAD"
    assert "Authorization" not in preflight.headers["Access-Control-Allow-Headers"]


def test_an_empty_database_is_no_error(client: FlaskClient) -> None:
    for path in ("/packages", "/builds", "/collections", "/groups", "/events", "/problems", "/users/jane/packages"):
        assert got(client, path)["items"] == []


def test_the_database_being_away_is_a_problem(config: Config) -> None:
    database = Database("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    client = create_app(config, database, clock=lambda: NOW).test_client()
    response = client.get(f"{V2}/packages")
    assert (response.status_code, response.mimetype) == (503, "application/problem+json")
    assert response.headers["Retry-After"]
    assert "127.0.0.1" not in response.text


def test_a_mistake_of_ours_is_a_problem_without_its_story(
    app: Flask, client: FlaskClient, built: dict[str, int]
) -> None:
    def broken(**_arguments: Any) -> None:
        raise RuntimeError("the secret story")

    app.view_functions["api_v2.packages"] = broken
    response = client.get(f"{V2}/packages")
    assert (response.status_code, response.mimetype) == (500, "application/problem+json")
    assert "secret" not in response.text


def test_no_route_asks_more_than_a_few_queries(client: FlaskClient, database: Database, built: dict[str, int]) -> None:
    known = {"{name}": "bad", "{collection}": "f44", "{namespace}": "amy", "{build_id}": str(built["failed"])}
    special = {f"{V2}/collections/{{name}}": "f44", f"{V2}/groups/{{name}}": "tools"}
    for path, item in document()["paths"].items():
        if "get" not in item or path == f"{V2}/token":
            continue
        address = path.replace("{name}", special[path]) if path in special else path
        if path == f"{V2}/groups/{{namespace}}/{{name}}":
            address = f"{V2}/groups/amy/own"
        address = re.sub(r"\{[a-z_]+\}", lambda part: known[part[0]], address)
        with counting(database) as statements:
            assert client.get(address).status_code == 200, address
        assert len(statements) <= MOST_QUERIES, address


def test_the_document_is_openapi_and_describes_every_route(app: Flask, client: FlaskClient) -> None:
    found = client.get(f"{V2}/openapi.json").json or {}
    assert found["openapi"] == "3.1.0"
    described = {(path, method.upper()) for path, item in found["paths"].items() for method in item}
    served = {
        (re.sub(r"<(?:int:)?([a-z_]+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api_v2.") and rule.endpoint != "api_v2.openapi"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert described == served
    text = json.dumps(found)
    named = set(re.findall(r'"#/components/([a-zA-Z]+/[A-Za-z0-9]+)"', text))
    assert named
    assert all(part.split("/")[1] in found["components"][part.split("/")[0]] for part in named)
    ids = [operation["operationId"] for item in found["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


def test_the_reference_is_a_page_of_the_same(client: FlaskClient, built: dict[str, int]) -> None:
    page = client.get(V2)
    assert page.mimetype == "text/html"
    for path, item in document()["paths"].items():
        assert f"<code>{path}</code>" in page.text
        assert all(f'id="{operation["operationId"]}"' in page.text for operation in item.values())
    assert 'id="PackageDetail"' in page.text
    assert "`" not in page.text.split("<main")[1]


def test_old_builds_among_very_many_are_found_piece_by_piece(
    client: FlaskClient, built: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("koschei.queries.api_builds.LOOKED_AT", 2)
    found, following, pages = [], f"{V2}/builds?state=complete&collection=f43", 0
    while following:
        page = client.get(following).json or {}
        found += [build["package"] for build in page["items"]]
        following, pages = page["next"], pages + 1
    assert found == ["bad"]
    assert pages == 4


def test_what_was_looked_for_stays_in_the_next_address(client: FlaskClient, built: dict[str, int]) -> None:
    following = got(client, "/packages?limit=1&state=ok&state=failing&tracked=true")["next"]
    assert "state=ok&state=failing" in following
    assert "tracked=true" in following
