"""The application around the pages: headers, static files, probes, errors."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient
from sqlalchemy import text

from demo.postgres import Postgres
from frontend import headers, static_files
from frontend.app import create_app
from koschei.config import Config
from koschei.db.engine import Database
from koschei.errors import ConfigError
from tests.world import NOW, filling


@pytest.fixture
def outage(config: Config) -> Iterator[FlaskClient]:
    """A client of an application whose database cannot be reached."""
    database = Database("postgresql+psycopg2://nobody@127.0.0.1:1/nothing")
    yield create_app(config, database, clock=lambda: NOW).test_client()
    database.dispose()


@pytest.mark.parametrize(
    "address", ["/", "/nothing", "/healthz/live", "/api/v1/packages", "/static/koschei.css", "/search?q="]
)
def test_every_answer_has_the_security_headers(client: FlaskClient, address: str) -> None:
    with client.get(address) as response:
        pass
    for name, value in headers.HEADERS.items():
        assert response.headers[name] == value
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


def test_static_files_are_kept_for_a_year_under_their_fingerprint_only(client: FlaskClient, app: Flask) -> None:
    address = re.search(r'href="(/static/koschei\.css\?v=\w{12})"', client.get("/").text)
    assert address
    with client.get(address[1]) as kept:
        assert kept.headers["Cache-Control"] == f"public, max-age={static_files.YEAR}, immutable"
    for other in ("/static/koschei.css", "/static/koschei.css?v=0123456789ab", "/static/nothing.css"):
        with client.get(other) as response:
            assert response.headers["Cache-Control"] == "no-cache"


def test_pages_are_not_kept(client: FlaskClient) -> None:
    assert client.get("/").headers["Cache-Control"] == "no-cache"


def test_what_browsers_and_robots_ask_for_is_there(client: FlaskClient) -> None:
    robots = client.get("/robots.txt").text.splitlines()
    assert robots[:2] == ["User-agent: *", "Crawl-delay: 1"]
    for path in ("/api/", "/search", "/affected-by/", "/bugreport/", "/login"):
        assert f"Disallow: {path}" in robots
    with client.get("/favicon.ico") as icon:
        assert icon.mimetype == "image/svg+xml"


def test_it_lives_and_is_ready(client: FlaskClient) -> None:
    assert client.get("/healthz/live").text == "ok\n"
    assert client.get("/healthz/ready").text == "ok\n"


def test_it_is_not_ready_without_its_tables(config: Config, empty_database_url: str) -> None:
    database = Database(empty_database_url)
    response = create_app(config, database).test_client().get("/healthz/ready")
    database.dispose()
    assert response.status_code == 503
    assert "run `koschei-admin create-db`" in response.text


def test_it_is_not_ready_for_a_schema_that_nobody_knows(client: FlaskClient, database: Database) -> None:
    with database.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'from elsewhere'"))
    response = client.get("/healthz/ready")
    assert response.status_code == 503
    assert "from elsewhere" in response.text
    with database.begin() as session:
        session.execute(text("DELETE FROM alembic_version"))
    response = client.get("/healthz/ready")
    assert response.status_code == 503
    assert "no Koschei tables" in response.text


def test_it_is_not_ready_when_it_is_about_to_stop_but_answers(config: Config, database: Database) -> None:
    leaving: list[bool] = []
    client = create_app(config, database, leaving=lambda: bool(leaving)).test_client()
    assert client.get("/healthz/ready").status_code == 200
    leaving.append(True)
    response = client.get("/healthz/ready")
    assert response.status_code == 503
    assert "stopping" in response.text
    assert client.get("/healthz/live").status_code == 200
    assert client.get("/").status_code == 200


def test_an_outage_of_the_database_is_told_and_does_not_kill(outage: FlaskClient) -> None:
    page = outage.get("/package/foo?collection=f44")
    assert page.status_code == 503
    assert "Koschei's database does not answer" in page.text.replace("&#39;", "'")
    assert page.headers["Retry-After"] == "30"
    assert "127.0.0.1" not in page.text
    assert outage.get("/healthz/live").status_code == 200
    assert outage.get("/healthz/ready").status_code == 503
    api = outage.get("/api/v1/packages")
    assert api.status_code == 503
    assert "error" in (api.json or {})


def test_it_carries_on_when_the_database_comes_back(
    postgres: Postgres, database: Database, client: FlaskClient
) -> None:
    with filling(database) as world:
        world.collection()
    assert client.get("/").status_code == 200
    with database.engine.connect() as connection:
        mine = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        connection.execute(
            text(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE pid <> :mine AND datname = current_database()"
            ),
            {"mine": mine},
        )
    assert client.get("/").status_code == 200


def test_errors_say_what_now(app: Flask, client: FlaskClient, database: Database) -> None:
    @app.get("/breaks")
    def breaks() -> str:
        raise RuntimeError("the secret is 42")

    with filling(database) as world:
        world.collection()

    @app.get("/half")
    def half() -> str:
        from frontend import context

        context.choice()
        raise RuntimeError("half-way")

    @app.get("/teapot")
    def teapot() -> str:
        abort(418)

    page = client.get("/breaks")
    assert page.status_code == 500
    assert "Something broke on our side" in page.text
    assert "2026-05-14 12:00:00 UTC" in page.text
    assert "secret" not in page.text
    page = client.get("/half?collection=f44")
    assert page.status_code == 500
    assert 'href="/?collection=f44"' in page.text
    assert client.get("/teapot").status_code == 418
    refused = client.post("/packages")
    assert refused.status_code == 405
    assert "GET" in refused.headers["Allow"]
    assert "overview" in refused.text
    assert 'href="/packages"' in client.get("/nothing").text


def test_a_nul_in_an_address_is_refused(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        world.collection()
    for address in ("/package/a%00b", "/search?q=%00", "/packages?collection=%00", "/api/v1/packages?name=%00"):
        assert client.get(address).status_code == 400, address


def test_without_a_secret_key_there_is_no_application(database: Database) -> None:
    with pytest.raises(ConfigError, match="SECRET_KEY"):
        create_app(Config(), database)


def test_a_request_leaves_no_transaction_behind(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        world.collection()
    for address in ("/", "/nothing", "/package/nix", "/api/v1/packages"):
        client.get(address)
    with database.begin() as session:
        open_ones = session.execute(
            text("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND datname = current_database()")
        ).scalar_one()
    assert open_ones == 0


def test_pages_only_read(app: Flask, database: Database) -> None:
    from frontend import context

    with app.test_request_context("/"), pytest.raises(Exception, match="read-only"):
        context.session().execute(text("DELETE FROM collection"))


def test_a_proxy_in_front_is_believed(app: Flask, client: FlaskClient) -> None:
    from flask import request

    @app.get("/seen")
    def seen() -> str:
        return f"{request.scheme} {request.remote_addr}"

    answer = client.get("/seen", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "192.0.2.7"})
    assert answer.text == "https 192.0.2.7"
