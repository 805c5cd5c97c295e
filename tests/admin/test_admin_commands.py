"""What each command does, seen from the shell."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from koschei import notices, status
from koschei.db.engine import Database
from koschei.model import Build, Collection, OutboxEvent
from tests.admin.conftest import MakeShell, Shell, audit_log, package
from tests.koji_world import KojiWorld, koji_world, source

# notices


def test_a_notice_is_set_and_cleared_as_the_guide_says(shell: Shell, database: Database) -> None:
    words = "Koschei operation is currently suspended due to scheduled Koji outage"
    assert shell.ok("set-notice", words) == f"Admin notice added: {words}\n"
    with database.begin() as session:
        assert notices.current(session) == words
    assert shell.ok("clear-notice") == "Admin notice cleared\n"
    with database.begin() as session:
        assert notices.current(session) is None
        assert audit_log(session) == [("alice", f"Admin notice added: {words}"), ("alice", "Admin notice cleared")]


def test_a_command_that_finds_nothing_to_do_says_so_and_is_content(shell: Shell, database: Database) -> None:
    result = shell.run("clear-notice")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "Nothing to change" in result.stderr


def test_text_that_is_not_utf_8_is_refused(shell: Shell, database: Database) -> None:
    result = shell.run("set-notice", "caf\udce9")
    assert result.exit_code == 2
    assert "not UTF-8" in result.stderr


# packages


def test_packages_are_added_in_one_collection(shell: Shell, database: Database) -> None:
    assert (
        shell.ok("add-pkg", "-c", "f27", "foo", "bar") == "Package bar in f27: tracked\nPackage foo in f27: tracked\n"
    )
    with database.begin() as session:
        assert package(session, "foo", "f27").tracked
        assert not package(session, "foo", "f28").tracked
        assert audit_log(session) == [
            ("alice", "Package bar in f27: tracked"),
            ("alice", "Package foo in f27: tracked"),
        ]


def test_one_unknown_package_stops_all(shell: Shell, database: Database) -> None:
    result = shell.run("add-pkg", "-c", "f27", "foo", "nope", "zzz")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "Packages don't exist in f27: nope, zzz" in result.stderr
    with database.begin() as session:
        assert not package(session, "foo", "f27").tracked


def test_a_priority_is_manual_unless_it_is_said_to_be_static(shell: Shell, database: Database) -> None:
    shell.ok("set-priority", "-c", "f27", "foo", "bar", "foo", "30")
    shell.ok("set-priority", "-c", "f27", "--static", "foo", "40")
    with database.begin() as session:
        foo, bar = package(session, "foo", "f27"), package(session, "bar", "f27")
        assert (foo.manual_priority, foo.static_priority) == (30, 40)
        assert (bar.manual_priority, bar.static_priority) == (30, 0)


# collections and builds need Koji


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, [source("foo", "1", "gcc"), source("bar", "2", "gcc")]) as world:
        world.poll()
        yield world


@pytest.fixture
def koji_shell(world: KojiWorld, make_shell: MakeShell, database_url: str) -> Shell:
    """A shell whose Koji answers."""
    shell = make_shell(database_url)
    shell.connect(world)
    return shell


def collection(world: KojiWorld, name: str) -> Collection:
    with world.database.begin() as session:
        return session.scalars(select(Collection).where(Collection.name == name)).one()


def test_a_collection_is_made_and_changed(koji_shell: Shell, world: KojiWorld) -> None:
    said = koji_shell.ok("create-collection", "rawhide", "-d", "Fedora Rawhide", "-t", "f43", "-o", "7")
    assert said == "Collection rawhide created\n"
    made = collection(world, "rawhide")
    assert (made.display_name, made.build_tag, made.dest_tag) == ("Fedora Rawhide", "f43-build", "f43-build")
    assert (made.order, made.poll_untracked) == (7, True)
    refused = koji_shell.run("edit-collection", "rawhide", "--dest-tag", "nosuch")
    assert refused.exit_code == 1
    assert "Tag not found in Koji: nosuch" in refused.stderr
    koji_shell.ok("edit-collection", "rawhide", "--dest-tag", "f43", "-p", "0.5", "--new-name", "f44")
    made = collection(world, "f44")
    assert (made.display_name, made.dest_tag, made.priority_coefficient) == ("Fedora Rawhide", "f43", 0.5)
    with world.database.begin() as session:
        assert [who for who, _ in audit_log(session)] == ["alice", "alice"]


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ((), True),
        (("--poll-untracked",), True),
        (("--poll-untracked", "true"), True),
        (("--poll-untracked=yes",), True),
        (("--no-poll-untracked",), False),
        (("--poll-untracked", "false"), False),
        (("--poll-untracked=False",), False),
        (("--poll-untracked", "0"), False),
    ],
)
def test_yes_and_no_mean_what_they_say(
    koji_shell: Shell, world: KojiWorld, words: tuple[str, ...], value: bool
) -> None:
    koji_shell.ok("create-collection", *words, "new", "-d", "New", "-t", "f43")
    assert collection(world, "new").poll_untracked is value


def test_what_is_neither_yes_nor_no_is_refused(koji_shell: Shell) -> None:
    result = koji_shell.run("create-collection", "new", "-d", "New", "-t", "f43", "--poll-untracked=maybe")
    assert result.exit_code == 2
    assert "--poll-untracked" in result.stderr


@pytest.mark.parametrize("missing", ["-d", "-t"])
def test_a_collection_needs_a_name_for_people_and_a_target(koji_shell: Shell, missing: str) -> None:
    options = {"-d": "New", "-t": "f43"}
    del options[missing]
    result = koji_shell.run("create-collection", "new", *[word for pair in options.items() for word in pair])
    assert result.exit_code == 2
    assert missing in result.stderr


def test_a_target_that_koji_does_not_have_is_refused(koji_shell: Shell, world: KojiWorld) -> None:
    result = koji_shell.run("create-collection", "new", "-d", "New", "-t", "f99")
    assert result.exit_code == 1
    assert "Target not found in Koji: f99" in result.stderr


def test_koji_that_is_away_is_told_from_a_refusal(shell: Shell, database: Database) -> None:
    result = shell.run("edit-collection", "f27", "-t", "f28", "-o", "5")
    assert result.exit_code == 3
    assert "Koji cannot be reached" in result.stderr
    with database.begin() as session:
        assert session.scalars(select(Collection.order).where(Collection.name == "f27")).one() == 0


def resolved(world: KojiWorld) -> None:
    """The base buildroot is known to be good."""
    with world.database.begin() as session:
        made = session.scalars(select(Collection)).one()
        made.latest_repo_id, made.latest_repo_resolved = 2, True


def test_a_build_is_submitted_once(koji_shell: Shell, world: KojiWorld) -> None:
    resolved(world)
    said = koji_shell.ok("submit-build", "foo", "-c", "f43")
    build = world.builds("foo")[0]
    assert said == f"Build of foo in f43 submitted: task {build.task_id}\n"
    assert build.task_id is not None
    assert world.koji.read("getTaskInfo", build.task_id)["method"] == "build"

    result = koji_shell.run("submit-build", "bar", "foo")
    assert result.exit_code == 1
    assert result.stdout.startswith("Build of bar in f43 submitted: task ")
    assert result.stderr == "Build of foo in f43 not submitted: Package has a running build\n"
    with world.database.begin() as session:
        assert [who for who, _ in audit_log(session)] == ["alice", "alice"]


def test_no_build_is_submitted_when_a_name_is_unknown(koji_shell: Shell, world: KojiWorld) -> None:
    resolved(world)
    result = koji_shell.run("submit-build", "foo", "nope")
    assert result.exit_code == 1
    assert "nope" in result.stderr
    with world.database.begin() as session:
        assert session.scalars(select(Build).where(~Build.real)).all() == []


def test_a_build_in_a_broken_buildroot_is_refused(koji_shell: Shell, world: KojiWorld) -> None:
    result = koji_shell.run("submit-build", "foo")
    assert result.exit_code == 1
    assert "base buildroot of Fedora 43" in result.stderr


def test_selfcheck_finds_everything_well(koji_shell: Shell) -> None:
    said = koji_shell.ok("selfcheck")
    assert [line.split(":")[0].split() for line in said.splitlines()] == [
        ["ok", "server"],
        ["ok", "revision"],
        ["ok", "koji"],
        ["ok", "solver"],
    ]


def test_selfcheck_names_what_is_not_well(shell: Shell) -> None:
    result = shell.run("selfcheck", "--json")
    assert result.exit_code == 3
    assert {check["name"]: check["well"] for check in json.loads(result.stdout)} == {
        "server": True,
        "revision": True,
        "koji": False,
        "solver": True,
    }


def test_selfcheck_looks_at_the_engine_that_is_configured(koji_shell: Shell) -> None:
    result = koji_shell.run("selfcheck", KOSCHEI__DEPENDENCY__ENGINE="libdnf5")
    assert result.exit_code == 3
    assert "solver: dependency.engine: the engine 'libdnf5' needs" in " ".join(result.stdout.split())


# looking


def test_the_status_is_for_people_and_for_programs(shell: Shell, database: Database) -> None:
    now = datetime.now(UTC)
    with database.begin() as session:
        foo = package(session, "foo", "f27")
        foo.tracked = True
        started = now - timedelta(minutes=12, seconds=5)
        build = Build(package_id=foo.id, task_id=1234, started=started, version="1", release="1", evr_key=b"")
        session.add_all([build, OutboxEvent(kind="x", body={})])
        session.flush()
        foo.running_build_id = build.id
        status.started(session, "scheduler", "pod", 10, now)
        status.pass_failed(session, "scheduler", now, "Koji is [red]away[/]")
        status.started(session, "polling", "pod", 10, now)
        status.pass_finished(session, "polling", now)
    said = shell.ok("status")
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert "watcher never seen never" in lines
    assert any(line.startswith("polling ok ") for line in lines)
    assert any(line.startswith("scheduler failing never ") and "Koji is [red]away[/]" in line for line in lines)
    assert any(line.startswith("f28 unknown none not yet 2 untracked 0") for line in lines)
    assert "f27 unknown none not yet 1 untracked, 1 unknown 1" in lines
    assert "foo f27 1234 12 min" in lines
    assert "1 of at most 30 builds running, 0 packages waiting" in lines

    data = json.loads(shell.ok("status", "--json"))
    assert {item["service"]: item["health"] for item in data["services"]}["scheduler"] == "failing"
    assert [(item["name"], item["packages"]) for item in data["collections"]] == [
        ("f28", {"untracked": 2}),
        ("f27", {"untracked": 1, "unknown": 1}),
    ]
    assert datetime.fromisoformat(data["running"][0]["started"]) == started
    assert (data["queue"], data["outbox"]) == (0, 1)


def test_the_status_of_an_empty_installation_says_what_comes_next(shell: Shell) -> None:
    assert "create-collection" in shell.ok("status")


def test_the_settings_are_shown_as_toml_without_secrets(shell: Shell) -> None:
    shell.configure('[koji_config]\nlogin_method = "login"\nlogin_args = {user = "me", password = "hunter2"}')
    shell.configure('[fedmsg-publisher]\nmodname = "x"')
    said = shell.ok("config", "show")
    assert "hunter2" not in said
    tree = tomllib.loads(said)
    assert tree["koji_config"]["login_args"]["user"] == "me"
    assert tree["fedmsg-publisher"]["modname"] == "x"
    assert tree["priorities"]["build_threshold"] == 256
    assert "# unpriv_db_username is not set" in said.splitlines()
    assert json.loads(shell.ok("config", "show", "--json"))["koji_config"]["login_args"]["user"] == "me"


def test_part_of_the_settings_can_be_shown(shell: Shell) -> None:
    assert shell.ok("config", "show", "priorities.t0") == "priorities.t0 = 6\n"
    result = shell.run("config", "show", "priorities.t9")
    assert result.exit_code == 1
    assert "priorities.t9" in result.stderr
