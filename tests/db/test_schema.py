"""Migrating a real PostgreSQL: in halves, among readers, interrupted, and by several at once."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

import koschei
from koschei.db import migrator, schema
from koschei.db.revisions import Fit, Phase
from koschei.errors import DatabaseError, InvalidInputError, TablesBusy
from tests.support import wait_until
from tests.upgrade.releases import REPOSITORY, add_revision

pytestmark = pytest.mark.exact_schema

BASE = [revision.name for revision in schema.chain()]
NOW = BASE[-1]

ADD = 'op.execute("ALTER TABLE base_package ADD COLUMN nick text")'
REMOVE = 'op.execute("ALTER TABLE base_package DROP COLUMN nick")'
INDEX = 'index_concurrently("ix_base_package_example", "base_package (name)")'
NO_INDEX = 'drop_index_concurrently("ix_base_package_example")'


@pytest.fixture
def migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our migrations, to which a test may add; this process uses them in place of the real ones."""
    folder = tmp_path / "migrations"
    shutil.copytree(REPOSITORY / "migrations", folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(schema, "MIGRATIONS", folder)
    return folder


@pytest.fixture
def engine(database_url: str) -> Engine:
    return create_engine(database_url, poolclass=NullPool)


def two_halves(migrations: Path) -> None:
    add_revision(migrations, "8002", schema.head(), "pre", ADD, REMOVE)
    add_revision(migrations, "8003", "8002", "post", REMOVE, ADD)
    schema._chain.cache_clear()


def columns(engine: Engine, table: str = "base_package") -> set[str]:
    with engine.connect() as connection:
        query = "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(:t) AND attnum > 0 AND NOT attisdropped"
        return set(connection.execute(text(query), {"t": table}).scalars())


def recorded(engine: Engine) -> list[tuple[str, str, str]]:
    with engine.connect() as connection:
        query = "SELECT revision, phase, koschei_version FROM schema_revision ORDER BY applied, revision"
        return [(row[0], row[1], row[2]) for row in connection.execute(text(query))]


# halves


def test_the_halves_are_applied_one_after_the_other(migrations: Path, database_url: str, engine: Engine) -> None:
    two_halves(migrations)
    before = schema.look(database_url)
    assert (before.fit, before.pending_of(Phase.PRE), before.pending_of(Phase.POST)) == (
        Fit.OLDER,
        ("8002",),
        ("8003",),
    )
    with pytest.raises(InvalidInputError, match="The pre-deploy half comes first"):
        schema.upgrade_half(database_url, Phase.POST)
    schema.upgrade_half(database_url, Phase.PRE)
    between = schema.look(database_url)
    assert (between.found, between.usable, between.pending_of(Phase.POST)) == ("8002", True, ("8003",))
    assert "nick" in columns(engine)
    schema.upgrade_half(database_url, Phase.PRE)
    assert schema.look(database_url).found == "8002"
    schema.upgrade_half(database_url, Phase.POST)
    schema.upgrade_half(database_url, Phase.POST)
    assert schema.look(database_url).found == "8003"
    assert "nick" not in columns(engine)


def test_an_empty_database_gets_everything_at_once(migrations: Path, empty_database_url: str) -> None:
    two_halves(migrations)
    with pytest.raises(InvalidInputError, match="no Koschei tables"):
        schema.upgrade_half(empty_database_url, Phase.POST)
    schema.upgrade_half(empty_database_url, Phase.PRE)
    assert schema.look(empty_database_url).found == "8003"


def test_a_pre_half_behind_an_older_post_half_waits_for_it(migrations: Path, database_url: str) -> None:
    two_halves(migrations)
    add_revision(migrations, "8004", "8003", "pre", ADD, REMOVE)
    schema._chain.cache_clear()
    with pytest.raises(InvalidInputError, match="8003 is the post-deploy half of an earlier version and comes first"):
        schema.upgrade_half(database_url, Phase.PRE)
    assert schema.look(database_url).found == NOW, "nothing was begun"
    schema.upgrade(database_url)
    assert schema.look(database_url).fit is Fit.RIGHT


def test_old_code_judges_what_came_after_it(
    migrations: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_halves(migrations)
    monkeypatch.setattr(koschei, "__version__", "7.1")

    def old_code() -> str | None:
        with monkeypatch.context() as patch:
            patch.setattr(schema, "MIGRATIONS", REPOSITORY / "migrations")
            return schema.hindrance(database_url)

    assert old_code() is None
    schema.upgrade_half(database_url, Phase.PRE)
    assert old_code() is None
    schema.upgrade_half(database_url, Phase.POST)
    assert schema.hindrance(database_url) is None
    words = old_code()
    assert words is not None
    assert f"8003 took away what this code (revision {NOW}) uses: run the image of Koschei 7.1 or newer" in words


def test_nothing_hinders_a_start_while_postgresql_is_away() -> None:
    assert schema.hindrance("postgresql+psycopg2://koschei@127.0.0.1:1/x") is None


# the record


def test_the_record_follows_up_and_down_and_stamps(migrations: Path, database_url: str, engine: Engine) -> None:
    assert recorded(engine) == [(one.name, one.phase, koschei.__version__) for one in schema.chain()]
    two_halves(migrations)
    schema.upgrade(database_url)
    assert [row[:2] for row in recorded(engine)][len(BASE) :] == [("8002", "pre"), ("8003", "post")]
    schema.downgrade(database_url, "8002")
    assert [row[0] for row in recorded(engine)] == [*BASE, "8002"]
    command.stamp(schema.alembic_config(database_url), "8003")
    assert [row[0] for row in recorded(engine)] == [*BASE, "8002", "8003"]
    command.stamp(schema.alembic_config(database_url), "base")
    assert recorded(engine) == []


def test_a_database_without_a_record_gets_one_with_the_next_revision(
    migrations: Path, database_url: str, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE schema_revision"))
    assert schema.look(database_url).usable
    two_halves(migrations)
    schema.upgrade(database_url)
    assert [row[0] for row in recorded(engine)] == [*BASE, "8002", "8003"]


def test_sql_that_was_printed_does_the_same(
    migrations: Path, empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    two_halves(migrations)
    add_revision(migrations, "8004", "8003", "pre", INDEX, NO_INDEX)
    schema._chain.cache_clear()
    command.upgrade(schema.alembic_config("postgresql+psycopg2://"), "head", sql=True)
    printed = capsys.readouterr().out
    engine = create_engine(empty_database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    from migrations.additive import split

    with engine.connect() as connection:
        for statement in split(printed):
            connection.exec_driver_sql(statement)
    assert schema.look(empty_database_url).fit is Fit.RIGHT
    assert [row[0] for row in recorded(engine)] == [*BASE, "8002", "8003", "8004"]


# among others


def test_a_migration_lets_readers_pass_and_comes_again(
    migrations: Path, database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_halves(migrations)
    monkeypatch.setattr(migrator, "LOCK_TIMEOUT", "50ms")
    said: list[str] = []
    with engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM base_package"))

        def say(words: str) -> None:
            said.append(words)
            with engine.connect() as other:
                other.execute(text("SET statement_timeout = '5s'"))
                other.execute(text("SELECT count(*) FROM base_package"))
            reader.rollback()

        schema.upgrade(database_url, say=say)
    assert len(said) == 1
    assert "lock timeout (ALTER TABLE base_package ADD COLUMN nick text)" in said[0]
    assert schema.look(database_url).found == "8003"


def test_a_migration_gives_up_in_the_end(
    migrations: Path, database_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_halves(migrations)
    monkeypatch.setattr(migrator, "LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr(schema, "PATIENCE", 0.0)
    with engine.connect() as reader:
        reader.execute(text("SELECT count(*) FROM base_package"))
        with pytest.raises(TablesBusy, match="The tables are in use, and a migration does not wait for them"):
            schema.upgrade(database_url)
    assert schema.look(database_url).found == NOW


def test_a_second_migrator_waits_a_while_and_then_says_so(
    migrations: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_halves(migrations)
    monkeypatch.setattr(migrator, "TURN_SECONDS", 0.1)
    with migrator.engine(database_url).connect() as first, migrator.alone(first):
        with pytest.raises(DatabaseError, match="Another migration of this database is running"):
            schema.upgrade(database_url)
        assert schema.look(database_url).found == NOW, "looking is allowed meanwhile"
    schema.upgrade(database_url)


# interrupted


def migrating_process(migrations: Path, url: str) -> subprocess.Popen[str]:
    program = (
        "import sys; from pathlib import Path; from koschei.db import schema; "
        "schema.MIGRATIONS = Path(sys.argv[1]); schema.upgrade(sys.argv[2])"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program, str(migrations), url], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True
    )


def is_at(engine: Engine, statement: str) -> bool:
    """Whether the migrator is in the middle of a statement that begins so."""
    with engine.connect() as connection:
        query = """SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
                   AND application_name = 'koschei-migrations' AND starts_with(query, :statement)"""
        return bool(connection.execute(text(query), {"statement": statement}).scalar_one())


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def test_a_migrator_that_is_killed_leaves_whole_revisions_and_can_be_run_again(
    migrations: Path, database_url: str, engine: Engine
) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE obstacle AS SELECT 1"))
    add_revision(migrations, "8002", schema.head(), "pre", ADD, REMOVE)
    slow = 'op.execute("ALTER TABLE collection ADD COLUMN nick text")\n    '
    slow += 'op.execute("SELECT pg_sleep(600) FROM obstacle")'
    add_revision(migrations, "8003", "8002", "pre", slow)
    schema._chain.cache_clear()
    process = migrating_process(migrations, database_url)
    wait_until(lambda: is_at(engine, "SELECT pg_sleep"), 30, "the migration to be in the middle")
    kill(process)
    assert schema.look(database_url).found == "8002"
    assert "nick" in columns(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM obstacle"))
    schema.upgrade(database_url)  # it waits until the server has noticed that the other one is dead
    assert schema.look(database_url).found == "8003"
    assert "nick" in columns(engine, "collection")


def validity(engine: Engine) -> bool | None:
    with engine.connect() as connection:
        query = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('ix_base_package_example')"
        return connection.execute(text(query)).scalar_one_or_none()


def test_an_index_whose_making_was_interrupted_is_made_again(
    migrations: Path, database_url: str, engine: Engine
) -> None:
    add_revision(migrations, "8002", schema.head(), "pre", INDEX, NO_INDEX)
    schema._chain.cache_clear()
    with engine.connect() as old:
        old.execute(text("INSERT INTO base_package (name) VALUES ('foo')"))  # an index waits for the end of this
        process = migrating_process(migrations, database_url)
        wait_until(lambda: is_at(engine, "CREATE INDEX CONCURRENTLY"), 30, "the index to be begun")
        wait_until(lambda: validity(engine) is False, 30, "the index to be there, not valid yet")
        kill(process)
        wait_until(lambda: not is_at(engine, "CREATE INDEX CONCURRENTLY"), 30, "the server to notice")
    assert (schema.look(database_url).found, validity(engine)) == (NOW, False)
    schema.upgrade(database_url)
    assert schema.look(database_url).found == "8002"
    assert validity(engine) is True
    schema.downgrade(database_url, NOW)
    assert validity(engine) is None


def test_an_index_that_was_finished_before_the_kill_is_kept(
    migrations: Path, database_url: str, engine: Engine
) -> None:
    add_revision(migrations, "8002", schema.head(), "pre", INDEX, NO_INDEX)
    schema._chain.cache_clear()
    with engine.begin() as connection:
        connection.execute(text("CREATE INDEX ix_base_package_example ON base_package (name)"))
        made = connection.execute(text("SELECT 'ix_base_package_example'::regclass::oid")).scalar_one()
    schema.upgrade(database_url)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 'ix_base_package_example'::regclass::oid")).scalar_one() == made
