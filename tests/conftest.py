"""Fixtures that every test may ask for: a PostgreSQL of our own, and databases in it."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from demo.postgres import Postgres

settings.register_profile(
    "koschei", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
settings.register_profile("ci", settings.get_profile("koschei"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "koschei")

TEMPLATE = "migrated_template"
# A command that migrates further, as a newer version would (make test-upgrade); the database's address is added to it.
LATER = os.environ.get("KOSCHEI_TEST_LATER_MIGRATIONS")
_numbers = itertools.count(1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no process waits for another's at the end.

    With a newer version's migrations only those tests count that can notice them and do not have to.
    """
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
    if LATER:
        config.hook.pytest_deselected(items=[item for item in items if not _may_notice(item)])
        items[:] = [item for item in items if _may_notice(item)]


def _may_notice(item: pytest.Item) -> bool:
    return "migrated_template" in getattr(item, "fixturenames", ()) and item.get_closest_marker("exact_schema") is None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A running PostgreSQL, one per test process; tests make databases in it and leave its own alone."""
    folder = Path(tempfile.mkdtemp(prefix="koschei-tests-"))
    folder.chmod(0o711)  # the server may be another user than we are
    try:
        with Postgres(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def migrated_template(postgres: Postgres) -> str:
    """The name of a database with all migrations applied and nothing in it, to be copied."""
    from koschei.db.schema import upgrade  # late: most tests need no database

    url = postgres.create_database(TEMPLATE)
    upgrade(url)
    if LATER:
        subprocess.run([*shlex.split(LATER), url], check=True)
    return TEMPLATE


@pytest.fixture
def database_url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """The address of a fresh database with Koschei's tables and no rows."""
    yield from _database(postgres, migrated_template)


@pytest.fixture
def empty_database_url(postgres: Postgres) -> Iterator[str]:
    """The address of a fresh database without any table."""
    yield from _database(postgres, None)


def _database(postgres: Postgres, template: str | None) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    yield postgres.create_database(name, template)
    postgres.drop_database(name)
