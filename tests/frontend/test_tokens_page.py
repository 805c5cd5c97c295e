"""`/tokens`: a token is made, shown this once, listed and revoked; nobody else's is."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from frontend.app import create_app
from frontend.pages_tokens import LIVES
from koschei import tokens
from koschei.audit import Actor
from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import ApiToken, Environment, User
from koschei.tokens import Scope
from tests.frontend.persons import Visitor
from tests.support import wait_for_a_waiter
from tests.world import NOW, filling

GOOD = {"name": "nightly", "packages": "y", "days": "30"}


@pytest.fixture
def jane(client: FlaskClient, database: Database) -> Visitor:
    with filling(database) as world:
        world.build(world.package("foo", world.collection("f44")))
    return Visitor(client, database, "jane")


def rows(database: Database) -> list[ApiToken]:
    with database.begin() as session:
        return list(session.scalars(select(ApiToken)))


def made(visitor: Visitor) -> str:
    """The secret of a token that somebody makes."""
    found = re.search(r">(kos_[A-Za-z0-9_-]{43})<", visitor.post("/tokens", GOOD).text)
    assert found
    return found[1]


def test_a_token_is_made_shown_once_and_works(jane: Visitor, client: FlaskClient, database: Database) -> None:
    assert "You have no API token" in jane.get("/tokens").text
    made = jane.post("/tokens", GOOD)
    assert made.status_code == 200
    assert made.headers["Cache-Control"] == "no-store"
    found = re.search(r">(kos_[A-Za-z0-9_-]{43})<", made.text)
    assert found
    assert "The token “nightly” is made" in made.text
    assert "You have 1 API token" in made.text
    answer = client.get("/api/v2/token", headers={"Authorization": f"Bearer {found[1]}"}).json or {}
    assert (answer["user"], answer["scopes"], answer["expires"]) == ("jane", ["packages"], "2026-06-13T12:00:00Z")
    page = jane.get("/tokens").text
    assert "kos_" not in page.split("<main")[1]
    assert "nightly" in page


def test_a_token_is_revoked(jane: Visitor, database: Database) -> None:
    jane.post("/tokens", GOOD)
    [row] = rows(database)
    assert jane.post(f"/tokens/{row.id}/revoke").status_code == 303
    assert "API token nightly revoked" in jane.flashes()[0]
    assert rows(database) == []
    for number in (row.id, 10**30):
        assert jane.post(f"/tokens/{number}/revoke").status_code == 303
        assert jane.flashes() == ["There is no such token any more"]


def test_whoever_has_used_up_the_changes_of_the_hour_still_revokes(
    jane: Visitor, client: FlaskClient, database: Database
) -> None:
    secret = made(jane)
    [row] = rows(database)
    with database.begin() as session:
        user = session.scalars(select(User).where(User.name == "jane")).one()
        user.edits_left, user.edits_at = 0, NOW
    headers = {"Authorization": f"Bearer {secret}"}
    assert client.post("/api/v2/packages/foo/f44/resolve", headers=headers).status_code == 429
    assert jane.post("/tokens", {**GOOD, "name": "another"}).status_code == 429
    assert jane.post(f"/tokens/{row.id}/revoke").status_code == 303
    assert rows(database) == []
    assert client.post("/api/v2/packages/foo/f44/resolve", headers=headers).status_code == 401


def test_a_revocation_and_a_change_with_the_token_at_once_both_come_to_an_end(
    jane: Visitor, config: Config, database: Database
) -> None:
    secret = made(jane)
    [row] = rows(database)
    places = {name: Database(database.url, application_name=name) for name in ("page", "script")}
    clients = {name: create_app(config, place, clock=lambda: NOW).test_client() for name, place in places.items()}
    person = Visitor(clients["page"], database, "jane")
    headers = {"Authorization": f"Bearer {secret}"}
    with ThreadPoolExecutor() as threads:
        with database.begin() as session:
            session.execute(select(User.id).where(User.name == "jane").with_for_update())
            page = threads.submit(person.post, f"/tokens/{row.id}/revoke")
            wait_for_a_waiter(database, "page")
            script = threads.submit(clients["script"].post, "/api/v2/packages/foo/f44/resolve", headers=headers)
            wait_for_a_waiter(database, "script")
        assert (page.result(30).status_code, script.result(30).status_code) == (303, 401)
    for place in places.values():
        place.dispose()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": ""}, "The name is empty"),
        ({"name": "x" * 100}, "may have 60"),
        ({"packages": ""}, "may do nothing"),
        ({"days": "400"}, "Not a valid choice"),
        ({"days": "x"}, "Invalid Choice"),
    ],
)
def test_what_is_wrong_is_said_beside_the_field(
    jane: Visitor, database: Database, change: dict[str, str], words: str
) -> None:
    answer = jane.post("/tokens", {key: value for key, value in {**GOOD, **change}.items() if value})
    assert answer.status_code == 422
    assert words in answer.text.split("<main")[1]
    assert rows(database) == []


def test_a_name_is_taken_once(jane: Visitor, database: Database) -> None:
    jane.post("/tokens", GOOD)
    answer = jane.post("/tokens", GOOD)
    assert answer.status_code == 422
    assert "You have a token called nightly" in answer.text
    assert len(rows(database)) == 1


def test_somebody_elses_tokens_are_neither_seen_nor_revoked(jane: Visitor, database: Database) -> None:
    with database.begin() as session:
        amy = Actor(Environment.FRONTEND, "amy")
        tokens.make(session, amy, "hers", [Scope.GROUPS], NOW + timedelta(days=1), now=NOW)
    [row] = rows(database)
    assert "hers" not in jane.get("/tokens").text.split("<main")[1]
    jane.post(f"/tokens/{row.id}/revoke")
    assert jane.flashes() == ["There is no such token any more"]
    assert len(rows(database)) == 1


def test_only_people_who_are_logged_in_have_tokens(jane: Visitor, client: FlaskClient, database: Database) -> None:
    stranger = Visitor(client.application.test_client(), database)
    assert stranger.get("/tokens").status_code == 302
    assert stranger.client.post("/tokens", data=GOOD).status_code == 401
    assert rows(database) == []


def test_what_a_token_is_called_is_no_markup(jane: Visitor) -> None:
    made = jane.post("/tokens", {**GOOD, "name": "<script>alert(1)</script>"})
    assert "<script>alert" not in made.text
    assert "&lt;script&gt;alert" in made.text


def test_no_life_is_longer_than_a_token_may_live() -> None:
    assert timedelta(days=max(LIVES)) <= tokens.LONGEST_LIFE
