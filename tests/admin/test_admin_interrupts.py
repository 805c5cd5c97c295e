"""Ctrl-C, SIGTERM and a lost terminal in the middle of each command that writes, in the real process of the script."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from koschei.db.engine import Database
from koschei.db.locks import LockSpace, trying_lock
from koschei.model import AdminNotice
from tests.admin.command_rows import ROWS, Row, Writes, fingerprint, wait_at_commit, write_files
from tests.admin.conftest import SCRIPT, MakeShell, Shell, audit_log
from tests.koji.conftest import Hang, ScriptedHub
from tests.koji.conftest import hub as hub  # a fixture
from tests.support import wait_for_a_waiter, wait_until

TARGET = {"name": "x", "build_tag_name": "x-build", "dest_tag_name": "x", "build_tag": 1, "dest_tag": 2, "id": 3}
NOTHING = "Interrupted: nothing was changed"
REST = "Interrupted: what was done before stays; the same command goes on with the rest"
ONCE = {name: row for name, row in ROWS.items() if row.writes is Writes.ONCE}


@pytest.fixture
def shell(make_shell: MakeShell, filled_url: str, hub: ScriptedHub) -> Shell:
    shell = make_shell(filled_url)
    write_files(shell.folder)
    hub.say("getBuildTarget", TARGET)
    shell.env["KOSCHEI__KOJI_CONFIG__SERVER"] = hub.url
    return shell


@pytest.fixture
def database(filled_url: str) -> Iterator[Database]:
    database = Database(filled_url)
    yield database
    database.dispose()


Process = subprocess.Popen[str]


@contextmanager
def started(shell: Shell, *words: str, **more: str) -> Iterator[Process]:
    """The installed script, running."""
    process = subprocess.Popen(
        [SCRIPT, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=shell.folder,
        env={**os.environ, **shell.env, **more},
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def ended(process: Process) -> tuple[int, str, str]:
    """Exit status, what was said, and the last line of the complaints, once it has ended by itself."""
    out, err = process.communicate(timeout=60)
    assert "Traceback" not in err, err
    return process.returncode, out, (err.strip().splitlines() or [""])[-1]


def press(process: Process, number: int = signal.SIGINT) -> tuple[int, str, str]:
    process.send_signal(number)
    return ended(process)


def locked(session: Session, statement: str) -> None:
    session.execute(text(statement))


# one transaction


@pytest.mark.parametrize("name", ONCE)
def test_ctrl_c_in_one_transaction_changes_nothing(shell: Shell, database: Database, name: str) -> None:
    before = fingerprint(database)
    with database.begin() as holder:
        locked(holder, "LOCK TABLE log_entry")
        with started(shell, *ONCE[name].words) as process:
            wait_for_a_waiter(database, "koschei-admin")
            assert press(process) == (130, "", NOTHING)
    assert fingerprint(database) == before


@pytest.mark.parametrize(
    ("number", "status", "said"),
    [(signal.SIGTERM, 143, "Told to end (SIGTERM): nothing was changed"), (signal.SIGHUP, 129, "")],
)
def test_being_told_to_end_and_losing_the_terminal_are_like_ctrl_c(
    shell: Shell, database: Database, number: int, status: int, said: str
) -> None:
    before = fingerprint(database)
    with database.begin() as holder:
        locked(holder, "LOCK TABLE log_entry")
        with started(shell, *ROWS["set-priority"].words) as process:
            wait_for_a_waiter(database, "koschei-admin")
            assert press(process, number) == (status, "", said)
        assert waiters(database) == 0  # PostgreSQL has stopped, though the lock is still held
    assert fingerprint(database) == before


def waiters(database: Database) -> int:
    where = "datname = current_database() AND wait_event_type = 'Lock'"
    return looked(database, f"SELECT count(*) FROM pg_stat_activity WHERE {where}")


def test_what_nohup_has_ignored_stays_ignored(shell: Shell, database: Database) -> None:
    with database.begin() as holder:
        locked(holder, "LOCK TABLE log_entry")
        words = ["nohup", str(SCRIPT), "set-notice", "still here"]
        env = {**os.environ, **shell.env}
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
        wait_for_a_waiter(database, "koschei-admin")
        process.send_signal(signal.SIGHUP)
        assert waiters(database) == 1
    assert ended(process)[0] == 0
    with database.begin() as session:
        assert session.query(AdminNotice).one().content == "still here"


def test_a_second_ctrl_c_does_not_wait_for_a_server_that_hangs(shell: Shell, database: Database) -> None:
    before = fingerprint(database)
    with database.begin() as holder:
        locked(holder, "LOCK TABLE log_entry")
        with started(shell, *ROWS["set-priority"].words) as process:
            wait_for_a_waiter(database, "koschei-admin")
            with database.begin() as session:
                pid = session.scalars(
                    text("SELECT pid FROM pg_stat_activity WHERE application_name = 'koschei-admin'")
                ).one()
            os.kill(pid, signal.SIGSTOP)
            try:
                assert until_it_ends(process) == (130, "", NOTHING)
            finally:
                os.kill(pid, signal.SIGCONT)
    assert fingerprint(database) == before


def until_it_ends(process: Process) -> tuple[int | str, ...]:
    """Press Ctrl-C again and again, and more than once at least. To a shell both ways to end are 130."""
    presses = 0

    def again() -> bool:
        nonlocal presses
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            presses += 1
        return process.poll() is not None

    wait_until(again, message="the process to end")
    assert presses > 1
    status, *said = ended(process)
    return (130 if status == -signal.SIGINT else status, *said)


def test_a_migration_is_interrupted_as_a_whole(make_shell: MakeShell, empty_database_url: str) -> None:
    shell, database = make_shell(empty_database_url), Database(empty_database_url)
    known: set[int] = set()
    for words in (("create-db",), ("alembic", "upgrade", "head")):
        with database.begin() as holder:
            locked(holder, f"SELECT pg_advisory_xact_lock({int(LockSpace.SCHEMA)}, 0)")
            with started(shell, *words) as process:
                known.update(wait_until(lambda: migrators(database) - known, message="the migration to wait"))
                assert press(process) == (130, "", NOTHING)
        assert fingerprint(database) == {}
    database.dispose()


def migrators(database: Database) -> set[int]:
    """The servers' processes of migrations that have asked whether it is their turn, and will ask again."""
    query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'koschei-migrations' AND query = 'COMMIT'"
    with database.begin() as session:
        return set(session.scalars(text(query)))


