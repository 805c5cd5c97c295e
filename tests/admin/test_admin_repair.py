"""The commands that mend, with a hub that answers."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from koschei import status
from koschei.audit import BACKEND
from koschei.db.engine import Database
from koschei.db.notify import Listener
from koschei.koji import tagging
from koschei.model import Build, Collection, Package
from koschei.rules.pulse import SERVICES
from koschei.rules.states import BuildState
from koschei.submission import Submitted, submit
from tests.admin.conftest import MakeShell, Shell, audit_log
from tests.koji_world import KojiWorld, source
from tests.resolving import examine
from tests.support import wait_until


@pytest.fixture
def world(examined_world: KojiWorld) -> KojiWorld:
    return examined_world


@pytest.fixture
def shell(world: KojiWorld, make_shell: MakeShell, database_url: str) -> Shell:
    shell = make_shell(database_url)
    shell.configure(f'frontend.external_url = "http://localhost"\n[directories]\ncachedir = "{shell.folder}"')
    shell.connect(world)
    return shell


def submitted(world: KojiWorld, name: str) -> Build:
    result = submit(world.database, world.koji, world.config, world.package(name).id, actor=BACKEND, now=world.now)
    assert isinstance(result, Submitted)
    return world.builds(name)[0]


def test_a_build_is_cancelled_once_and_polling_hears_of_it(shell: Shell, world: KojiWorld, database_url: str) -> None:
    build = submitted(world, "foo")
    listener = Listener(database_url, "polling")
    listener.listen()
    said = shell.ok("cancel-build", str(build.id))
    assert said == f"Build {build.id} of foo in f43: cancelation requested\n"
    assert listener.wait(60)
    listener.close()
    assert world.builds("foo")[0].cancel_requested
    with world.database.begin() as session:
        assert audit_log(session) == [("alice", said.strip())]
    again = shell.run("cancel-build", str(build.id))
    assert again.exit_code == 1
    assert "already has pending cancelation" in again.stderr

    shell.ok("reconcile")
    assert world.builds("foo")[0].state is BuildState.CANCELED
    ended = shell.run("cancel-build", str(build.id))
    assert ended.exit_code == 1
    assert "Only running builds can be canceled" in ended.stderr
    assert shell.run("cancel-build", "999999").exit_code == 1


def test_packages_are_asked_for_and_the_resolver_hears_of_it(shell: Shell, world: KojiWorld, database_url: str) -> None:
    assert not world.package("foo").needs_resolution
    listener = Listener(database_url, "repo-resolver")
    listener.listen()
    assert shell.ok("resolve", "foo", "-c", "f43") == "Package foo in f43: resolution requested\n"
    assert listener.wait(60)
    listener.close()
    assert world.package("foo").needs_resolution
    assert not world.package("bar").needs_resolution
    with world.database.begin() as session:
        assert audit_log(session) == [("alice", "Package foo in f43: resolution requested")]


def test_the_answer_can_be_waited_for(shell: Shell, world: KojiWorld) -> None:
    def answer() -> None:
        wait_until(lambda: world.package("foo").needs_resolution)
        examine(world)

    resolver = threading.Thread(target=answer)
    resolver.start()
    said = shell.ok("resolve", "foo", "--wait", "--timeout", "30")
    resolver.join()
    assert said.endswith("Dependencies of foo in f43 can be installed\n")


def test_waiting_in_vain_ends_and_says_where_to_look(shell: Shell, world: KojiWorld) -> None:
    result = shell.run("resolve", "foo", "--wait", "--timeout", "1")
    assert result.exit_code == 3
    assert "have not been resolved within 1 s" in result.stderr
    assert world.package("foo").needs_resolution


def test_what_the_resolver_would_not_look_at_is_named(shell: Shell, world: KojiWorld) -> None:
    world.set("bar", tracked=False)
    world.add_package("new")
    result = shell.run("resolve", "foo", "bar", "new")
    assert result.exit_code == 0
    assert result.stderr.splitlines() == [
        "Package bar in f43 is not resolved: it is not tracked",
        "Package new in f43 is not resolved: no build of it is known",
    ]
    refused = shell.run("resolve", "bar")
    assert refused.exit_code == 1
    assert "not tracked" in refused.stderr
    unknown = shell.run("resolve", "foo", "nope")
    assert unknown.exit_code == 1
    with world.database.begin() as session:
        assert len(audit_log(session)) == 1


def differences(world: KojiWorld) -> Build:
    """Koji goes on without us: a build ends, one is made, a package appears, one is blocked."""
    build = submitted(world, "foo")
    for _ in range(4):
        world.later(seconds=20)
    world.hub.add_package("f43", "fresh")
    world.hub.import_build("f43", source("bar", "3", "gcc"))
    return build


def test_reconciling_says_first_and_then_repairs_what_differs(shell: Shell, world: KojiWorld) -> None:
    build = differences(world)
    dry = shell.ok("reconcile", "--dry-run")
    assert f"build {build.id} of foo in f43: task {build.task_id} is closed in Koji\n" in dry
    assert "f43: 1 packages were not known\n" in dry
    assert "f43: 1 real builds were not registered\n" in dry
    assert dry.endswith("Nothing was changed: --dry-run\n")
    assert world.builds("foo")[0].state is BuildState.RUNNING
    with world.database.begin() as session:
        assert audit_log(session) == []
        assert session.scalar(select(Package.id).where(Package.name == "fresh")) is None

    said = shell.ok("reconcile")
    assert f"build {build.id} of foo in f43: it is complete\n" in said
    assert "f43: 1 packages were not known\n" in said
    assert world.builds("foo")[0].state is BuildState.COMPLETE
    assert world.builds("bar")[0].version == "3"
    assert world.package("fresh").state == "untracked"
    with world.database.begin() as session:
        assert audit_log(session) == [("alice", "Reconciled with Koji: 3 differences repaired")]
    assert shell.ok("reconcile", "--dry-run").startswith("Everything is as Koji says")
    assert json.loads(shell.ok("reconcile", "--json")) == []


def test_a_collection_that_koji_does_not_know_is_named_and_the_others_are_compared(
    shell: Shell, world: KojiWorld
) -> None:
    with world.database.begin() as session:
        session.add(Collection(name="gone", display_name="Gone", target="x", dest_tag="x", build_tag="x", order=500))
    differences(world)
    result = shell.run("reconcile")
    assert result.exit_code == 3
    assert "gone: Koji refused" in result.stderr
    assert "f43: 1 packages were not known" in result.stdout
    only = shell.run("reconcile", "-c", "f43")
    assert only.exit_code == 0
    assert shell.run("reconcile", "-c", "f99").exit_code == 1


def test_a_tag_that_really_shrank_is_believed_in_one_collection_when_the_operator_says_so(
    shell: Shell, world: KojiWorld
) -> None:
    for tagged in tagging.latest_builds(world.koji, "f43"):
        world.hub.untag_build("f43", tagged.nvr)
    everywhere = shell.run("reconcile", "--believe")
    assert everywhere.exit_code == 2
    assert "name it with --collection" in everywhere.stderr
    doubted = shell.run("reconcile")
    assert doubted.exit_code == 3
    assert "`koschei-admin reconcile -c f43 --believe` has it believed" in doubted.stderr
    tried = shell.ok("reconcile", "-c", "f43", "--believe", "--dry-run")
    assert tried.startswith("f43: 4 builds are not tagged any more: bar, bash, foo, gcc\n")
    assert world.package("foo").last_build_id is not None
    assert (
        shell.ok("reconcile", "-c", "f43", "--believe")
        == "f43: 4 builds are not tagged any more: bar, bash, foo, gcc\n"
    )
    assert world.package("foo").last_build_id is None
    with world.database.begin() as session:
        assert audit_log(session)[-1] == (
            "alice",
            "Reconciled with Koji, with what its lists of f43 lack believed: 1 differences repaired",
        )


def test_koji_that_is_away_ends_reconciling(shell: Shell, world: KojiWorld) -> None:
    world.server.stop()
    result = shell.run("reconcile", "--dry-run")
    assert result.exit_code == 3
    assert "Koji cannot be reached" in result.stderr


def healthy(database: Database) -> None:
    with database.begin() as session:
        for service in SERVICES:
            status.started(session, service, "pod", 10, datetime.now(UTC))
            status.pass_finished(session, service, datetime.now(UTC))


def test_the_doctor_is_content_when_everything_is_well(shell: Shell, world: KojiWorld) -> None:
    healthy(world.database)
    result = shell.run("doctor")
    assert result.exit_code == 0, result.output
    assert "Koji knows us as koschei" in result.stdout
    assert "repository of f43: repository " in result.stdout
    assert "koji clock: Koji and this machine are " in result.stdout
    assert "0 wrong" in result.stdout


def test_the_doctor_names_what_is_wrong_with_a_remedy(shell: Shell, world: KojiWorld) -> None:
    healthy(world.database)
    with world.database.begin() as session:
        status.pass_failed(session, "scheduler", datetime.now(UTC) - timedelta(seconds=1), "Koji is away")
    result = shell.run("doctor", "--json", KOSCHEI__FEDMSG__CONFIG_FILE="/nowhere/fedora-messaging.toml")
    assert result.exit_code == 1
    wrong = {one["name"]: one for one in json.loads(result.stdout) if one["state"] == "wrong"}
    assert wrong.keys() == {"service scheduler", "bus"}
    assert "Koji is away" in wrong["service scheduler"]["text"]
    assert all(one["remedy"] for one in wrong.values())
