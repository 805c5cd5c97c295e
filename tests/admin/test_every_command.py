"""Every command against what people type wrongly: nothing is changed, nobody sees a traceback, and all are told why.

It goes through admin.main.COMMANDS and the parameters of each. A command that is added needs a line that works (in
command_rows.py, or in LINES of mistakes.py), in which each parameter that takes a name has one; and of a parameter that
takes a text it must be known (in mistakes.py) which kind of names it takes, or that it takes any.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from admin.commands_shell import Passing
from admin.main import COMMANDS, cli
from admin.options import Command
from demo.postgres import Postgres
from koschei.db.engine import Database
from tests.admin.command_rows import ROWS, fill, fingerprint
from tests.admin.conftest import NOBODY
from tests.admin.mistakes import (
    FINE,
    IN_COMMAND,
    LINES,
    MISSPELLED,
    NOT_GUESSED,
    ODD,
    OURS,
    PARAMETERS,
    Kind,
    cases,
    created,
    leaf,
    nonsense,
    takes_words,
)

# The world


@dataclass
class Terminal:
    """Somebody who mistypes."""

    env: dict[str, str]
    database: Database
    before: dict[str, str]

    def run(self, *words: str, input: bytes | None = None) -> Result:
        """Run a line; what was not meant to be raised is a failure."""
        result = CliRunner(env=self.env).invoke(cli, list(words), input=input, prog_name="koschei-admin")
        shown = [word[:80] for word in words]
        assert result.exception is None or isinstance(result.exception, SystemExit), (shown, result.exc_info)
        assert result.exit_code in (0, 1, 2, 3), (shown, result.output)
        assert "Traceback" not in result.output, shown
        return result

    def refused(self, *words: str, status: Sequence[int] = (1, 2), input: bytes | None = None) -> str:
        """Run a line that must be refused; what was said about it."""
        result = self.run(*words, input=input)
        shown = [word[:80] for word in words]
        assert result.exit_code in status, (shown, result.exit_code, result.output)
        assert result.stdout == "", shown
        assert "Error: " in result.stderr, shown
        assert len(result.stderr) < 1500, shown
        assert "\x1b" not in result.stderr, shown
        return result.stderr

    def assert_untouched(self) -> None:
        """The database is as it was, the audit log too."""
        assert fingerprint(self.database) == self.before


@pytest.fixture(scope="module")
def world(
    postgres: Postgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path, Database]]:
    folder = tmp_path_factory.mktemp("every_command")
    url = postgres.create_database("every_command", migrated_template)
    fill(url)
    (folder / "names.txt").write_text("foo\nbar\n")
    (folder / "settings.toml").write_text(f'db_url = "{url}"\n')
    database = Database(url)
    yield url, folder, database
    database.dispose()
    postgres.drop_database("every_command")


@pytest.fixture
def terminal(
    world: tuple[str, Path, Database],
    make_shell: Callable[[str], object],  # it puts back what a command does to logging
    monkeypatch: pytest.MonkeyPatch,
) -> Terminal:
    _, folder, database = world
    monkeypatch.chdir(folder)
    settings = str(folder / "settings.toml")
    env = {"KOSCHEI_CONFIG": settings, "SUDO_USER": "alice", "KOSCHEI__KOJI_CONFIG__SERVER": NOBODY}
    return Terminal(env, database, fingerprint(database))


# The tables are complete


def test_every_command_has_a_line_that_works() -> None:
    assert sorted(COMMANDS) == sorted(ROWS)
    assert [name for name in LINES if name not in COMMANDS] == []


def test_it_is_known_what_every_parameter_takes() -> None:
    for name in OURS:
        for param in leaf([name, "show"]).params:
            if takes_words(param) and isinstance(param.type, click.types.StringParamType | click.File):
                known = (name, param.name) in IN_COMMAND or param.name in PARAMETERS
                assert known, f"which kind of names does {param.name} of {name} take?"


def test_every_parameter_that_takes_a_name_has_one_in_some_line() -> None:
    for name in OURS:
        used = {case.param.name for case in cases(name) if case.kind is not None}
        wanted = {
            param.name
            for param in leaf([name, "show"]).params
            if takes_words(param) and IN_COMMAND.get((name, param.name or ""), PARAMETERS.get(param.name or ""))
        }
        assert wanted - used == set(), name


@pytest.mark.parametrize("name", [name for name in OURS if name in LINES and "koji" not in name])
def test_the_lines_that_nobody_mistyped_would_work(terminal: Terminal, name: str) -> None:
    for line in LINES[name]:
        if "-n" in line.split() and not ROWS[name].koji:
            result = terminal.run(*shlex.split(line))
            assert result.exit_code == 0, (line, result.output)
    terminal.assert_untouched()


# Wrong usage


@pytest.mark.parametrize("name", OURS)
def test_wrong_usage_is_told_where_help_is(terminal: Terminal, name: str) -> None:
    words = shlex.split(ROWS[name].line)
    command = leaf(words)
    path = words[:2] if name == "config" else words[:1]
    said = [terminal.refused(*words, "--no-such-option", status=[2])]
    assert "No such option" in said[0]
    if all(param.nargs != -1 for param in command.params):
        room = sum(isinstance(param, click.Argument) for param in command.params)
        said.append(terminal.refused(*words, *["surplus"] * (room + 1), status=[2]))
        assert "unexpected extra argument" in said[-1]
    if any(param.required for param in command.params):
        said.append(terminal.refused(*path, status=[2]))
        assert "Missing " in said[-1]
    for text in said:
        assert f"Try 'koschei-admin {' '.join(path)} --help' for help." in text
    terminal.assert_untouched()


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["alembic"], 2, "which of its commands?"),
        (["alembic", "nonsense"], 2, "invalid choice"),
        (["alembic", "downgrade", "nonsense"], 1, "nonsense"),
        (["psql"], 1, "psql is not installed"),
        (["no-such-command"], 2, "No such command"),
        (["set-prioritty", "foo", "1"], 2, "Did you mean set-priority?"),
        (["-c", "a\0b", "explain", "foo"], 2, "control character"),
        (["--no-such-option", "status"], 2, "No such option"),
    ],
    ids=str,
)
def test_what_other_programs_are_told_wrongly_is_an_answer_too(
    terminal: Terminal, words: list[str], status: int, says: str
) -> None:
    terminal.env["PATH"] = ""
    result = terminal.run(*words)
    assert result.exit_code == status
    assert says in result.output
    terminal.assert_untouched()


# Names


@pytest.mark.parametrize("name", [name for name in OURS if any(case.kind for case in cases(name))])
def test_a_name_that_nobody_knows_is_refused_with_one_that_looks_like_it(terminal: Terminal, name: str) -> None:
    for case in cases(name):
        kind = case.kind
        if kind is None:
            continue
        wrong = MISSPELLED[kind]
        said = terminal.refused(*case.with_word(wrong))
        assert wrong in said, case
        if kind not in NOT_GUESSED:
            assert f"Did you mean {kind}" in said, (case, said)
    terminal.assert_untouched()


@pytest.mark.parametrize("name", [name for name in OURS if any(True for _ in cases(name))])
def test_empty_long_and_senseless_words_are_refused(terminal: Terminal, name: str) -> None:
    for case in cases(name):
        for word in nonsense(case):
            if (name, case.param.name, word) not in FINE and not created(case, word):
                terminal.refused(*case.with_word(word), status=(1, 2, 3) if ROWS[name].koji else (1, 2))
    terminal.assert_untouched()


@pytest.mark.parametrize("name", [name for name in OURS if any(True for _ in cases(name))])
def test_characters_that_a_terminal_would_act_on_are_refused(terminal: Terminal, name: str) -> None:
    for case, word in itertools.product(cases(name), ODD):
        command = leaf(case.words)
        if not (isinstance(command, Command) and command.lines and word == "a\nb"):
            assert "'a" in terminal.refused(*case.with_word(word), status=[2])
    terminal.assert_untouched()


# Files

CONTENTS = {
    b"": "no package",
    b" \n\n": "no package",
    b"# only a comment\n": "no package",
    b"foo\xff": "not UTF-8",
    b"fo\0o": "Invalid package list",
    b"a/b/c": "Invalid package list",
    b"foo, bar": "Invalid package list",
    b'["foo", 1]': "Invalid package list",
    b"[": "not JSON",
    b"foo nope gone": "gone, nope",
    b"f" * 3000: "don't exist",
}


@pytest.mark.parametrize("name", [name for name in OURS if any(case.kind is Kind.FILE for case in cases(name))])
@pytest.mark.parametrize("content", CONTENTS, ids=lambda content: repr(content[:20]))
def test_a_file_that_is_no_list_of_packages_is_refused(terminal: Terminal, name: str, content: bytes) -> None:
    Path("wrong.txt").write_bytes(content)
    for case in cases(name):
        if case.kind is Kind.FILE:
            words = [word for word in case.with_word("wrong.txt") if word != "--force"]
            words += ["--append"] if name == "refresh-group" else []  # nothing else is wrong
            assert CONTENTS[content] in terminal.refused(*words, status=[1])
            words[words.index("wrong.txt")] = "-"
            assert CONTENTS[content] in terminal.refused(*words, status=[1], input=content)
            words[words.index("-")] = "."
            terminal.refused(*words, status=[2])
    terminal.assert_untouched()


# What exists, what is the same, what cannot be

REFUSED = (
    ("add-group mygroup", "Group already exists: mygroup"),
    ("create-group mygroup", "Group already exists: mygroup"),
    ("edit-group someuser/own --make-global --new-name mygroup", "Group already exists: mygroup"),
    ("create-collection f27 -d X -t f27", "there is a collection f27"),
    ("edit-collection f27 --new-name f28", "there is a collection f28"),
    ("branch-collection f27 f28 -d X -t f28", "exists already: f28"),
    ("branch-collection f27 f27 -d X -t f28", "exists already: f27"),
    ("fork-collection f27 f28 -d X -t f28", "exists already: f28"),
    ("create-collection-group fedora -d X", "there is a collection group fedora"),
    ("set-priority -c f27 foo 2147483648", "out of range"),
    ("set-priority -c f27 --static foo -2147483648", "out of range"),
    ("set-priority -c f28 new 5", "Packages don't exist in f28: new"),
    ("cleanup --older-than 1", "at least 2|Minimal allowed value is 2 months"),
    ("cleanup --older-than 100000", "give fewer months"),
    ("edit-collection f27 -p nan", "makes no sense"),
    ("edit-collection f27 -p 1e999", "makes no sense"),
    ("edit-collection f27 -p -1", "makes no sense"),
    ("edit-group mygroup --new-namespace a/b", "Invalid group name"),
    ("edit-group mygroup --new-name edit --new-namespace him", "would be the address of another page"),
    ("set-arch-override foo z80", "Unrecognized arch"),
    ("list-packages nope 'f*'", "Packages don't exist: nope"),
    ("delete-group mygroup", "say --force"),
    ("delete-webhook myhook", "say --force"),
    ("add-webhook myhook https://hooks.example.org/", "there is a webhook myhook"),
    ("add-webhook new http://hooks.example.org/", "webhooks.allow_http allows http://"),
    ("add-webhook new ftp://hooks.example.org/", "begins with https://"),
    ("add-webhook new https://10.0.0.1/", "is not a public address"),
    ("add-webhook new https://[::1]:8000/", "is not a public address"),
    ("add-webhook new https://[::1", "is no address"),
    ("add-webhook new https://a.example.org:99999/", "is no address"),
    ("add-webhook new https:///path", "begins with https:// and a host"),
    ("add-webhook new https://me:secret@hooks.example.org/", "no user, password or #"),
    ("add-webhook new https://hooks.example.org/ž", "cannot have"),
    ("edit-webhook myhook --url 'https://hooks.example.org/a b'", "cannot have"),
    ("delete-collection f26", "say --force"),
    ("delete-collection-group fedora", "say --force"),
    ("untrack --all -c f27", "say --force"),
)
WRONG_USAGE = (
    ("edit-collection f27", "Say what to change"),
    ("edit-collection-group fedora", "Say what to change"),
    ("edit-collection-group fedora f27", "collections follow --contents"),
    ("edit-group mygroup", "Say what to change"),
    ("edit-webhook myhook", "Say what to change"),
    ("add-webhook new https://hooks.example.org/ --kind all", "is not one of"),
    ("track foo", "Say where"),
    ("track -c f27", "Say which packages"),
    ("list-builds", "Name a package, or say --running"),
    ("list-packages --names --json", "cannot be had at once"),
    ("refresh-group mygroup --regex '('", "is not a regular expression"),
    ("log --since yesterday", "is not a time"),
    ("log --until 0001-01-01T00:00+14:00", "is not a time"),
    ("set-priority -c f27 foo", "Missing argument"),
)


@pytest.mark.parametrize(("line", "says"), REFUSED, ids=[line for line, _ in REFUSED])
def test_what_cannot_be_is_refused_with_the_reason(terminal: Terminal, line: str, says: str) -> None:
    said = terminal.refused(*shlex.split(line), status=[1])
    assert any(word in said for word in says.split("|")), said
    terminal.assert_untouched()


@pytest.mark.parametrize(("line", "says"), WRONG_USAGE, ids=[line for line, _ in WRONG_USAGE])
def test_words_that_make_no_sense_together_are_wrong_usage(terminal: Terminal, line: str, says: str) -> None:
    assert says in terminal.refused(*shlex.split(line), status=[2])
    terminal.assert_untouched()


@pytest.mark.parametrize(
    ("line", "twice"),
    [
        ("add-group new foo -m him -n", "add-group new foo foo -m him -m him -n"),
        ("add-pkg -c f27 new -n", "add-pkg -c f27 new new -n"),
        ("track -c f27 new -n", "track -c f27 new new -n"),
        ("untrack -c f27 foo -n", "untrack -c f27 foo foo -n"),
        ("set-priority -c f27 foo 7 -n", "set-priority -c f27 foo foo 7 -n"),
        ("set-priority -c f27 --group mygroup 7 -n", "set-priority -c f27 --group mygroup mygroup 7 -n"),
        ("set-arch-override foo i386 -n", "set-arch-override foo foo 'i386 i386' -n"),
        ("resolve -c f28 foo -n", "resolve -c f28 foo foo -n"),
        ("edit-collection-group fedora -c f27 -n", "edit-collection-group fedora -c f27 f27 -n"),
        ("list-packages foo", "list-packages foo foo"),
    ],
)
def test_the_same_name_twice_is_the_same_as_once(terminal: Terminal, line: str, twice: str) -> None:
    once, again = (terminal.run(*shlex.split(words)) for words in (line, twice))
    assert once.exit_code == 0, once.output
    assert once.stdout != ""
    if "resolve" in line and "not resolved" in once.stderr:
        pytest.fail(once.stderr)
    assert (again.exit_code, again.stdout) == (0, once.stdout)
    terminal.assert_untouched()


# Options that every command has


def test_whatever_says_something_says_it_as_json_too() -> None:
    without = {name for name in OURS if "--json" not in {o for p in leaf([name, "show"]).params for o in p.opts}}
    assert without <= {"completion", "create-db"}


def test_whatever_changes_much_can_be_tried_first() -> None:
    options = {name: {o for p in leaf([name, "show"]).params for o in p.opts} for name in OURS}
    for name in (
        "add-pkg",
        "branch-collection",
        "cleanup",
        "delete-collection",
        "delete-group",
        "edit-group",
        "fork-collection",
        "reconcile",
        "refresh-group",
        "resolve",
        "retention",
        "revoke-tokens",
        "set-arch-override",
        "set-priority",
        "skip-resolution",
        "track",
        "untrack",
    ):
        assert {"-n", "--dry-run"} <= options[name], name
    for name in (
        "delete-collection",
        "delete-collection-group",
        "delete-group",
        "delete-webhook",
        "revoke-admin",
        "untrack",
    ):
        assert {"-f", "--force"} <= options[name], name


def test_only_those_that_pass_words_on_are_not_ours() -> None:
    assert {name for name in COMMANDS if name not in OURS} == {"alembic", "psql"}
    assert isinstance(leaf(["psql"]), Passing)