def looked(database: Database, query: str) -> int:
    with database.begin() as session:
        return int(session.execute(text(query)).scalar_one())


# while it is being committed


def test_ctrl_c_during_the_commit_comes_too_late(shell: Shell, database: Database) -> None:
    with database.begin() as session:
        wait_at_commit(session)
    with database.begin() as holder:
        locked(holder, "SELECT pg_advisory_xact_lock(77)")
        with started(shell, "set-notice", "done") as process:
            wait_for_a_waiter(database, "koschei-admin")
            process.send_signal(signal.SIGINT)
            assert waiters(database) == 1
            holder.rollback()
            assert ended(process) == (0, "Admin notice added: done\n", "")


def test_ctrl_c_during_the_commit_of_a_step_ends_before_the_next(shell: Shell, database: Database) -> None:
    with database.begin() as session:
        wait_at_commit(session)
    with database.begin() as holder:
        locked(holder, "SELECT pg_advisory_xact_lock(77)")
        with started(shell, *ROWS["delete-collection"].words) as process:
            wait_for_a_waiter(database, "koschei-admin")
            process.send_signal(signal.SIGINT)
            assert waiters(database) == 1
            holder.rollback()
            status, _, said = ended(process)
    assert (status, said) == (130, REST)
    assert count_many(database) == 250


def test_ctrl_c_that_insists_during_the_commit_leaves_it_open(shell: Shell, database: Database) -> None:
    with database.begin() as session:
        wait_at_commit(session)
    with database.begin() as holder:
        locked(holder, "SELECT pg_advisory_xact_lock(77)")
        with started(shell, "set-notice", "done") as process:
            wait_for_a_waiter(database, "koschei-admin")
            assert until_it_ends(process) == (
                130,
                "",
                "Interrupted: whether the last step was done is not known: `koschei-admin log` shows it",
            )


# many transactions


def count_many(database: Database) -> int:
    return looked(database, "SELECT count(*) FROM package WHERE name LIKE 'many%'")


def test_deleting_a_collection_is_interrupted_between_steps_and_goes_on(shell: Shell, database: Database) -> None:
    with database.begin() as holder:
        locked(holder, "SELECT 1 FROM package WHERE name = 'many240' FOR UPDATE")
        with started(shell, *ROWS["delete-collection"].words) as process:
            wait_for_a_waiter(database, "koschei-admin")
            status, out, said = press(process)
    assert (status, said) == (130, REST)
    assert "Deletion of collection f26 begun: 250 packages" in out
    assert count_many(database) == 50
    with database.begin() as session:
        assert audit_log(session) == [("alice", "Deletion of collection f26 begun: 250 packages")]
    shell.ok(*ROWS["delete-collection"].words)
    assert count_many(database) == 0
    with database.begin() as session:
        assert audit_log(session)[-1] == ("alice", "Collection f26 deleted")


def test_a_deletion_that_waits_for_the_resolver_is_interrupted_and_changed_nothing(
    shell: Shell, database: Database
) -> None:
    before = fingerprint(database)
    with database.begin() as session:
        number = session.execute(text("SELECT id FROM collection WHERE name = 'f26'")).scalar_one()
    with (
        trying_lock(database.engine, LockSpace.REPO_RESOLVER, number),
        started(shell, *ROWS["delete-collection"].words) as process,
    ):
        wait_for_a_waiter(database, "koschei-admin")
        status, out, said = press(process)
    assert (status, said) == (130, NOTHING)
    assert out.startswith("The repo-resolver, or another deletion, is at work in f26: waiting")
    assert fingerprint(database) == before


