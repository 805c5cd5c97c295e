"""Events of API v2: each comes once, in one order, whatever is stored meanwhile and however late."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from frontend.app import create_app
from koschei import webhooks
from koschei.config import Config
from koschei.db.engine import Database
from koschei.messaging import events
from koschei.messaging.bus import Outgoing, envelope
from koschei.model import OutboxEvent
from koschei.queries import api_events
from koschei.webhook_queue import Job
from tests.frontend.conftest import counting
from tests.world import NOW, ago

EVENTS = "/api/v2/events"
PACKAGE, COLLECTION = "package.state.change", "collection.state.change"


def store(session: Session, name: str, collection: str = "f44", groups: tuple[str, ...] = (), hours: float = 0) -> None:
    """An event about a package."""
    body = {"name": name, "old": "ok", "new": "failing", "collection": collection, "groups": list(groups)}
    session.add(OutboxEvent(kind=PACKAGE, body=body, created=ago(hours)))
    session.flush()


def stored(database: Database, *names: str, **more: Any) -> None:
    with database.begin() as session:
        for name in names:
            store(session, name, **more)


def ask(client: FlaskClient, address: str) -> tuple[list[str], dict[str, Any]]:
    """The names of the packages that the events are about, and the whole answer."""
    response = client.get(address)
    assert response.status_code == 200, response.text
    page: dict[str, Any] = response.json or {}
    return [item["body"].get("name", "-") for item in page["items"]], page


def test_events_come_once_in_order_with_what_the_messages_say(client: FlaskClient, database: Database) -> None:
    stored(database, "abc", "bcd", groups=("tools",))
    names, page = ask(client, EVENTS)
    assert names == ["abc", "bcd"]
    with database.begin() as session:
        event = session.scalars(select(OutboxEvent).order_by(OutboxEvent.id)).first()
        assert event is not None
    assert page["items"][0] == {
        "id": str(event.message_id),
        "kind": PACKAGE,
        "time": "2026-05-14T12:00:00Z",
        "body": {**event.body, "koji_instance": "primary"},
    }
    assert page["more"] is False
    assert ask(client, page["next"])[0] == []
    stored(database, "cde")
    names, later = ask(client, page["next"])
    assert names == ["cde"]
    assert ask(client, page["next"])[0] == ["cde"]
    assert ask(client, later["next"])[0] == []


def test_a_body_is_that_of_the_message_and_of_the_webhook(config: Config, database: Database) -> None:
    where = {"collection": "f44", "collection_name": "Fedora 44"}
    with database.begin() as session:
        for told in (
            events.package_state_change(name="abc", old="ok", new="failing", groups=("jane/own", "tools"), **where),
            events.collection_state_change(old="ok", new="unresolved", repo_id=4711, **where),
        ):
            session.add(OutboxEvent(kind=told.kind, body=told.body))
    config = config.model_copy(update={"fedmsg": config.fedmsg.model_copy(update={"instance": "second"})})
    _, page = ask(create_app(config, database, clock=lambda: NOW).test_client(), EVENTS)
    with database.begin() as session:
        rows = session.scalars(select(OutboxEvent).order_by(OutboxEvent.id)).all()
        assert [row.kind for row in rows] == [PACKAGE, COLLECTION]
        for row, item in zip(rows, page["items"], strict=True):
            message_id = str(row.message_id)
            message = envelope(Outgoing(row.kind, row.body, message_id, "koschei", config.fedmsg.instance))
            message.validate()
            job = Job(1, "https://example.org", (), 1, message_id, row.kind, row.body, NOW)
            posted = json.loads(webhooks.post_of(config, job, NOW).text)
            assert item["body"] == message.body == posted["body"]
            assert item["body"]["koji_instance"] == "second"
            assert (item["id"], item["kind"]) == (posted["id"], posted["kind"]) == (message.id, row.kind)


def test_an_event_that_is_committed_late_is_not_missed(client: FlaskClient, database: Database) -> None:
    with database.sessions.begin() as slow:
        store(slow, "first")
        stored(database, "second")  # its number is higher, and it is there earlier
        names, page = ask(client, EVENTS)
        assert names == ["second"]
        assert ask(client, page["next"])[0] == []
    with database.begin() as session:
        ids = session.execute(select(OutboxEvent.body["name"].astext).order_by(OutboxEvent.id)).scalars().all()
    assert ids == ["first", "second"]
    assert ask(client, page["next"])[0] == ["first"]
    assert ask(client, EVENTS)[0] == ["second", "first"]


def test_all_are_told_page_by_page(client: FlaskClient, database: Database) -> None:
    names = [f"p{number}" for number in range(7)]
    stored(database, *names)
    found, address, more = [], f"{EVENTS}?limit=3", True
    while more:
        some, page = ask(client, address)
        found += some
        address, more = page["next"], page["more"]
    assert found == names


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("collection=f44", ["abc", "bcd", "-"]),
        ("collection=f43&collection=f42", ["cde"]),
        (f"kind={COLLECTION}", ["-"]),
        (f"kind={PACKAGE}&collection=f44", ["abc", "bcd"]),
        ("package=abc&package=cde", ["abc", "cde"]),
        ("group=tools", ["bcd"]),
        ("group=tools&package=abc", ["abc", "bcd"]),
        ("group=jane/own", ["cde"]),
    ],
)
def test_events_are_filtered(client: FlaskClient, database: Database, query: str, expected: list[str]) -> None:
    stored(database, "abc")
    stored(database, "bcd", groups=("tools",))
    stored(database, "cde", collection="f43", groups=("jane/own", "x"))
    with database.begin() as session:
        session.add(OutboxEvent(kind=COLLECTION, body={"old": "ok", "new": "unresolved", "collection": "f44"}))
    names, page = ask(client, f"{EVENTS}?{query}")
    assert names == expected
    assert query.split("&")[0] in page["next"].replace("%2F", "/")


def test_few_among_very_many_are_found_piece_by_piece(
    client: FlaskClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api_events, "LOOKED_AT", 4)
    stored(database, *"abcdefghij")
    names, page = ask(client, f"{EVENTS}?package=i")
    assert (names, page["more"]) == ([], True)
    names, page = ask(client, page["next"])
    assert (names, page["more"]) == ([], True)
    names, page = ask(client, page["next"])
    assert (names, page["more"]) == (["i"], False)


def test_one_can_begin_now(client: FlaskClient, database: Database) -> None:
    stored(database, "old")
    names, page = ask(client, f"{EVENTS}?start=now")
    assert names == []
    stored(database, "new")
    assert ask(client, page["next"])[0] == ["new"]


def test_whoever_comes_back_too_late_is_told_so(client: FlaskClient, config: Config, database: Database) -> None:
    stored(database, "abc", "bcd")
    _, page = ask(client, f"{EVENTS}?limit=1")
    days = config.retention.events_days
    almost = create_app(config, database, clock=lambda: NOW + timedelta(days=days, minutes=-1)).test_client()
    assert ask(almost, page["next"])[0] == ["bcd"]
    late = create_app(config, database, clock=lambda: NOW + timedelta(days=days, hours=1)).test_client()
    response = late.get(page["next"])
    assert (response.status_code, response.mimetype) == (410, "application/problem+json")
    assert "begin anew with start=now" in response.text


def test_a_cursor_among_old_events_is_as_old_as_those_behind_it(
    client: FlaskClient, config: Config, database: Database
) -> None:
    stored(database, "abc", "bcd", hours=24 * 20)
    _, page = ask(client, f"{EVENTS}?limit=1")
    late = create_app(config, database, clock=lambda: NOW + timedelta(days=11)).test_client()
    assert late.get(page["next"]).status_code == 410
    _, page = ask(client, EVENTS)
    assert late.get(page["next"]).status_code == 200


def test_a_cursor_stays_good_when_what_was_read_is_deleted(client: FlaskClient, database: Database) -> None:
    stored(database, "abc")
    _, page = ask(client, EVENTS)
    with database.begin() as session:
        session.execute(update(OutboxEvent).values(sent=NOW))
        session.execute(delete(OutboxEvent))
    assert ask(client, page["next"])[0] == []
    stored(database, "new")
    assert ask(client, page["next"])[0] == ["new"]


def test_as_long_as_nothing_happens_the_answer_is_the_same(client: FlaskClient, database: Database) -> None:
    stored(database, "abc")
    _, page = ask(client, EVENTS)
    first = client.get(page["next"])
    headers = {"If-None-Match": first.headers["ETag"]}
    assert client.get(page["next"], headers=headers).status_code == 304
    stored(database, "bcd")
    assert client.get(page["next"], headers=headers).status_code == 200


def test_very_many_get_their_places_in_some_requests(
    client: FlaskClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frontend.api_v2.events.PLACED", 2)
    stored(database, *"abcde")
    assert ask(client, EVENTS)[0] == ["a", "b"]
    assert ask(client, EVENTS)[0] == ["a", "b", "c", "d"]
    names, page = ask(client, EVENTS)
    assert names == ["a", "b", "c", "d", "e"]
    with counting(database) as statements:
        ask(client, page["next"])
    assert not [statement for statement in statements if "UPDATE" in statement]
    with database.begin() as session:
        assert session.scalar(select(func.count()).where(OutboxEvent.position.is_(None))) == 0
