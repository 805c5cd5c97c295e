"""Migrations and models give the same schema, by Alembic's comparison and by PostgreSQL's own catalogue."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.pool import NullPool

from demo.postgres import Postgres
from koschei.db import migrator, schema
from koschei.model import Base

pytestmark = pytest.mark.exact_schema

CATALOGUE = {
    "columns": """
        SELECT c.relname, a.attname, rank() OVER (PARTITION BY c.oid ORDER BY a.attnum),
               format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               a.attgenerated, coalesce(l.collname, ''), pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             LEFT JOIN pg_collation l ON l.oid = a.attcollation
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0
              AND NOT a.attisdropped""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, contype, pg_get_constraintdef(oid), condeferrable, convalidated
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace""",
    "indexes": """
        SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'""",
    "sequences": """
        SELECT sequencename, data_type::text, start_value, increment_by, max_value, cycle FROM pg_sequences
        WHERE schemaname = 'public'""",
    "relations": """
        SELECT relname, relkind, relpersistence, reloptions::text FROM pg_class
        WHERE relnamespace = 'public'::regnamespace""",
    "functions": """
        SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace""",
    "triggers": """
        SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal""",
    "types": """
        SELECT typname, typtype FROM pg_type
        WHERE typnamespace = 'public'::regnamespace AND typtype IN ('e', 'd')""",
    "extensions": "SELECT extname FROM pg_extension",
}
# What the migrations themselves keep.
RECORDS = ("alembic_version", migrator.RECORD.name)
COMPARISON = {"compare_type": True, "compare_server_default": True, "include_name": migrator.is_ours}


def catalogue(engine: Engine) -> dict[str, set[tuple[object, ...]]]:
    """All that PostgreSQL knows of our schema; columns are numbered without the gaps that dropped ones leave."""
    with engine.connect() as connection:
        found = {kind: {tuple(row) for row in connection.execute(text(query))} for kind, query in CATALOGUE.items()}
    return {kind: {row for row in rows if not str(row[0]).startswith(RECORDS)} for kind, rows in found.items()}


def without_positions(found: dict[str, set[tuple[object, ...]]]) -> dict[str, set[tuple[object, ...]]]:
    return {**found, "columns": {(row[:2] + row[3:]) for row in found["columns"]}}


@pytest.fixture
def from_models(postgres: Postgres) -> Iterator[Engine]:
    postgres.drop_database("from_models")
    engine = create_engine(postgres.create_database("from_models"), poolclass=NullPool)
    Base.metadata.create_all(engine)
    yield engine
    postgres.drop_database("from_models")


@pytest.fixture
def migrated(database_url: str) -> Engine:
    return create_engine(database_url, poolclass=NullPool)


def test_alembic_sees_no_difference(migrated: Engine) -> None:
    with migrated.connect() as connection:
        context = MigrationContext.configure(connection, opts=COMPARISON)
        assert compare_metadata(context, Base.metadata) == []


@pytest.mark.parametrize("kind", CATALOGUE)
def test_postgresql_sees_no_difference(migrated: Engine, from_models: Engine, kind: str) -> None:
    ours, theirs = without_positions(catalogue(from_models))[kind], without_positions(catalogue(migrated))[kind]
    assert sorted(map(str, ours - theirs)) == [], "in the models only"
    assert sorted(map(str, theirs - ours)) == [], "in the migrations only"


def test_the_comparison_would_see_a_difference(migrated: Engine) -> None:
    before = catalogue(migrated)
    assert len(before["columns"]) > 100
    assert len(before["indexes"]) > 40
    with migrated.begin() as connection:
        connection.execute(text("ALTER TABLE package ALTER COLUMN tracked SET DEFAULT true"))
        connection.execute(text("DROP INDEX ix_build_task_id"))
        connection.execute(text("ALTER TABLE build DROP CONSTRAINT ck_build_state"))
    after = catalogue(migrated)
    assert {kind for kind in CATALOGUE if before[kind] != after[kind]} == {
        "columns",
        "indexes",
        "constraints",
        "relations",
    }
    with migrated.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=COMPARISON), Base.metadata) != []


def test_down_to_nothing_and_up_again(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url, poolclass=NullPool)
    nothing = catalogue(engine)
    assert schema.look(empty_database_url).found is None
    schema.upgrade(empty_database_url)
    assert schema.look(empty_database_url).found == schema.head()
    everything = catalogue(engine)
    schema.downgrade(empty_database_url, "base")
    assert schema.look(empty_database_url).found is None
    assert catalogue(engine) == nothing
    schema.upgrade(empty_database_url)
    schema.upgrade(empty_database_url)
    assert catalogue(engine) == everything


def test_each_revision_can_be_taken_back_and_applied_again(empty_database_url: str) -> None:
    engine = create_engine(empty_database_url, poolclass=NullPool)
    revisions = list(ScriptDirectory.from_config(schema.alembic_config("")).walk_revisions())[::-1]
    assert revisions
    assert revisions[-1].revision == schema.head()
    for revision in revisions:
        before = catalogue(engine)
        schema.upgrade(empty_database_url, revision.revision)
        after = catalogue(engine)
        schema.downgrade(empty_database_url, revision.down_revision or "base")  # type: ignore[arg-type]
        assert catalogue(engine) == before, revision.revision
        schema.upgrade(empty_database_url, revision.revision)
        assert catalogue(engine) == after, revision.revision


def test_each_revision_says_what_it_does_and_how_to_take_it_back() -> None:
    for revision in ScriptDirectory.from_config(schema.alembic_config("")).walk_revisions():
        assert revision.doc, revision.revision
        downgrade = inspect.getsource(revision.module.downgrade)
        assert "op." in downgrade or "index_concurrently(" in downgrade, f"{revision.revision} has no way back"
