"""`cleanup` and `retention` at the shell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from admin import commands_retention
from koschei.db.engine import Database
from koschei.rules.states import BuildState
from tests.admin.conftest import Shell, audit_log
from tests.world import NOW, World, filling

HOURS = 24.0


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A package with five builds that are three years old and three answers of the resolver; one build is recent."""
    found = Database(database_url)
    with filling(found) as world:
        fill(world)
    yield found
    found.dispose()


def fill(world: World) -> None:
    beyond = (datetime.now(UTC) - NOW).total_seconds() / 3600
    package = world.package("foo", world.collection())
    for i in range(5):
        world.build(package, BuildState.COMPLETE, 1100 * HOURS - beyond - i)
        world.resolution(package, 1100 * HOURS - beyond - i)
    world.build(package, BuildState.COMPLETE, 5 - beyond)
    world.dependency("orphan", "1-1")


def messages(database: Database) -> list[tuple[str, str]]:
    with database.begin() as session:
        return audit_log(session)


def test_cleanup_deletes_tells_and_is_in_the_audit_log(shell: Shell, database: Database) -> None:
    said = shell.ok("cleanup", "--older-than", "24")
    assert said == "Cleanup: Deleted 4 builds\nCleanup: Deleted 4 resolution changes\n"
    assert [entry for entry in messages(database) if "Deleted" in entry[1]] == [
        ("alice", "Cleanup: Deleted 4 builds"),
        ("alice", "Cleanup: Deleted 4 resolution changes"),
    ]
    again = shell.run("cleanup")
    assert again.exit_code == 0
    assert "Nothing to change" in again.stderr


def test_a_dry_run_counts_and_changes_nothing(shell: Shell, database: Database) -> None:
    assert shell.ok("cleanup", "--dry-run") == "4 builds to delete\n4 resolution changes to delete\n"
    assert json.loads(shell.ok("cleanup", "--dry-run", "--json")) == {
        "to_delete": {"builds": 4, "resolution changes": 4}
    }
    assert messages(database) == []
    assert json.loads(shell.ok("cleanup", "--json")) == {"deleted": {"builds": 4, "resolution changes": 4}}


@pytest.mark.parametrize(
    ("months", "code", "words"),
    [("1", 1, "Minimal allowed value is 2 months"), ("-5", 1, "Minimal allowed"), ("soon", 2, "not a valid integer")],
)
def test_what_is_too_young_is_never_deleted(
    shell: Shell, database: Database, months: str, code: int, words: str
) -> None:
    result = shell.run("cleanup", "--older-than", months)
    assert result.exit_code == code
    assert words in result.stderr
    assert messages(database) == []


def test_retention_shows_the_policy_and_what_it_would_delete(shell: Shell, database: Database) -> None:
    shell.configure("[retention]\nbuilds_months = 24")
    said = shell.ok("retention")
    assert "retention.builds_months = 24\n" in said
    assert "retention.audit_log_months = 0  (for ever)\n" in said
    assert "4 builds to delete\n" in said
    assert "1 orphaned dependencies to delete\n" in said
    found = json.loads(shell.ok("retention", "--json"))
    assert found["policy"]["builds_months"] == 24
    assert found["to_delete"]["resolution changes"] == 4
    shell.ok("retention", "--apply", "--dry-run")
    assert messages(database) == []


def test_retention_is_carried_out(shell: Shell, database: Database) -> None:
    said = shell.ok("retention", "--apply")
    assert said.splitlines() == [
        "Retention: Deleted 4 resolution changes",
        "Retention: Deleted 4 builds",
        "Retention: Deleted 1 orphaned dependencies",
    ]
    assert {"to_delete": dict.fromkeys(json.loads(shell.ok("retention", "--json"))["to_delete"], 0)} == {
        "to_delete": json.loads(shell.ok("retention", "--json"))["to_delete"]
    }


def test_ctrl_c_between_batches_says_what_to_do_and_another_run_finishes(
    shell: Shell, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.configure("[retention]\nbatch = 2")
    progress = commands_retention._progress

    def interrupted(*args: object) -> object:
        heard = progress(*args)  # type: ignore[arg-type]

        def hear(kind: object, number: int) -> None:
            heard(kind, number)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        return hear

    monkeypatch.setattr(commands_retention, "_progress", interrupted)
    result = shell.run("cleanup")
    assert result.exit_code == 130
    assert "Deleted 2 builds, then was interrupted" in messages(database)[-1][1]
    monkeypatch.undo()
    assert shell.ok("cleanup") == "Cleanup: Deleted 2 builds\nCleanup: Deleted 4 resolution changes\n"


@pytest.mark.parametrize("value", ["1", "-1", '"long"'])
def test_a_policy_that_makes_no_sense_is_refused(shell: Shell, database: Database, value: str) -> None:
    shell.configure(f"[retention]\nbuilds_months = {value}")
    result = shell.run("retention", "--apply")
    assert result.exit_code == 2
    assert "retention.builds_months" in result.stderr
