"""What somebody with bad intentions sends: too much, tricks with paths and headers, and what must not be told."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from frontend import context
from frontend.forms import LARGEST_FORM
from frontend.headers import HEADERS
from koschei.db.engine import Database
from tests.frontend.conftest import SECRET_KEY
from tests.frontend.persons import BASE, Visitor
from tests.world import filling

TELLING = ("Traceback", "psycopg2", "sqlalchemy", "SELECT", "no_such_table", SECRET_KEY, "site-packages", ".py")


@pytest.fixture
def visitor(client: FlaskClient, database: Database) -> Visitor:
    with filling(database) as world:
        world.build(world.package("bash", world.collection("f43")))
    return Visitor(client, database, "jane")


def test_a_form_that_is_too_large_is_refused_in_words(visitor: Visitor) -> None:
    answer = visitor.post("/package/bash/edit", {"arch_override": "x" * (LARGEST_FORM + 1)})
    assert (answer.status_code, "That is too much at once" in answer.text) == (413, True)


@pytest.mark.parametrize("word", ["nul \0 in it", "\0"])
def test_a_nul_is_refused_before_it_meets_the_database(visitor: Visitor, word: str) -> None:
    answer = visitor.post("/add-group", {"name": word, "owners": "jane", "packages": "bash"})
    assert (answer.status_code, "NUL" in answer.text) == (400, True)


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/static/%5c..%5capp.py",
        "/documentation/..%2f..%2f..%2fetc%2fpasswd",
        "/documentation/../../README",
        "/badge/..%2f..%2ff43/bash.svg",
        "/groups/..%2f..%2fetc/passwd",
    ],
)
def test_a_path_leads_to_no_other_file(visitor: Visitor, path: str) -> None:
    answer = visitor.get(path)
    body = answer.get_data()
    answer.close()
    assert answer.status_code in (308, 400, 404)
    assert b"root:" not in body
    assert b"import" not in body


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: evil=1", "a\nX-Evil: 1", "%0d%0aX-Evil:%201"])
def test_no_input_becomes_a_header(visitor: Visitor, value: str) -> None:
    for path in ("/login", "/packages", "/search", "/bugreport/bash", "/add-packages"):
        answer = visitor.get(path, query_string={"next": value, "q": value, "collection": value, "packages": value})
        names = {name.lower() for name, _ in answer.headers}
        assert "x-evil" not in names
        assert "evil=1" not in str(answer.headers.getlist("Set-Cookie"))


def test_an_error_tells_nothing_of_what_is_behind_it(app: Flask, visitor: Visitor) -> None:
    def broken() -> str:
        context.session().execute(text("SELECT secret FROM no_such_table"))
        return ""

    app.view_functions["stats.stats"] = broken
    answer = visitor.get("/stats")
    assert answer.status_code == 500
    assert [word for word in TELLING if word in answer.text] == []
    assert "It was logged" in answer.text


def test_every_answer_has_the_headers_that_protect_it(app: Flask, visitor: Visitor) -> None:
    for path in ("/", "/nothing-here", "/package/bash", "/static/koschei.css", "/api/v1/packages", "/api/v2/packages",
                 "/feed.atom", "/badge/f43/bash.svg", "/log", "/healthz/live", "/robots.txt"):  # fmt: skip
        answer = visitor.client.get(path, base_url=BASE)
        answer.close()
        missing = [name for name in HEADERS if name not in answer.headers]
        assert missing == [], path
        policy = answer.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert "default-src 'none'" in policy


def test_pages_of_people_are_not_kept_by_anybody(visitor: Visitor) -> None:
    for path in ("/log", "/tokens", "/logout", "/add-group", "/"):
        control = visitor.get(path).headers["Cache-Control"]
        assert "public" not in control
        assert "no-cache" in control or "no-store" in control, path
