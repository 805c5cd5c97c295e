"""Commands about groups and people, seen from the shell."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select

from admin.main import cli
from koschei import groups, tokens
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.errors import NotFoundError
from koschei.model import ApiToken, BasePackage, Collection, Environment, Package, User
from koschei.tokens import Scope
from tests.admin.conftest import Shell, audit_log


@pytest.fixture
def guide(database: Database) -> Database:
    """The packages that the operators' guide speaks of."""
    with database.begin() as session:
        f27 = session.scalars(select(Collection).where(Collection.name == "f27")).one()
        for name in ("pkg1", "pkg2", "pkg3"):
            session.add(Package(base=BasePackage(name=name), name=name, collection=f27))
    return database


def content(database: Database, name: str) -> tuple[str, ...]:
    with database.begin() as session:
        return groups.detail(session, name).packages


def names(database: Database) -> list[str]:
    with database.begin() as session:
        return [group.name for group in groups.summaries(session)]


def test_groups_are_added_as_the_guide_says(shell: Shell, guide: Database) -> None:
    assert shell.ok("add-group", "mynewgroup") == "Group mynewgroup created\n"
    assert content(guide, "mynewgroup") == ()
    shell.ok("delete-group", "--force", "mynewgroup")
    said = shell.ok("add-group", "mynewgroup", "pkg1", "pkg2", "pkg3")
    assert said == "Group mynewgroup created\nGroup mynewgroup: packages added: pkg1, pkg2, pkg3\n"
    assert content(guide, "mynewgroup") == ("pkg1", "pkg2", "pkg3")
    with guide.begin() as session:
        assert audit_log(session)[-2:] == [
            ("alice", "Group mynewgroup created"),
            ("alice", "Group mynewgroup: packages added: pkg1, pkg2, pkg3"),
        ]


def test_a_group_becomes_global_as_the_guide_says(shell: Shell, guide: Database) -> None:
    shell.ok("add-group", "someuser/mygroup", "pkg1", "-m", "someuser")
    said = shell.ok("edit-group", "someuser/mygroup", "--make-global", "--new-name", "thegroup")
    assert said == "Group someuser/mygroup renamed to thegroup\n"
    with guide.begin() as session:
        assert groups.detail(session, "thegroup").maintainers == ("someuser",)
        assert audit_log(session)[-1] == ("alice", "Group someuser/mygroup renamed to thegroup")


@pytest.mark.parametrize("command", [("add-group", "mine", "pkg1", "nope", "gone"), ("add-group", "a/b/c")])
def test_a_refused_group_is_not_made(shell: Shell, guide: Database, command: tuple[str, ...]) -> None:
    result = shell.run(*command)
    assert result.exit_code == 1
    assert "gone, nope" in result.stderr or "Invalid group name: " in result.stderr
    assert names(guide) == []


def test_a_group_is_made_from_a_file_or_from_what_is_piped_in(shell: Shell, guide: Database) -> None:
    file = shell.folder / "list"
    file.write_text("foo\n  bar foo\n")
    shell.ok("create-group", "one", "--content-from-file", str(file), "--append")
    result = CliRunner(env=shell.env).invoke(cli, ["create-group", "a/two", "--content-from-file", "-"], input="pkg1")
    assert result.exit_code == 0, result.output
    assert (content(guide, "one"), content(guide, "a/two")) == (("bar", "foo"), ("pkg1",))
    shell.ok("edit-group", "one", "--content-from-file", str(file))
    file.write_text("pkg2")
    shell.ok("edit-group", "one", "--content-from-file", str(file), "--append")
    assert content(guide, "one") == ("bar", "foo", "pkg2")
    shell.ok("edit-group", "one", "--content-from-file", str(file), "--new-namespace", "a")
    assert content(guide, "a/one") == ("pkg2",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b" \n", "Group content empty"),
        (b"\xff", "not UTF-8"),
        (b"a,b", "Invalid package list"),
        (b"zzz", "Packages don't exist: zzz"),
    ],
)
def test_a_file_without_usable_content_is_refused(shell: Shell, guide: Database, text: bytes, words: str) -> None:
    file = shell.folder / "list"
    file.write_bytes(text)
    result = shell.run("create-group", "mine", "--content-from-file", str(file))
    assert result.exit_code == 1
    assert words in result.stderr
    assert names(guide) == []


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--append",),
        ("--make-global", "--new-namespace", "x"),
        ("--new-namespace", ""),
        ("--content-from-file", "/nonexistent/list"),
    ],
)
def test_edits_that_make_no_sense_are_wrong_usage(shell: Shell, guide: Database, words: tuple[str, ...]) -> None:
    shell.ok("add-group", "mine")
    assert shell.run("edit-group", "mine", *words).exit_code == 2


