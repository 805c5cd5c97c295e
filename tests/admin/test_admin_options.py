"""The options that many commands have: trying first, being asked, JSON for programs, bars at a terminal, a check."""

from __future__ import annotations

import itertools
import json
import os
import pty
import shlex
import subprocess
import threading
from collections.abc import Iterator

import click
import pytest

from admin.main import COMMANDS, cli
from demo.postgres import Postgres
from koschei import status
from koschei.db.engine import Database
from koschei.rules.pulse import SERVICES
from tests.admin.command_rows import ROWS, fill, fingerprint, write_files
from tests.admin.conftest import SCRIPT, MakeShell, Shell
from tests.world import NOW

_numbers = itertools.count(1)

# These count first, and delete then in steps; reconcile asks Koji, and has tests of its own.
COUNTING = ("cleanup", "delete-collection", "retention", "reconcile")


def options(name: str) -> set[str]:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    return {option for param in command.params for option in param.opts}


TRIED = [
    name
    for name in COMMANDS
    if "--dry-run" in options(name) and name not in COUNTING and not (ROWS[name].koji and name != "reconcile")
]


@pytest.fixture(scope="module")
def template(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """A database in which all lines of ROWS work."""
    fill(postgres.create_database("admin_options", migrated_template))
    yield "admin_options"
    postgres.drop_database("admin_options")


@pytest.fixture
def filled(postgres: Postgres, template: str) -> Iterator[Database]:
    name = f"admin_options_{next(_numbers)}"
    database = Database(postgres.create_database(name, template))
    yield database
    database.dispose()
    postgres.drop_database(name)


@pytest.fixture
def shell(make_shell: MakeShell, filled: Database, monkeypatch: pytest.MonkeyPatch) -> Shell:
    made = make_shell(filled.url)
    write_files(made.folder)
    monkeypatch.chdir(made.folder)
    return made


# Trying


@pytest.mark.parametrize("name", TRIED)
def test_a_dry_run_says_what_the_command_will_say_and_changes_nothing(
    shell: Shell, filled: Database, name: str
) -> None:
    words = ROWS[name].words
    before = fingerprint(filled)
    tried = shell.run(*words, "--dry-run")
    assert tried.exit_code == 0, tried.output
    assert "Only tried, nothing was changed" in tried.stderr
    data = json.loads(shell.ok(*words, "--dry-run", "--json"))
    assert data["dry_run"] is True
    assert data["messages"] == tried.stdout.splitlines()
    assert data["messages"] != []
    assert fingerprint(filled) == before
    done = [line for line in shell.ok(*words).splitlines() if "secret, which is not shown again" not in line]
    assert done == tried.stdout.splitlines()
    assert fingerprint(filled) != before


def test_deletion_says_first_how_much_would_go(shell: Shell, filled: Database) -> None:
    before = fingerprint(filled)
    tried = shell.run("delete-collection", "f27", "-n")
    assert tried.stdout == "Collection f27 deleted, with 3 packages and 11 builds\n"
    assert "nothing was changed" in tried.stderr
    assert fingerprint(filled) == before


def test_what_was_done_in_steps_is_one_document(shell: Shell) -> None:
    data = json.loads(shell.ok("delete-collection", "f26", "--force", "--json"))
    assert data["dry_run"] is False
    assert [message.partition(":")[0] for message in data["messages"]] == [
        "Deletion of collection f26 begun",
        "Collection f26 deleted",
    ]


def test_nothing_to_do_is_an_empty_list(shell: Shell) -> None:
    result = shell.run("track", "-c", "f27", "foo", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {"messages": [], "dry_run": False}


def test_a_whole_group_gets_its_priority(shell: Shell) -> None:
    said = shell.ok("set-priority", "-c", "f27", "--group", "mygroup", "--static", "7")
    assert said == "Package foo in f27: static priority changed from 0 to 7\n"


# Being asked


DESTROYING = {
    "delete-collection f27": "Delete collection f27 with its 3 packages, 11 builds and their history?",
    "delete-collection-group fedora": "Delete collection group fedora with 2 collections?",
    "delete-group mygroup": "Delete group mygroup with 1 packages?",
    "untrack -c f27 --all": "Stop testing all 3 packages of f27?",
    "revoke-admin boss": "Nobody but boss administers.",
}


def at_a_terminal(shell: Shell, line: str, answer: bytes) -> subprocess.CompletedProcess[str]:
    """Run a line with a terminal to type at."""
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer)
        return subprocess.run(
            [SCRIPT, *shlex.split(line)],
            stdin=theirs,
            capture_output=True,
            text=True,
            env={**os.environ, **shell.env},
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize("line", DESTROYING)
def test_where_nobody_can_be_asked_nothing_is_destroyed(shell: Shell, filled: Database, line: str) -> None:
    if line.startswith("revoke-admin"):
        shell.ok("revoke-admin", "chief")
    before = fingerprint(filled)
    result = shell.run(*shlex.split(line))
    assert (result.exit_code, result.stdout) == (1, "")
    assert DESTROYING[line] in result.stderr
    assert "say --force. Nothing was changed" in result.stderr
    assert fingerprint(filled) == before
    shell.ok(*shlex.split(line), "--force")
    assert fingerprint(filled) != before


@pytest.mark.parametrize(("answer", "words"), [(b"n\n", "Nothing was changed"), (b"\x04", "nothing was changed")])
def test_whoever_does_not_say_yes_keeps_everything(shell: Shell, filled: Database, answer: bytes, words: str) -> None:
    before = fingerprint(filled)
    asked = at_a_terminal(shell, "delete-collection f27", answer)
    assert (asked.returncode != 0, asked.stdout) == (True, "")
    assert DESTROYING["delete-collection f27"] in asked.stderr
    assert words in asked.stderr
    assert fingerprint(filled) == before


def test_whoever_says_yes_is_obeyed(shell: Shell, filled: Database) -> None:
    done = at_a_terminal(shell, "delete-collection f26", b"y\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Collection f26 deleted"
    assert shell.run("show-collection", "f26").exit_code == 1


def test_an_administrator_who_is_not_the_last_goes_unasked(shell: Shell) -> None:
    assert shell.ok("revoke-admin", "boss") == "User boss may not administer Koschei any more\n"
    assert shell.run("revoke-admin", "chief").exit_code == 1
    shell.ok("revoke-admin", "chief", "--force")


# Seeing how far it is


def seen(shell: Shell, line: str) -> tuple[str, str]:
    """What a terminal for errors shows while a line runs, and what goes to a pipe for answers."""
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def look() -> None:
        try:
            while part := os.read(ours, 65536):
                shown.append(part)
        except OSError:  # Linux: nobody has the other end any more
            pass

    looking = threading.Thread(target=look)
    looking.start()
    env = {**os.environ, **shell.env, "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run(
        [SCRIPT, *shlex.split(line)], stdout=subprocess.PIPE, stderr=theirs, env=env, timeout=60, check=False
    )
    os.close(theirs)
    looking.join()
    os.close(ours)
    return b"".join(shown).decode(), done.stdout.decode()


@pytest.mark.parametrize(
    ("line", "title"),
    [
        ("delete-collection --force f26 --json", "Deleting f26"),
        ("track -c f26 --all --json", "Tracking"),
        ("cleanup --older-than 2 --json", "Cleanup"),
        ("resolve -c f28 foo --wait --timeout 1 --json", "Resolving"),
        ("reconcile --json", "running builds"),
        ("branch-collection f27 f29 -d X -t f29 --json", "Copying f27"),
    ],
)
def test_long_work_shows_how_far_it_is_at_a_terminal_only(shell: Shell, line: str, title: str) -> None:
    shown, answer = seen(shell, line)
    assert title in shown
    assert "\x1b" not in answer
    if answer:
        json.loads(answer)


def test_nothing_of_it_is_in_a_log_file(shell: Shell) -> None:
    result = shell.run("delete-collection", "--force", "f26")
    assert (result.exit_code, result.stderr) == (0, "")


# Monitoring


def pulse(database: Database, *ill: str) -> None:
    with database.begin() as session:
        for service in SERVICES:
            status.started(session, service, "pod", 10**9, NOW)
            status.pass_finished(session, service, NOW)
            if service in ill:
                status.pass_failed(session, service, NOW, "Koji is away")


def test_a_check_fails_while_a_service_does(shell: Shell, filled: Database) -> None:
    never = shell.run("status", "--check")
    assert never.exit_code == 1
    assert "watcher is never seen" in never.stderr
    pulse(filled, "scheduler")
    result = shell.run("status", "--check", "--json")
    assert result.exit_code == 1
    assert "Not well: scheduler is failing; `koschei-admin doctor` says what to do" in result.stderr
    assert json.loads(result.stdout)["well"] is False
    assert shell.run("status").exit_code == 0


def test_a_check_is_content_when_all_services_work(shell: Shell, filled: Database) -> None:
    pulse(filled)
    assert json.loads(shell.ok("status", "--check", "--json"))["well"] is True
    assert "SERVICE" in shell.ok("status", "--check")
