"""Every command while PostgreSQL is away: what is wrong, where, and what to do; never a traceback or a password."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import psycopg2
import psycopg2.extensions
import pytest
from click.testing import Result
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from admin import interrupts
from admin.context import Admin
from admin.main import COMMANDS
from demo.postgres import Postgres
from koschei.db.engine import Database
from koschei.errors import DatabaseError
from koschei.koji import session as koji_session
from tests.admin.command_rows import ROWS, Needs, Row, Writes, fingerprint, lock_tables, wait_at_commit, write_files
from tests.admin.conftest import SCRIPT, MakeShell, Shell
from tests.support import wait_until

PASSWORD = "hunter2"
REVISIONS = ("alembic_version", "schema_revision")


@pytest.fixture(autouse=True)
def as_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Connections are waited for as in the installed script, Koji is given up at once, and files are at hand.

    A script takes its way of waiting back when it ends. Here other threads may be using it by then.
    """
    psycopg2.extensions.set_wait_callback(interrupts.wait)
    monkeypatch.setattr(interrupts, "uninstall", lambda: None)
    monkeypatch.setattr(koji_session, "TRIES", 1)
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    yield
    psycopg2.extensions.set_wait_callback(None)


def run(shell: Shell, row: Row) -> Result:
    return shell.run(*row.words)


def check_told(result: Result, row: Row, *words: str) -> None:
    """Whether a command said in a line what is wrong, where and what to do."""
    said = f"{row.line}: {result.output}"
    assert "Traceback" not in result.output, said
    assert PASSWORD not in result.output, said
    for word in words:
        assert word in result.output, said
    if row.needs is Needs.REPORT:
        assert result.exit_code in (1, 3), said
    else:
        assert result.exit_code == 3, said
        assert result.stdout == "", said
        assert len(result.stderr.splitlines()) == 1, said
        assert result.stderr.startswith("Error: "), said
        assert "looked for at postgresql" in result.stderr, said
        assert result.stderr.endswith("Nothing was changed\n"), said


def with_needs(*needs: Needs) -> list[Row]:
    return [row for row in ROWS.values() if row.needs in needs]


def check_all_told(shell: Shell, *words: str) -> None:
    """The same of every command that needs PostgreSQL."""
    for row in with_needs(Needs.TABLES, Needs.SERVER, Needs.REPORT):
        check_told(run(shell, row), row, *words)


def test_every_command_has_a_row() -> None:
    assert ROWS.keys() == COMMANDS.keys(), "add a row to tests/admin/command_rows.py"


@pytest.mark.exact_schema
def test_every_line_that_does_not_ask_koji_works_while_koji_is_away(
    postgres: Postgres, filled_template: str, make_shell: MakeShell, tmp_path: Path
) -> None:
    for number, row in enumerate(ROWS.values()):
        if row.koji or row.needs is Needs.NOTHING:
            continue  # these: below, and in test_admin_koji_away
        name = f"row_{number}"
        result = run(make_shell(postgres.create_database(name, filled_template)), row)
        assert result.exit_code == 0, f"{row.line}: {result.output}"
        database = Database(postgres.url(name))
        with database.begin() as session:
            entries = session.scalar(text("SELECT count(*) FROM log_entry"))
        assert bool(entries) == (row.writes in (Writes.ONCE, Writes.STEPS)), row.line
        database.dispose()
        postgres.drop_database(name)


