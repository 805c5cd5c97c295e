"""Each revision says its half, and a pre-deploy revision does only what older code lives with."""

from __future__ import annotations

import pytest
from alembic.script import Script, ScriptDirectory

from koschei.db import schema
from migrations.additive import doubts, split, statements


def scripts() -> list[Script]:
    return list(ScriptDirectory.from_config(schema.alembic_config("")).walk_revisions())


def test_revisions_form_one_line() -> None:
    directory = ScriptDirectory.from_config(schema.alembic_config(""))
    assert len(directory.get_heads()) == 1
    assert [one.down_revision for one in scripts()] == [*(one.revision for one in scripts()[1:]), None]
    assert not any(one.is_merge_point or one.is_branch_point or one.dependencies for one in scripts())


@pytest.mark.parametrize("script", scripts(), ids=lambda script: script.revision)
def test_each_revision_says_its_half_and_keeps_to_it(script: Script) -> None:
    assert script.module.phase in ("pre", "post")
    found = statements(script)
    assert found, "it must be possible to print its SQL (alembic upgrade --sql)"
    harmless: dict[str, str] = getattr(script.module, "harmless", {})
    if script.module.phase == "pre":
        assert doubts(found, harmless) == []
    assert all(reason.strip() for reason in harmless.values())
    assert [begin for begin in harmless if not any(one.startswith(begin) for one in found)] == []
    alone = [one for one in found if not one.startswith("SET lock_timeout")]
    assert len(alone) == 1 or not any(" CONCURRENTLY " in one for one in found), "an index comes in a revision alone"


HARMLESS = [
    "CREATE TABLE nick (id bigint)",
    'ALTER TABLE build ADD COLUMN "epoch" integer',
    "ALTER TABLE build ADD COLUMN epoch integer DEFAULT 0 NOT NULL",
    "ALTER TABLE build ADD note text DEFAULT 'a; b, DROP'::text NOT NULL",
    "ALTER TABLE build ADD COLUMN seen timestamptz DEFAULT now()",
    "CREATE INDEX CONCURRENTLY IF NOT EXISTS ix ON build (epoch)",
    "COMMENT ON TABLE build IS 'x'",
]
HARMFUL = [
    "DROP TABLE build",
    "DROP INDEX ix_build_task_id",
    "ALTER TABLE build DROP COLUMN epoch",
    "ALTER TABLE build RENAME COLUMN epoch TO e",
    "ALTER TABLE build RENAME TO builds",
    "ALTER TABLE build ALTER COLUMN epoch SET NOT NULL",
    "ALTER TABLE build ALTER COLUMN epoch TYPE bigint",
    "ALTER TABLE build ADD COLUMN epoch integer NOT NULL",
    "ALTER TABLE build ADD COLUMN epoch integer, DROP COLUMN task_id",
    "ALTER TABLE build ADD COLUMN key uuid DEFAULT gen_random_uuid()",
    "ALTER TABLE build ADD COLUMN number bigint GENERATED ALWAYS AS IDENTITY",
    'ALTER TABLE build ADD COLUMN user_id bigint REFERENCES "user" (id)',
    "ALTER TABLE build ADD CONSTRAINT c CHECK (epoch > 0) NOT VALID",
    "CREATE INDEX ix ON build (epoch)",
    "CREATE UNIQUE INDEX CONCURRENTLY ix ON build (epoch)",
    "UPDATE build SET epoch = 0",
    "DELETE FROM build",
    "TRUNCATE build",
    "INSERT INTO build (epoch) VALUES (0)",
    "CREATE OR REPLACE FUNCTION f() RETURNS int AS $$ SELECT 1; $$ LANGUAGE sql",
    "CREATE TRIGGER t BEFORE INSERT ON build EXECUTE FUNCTION f()",
]


@pytest.mark.parametrize("statement", HARMLESS)
def test_adding_is_harmless(statement: str) -> None:
    assert doubts([statement]) == []


@pytest.mark.parametrize("statement", HARMFUL)
def test_what_older_code_may_notice_is_named(statement: str) -> None:
    assert [doubt.statement for doubt in doubts([statement])] == [statement]


def test_a_table_that_was_made_just_now_is_nobodys() -> None:
    made = ["CREATE TABLE nick (id bigint)"]
    later = ["ALTER TABLE nick ADD CONSTRAINT pk PRIMARY KEY (id)", "CREATE UNIQUE INDEX ix ON nick (id)"]
    later.append("INSERT INTO nick (id) VALUES (1)")
    assert doubts(made + later) == []
    assert len(doubts(later)) == 3


def test_a_revision_can_answer_for_a_statement() -> None:
    statement = "ALTER TABLE build DROP CONSTRAINT ck_build_state"
    assert doubts([statement], {"ALTER TABLE build DROP CONSTRAINT": "a wider one follows"}) == []
    assert len(doubts([statement], {"DROP": "something else"})) == 1


def test_statements_end_where_they_end() -> None:
    sql = """SELECT ';' AS "a;b"; -- one; two
    DO $x$ BEGIN; $$ END; $x$ /* ; */;
    COMMIT"""
    assert list(split(sql)) == ["SELECT ';' AS \"a;b\"", "DO $x$ BEGIN; $$ END; $x$", "COMMIT"]
