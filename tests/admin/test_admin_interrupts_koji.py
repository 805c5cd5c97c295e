"""Ctrl-C between the steps of commands that work with Koji: what was done is whole and on record."""

from __future__ import annotations

import os
import signal
import subprocess
from xmlrpc.client import Fault

import koji
import pytest
from sqlalchemy import text

from koschei.audit import BACKEND
from koschei.rules.states import BuildState
from koschei.submission import Submitted, submit
from tests.admin.conftest import SCRIPT, MakeShell, Shell, audit_log
from tests.koji_world import KojiWorld, lie
from tests.support import wait_for_a_waiter

REST = "Interrupted: what was done before stays; the same command goes on with the rest"


@pytest.fixture
def world(examined_world: KojiWorld) -> KojiWorld:
    return examined_world


@pytest.fixture
def shell(world: KojiWorld, make_shell: MakeShell, database_url: str) -> Shell:
    shell = make_shell(database_url)
    shell.connect(world)
    return shell


def interrupted(shell: Shell, world: KojiWorld, lock: str, *words: str) -> tuple[int, str, str]:
    """Run the script while a lock is held, and press Ctrl-C when it waits for it."""
    with world.database.begin() as holder:
        holder.execute(text(lock))
        process = subprocess.Popen(
            [SCRIPT, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **shell.env},
        )
        try:
            wait_for_a_waiter(world.database, "koschei-admin")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
    return process.returncode, out, err.strip().splitlines()[-1]


def test_submitting_is_interrupted_between_builds_and_goes_on(shell: Shell, world: KojiWorld) -> None:
    words = ("submit-build", "foo", "bar")
    status, out, said = interrupted(shell, world, "SELECT 1 FROM package WHERE name = 'foo' FOR UPDATE", *words)
    assert (status, said) == (130, REST)
    assert out.startswith("Build of bar in f43 submitted: task ")
    assert [world.builds(name)[0].state for name in ("bar", "foo")] == [BuildState.RUNNING, BuildState.COMPLETE]
    again = shell.run(*words)
    assert again.exit_code == 1  # one of them is running already
    assert "Build of foo in f43 submitted: task " in again.stdout
    assert "Build of bar in f43 not submitted" in again.stderr
    with world.database.begin() as session:
        assert [message for _, message in audit_log(session)] == ["Build of bar submitted", "Build of foo submitted"]
    assert len([build for build in world.builds("bar") if not build.real]) == 1


def built(world: KojiWorld, name: str) -> None:
    """A build that runs as far as we know, and has ended in Koji."""
    result = submit(world.database, world.koji, world.config, world.package(name).id, actor=BACKEND, now=world.now)
    assert isinstance(result, Submitted)
    for _ in range(4):
        world.later(seconds=20)


def test_reconciling_is_interrupted_between_steps_and_goes_on(shell: Shell, world: KojiWorld) -> None:
    built(world, "foo")
    world.hub.add_package("f43", "fresh")
    status, _, said = interrupted(shell, world, "LOCK TABLE base_package IN SHARE MODE", "reconcile")
    assert (status, said) == (130, REST)
    assert world.builds("foo")[0].state is BuildState.COMPLETE
    with world.database.begin() as session:
        expected = "Reconciling with Koji did not come to its end: 1 differences repaired"
        assert audit_log(session) == [("alice", expected)]
    assert shell.ok("reconcile").startswith("f43: 1 packages were not known\n")
    with world.database.begin() as session:
        assert audit_log(session)[-1] == ("alice", "Reconciled with Koji: 1 differences repaired")


def test_koji_that_goes_away_while_reconciling_leaves_what_was_done_on_record(
    shell: Shell, world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    built(world, "foo")
    lie(monkeypatch, "listPackages", offline)
    result = shell.run("reconcile")
    assert result.exit_code == 3
    assert "What was done before stays; the same command goes on with the rest" in result.stderr
    assert world.builds("foo")[0].state is BuildState.COMPLETE
    with world.database.begin() as session:
        expected = "Reconciling with Koji did not come to its end: 1 differences repaired"
        assert audit_log(session) == [("alice", expected)]


def offline(truth: object, *args: object, **options: object) -> None:
    raise Fault(koji.ServerOffline.faultCode, "database outage")
