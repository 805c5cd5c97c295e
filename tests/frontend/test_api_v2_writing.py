"""API v2 as it is written to: tokens, scopes, rights, limits, and what is left in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from frontend.api_v2.openapi import document
from frontend.app import create_app
from koschei import groups, tokens
from koschei.audit import Actor
from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import ApiToken, Environment, GroupACL, LogEntry, Package, PackageMaintainer, User
from koschei.tokens import Scope
from tests.frontend.persons import BASE, Visitor
from tests.world import NOW, World, filling

V2 = "/api/v2"
SOMEBODY = Actor(Environment.ADMIN, "operator")
Call = Callable[..., Any]


@pytest.fixture
def data(database: Database) -> None:
    with filling(database) as world:
        fill(world)


def fill(world: World) -> None:
    f44 = world.collection("f44")
    for name in ("abc", "theirs", "lost"):
        world.build(world.package(name, f44, resolved=name != "lost"))
    world.package("new", f44, tracked=False)
    world.session.add(PackageMaintainer(user_name="jane", package="abc"))
    groups.create(world.session, SOMEBODY, "tools", ["abc"], ["jane"])
    groups.create(world.session, SOMEBODY, "jane/own", ["abc"], ["jane"])
    groups.create(world.session, SOMEBODY, "amy/hers", ["abc"], ["amy"])


def token(database: Database, user: str = "jane", *scopes: Scope) -> str:
    """A token of somebody's, with all scopes unless some are named."""
    with database.begin() as session:
        actor = Actor(Environment.FRONTEND, user)
        return tokens.make(session, actor, "test", scopes or list(Scope), NOW + timedelta(days=9), now=NOW)


@pytest.fixture
def call(client: FlaskClient, database: Database, data: None) -> Call:
    """Requests with a token of jane's, or the one that is given."""
    janes = token(database)

    def call(method: str, path: str, json: Any = None, secret: str = janes, status: int = 200) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        response = client.open(V2 + path, method=method, json=json, headers=headers)
        assert response.status_code == status, response.text
        assert response.headers["Cache-Control"] == "no-store"
        return response.json

    return call


def package(database: Database, name: str) -> Package:
    with database.begin() as session:
        return session.scalars(select(Package).where(Package.name == name)).one()


def log(database: Database) -> list[tuple[str, str, str]]:
    """Entries of people at the frontend: who, from where, what; but for those about tokens."""
    with database.begin() as session:
        query = select(User.name, LogEntry.environment, LogEntry.message).join(User).order_by(LogEntry.id)
        return [tuple(row) for row in session.execute(query) if row[0] != "operator" and "token" not in row[2]]


def test_a_token_says_whose_it_is(call: Call, client: FlaskClient) -> None:
    found = call("GET", "/token")
    assert found == {
        "user": "jane",
        "name": "test",
        "scopes": ["groups", "packages"],
        "expires": "2026-05-23T12:00:00Z",
    }
    response = client.get(f"{V2}/token")
    assert (response.status_code, response.mimetype) == (401, "application/problem+json")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_the_manual_priority_is_set_up_to_a_bound(call: Call, database: Database) -> None:
    done = call("PUT", "/packages/theirs/f44/priority", {"manual": 500})
    assert done == {"messages": ["Package theirs in f44: manual priority changed from 0 to 500"]}
    assert package(database, "theirs").manual_priority == 500
    assert call("PUT", "/packages/theirs/f44/priority", {"manual": 500}) == {"messages": []}
    assert "10000 is the most" in call("PUT", "/packages/theirs/f44/priority", {"manual": 10001}, status=403)["detail"]
    call("PUT", "/packages/theirs/f44/priority", {"manual": -1}, status=400)
    call("PUT", "/packages/nix/f44/priority", {"manual": 1}, status=404)
    assert package(database, "theirs").manual_priority == 500
    assert log(database) == [("jane", "frontend", "Package theirs in f44: manual priority changed from 0 to 500")]


def test_anybody_has_a_package_tested_and_its_maintainers_end_that(call: Call, database: Database) -> None:
    call("PUT", "/packages/new/f44/tracking", {"tracked": True})
    assert package(database, "new").tracked
    refused = call("PUT", "/packages/theirs/f44/tracking", {"tracked": False}, status=403)
    assert "Only the maintainers of theirs" in refused["detail"]
    assert package(database, "theirs").tracked
    call("PUT", "/packages/abc/f44/tracking", {"tracked": False})
    assert not package(database, "abc").tracked


