"""No page and no route of the API asks the database much, whatever it shows and whoever asks."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import text

from bench.pages.__main__ import LIMIT_QUERIES
from bench.pages.addresses import ADDRESSES, addresses
from bench.pages.sights import look
from bench.pages.visits import asked, cookie
from koschei.db.engine import Database
from tests.world import NOW


def test_every_route_asks_few_queries(app: Flask, sample: Database) -> None:
    with sample.begin() as session:
        user_id = session.execute(text("""UPDATE "user" SET admin = true WHERE name = 'jane' RETURNING id""")).scalar()
        sights = look(session)
    wanted = addresses(app, sights)
    assert len({address.endpoint for address in wanted}) > 20
    much: list[str] = []
    session_of_jane = {"Cookie": cookie(app, user_id, NOW.timestamp())}
    assert "jane" in app.test_client(use_cookies=False).get("/collections", headers=session_of_jane).text
    for who, headers in (("nobody", {}), ("jane", session_of_jane)):
        for address in wanted:
            status, statements = asked(app, sample, address.path, headers)
            assert status < 500, address
            if len(statements) > LIMIT_QUERIES:
                askers = ", ".join(statement.asker for statement in statements)
                much.append(f"{address.path} asks {len(statements)} for {who}: {askers}")
    assert not much, "\n".join(much)


def test_examples_are_of_routes_that_there_are(app: Flask) -> None:
    assert ADDRESSES.keys() - {rule.endpoint for rule in app.url_map.iter_rules()} == set()


def test_a_route_without_an_example_is_named(app: Flask, database: Database) -> None:
    app.add_url_rule("/new/<name>", "overview.new", lambda name: name)
    with database.read() as session, pytest.raises(LookupError, match=r"overview\.new \(/new/<name>\)"):
        addresses(app, look(session))
