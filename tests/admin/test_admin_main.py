"""The command line as such: help, options on either side, errors and their exit status, interrupts."""

from __future__ import annotations

import os
import pwd
import shlex
import signal
import subprocess
from pathlib import Path

import click
import pytest
from sqlalchemy import select, text

from admin import context
from admin.context import Admin
from admin.main import cli
from admin.options import Group
from koschei.db import schema
from koschei.db.engine import Database
from koschei.model import AdminNotice
from tests.admin.conftest import SCRIPT, MakeShell, Shell, audit_log, package
from tests.support import wait_for_a_waiter

CTX = click.Context(cli)


def commands(group: click.Group = cli, prefix: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    found: dict[tuple[str, ...], click.Command] = {}
    for name in group.list_commands(CTX):
        command = group.get_command(CTX, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            found |= commands(command, (*prefix, name))
        else:
            found[(*prefix, name)] = command
    return found


EXAMPLES = [
    example
    for item in (cli, *commands().values())
    for example in item.examples  # type: ignore[attr-defined]
]


# help


@pytest.mark.parametrize("path", commands(), ids=" ".join)
def test_every_command_explains_itself_with_examples(shell: Shell, path: tuple[str, ...]) -> None:
    said = shell.ok(*path, "--help")
    assert "Examples:\n  koschei-admin " in said
    assert f"\n  koschei-admin {' '.join(path)}" in said


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_command_line_that_is_understood(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("packages.txt").write_text("foo\n")  # examples may name a file of one's own
    ours = next(part for part in example.split(" | ") if part.startswith("koschei-admin"))
    words = shlex.split(ours.replace("\\\n", " "))
    assert words.pop(0) == "koschei-admin"
    root = cli.make_context("koschei-admin", words)
    ctx, rest = root, [*root._protected_args, *root.args]
    ctx.obj = Admin(collection=root.params["collection"])
    while isinstance(ctx.command, Group):
        name, command, rest = ctx.command.resolve_command(ctx, rest)
        assert name is not None
        assert command is not None
        ctx = command.make_context(name, rest, parent=ctx)
        rest = [*ctx._protected_args, *ctx.args]
    while ctx is not None:  # closes the files that were opened for it
        ctx.close()
        ctx = ctx.parent


def test_no_command_shows_the_help(shell: Shell) -> None:
    result = shell.run()
    assert result.exit_code == 2
    assert "set-priority" in result.output


def test_the_installed_script_runs(shell: Shell) -> None:
    reply = subprocess.run([SCRIPT, "--version"], capture_output=True, text=True, check=True)
    assert reply.stdout.startswith("koschei-admin, version ")


# --collection


@pytest.mark.parametrize(
    "line",
    [
        "--collection f27 set-priority --static foo 100",  # the operators' guide, verbatim
        "-c f27 set-priority --static foo 100",
        "set-priority --collection f27 --static foo 100",
        "set-priority foo 100 --static -c f27",
        "-c f27 set-priority -c f27 foo 100 --static",
    ],
)
def test_the_collection_is_named_before_or_after_the_command(shell: Shell, database: Database, line: str) -> None:
    assert shell.ok(*line.split()) == "Package foo in f27: static priority changed from 0 to 100\n"
    with database.begin() as session:
        assert package(session, "foo", "f27").static_priority == 100
        assert package(session, "foo", "f28").static_priority == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-c f27 set-priority -c f28 foo 100", "f27 before the command and f28 after it"),
        ("set-priority foo 100", "Missing option '-c' / '--collection'"),
        ("-c f27 clear-notice", "clear-notice does not take --collection"),
        ("-c f27 config show", "config does not take --collection"),
        ("set-priority -c f27 foo", "Missing argument"),
        ("set-priority -c f27 foo much", "'much' is not a valid integer"),
        ("set-priority -c f27 --statc foo -100", "No such option"),
        ("set-priority -c f27 --statc foo 100", "No such option"),
        ("no-such-command", "No such command"),
        ("statsu", "Did you mean status?"),
    ],
)
def test_a_wrong_command_line_changes_nothing(shell: Shell, database: Database, line: str, words: str) -> None:
    result = shell.run(*line.split())
    assert result.exit_code == 2
    assert words in result.stderr
    with database.begin() as session:
        assert audit_log(session) == []


@pytest.mark.parametrize("line", ["foo -100 -c f27", "-c f27 foo -100", "-c f27 -- foo -100"])
def test_a_negative_priority_is_a_number_and_no_option(shell: Shell, database: Database, line: str) -> None:
    shell.ok("set-priority", *line.split())
    with database.begin() as session:
        assert package(session, "foo", "f27").manual_priority == -100


# errors


def test_a_collection_that_nobody_knows_is_refused_with_a_suggestion(shell: Shell, database: Database) -> None:
    result = shell.run("-c", "f72", "add-pkg", "foo")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: Collection not found: f72. Did you mean f2")


def test_settings_that_are_wrong_are_named(shell: Shell) -> None:
    shell.configure("[koji_config]\nmax_build = 3")
    result = shell.run("clear-notice")
    assert result.exit_code == 2
    assert "max_build" in result.stderr


def test_a_settings_file_that_is_not_there_is_named(shell: Shell) -> None:
    result = shell.run("--config", "/nonexistent.toml", "clear-notice")
    assert result.exit_code == 2
    assert "/nonexistent.toml" in result.stderr


def test_later_settings_files_win(shell: Shell, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text("[koji_config]\nmax_builds = 77\n")
    said = shell.ok("--config", str(shell.settings), "--config", str(other), "config", "show", "koji_config.max_builds")
    assert said == "koji_config.max_builds = 77\n"


def test_a_database_that_is_away_is_named_without_its_password(make_shell: MakeShell) -> None:
    result = make_shell("postgresql://koschei:hunter2@127.0.0.1:1/koschei").run("clear-notice")
    assert result.exit_code == 3
    assert "127.0.0.1:1/koschei" in result.stderr
    assert "hunter2" not in result.output


def test_a_database_without_tables_is_told_what_to_run(make_shell: MakeShell, empty_database_url: str) -> None:
    result = make_shell(empty_database_url).run("clear-notice")
    assert result.exit_code == 3
    assert "no Koschei tables yet" in result.stderr
    assert "koschei-admin create-db" in result.stderr


def test_a_database_at_another_revision_is_left_alone(shell: Shell, database: Database) -> None:
    with database.begin() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    result = shell.run("set-notice", "hello")
    assert result.exit_code == 3
    assert f"at revision 0000, which this code (revision {schema.head()}) does not know" in result.stderr


def test_our_own_mistakes_end_in_a_rollback_and_a_traceback(
    shell: Shell, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(session: object, actor: object, content: str) -> None:
        session.add(AdminNotice(key="x", content=content))  # type: ignore[attr-defined]
        session.flush()  # type: ignore[attr-defined]
        raise RuntimeError("oops")

    monkeypatch.setattr("koschei.notices.set_notice", broken)
    result = shell.run("set-notice", "hello")
    assert result.exit_code == 70
    assert "RuntimeError: oops" in result.stderr
    assert "Nothing was changed" in result.stderr
    with database.begin() as session:
        assert session.scalars(select(AdminNotice)).all() == []


def test_debug_shows_where_an_error_comes_from(shell: Shell, database: Database) -> None:
    assert "Traceback" not in shell.run("-c", "f72", "add-pkg", "foo").stderr
    assert "Traceback" in shell.run("--debug", "-c", "f72", "add-pkg", "foo").stderr


def test_a_reader_who_goes_away_gets_no_traceback(shell: Shell) -> None:
    with subprocess.Popen(
        [SCRIPT, "config", "show"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **shell.env}
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 1


# who


@pytest.mark.parametrize(
    ("environ", "name"),
    [({"SUDO_USER": "bob", "USER": "eve"}, "bob"), ({"USER": "eve", "LOGNAME": "eve"}, "uid-4242424")],
)
def test_the_audit_log_names_whoever_used_sudo_or_the_number_of_a_nameless_user(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], name: str
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 4242424)
    assert context.identity(environ) == name


def test_the_audit_log_names_the_user_of_the_process() -> None:
    assert context.identity({"USER": "eve"}) == pwd.getpwuid(os.getuid()).pw_name


# Ctrl-C


def test_ctrl_c_in_the_middle_rolls_back_and_says_so(shell: Shell, database: Database) -> None:
    command = [SCRIPT, "-c", "f27", "set-priority", "bar", "foo", "5"]
    with database.begin() as holder:
        holder.execute(text("SELECT 1 FROM package FOR UPDATE"))
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **shell.env}
        )
        try:
            wait_for_a_waiter(database, "koschei-admin")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    assert (process.returncode, out, err.strip()) == (130, "", "Interrupted: nothing was changed")
    with database.begin() as session:
        assert package(session, "foo", "f27").manual_priority == 0
        assert audit_log(session) == []