def test_packages_are_resolved_and_rebuilt_when_asked(call: Call, database: Database) -> None:
    assert call("POST", "/packages/abc/f44/resolve", status=202)["messages"]
    assert package(database, "abc").needs_resolution
    assert "rebuild requested" in call("POST", "/packages/abc/f44/rebuild", status=202)["messages"][0]
    assert package(database, "abc").manual_priority > 0
    assert "first to be built already" in call("POST", "/packages/abc/f44/rebuild", status=409)["detail"]
    assert "not resolvable" in call("POST", "/packages/lost/f44/rebuild", status=409)["detail"]
    assert "it is not tracked" in call("POST", "/packages/new/f44/resolve", status=409)["detail"]


def test_what_administrators_decide_with_priorities_stays(call: Call, database: Database) -> None:
    with database.begin() as session:
        session.scalars(select(Package).where(Package.name == "abc")).one().static_priority = -50000
        session.scalars(select(Package).where(Package.name == "theirs")).one().manual_priority = 20000
    refused = call("POST", "/packages/abc/f44/rebuild", status=409)
    assert "static priority of -50000 puts it off" in refused["detail"]
    assert package(database, "abc").manual_priority == 0
    refused = call("PUT", "/packages/theirs/f44/priority", {"manual": 0}, status=403)
    assert "have set it to 20000, above 10000" in refused["detail"]
    assert package(database, "theirs").manual_priority == 20000


def test_a_group_is_made_changed_and_deleted(call: Call, client: FlaskClient, database: Database) -> None:
    made = call("POST", "/groups", {"name": "xml", "packages": ["abc", "lost"], "maintainers": ["amy"]}, status=201)
    assert (made["name"], made["location"]) == ("jane/xml", f"{V2}/groups/jane/xml")
    found = client.get(made["location"]).json or {}
    assert (found["members"], found["maintainers"]) == (["abc", "lost"], ["amy", "jane"])
    call("POST", "/groups", {"name": "xml", "packages": ["abc"]}, status=409)
    assert "nix" in call("POST", "/groups", {"name": "more", "packages": ["nix"]}, status=404)["detail"]
    assert (
        "address of another page"
        in call("POST", "/groups", {"name": "edit", "packages": ["abc"]}, status=400)["detail"]
    )
    assert call("PUT", "/groups/jane/xml", {"packages": ["theirs"], "name": "markup"})["messages"]
    assert (client.get(f"{V2}/groups/jane/markup").json or {})["members"] == ["theirs"]
    call("PUT", "/groups/jane/markup", {"name": "own"}, status=409)
    call("PUT", "/groups/jane/markup", {"maintainers": []}, status=400)
    call("PUT", "/groups/jane/markup", {"maintainers": ["jane", "bob"]})
    assert (client.get(f"{V2}/groups/jane/markup").json or {})["maintainers"] == ["bob", "jane"]
    call("DELETE", "/groups/jane/markup", status=204)
    call("DELETE", "/groups/jane/markup", status=404)
    assert client.get(f"{V2}/groups/jane/markup").status_code == 404


def test_global_groups_are_changed_by_their_maintainers_and_deleted_by_nobody_here(call: Call) -> None:
    call("PUT", "/groups/tools", {"packages": ["abc", "lost"]})
    call("DELETE", "/groups/tools", status=405)


def test_groups_of_others_stay_as_they_are(call: Call, client: FlaskClient, database: Database) -> None:
    call("PUT", "/groups/amy/hers", {"packages": ["lost"]}, status=403)
    call("DELETE", "/groups/amy/hers", status=403)
    assert (client.get(f"{V2}/groups/amy/hers").json or {})["members"] == ["abc"]


def test_a_token_has_no_rights_of_those_who_administer(call: Call, database: Database) -> None:
    with database.begin() as session:
        session.scalars(select(User).where(User.name == "jane")).one().admin = True
    call("PUT", "/groups/amy/hers", {"packages": ["lost"]}, status=403)
    call("PUT", "/packages/theirs/f44/priority", {"manual": 10001}, status=403)