def test_nobody_to_ask_is_a_refusal_to_delete(shell: Shell, guide: Database) -> None:
    shell.ok("add-group", "mine", "foo")
    result = shell.run("delete-group", "mine")
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert names(guide) == ["mine"]
    with pytest.raises(NotFoundError), guide.begin() as session:
        groups.find(session, "other")
    assert shell.run("delete-group", "other").exit_code == 1
    assert shell.ok("delete-group", "-f", "mine") == "Group mine deleted\n"
    assert names(guide) == []


@pytest.mark.parametrize(("answer", "status", "left"), [(b"n\n", 1, ["mine"]), (b"y\n", 0, [])])
def test_somebody_at_a_terminal_is_asked(
    shell: Shell, guide: Database, answer: bytes, status: int, left: list[str]
) -> None:
    shell.ok("add-group", "mine", "foo")
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    script = Path(sys.executable).with_name("koschei-admin")
    done = subprocess.run(
        [str(script), "delete-group", "mine"],
        stdin=theirs,
        capture_output=True,
        text=True,
        env={**os.environ, **shell.env},
        timeout=60,
        check=False,
    )
    os.close(ours)
    os.close(theirs)
    assert done.returncode == status, done.stderr
    assert "Delete group mine with 1 packages?" in done.stderr
    assert names(guide) == left


def test_groups_are_listed_and_shown(shell: Shell, guide: Database) -> None:
    assert shell.run("list-groups").exit_code == 0
    shell.ok("add-group", "bob/tools", "foo", "pkg1", "-m", "bob")
    shell.ok("add-group", "empty")
    lines = [" ".join(line.split()) for line in shell.ok("list-groups").splitlines()]
    assert lines == ["empty 0 packages", "bob/tools 2 packages maintained by bob"]
    assert json.loads(shell.ok("list-groups", "--json"))[1] == {
        "name": "bob/tools",
        "packages": 2,
        "maintainers": ["bob"],
    }
    assert shell.ok("show-group", "bob/tools").splitlines() == [
        "Group bob/tools: 2 packages",
        "Maintainers: bob",
        "foo",
        "pkg1",
    ]
    assert json.loads(shell.ok("show-group", "bob/tools", "--json"))["packages"] == ["foo", "pkg1"]
    assert shell.run("show-group", "bob/tool").exit_code == 1


def test_a_group_is_refreshed_from_a_regular_expression(shell: Shell, guide: Database) -> None:
    words = ("refresh-group", "mine", "--regex", "^pkg[12]")
    assert shell.run(*words).exit_code == 1
    assert shell.ok(*words, "--create", "--dry-run").endswith("packages added: pkg1, pkg2\n")
    assert names(guide) == []
    shell.ok(*words, "--create")
    result = shell.run(*words)
    assert (result.exit_code, result.stdout) == (0, "")
    assert content(guide, "mine") == ("pkg1", "pkg2")
    with guide.begin() as session:
        assert len(audit_log(session)) == 2


def test_a_cron_job_leaves_out_names_that_nobody_knows_if_it_says_so(shell: Shell, guide: Database) -> None:
    file = shell.folder / "list"
    file.write_text('["pkg1", "zzz"]')
    shell.ok("add-group", "mine")
    result = shell.run("refresh-group", "mine", "--from-file", str(file))
    assert result.exit_code == 1
    assert "zzz" in result.stderr
    result = shell.run("refresh-group", "mine", "--from-file", str(file), "--skip-unknown")
    assert result.exit_code == 0
    assert "Left out, no packages here: zzz" in result.stderr
    assert content(guide, "mine") == ("pkg1",)
    file.write_text("")
    assert shell.run("refresh-group", "mine", "--from-file", str(file)).exit_code == 1
    assert content(guide, "mine") == ("pkg1",)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--regex", "a", "--from-url", "http://127.0.0.1:9/"),
        ("--regex", "("),
        ("--from-distgit", "http://127.0.0.1:9/"),
        ("--regex", "a", "--distgit-group", "x"),
        ("--from-distgit", "http://127.0.0.1:9/", "--distgit-group", "x", "--distgit-user", "y"),
    ],
)
def test_a_refresh_needs_one_source(shell: Shell, guide: Database, words: tuple[str, ...]) -> None:
    shell.ok("add-group", "mine")
    assert shell.run("refresh-group", "mine", *words).exit_code == 2


