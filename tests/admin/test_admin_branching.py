"""Collections branched, forked, deleted, grouped and shown from the shell."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from koschei.db.engine import Database
from koschei.model import Collection, Package
from tests.admin.command_rows import fingerprint
from tests.admin.conftest import MakeShell, Shell, audit_log, package
from tests.koji_world import KojiWorld, koji_world, source


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    """A hub with the targets f43 and f28; f43 has packages."""
    with koji_world(tmp_path, database_url, [source("foo", "1", "gcc")]) as world:
        for name in ("f27", "f28"):
            world.hub.add_tag(name, arches="x86_64")
            world.hub.add_tag(f"{name}-build", arches="x86_64", parents=[name])
            world.hub.add_target(name, build_tag=f"{name}-build", dest_tag=name)
        world.poll()
        yield world


@pytest.fixture
def koji_shell(world: KojiWorld, make_shell: MakeShell, database_url: str) -> Shell:
    shell = make_shell(database_url)
    shell.connect(world)
    return shell


def names(database: Database) -> list[str]:
    with database.begin() as session:
        return list(session.scalars(select(Collection.name).order_by(Collection.name)))


def test_a_collection_is_branched_as_the_guide_says(koji_shell: Shell, world: KojiWorld) -> None:
    koji_shell.ok("edit-collection", "f43", "--new-name", "f27", "-d", "Fedora Rawhide", "-t", "f27")
    said = koji_shell.ok("branch-collection", "f27", "f28", "-d", "Fedora 27", "-t", "f28", "--bugzilla-version", "27")
    assert "Collection f27 branched: it is f28 now, and its copy f27 has 3 packages and 3 builds\n" in said
    with world.database.begin() as session:
        new, copy = package(session, "foo", "f28"), package(session, "foo", "f27")
        assert new.id < copy.id
        assert (new.state, copy.state) == (new.state, new.state)
        assert (new.collection.display_name, copy.collection.display_name) == ("Fedora Rawhide", "Fedora 27")
        assert (new.collection.target, copy.collection.target) == ("f28", "f27")
        assert (new.collection.bugzilla_version, copy.collection.bugzilla_version) == (None, "27")
        assert [message for who, message in audit_log(session) if who == "alice"][-1] == said.splitlines()[-1]


def test_a_collection_is_forked(koji_shell: Shell, world: KojiWorld) -> None:
    said = koji_shell.ok("fork-collection", "f43", "side", "-d", "Side", "-t", "f28", "--dest-tag", "f28")
    assert said.endswith("Collection f43 forked: side has 3 packages and 3 builds\n")
    assert names(world.database) == ["f43", "side"]


@pytest.mark.parametrize("command", ["branch-collection", "fork-collection"])
def test_copying_is_tried_to_the_end_and_taken_back(koji_shell: Shell, world: KojiWorld, command: str) -> None:
    words = (command, "f43", "f28", "-d", "New", "-t", "f28")
    before = fingerprint(world.database)
    tried = koji_shell.run(*words, "--dry-run")
    assert tried.exit_code == 0, tried.output
    assert "Only tried, nothing was changed" in tried.stderr
    assert "3 packages and 3 builds" in tried.stdout
    assert fingerprint(world.database) == before
    assert koji_shell.ok(*words) == tried.stdout
    assert names(world.database) == ["f28", "f43"]


@pytest.mark.parametrize("command", ["branch-collection", "fork-collection"])
def test_what_cannot_be_copied_is_refused(koji_shell: Shell, world: KojiWorld, command: str) -> None:
    options = ("-d", "New", "-t", "f28")
    for words, status, says in (
        (("nope", "f28", *options), 1, "Collection not found: nope"),
        (("f43", "f43", *options), 1, "collection exists already: f43"),
        (("f43", "f28", "-d", "New", "-t", "f99"), 1, "Target not found in Koji: f99"),
        (("f43", "a/b", *options), 1, "cannot be the name of a collection"),
        (("f43", "f28", "-d", "New"), 2, "--target"),
        (("f43", "f28", "-t", "f28"), 2, "--display-name"),
        (("f43",), 2, "NEW"),
    ):
        result = koji_shell.run(command, *words)
        assert (result.exit_code, result.stdout) == (status, "")
        assert says in result.stderr
    assert names(world.database) == ["f43"]


def test_koji_that_is_away_leaves_everything_as_it_was(shell: Shell, database: Database) -> None:
    result = shell.run("branch-collection", "f28", "f29", "-d", "Fedora 28", "-t", "f29")
    assert result.exit_code == 3
    assert "Koji cannot be reached" in result.stderr
    assert names(database) == ["f27", "f28"]


def test_a_collection_is_deleted_only_by_force(shell: Shell, database: Database) -> None:
    result = shell.run("delete-collection", "f27")
    assert result.exit_code == 1
    assert "Delete collection f27 with its 2 packages, 0 builds and their history?" in result.stderr
    assert "--force" in result.stderr
    assert names(database) == ["f27", "f28"]
    said = shell.ok("delete-collection", "--force", "f27")
    assert said.splitlines()[-1] == "Collection f27 deleted"
    assert names(database) == ["f28"]
    with database.begin() as session:
        assert len(session.scalars(select(Package)).all()) == 2
        assert audit_log(session) == [
            ("alice", "Deletion of collection f27 begun: 2 packages"),
            ("alice", "Collection f27 deleted"),
        ]
    result = shell.run("delete-collection", "-f", "f27")
    assert result.exit_code == 1
    assert "Collection not found: f27" in result.stderr


def test_collections_are_grouped(shell: Shell, database: Database) -> None:
    said = shell.ok("create-collection-group", "fedora", "-d", "Fedora", "-c", "f27", "f28")
    assert said == "Collection group fedora created: f28, f27\n"
    listed = json.loads(shell.ok("list-collections", "--json"))
    assert [(row["name"], row["groups"]) for row in listed] == [("f28", ["fedora"]), ("f27", ["fedora"])]
    said = shell.ok("edit-collection-group", "fedora", "-c", "f28", "-d", "Fedora Linux")
    assert said == "Collection group fedora modified: display name = Fedora Linux; collections = f28\n"
    assert "Nothing to change" in shell.run("edit-collection-group", "fedora", "-c", "f28").stderr
    assert shell.ok("edit-collection-group", "fedora", "-c", "").endswith("collections = none\n")
    refused = shell.run("delete-collection-group", "fedora")
    assert refused.exit_code == 1
    assert "Delete collection group fedora with 0 collections? Nobody is there to be asked" in refused.stderr
    assert shell.ok("delete-collection-group", "--force", "fedora") == "Collection group fedora deleted\n"
    with database.begin() as session:
        assert len(audit_log(session)) == 4
    assert names(database) == ["f27", "f28"]


def test_collection_groups_are_not_made_of_nonsense(shell: Shell, database: Database) -> None:
    shell.ok("create-collection-group", "fedora", "-d", "Fedora", "-c", "f27")
    for words, status, says in (
        (("create-collection-group", "fedora", "-d", "x"), 1, "Object already exists"),
        (("create-collection-group", "new", "-d", "x", "-c", "f27", "f99", "f98"), 1, "weren't found: f98, f99"),
        (("create-collection-group", "new", "-d", " "), 1, "display name"),
        (("create-collection-group", "a b", "-d", "x"), 1, "cannot be the name"),
        (("create-collection-group", "new"), 2, "--display-name"),
        (("edit-collection-group", "nope", "-d", "x"), 1, "Object not found"),
        (("edit-collection-group", "fedora", "-c", "f99"), 1, "weren't found: f99"),
        (("delete-collection-group", "nope"), 1, "There are: fedora"),
    ):
        result = shell.run(*words)
        assert (result.exit_code, result.stdout) == (status, "")
        assert says in result.stderr
    with database.begin() as session:
        assert len(audit_log(session)) == 1


def test_collections_are_shown(shell: Shell, database: Database) -> None:
    with database.begin() as session:
        package(session, "foo", "f27").tracked = True
    lines = shell.ok("list-collections").splitlines()
    assert [line.split()[0] for line in lines] == ["name", "f28", "f27"]
    said = shell.ok("show-collection", "f27")
    assert "f27-build" in said
    assert "1 unknown, 1 untracked" in said
    data = json.loads(shell.ok("show-collection", "f27", "--json"))
    assert (data["display_name"], data["packages"]) == ("Fedora 27", {"unknown": 1, "untracked": 1})
    assert (data["buildroot_problems"], data["resolved_at"]) == ([], None)
    result = shell.run("show-collection", "f26", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Did you mean" in result.stderr