def test_a_token_does_only_what_its_scopes_say(call: Call, database: Database) -> None:
    for_groups = token(database, "amy", Scope.GROUPS)
    refused = call("POST", "/packages/abc/f44/resolve", secret=for_groups, status=403)
    assert "it needs the scope “packages”" in refused["detail"]
    call("PUT", "/groups/amy/hers", {"packages": ["lost"]}, secret=for_groups)
    for_packages = token(database, "bob", Scope.PACKAGES)
    call("POST", "/groups", {"name": "x", "packages": ["abc"]}, secret=for_packages, status=403)
    call("POST", "/packages/abc/f44/resolve", secret=for_packages, status=202)


def test_every_writing_route_refuses_who_has_no_token(client: FlaskClient, database: Database, data: None) -> None:
    visitor = Visitor(client, database, "jane", admin=True)  # whose cookie counts for nothing here
    count = 0
    for path, item in document()["paths"].items():
        for method in item.keys() - {"get"}:
            address = path.format(name="abc", collection="f44", namespace="jane")
            for headers in ({}, {"Authorization": "Bearer kos_" + "a" * 43}, {"Authorization": "Basic amFuZTp4"}):
                response = visitor.client.open(address, method=method.upper(), json={}, base_url=BASE, headers=headers)
                assert response.status_code == 401, (method, address)
                count += 1
    assert count == 3 * 8
    assert log(database) == []


def test_a_revoked_or_expired_token_is_refused(call: Call, config: Config, database: Database) -> None:
    secret = token(database, "amy")
    call("POST", "/packages/abc/f44/resolve", secret=secret, status=202)
    later = create_app(config, database, clock=lambda: NOW + timedelta(days=10)).test_client()
    headers = {"Authorization": f"Bearer {secret}"}
    assert later.post(f"{V2}/packages/abc/f44/resolve", headers=headers).status_code == 401
    with database.begin() as session:
        for row in session.scalars(select(ApiToken)):
            session.delete(row)
    call("POST", "/packages/abc/f44/resolve", secret=secret, status=401)


def test_changes_are_counted_and_those_of_others_are_not(call: Call, config: Config, database: Database) -> None:
    few = config.model_copy(update={"frontend": config.frontend.model_copy(update={"edits_per_hour": 2})})
    client = create_app(few, database, clock=lambda: NOW).test_client()

    def put(secret: str) -> Any:
        headers = {"Authorization": f"Bearer {secret}"}
        return client.put(f"{V2}/packages/abc/f44/priority", json={"manual": 5}, headers=headers)

    amys, bobs = token(database, "amy"), token(database, "bob")
    assert [put(amys).status_code for _ in range(3)] == [200, 200, 429]
    refused = put(amys)
    assert refused.mimetype == "application/problem+json"
    assert refused.headers["Retry-After"] == "1800"
    assert put(bobs).status_code == 200


@pytest.mark.parametrize(
    ("body", "type_", "status", "words"),
    [
        (b'{"manual": 5}', "text/plain", 415, "application/json"),
        (b'{"manual": 5}', None, 415, "application/json"),
        (b'{"manual": "5"}', "application/json", 400, "valid integer"),
        (b'{"manual": 5, "static": 6}', "application/json", 400, "static"),
        (b"{}", "application/json", 400, "required"),
        (b"[]", "application/json", 400, "object"),
        (b"{", "application/json", 400, "JSON"),
        (b"", "application/json", 400, "JSON"),
        (b"\xff\xfe", "application/json", 400, "JSON"),
        (b"[" * 100_000, "application/json", 400, "JSON"),
        (b'{"manual": 1e999}', "application/json", 400, "manual"),
        (b'{"manual": 5}' + b" " * 2_000_000, "application/json", 413, ""),
    ],
)
def test_bodies_that_make_no_sense_are_refused(
    call: Call, client: FlaskClient, database: Database, body: bytes, type_: str | None, status: int, words: str
) -> None:
    headers = {"Authorization": f"Bearer {token(database, 'amy')}"}
    response = client.put(f"{V2}/packages/abc/f44/priority", data=body, content_type=type_, headers=headers)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    assert words in response.text
    assert package(database, "abc").manual_priority == 0


def test_names_in_bodies_are_names(call: Call, database: Database) -> None:
    for name in ("a\0b", "a b", "../x", "", "x" * 201, "."):
        call("POST", "/groups", {"name": name, "packages": ["abc"]}, status=400)
        call("POST", "/groups", {"name": "x", "packages": [name]}, status=400)
    assert log(database) == []
    with database.begin() as session:
        assert len(session.scalars(select(GroupACL)).all()) == 3
