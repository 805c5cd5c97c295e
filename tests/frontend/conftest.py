"""What tests of pages share: an application on a fresh database, and a client that counts its queries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser
from pydantic import SecretStr
from sqlalchemy import event

from demo.postgres import Postgres
from frontend.app import create_app
from koschei import users
from koschei.config import Config, FlaskConfig, FrontendConfig
from koschei.db.engine import Database
from tests.frontend.browsing import chromium, serving
from tests.frontend.sample import fill
from tests.world import NOW, filling

SAMPLE_TEMPLATE = "sample_template"
SECRET_KEY = "a secret key for tests, as long as one must be: 0123456789abcdef"


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh database with Koschei's tables."""
    database = Database(database_url, application_name="koschei-tests")
    yield database
    database.dispose()


@pytest.fixture
def config() -> Config:
    """Settings with everything at its default."""
    return Config(flask=FlaskConfig(SECRET_KEY=SecretStr(SECRET_KEY)))


@pytest.fixture
def app(config: Config, database: Database) -> Flask:
    """The application, for which it is always NOW."""
    return create_app(config, database, clock=lambda: NOW)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """A browser, more or less."""
    return app.test_client()


@contextmanager
def counting(database: Database) -> Iterator[list[str]]:
    """The statements that are sent within the block."""
    statements: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


@pytest.fixture
def app_of_small_pages(config: Config, database: Database) -> FlaskClient:
    """A client of an application whose lists have five rows a page."""
    small = config.model_copy(update={"frontend": config.frontend.model_copy(update={"packages_per_page": 5})})
    return create_app(small, database, clock=lambda: NOW).test_client()


@pytest.fixture(scope="session")
def sample_template(postgres: Postgres, migrated_template: str) -> str:
    """The name of a database with believable data, to be copied: it takes seconds to fill."""
    filled = Database(postgres.create_database(SAMPLE_TEMPLATE, migrated_template))
    with filling(filled) as world:
        fill(world)
    filled.dispose()
    return SAMPLE_TEMPLATE


@pytest.fixture
def sample(database: Database, postgres: Postgres, sample_template: str) -> Database:
    """The fresh database, with believable data in it."""
    name = database.engine.url.database
    assert name
    database.dispose()
    postgres.drop_database(name)
    postgres.create_database(name, sample_template)
    return database


@pytest.fixture
def site(config: Config, sample: Database) -> Iterator[str]:
    """The address of an application that takes everybody for jane."""
    with sample.begin() as session:
        users.log_in(session, "jane")
    plain = {"bypass_login": "jane", "frontend": FrontendConfig(external_url="http://127.0.0.1")}
    app = create_app(config.model_copy(update=plain), sample, clock=lambda: NOW)
    with serving(app) as address:
        yield address


@pytest.fixture
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def address(app: Flask, sample: Database) -> Iterator[str]:
    """The address of a running application with believable data."""
    with serving(app) as address:
        yield address
