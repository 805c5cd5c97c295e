"""Commands about the tables: safe to repeat, safe twice at once, and rights for the unprivileged role."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.pool import NullPool

from koschei.db import migrator, schema
from koschei.db.engine import Database
from tests.admin.conftest import SCRIPT, MakeShell, Shell, audit_log
from tests.upgrade.releases import add_revision

ROLE = 'o"dd %role'


@pytest.fixture
def fresh(make_shell: MakeShell, empty_database_url: str) -> Shell:
    return make_shell(empty_database_url)


def test_tables_are_made_once_and_left_alone_after(fresh: Shell, empty_database_url: str) -> None:
    assert fresh.ok("create-db") == f"Database upgraded from nothing to {schema.head()}\n"
    assert fresh.ok("create-db") == f"The database is at revision {schema.head()} already\n"
    database = Database(empty_database_url)
    with database.begin() as session:
        assert audit_log(session) == [("alice", f"Database upgraded from nothing to {schema.head()}")]
    database.dispose()
    assert "Admin notice added" in fresh.ok("set-notice", "ready")


def test_two_that_make_the_tables_at_once_do_not_hinder_each_other(fresh: Shell, empty_database_url: str) -> None:
    env = {**os.environ, **fresh.env}
    both = [
        subprocess.Popen([SCRIPT, "create-db"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    replies = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], replies
    assert schema.look(empty_database_url).found == schema.head()


def test_alembic_has_our_database_and_our_revisions(fresh: Shell, empty_database_url: str) -> None:
    fresh.ok("alembic", "upgrade", "head")
    assert schema.look(empty_database_url).found == schema.head()
    assert f"{schema.head()} (head)" in fresh.ok("alembic", "current")
    assert "usage: koschei-admin alembic upgrade" in fresh.ok("alembic", "upgrade", "--help")
    assert "CREATE TABLE package" in fresh.ok("alembic", "upgrade", "head", "--sql")
    fresh.ok("alembic", "downgrade", "base")
    assert schema.look(empty_database_url).found is None


def test_a_revision_that_does_not_exist_is_refused(fresh: Shell) -> None:
    result = fresh.run("alembic", "upgrade", "nonsense")
    assert result.exit_code == 1
    assert "nonsense" in result.stderr


def test_alembic_without_a_command_is_a_usage_error(fresh: Shell, capfd: pytest.CaptureFixture[str]) -> None:
    assert fresh.run("alembic").exit_code == 2


def test_db_check_tells_what_to_run(fresh: Shell, make_shell: MakeShell) -> None:
    result = fresh.run("db-check")
    assert result.exit_code == 4
    assert "run `koschei-admin create-db`" in result.stdout
    fresh.ok("create-db")
    assert "ok      revision" in fresh.ok("db-check")
    found = json.loads(fresh.ok("db-check", "--json"))
    assert {check["name"]: check["well"] for check in found.pop("checks")} == {"server": True, "revision": True}
    assert found == {
        "usable": True,
        "playbook": "rolling",
        "image_revision": schema.head(),
        "needed_revision": schema.oldest_usable(),
        "database_revision": schema.head(),
        "pending_pre": [],
        "pending_post": [],
    }


def test_db_check_of_a_database_that_is_away_knows_nothing(make_shell: MakeShell) -> None:
    away = make_shell("postgresql://koschei@127.0.0.1:1/x")
    result = away.run("db-check")
    assert result.exit_code == 3
    assert "NOT OK  server: PostgreSQL does not answer" in result.stdout
    found = json.loads(away.run("db-check", "--json").stdout)
    assert (found["usable"], found["playbook"], found["database_revision"]) == (False, None, None)
    assert (found["pending_pre"], found["pending_post"]) == (None, None)


# upgrades


@pytest.fixture
def next_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This version with two more revisions, one of each half."""
    folder = tmp_path / "migrations"
    shutil.copytree(schema.MIGRATIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    newest = schema.head()
    add = 'op.execute("ALTER TABLE base_package ADD COLUMN nick text")'
    add_revision(folder, "8001", newest, "pre", add, "pass")
    add_revision(folder, "8002", "8001", "post", 'op.execute("ALTER TABLE base_package DROP COLUMN nick")', add)
    monkeypatch.setattr(schema, "MIGRATIONS", folder)


def checked(shell: Shell) -> tuple[int, str | None, list[str], list[str]]:
    """What db-check tells a playbook."""
    result = shell.run("db-check", "--json")
    found = json.loads(result.stdout)
    return result.exit_code, found["playbook"], found["pending_pre"], found["pending_post"]


def test_an_upgrade_is_done_half_by_half(
    shell: Shell, database_url: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    old = schema.MIGRATIONS
    first = schema.head()
    request.getfixturevalue("next_version")
    assert checked(shell) == (4, "full", ["8001"], ["8002"])
    assert "run the playbook koschei-full.yml" in shell.run("db-check").stdout
    refused = shell.run("create-db", "--phase", "post")
    assert refused.exit_code == 1
    assert "The pre-deploy half comes first" in refused.stderr
    assert shell.run("set-notice", "too early").exit_code == 3

    assert shell.ok("create-db", "--phase", "pre") == f"Database upgraded from {first} to 8001 (pre-deploy half)\n"
    assert shell.ok("create-db", "--phase", "pre") == "The database is at revision 8001 already\n"
    assert checked(shell) == (0, "rolling", [], ["8002"])
    assert "the post-deploy half (8002) can follow" in shell.ok("db-check")
    assert "Admin notice added" in shell.ok("set-notice", "between")
    with monkeypatch.context() as going_back:
        going_back.setattr(schema, "MIGRATIONS", old)
        assert checked(shell) == (0, "rolling", [], [])
        assert shell.ok("create-db") == "The database is at revision 8001 already\n"
        assert "Admin notice added" in shell.ok("set-notice", "by the old version")

    assert shell.ok("create-db", "--phase", "post") == "Database upgraded from 8001 to 8002 (post-deploy half)\n"
    assert checked(shell) == (0, "rolling", [], [])
    with monkeypatch.context() as going_back:
        going_back.setattr(schema, "MIGRATIONS", old)
        assert checked(shell) == (5, None, [], [])
        for command in (("create-db",), ("create-db", "--phase", "pre"), ("set-notice", "too late")):
            result = shell.run(*command)
            assert result.exit_code == 3
            assert "run the image of Koschei" in result.stderr
    assert schema.look(database_url).found == "8002"


def test_both_halves_are_done_at_once_when_everything_is_stopped(shell: Shell, request: pytest.FixtureRequest) -> None:
    first = schema.head()
    request.getfixturevalue("next_version")
    assert shell.ok("create-db") == f"Database upgraded from {first} to 8002\n"


def test_tables_that_others_use_are_told_while_it_waits(
    shell: Shell, database_url: str, monkeypatch: pytest.MonkeyPatch, next_version: None
) -> None:
    monkeypatch.setattr(migrator, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(schema, "PATIENCE", 0.7)
    engine = create_engine(database_url, poolclass=NullPool)
    with engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM base_package"))
        result = shell.run("create-db")
    assert result.exit_code == 3
    assert result.stderr.count("trying again") == 1
    assert "The tables are in use" in result.stderr.splitlines()[-1]
    assert "Database upgraded" in shell.ok("create-db")


# the role that the services connect as


@pytest.fixture
def role(empty_database_url: str) -> Iterator[str]:
    engine = create_engine(empty_database_url, poolclass=NullPool)
    name = engine.dialect.identifier_preparer.quote(ROLE)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN")
    yield ROLE
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {name}")
        connection.exec_driver_sql(f"DROP ROLE {name}")


def test_the_unprivileged_role_may_change_rows_but_no_tables(fresh: Shell, empty_database_url: str, role: str) -> None:
    fresh.ok("create-db")
    fresh.env["KOSCHEI__UNPRIV_DB_USERNAME"] = role
    result = fresh.run("db-check")
    assert result.exit_code == 3
    assert "may not read and write every table" in result.stdout
    fresh.ok("create-db")
    assert "ok      rights" in fresh.ok("db-check")

    engine = create_engine(make_url(empty_database_url).set(username=role), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO base_package (name) VALUES ('foo')"))
        assert connection.execute(text("DELETE FROM base_package RETURNING name")).all() == [("foo",)]
    with engine.connect() as connection, pytest.raises(ProgrammingError, match="must be owner"):
        connection.execute(text("DROP TABLE base_package"))


def test_somebody_who_owns_nothing_cannot_make_tables(
    fresh: Shell, make_shell: MakeShell, empty_database_url: str, role: str
) -> None:
    url = make_url(empty_database_url).set(username=role).render_as_string(hide_password=False)
    result = make_shell(url).run("create-db")
    assert result.exit_code == 3
    assert "Connect as the owner" in result.stderr


def test_a_role_that_does_not_exist_is_an_error_in_the_settings(fresh: Shell) -> None:
    result = fresh.run("create-db", KOSCHEI__UNPRIV_DB_USERNAME="nobody_there")
    assert result.exit_code == 2
    assert "unpriv_db_username" in result.stderr
    assert "nobody_there" in result.stderr