@pytest.mark.parametrize("words", [("--from-url",), ("--distgit-group", "x", "--from-distgit")])
def test_a_source_that_is_away_is_told_from_a_refusal(shell: Shell, guide: Database, words: tuple[str, ...]) -> None:
    result = shell.run("refresh-group", "mine", *words, "http://127.0.0.1:9/list")
    assert result.exit_code == 3
    assert "http://127.0.0.1:9/list cannot be read" in result.stderr


class Site(BaseHTTPRequestHandler):
    """A list of packages, and the owners of packages in a distgit."""

    def do_GET(self) -> None:
        owners = {"rpms": {"pkg1": ["@sig"], "pkg2": ["@other"], "pkg3": ["bob", "@sig"]}}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"pkg1\npkg2\n" if self.path == "/list" else json.dumps(owners).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_group_is_refreshed_from_the_network(shell: Shell, guide: Database, site: str) -> None:
    shell.ok("refresh-group", "--create", "mine", "--from-url", f"{site}/list")
    assert content(guide, "mine") == ("pkg1", "pkg2")
    shell.ok("refresh-group", "mine", "--from-distgit", f"{site}/pagure_bz.json", "--distgit-group", "sig")
    assert content(guide, "mine") == ("pkg1", "pkg3")
    shell.ok("refresh-group", "mine", "--append", "--from-distgit", f"{site}/x", "--distgit-group", "@other")
    assert content(guide, "mine") == ("pkg1", "pkg2", "pkg3")
    shell.ok("refresh-group", "mine", "--force", "--from-distgit", f"{site}/x", "--distgit-user", "bob")
    assert content(guide, "mine") == ("pkg3",)
    shell.ok("refresh-group", "mine", "--append", "--from-distgit", f"{site}/x", "--distgit-group", "sig")
    shell.ok("refresh-group", "mine", "--append", "--from-distgit", f"{site}/x", "--distgit-group", "other")
    assert shell.run("refresh-group", "mine", "--from-distgit", f"{site}/x", "--distgit-group", "nobody").exit_code == 1
    assert content(guide, "mine") == ("pkg1", "pkg2", "pkg3")


# people


def test_people_are_made_administrators_and_listed(shell: Shell, database: Database) -> None:
    with database.begin() as session:
        session.add(User(name="bob"))
    assert shell.ok("grant-admin", "bob") == "User bob may administer Koschei\n"
    assert shell.ok("list-users").splitlines() == ["alice", "bob    admin"]
    assert json.loads(shell.ok("list-users", "--admins", "--json")) == [{"name": "bob", "admin": True, "groups": 0}]
    refused = shell.run("revoke-admin", "bob")
    assert refused.exit_code == 1
    assert "Nobody but bob administers. Leave nobody who can on the pages?" in refused.stderr
    shell.ok("revoke-admin", "bob", "--force")
    assert json.loads(shell.ok("list-users", "--admins", "--json")) == []
    assert shell.run("grant-admin", "bop").exit_code == 1
    shell.ok("grant-admin", "--create", "carol")
    with database.begin() as session:
        assert [message for _, message in audit_log(session)] == [
            "User bob may administer Koschei",
            "User bob may not administer Koschei any more",
            "User carol may administer Koschei",
        ]


def test_the_tokens_of_a_person_are_ended(shell: Shell, database: Database) -> None:
    moment, bob = datetime.now(UTC), Actor(Environment.FRONTEND, "bob")
    with database.begin() as session:
        for name in ("nightly", "script"):
            tokens.make(session, bob, name, [Scope.GROUPS], moment + timedelta(days=5), now=moment)
    said = "User bob: 2 API tokens revoked: nightly, script\n"
    assert shell.ok("revoke-tokens", "bob", "--dry-run") == said
    assert shell.ok("revoke-tokens", "bob") == said
    again = shell.run("revoke-tokens", "bob")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "Nothing to change" in again.stderr
    with database.begin() as session:
        assert audit_log(session)[-1] == ("alice", said.strip())
        assert session.scalars(select(ApiToken)).all() == []