def test_what_needs_no_database_works_without_one(make_shell: MakeShell) -> None:
    shell = make_shell(f"postgresql://koschei:{PASSWORD}@127.0.0.1:1/koschei")
    for row in with_needs(Needs.NOTHING):
        if not row.line.startswith("psql"):
            assert run(shell, row).exit_code == 0, row.line
    program = shell.folder / "psql"
    program.write_text('#!/bin/sh\necho "$1"; exit 2\n')
    program.chmod(0o755)
    env = {**os.environ, **shell.env, "PATH": f"{shell.folder}:{os.environ['PATH']}"}
    reply = subprocess.run(
        [SCRIPT, *ROWS["psql"].words], env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert (reply.returncode, reply.stderr) == (2, "")
    assert "port=1" in reply.stdout


# a database that cannot be connected to


def test_nothing_listens(make_shell: MakeShell) -> None:
    shell = make_shell(f"postgresql://koschei:{PASSWORD}@127.0.0.1:1/kodb")
    check_all_told(shell, "PostgreSQL does not answer", "Connection refused", "127.0.0.1", "tart ", "db_url")
    assert "127.0.0.1:1/kodb" in run(shell, ROWS["log"]).stderr


def test_a_shell_that_knows_no_settings_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("koschei.config.loading.DEFAULT_PATH", tmp_path / "nowhere")
    away = DatabaseError("PostgreSQL does not answer")
    assert "as no settings were found: " in Admin(environ={}).what_to_do(away)
    assert "no settings" not in Admin(environ={"KOSCHEI__DB_URL": "postgresql://db/koschei"}).what_to_do(away)


def test_the_host_is_unknown(make_shell: MakeShell) -> None:
    shell = make_shell(f"postgresql://koschei:{PASSWORD}@nosuchhost.invalid/kodb")
    for name in ("log", "set-notice", "alembic", "db-check"):  # not all: looking for a host can take a while
        check_told(run(shell, ROWS[name]), ROWS[name], "PostgreSQL does not answer", "nosuchhost.invalid", "db_url")


def test_something_listens_and_says_nothing(make_shell: MakeShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interrupts, "CONNECT_SECONDS", 0.02)
    with socket.create_server(("127.0.0.1", 0), backlog=100) as silent:
        shell = make_shell(f"postgresql://koschei:{PASSWORD}@127.0.0.1:{silent.getsockname()[1]}/kodb")
        check_all_told(shell, "PostgreSQL does not answer", "no answer within", "db_url")


def test_the_role_does_not_exist(make_shell: MakeShell, postgres: Postgres) -> None:
    url = make_url(postgres.url("kodb")).set(username="nobodyhere", password=PASSWORD)
    shell = make_shell(url.render_as_string(hide_password=False))
    check_all_told(shell, "PostgreSQL does not let us in", 'role "nobodyhere" does not exist', "Correct the role")


def test_the_database_does_not_exist(make_shell: MakeShell, postgres: Postgres) -> None:
    shell = make_shell(postgres.url("nosuchdb"))
    check_all_told(shell, "PostgreSQL has no such database", '"nosuchdb"', "Create it")


@contextmanager
def asking_for_passwords(postgres: Postgres, role: str) -> Iterator[None]:
    """The server believes that role only with its password."""
    rules = postgres.data / "pg_hba.conf"
    before = rules.read_text()
    with closing(psycopg2.connect(postgres.url("postgres").replace("+psycopg2", ""))) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'another'")
        rules.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n{before}")
        try:
            cursor.execute("SELECT pg_reload_conf()")
            query = f"SELECT count(*) FROM pg_hba_file_rules WHERE user_name = '{{{role}}}'"
            cursor.execute(query)
            assert cursor.fetchone() == (1,)
            wait_until(lambda: _refused(postgres, role), message="the new rules to hold")
            yield
        finally:
            rules.write_text(before)
            cursor.execute("SELECT pg_reload_conf()")
            cursor.execute(f"DROP ROLE {role}")


def _refused(postgres: Postgres, role: str) -> bool:
    try:
        psycopg2.connect(host="127.0.0.1", port=postgres.port, user=role, dbname="postgres", password="x").close()
    except psycopg2.OperationalError:
        return True
    return False


def test_the_password_is_wrong(make_shell: MakeShell, postgres: Postgres) -> None:
    url = make_url(postgres.url("postgres"))
    with asking_for_passwords(postgres, "locked"):
        shell = make_shell(url.set(username="locked", password=PASSWORD).render_as_string(hide_password=False))
        words = 'password authentication failed for user "locked"'
        check_all_told(shell, "PostgreSQL does not let us in", words, "Correct the role and its password")
        shell = make_shell(url.set(username="locked").render_as_string())
        check_told(run(shell, ROWS["log"]), ROWS["log"], "PostgreSQL does not let us in", "no password supplied")


# a server that comes or goes


def test_the_server_shuts_down_and_starts_up(make_shell: MakeShell, tmp_path: Path) -> None:
    server = Postgres(tmp_path / "postgres")
    server.start()
    try:
        url = server.url("postgres")
        shell = make_shell(url)
        with closing(psycopg2.connect(url.replace("+psycopg2", ""))):
            assert server.pid is not None
            os.kill(server.pid, 15)  # it waits for us, and lets nobody else in
            wait_until(lambda: _says(server, "shutting down"), message="the server to shut down")
            check_all_told(shell, "PostgreSQL is starting or stopping", "shutting down", "Try again in a moment")
        server.stop()
        with recovering(server):
            wait_until(lambda: _says(server, "starting up"), message="the server to start up")
            check_all_told(shell, "PostgreSQL is starting or stopping", "starting up", "Try again in a moment")
    finally:
        server.remove()


def _says(server: Postgres, words: str) -> bool:
    try:
        psycopg2.connect(host="127.0.0.1", port=server.port, user="koschei", dbname="postgres").close()
    except psycopg2.OperationalError as error:
        return words in str(error)
    return False


@contextmanager
def recovering(server: Postgres) -> Iterator[None]:
    """Start the server, which waits for its archive until the end of the block."""
    go = server.data.parent / "go"  # where the server's account can see it
    (server.data / "recovery.signal").touch()
    with (server.data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"restore_command = 'while [ ! -e {go} ]; do sleep 0.05; done; false'\n")
    starter = threading.Thread(target=server.start)
    starter.start()
    try:
        yield
    finally:
        go.touch()
        starter.join()
        go.unlink()


# a connection that is cut in the middle


def lock_for(row: Row) -> Callable[[Session], None]:
    """What makes a command wait in the middle: what writes has done all but its audit entry then."""
    if row.writes in (Writes.ONCE, Writes.STEPS):
        return lambda session: session.execute(text("LOCK TABLE log_entry")) and None
    return partial(lock_tables, without=REVISIONS if row.needs is Needs.TABLES else ())


@contextmanager
def cutting(database: Database, lock: Callable[[Session], None]) -> Iterator[list[int]]:
    """Hold a lock, and cut off whoever waits for it; the list gets their process ids."""
    cut: list[int] = []
    ended = threading.Event()

    def work() -> None:
        waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        while not ended.wait(0.01):
            with database.begin() as session:
                for pid in session.scalars(text(waiting)).all():
                    session.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
                    cut.append(pid)

    with database.begin() as holder:
        lock(holder)
        cutter = threading.Thread(target=work)
        cutter.start()
        try:
            yield cut
        finally:
            ended.set()
            cutter.join()
            holder.rollback()


def test_the_connection_is_cut_in_the_middle(make_shell: MakeShell, filled_url: str) -> None:
    shell, database = make_shell(filled_url), Database(filled_url)
    before = fingerprint(database)
    for row in with_needs(Needs.TABLES, Needs.SERVER, Needs.REPORT):
        if row.koji and row.needs is not Needs.REPORT:
            continue  # Koji is away here: see test_admin_koji_away
        with cutting(database, lock_for(row)) as cut:
            result = run(shell, row)
        assert cut, row.line
        check_told(result, row, "The connection to PostgreSQL was lost", "Try again")
        assert fingerprint(database) == before, row.line
    database.dispose()


def test_a_commit_whose_answer_is_lost_is_said_to_be_uncertain(make_shell: MakeShell, filled_url: str) -> None:
    shell, database = make_shell(filled_url), Database(filled_url)
    with database.begin() as session:
        wait_at_commit(session)
    with cutting(database, lambda session: session.execute(text("SELECT pg_advisory_xact_lock(77)")) and None) as cut:
        result = run(shell, ROWS["set-notice"])
    assert cut
    assert result.exit_code == 3
    assert "The connection to PostgreSQL was lost" in result.stderr
    assert "Whether the last step was done is not known: `koschei-admin log` shows it" in result.stderr
    database.dispose()


# a database with other tables than ours


def test_a_database_without_tables_is_told_what_to_run(make_shell: MakeShell, empty_database_url: str) -> None:
    shell = make_shell(empty_database_url)
    for row in with_needs(Needs.TABLES):
        check_told(run(shell, row), row, "no Koschei tables yet", "`koschei-admin create-db`")
    for name in ("db-check", "selfcheck", "doctor"):
        result = run(shell, ROWS[name])
        assert result.exit_code != 0
        assert "`koschei-admin create-db`" in result.output


def test_a_database_that_others_have_made_tables_in_is_named(make_shell: MakeShell, filled_url: str) -> None:
    database = Database(filled_url)
    with database.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = 'theirs'"))
    before = fingerprint(database)
    shell = make_shell(filled_url)
    for row in with_needs(Needs.TABLES):
        check_told(run(shell, row), row, "revision theirs", "another database")
    assert fingerprint(database) == before
    database.dispose()


def test_a_newer_database_is_used_as_long_as_nothing_was_taken_away(make_shell: MakeShell, filled_url: str) -> None:
    shell, database = make_shell(filled_url), Database(filled_url)
    next_revision(database, "9001", "pre")
    for row in with_needs(Needs.TABLES):
        if row.writes is Writes.NOTHING and not row.koji:  # Koji is away here
            assert run(shell, row).exit_code == 0, row.line
    next_revision(database, "9002", "post")
    before = fingerprint(database)
    for row in with_needs(Needs.TABLES):
        check_told(run(shell, row), row, "9002", "run the image of Koschei 99.0 or newer")
    assert fingerprint(database) == before
    database.dispose()


def next_revision(database: Database, name: str, phase: str) -> None:
    """What a future version's migration leaves behind."""
    with database.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = :name"), {"name": name})
        session.execute(
            text("INSERT INTO schema_revision (revision, phase, koschei_version) VALUES (:name, :phase, '99.0')"),
            {"name": name, "phase": phase},
        )