@pytest.mark.parametrize(("name", "title"), [("cleanup", "Cleanup"), ("retention", "Retention")])
def test_letting_go_of_history_is_interrupted_between_steps_and_goes_on(
    shell: Shell, database: Database, name: str, title: str
) -> None:
    shell.env |= {"KOSCHEI__RETENTION__BATCH": "3", "KOSCHEI__RETENTION__BUILDS_MONTHS": "2"}
    builds = "SELECT count(*) FROM build"
    with database.begin() as session:
        before = session.execute(text(builds)).scalar_one()
        held = session.execute(text("SELECT max(id) FROM package WHERE name = 'bar'")).scalar_one()
    with database.begin() as holder:
        locked(holder, f"SELECT 1 FROM package WHERE id = {held} FOR UPDATE")
        with started(shell, *ROWS[name].words) as process:
            wait_for_a_waiter(database, "koschei-admin")
            status, _, said = press(process)
    assert (status, said) == (130, REST)
    with database.begin() as session:
        gone = before - session.execute(text(builds)).scalar_one()
        assert gone > 0
        assert audit_log(session)[-1] == ("alice", f"{title}: Deleted {gone} builds, then was interrupted")
    again = shell.ok(*ROWS[name].words)
    assert f"{title}: Deleted " in again
    assert "Nothing to change" in shell.run(*ROWS[name].words).stderr


# while something else is waited for


def test_ctrl_c_while_koji_thinks_ends_at_once(shell: Shell, database: Database, hub: ScriptedHub) -> None:
    before = fingerprint(database)
    silence = threading.Event()
    hub.say("getBuildTarget", Hang(silence))
    try:
        with started(shell, *ROWS["create-collection"].words) as process:
            wait_until(lambda: "getBuildTarget" in hub.methods(), message="Koji to be asked")
            pressed = time.monotonic()
            assert press(process) == (130, "", NOTHING)
            assert time.monotonic() - pressed < 30
    finally:
        silence.set()
    assert fingerprint(database) == before


def test_ctrl_c_while_waiting_for_an_answer_leaves_the_question(shell: Shell, database: Database) -> None:
    asked = "SELECT count(*) FROM package WHERE needs_resolution AND name = 'foo'"
    with database.begin() as session:
        session.execute(text("UPDATE package SET needs_resolution = false"))
    with started(shell, *ROWS["resolve"].words, "--wait") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "Package foo in f28: resolution requested\n"
        assert press(process)[::2] == (130, REST)
    assert looked(database, asked) == 1
    with database.begin() as session:
        assert audit_log(session) == [("alice", "Package foo in f28: resolution requested")]


QUESTIONS = ["delete-group mygroup", "delete-collection f26", "delete-collection-group fedora", "untrack -c f27 --all"]


@pytest.mark.parametrize("line", QUESTIONS)
def test_ctrl_c_at_a_question_means_no(shell: Shell, database: Database, line: str) -> None:
    before = fingerprint(database)
    terminal, theirs = pty.openpty()
    env = {**os.environ, **shell.env}
    with subprocess.Popen(
        [SCRIPT, *Row(line).words], stdin=theirs, stdout=theirs, stderr=theirs, env=env, start_new_session=True
    ) as process:
        os.close(theirs)
        try:
            said = read_until(terminal, "[y/N]: ")
            process.send_signal(signal.SIGINT)
            # Python does not hear of a signal that comes just before it begins to read: nobody is so quick but we.
            while not select.select([terminal], [], [], 1)[0]:
                process.send_signal(signal.SIGINT)
            said += read_until(terminal, NOTHING)
            assert process.wait(60) == 130
        finally:
            process.kill()
            os.close(terminal)
    assert "Traceback" not in said
    assert fingerprint(database) == before


def read_until(terminal: int, words: str) -> str:
    """What a terminal shows, up to some words."""
    said = ""
    while words not in said:
        readable, _, _ = select.select([terminal], [], [], 60)
        assert readable, f"waited in vain for {words!r} behind {said!r}"
        said += os.read(terminal, 1000).decode()
    return said


# a pipe that is closed


@pytest.mark.parametrize("words", ["log --limit 0", "log --limit 0 --json", "list-packages --all", "status"])
def test_a_reader_who_has_seen_enough_gets_no_traceback(shell: Shell, database: Database, words: str) -> None:
    with database.begin() as session:
        session.execute(
            text(
                "INSERT INTO log_entry (environment, timestamp, message) "
                "SELECT 'backend', now(), repeat('x', 100) FROM generate_series(1, 3000)"
            )
        )
    reply = subprocess.run(
        f"{SCRIPT} {words} | head -1",
        shell=True,
        capture_output=True,
        text=True,
        env={**os.environ, **shell.env},
        timeout=60,
        check=False,
    )
    assert (reply.returncode, reply.stderr) == (0, "")
    assert len(reply.stdout.splitlines()) == 1
