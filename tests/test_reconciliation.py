"""Reconciling with Koji: what each step finds, and that looking alone leaves everything as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from koschei.audit import BACKEND
from koschei.koji import tagging
from koschei.model import Base, Build, Collection, LogEntry, Package
from koschei.reconciliation import Difference, Reconciler
from koschei.rules.evr import sort_key
from koschei.rules.states import BuildState
from koschei.submission import Submitted, submit
from tests.koji_world import KojiWorld, koji_world, lie, source
from tests.resolving import examine


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, [source("foo", "1", "gcc"), source("bar", "2", "gcc")]) as world:
        world.poll()
        examine(world)
        yield world


def reconcile(
    world: KojiWorld, *, dry_run: bool = False, believe: bool = False, only: str | None = None
) -> list[Difference]:
    work = Reconciler(world.database, world.koji, world.config, world.now, dry_run, believe)
    return work.run(BACKEND, only)


def submitted(world: KojiWorld, name: str) -> Build:
    result = submit(world.database, world.koji, world.config, world.package(name).id, actor=BACKEND, now=world.now)
    assert isinstance(result, Submitted)
    return world.builds(name)[0]


def content(world: KojiWorld) -> dict[str, list[object]]:
    """Every row of every table."""
    with world.database.begin() as session:
        return {
            table.name: [tuple(row) for row in session.execute(select(table).order_by(*table.primary_key))]
            for table in Base.metadata.sorted_tables
        }


def texts(found: list[Difference]) -> list[str]:
    return [f"{item.subject}: {item.text}" for item in found]


def test_nothing_differs_when_polling_has_just_looked(world: KojiWorld) -> None:
    assert reconcile(world, dry_run=True) == []
    assert reconcile(world) == []


def test_an_intention_without_a_task_finds_its_task(world: KojiWorld) -> None:
    build = submitted(world, "foo")
    with world.database.begin() as session:
        session.execute(Build.__table__.update().where(Build.id == build.id).values(task_id=None))
    title = f"build {build.id} of foo in f43"
    assert texts(reconcile(world, dry_run=True)) == [f"{title}: its task is not known; it would be looked for in Koji"]
    assert texts(reconcile(world)) == [f"{title}: its task is {build.task_id}"]
    assert world.builds("foo")[0].task_id == build.task_id


def test_a_task_of_ours_that_no_build_follows_is_named_and_left_alone(world: KojiWorld) -> None:
    """As after a restore: the database is older than the submission."""
    build = submitted(world, "foo")
    with world.database.begin() as session:
        session.execute(Build.__table__.delete().where(Build.id == build.id))
    for dry_run in (True, False):
        (found,) = reconcile(world, dry_run=dry_run)
        assert found.trouble
        assert found.subject == f"task {build.task_id}"
        assert found.text.startswith("builds foo-1-1.fc43.src.rpm in our name, and no build here follows it.")
        assert f"taskinfo?taskID={build.task_id}" in found.text
    world.later(minutes=30)
    assert reconcile(world) == []


def test_tasks_are_not_called_unknown_while_one_waits_for_its_number(world: KojiWorld) -> None:
    build = submitted(world, "foo")
    submitted(world, "bar")
    with world.database.begin() as session:
        session.execute(Build.__table__.update().where(Build.id == build.id).values(task_id=None))
    assert [item.subject for item in reconcile(world, dry_run=True)] == [f"build {build.id} of foo in f43"]


def test_an_intention_that_koji_never_got_is_given_up(world: KojiWorld) -> None:
    with world.database.begin() as session:
        session.add(
            Build(
                package_id=world.package("foo").id,
                started=world.now - timedelta(hours=1),
                version="1",
                release="1",
                evr_key=sort_key(None, "1", "1"),
                submission={"source": "nowhere.src.rpm", "target": "f43", "opts": {}},
            )
        )
    (found,) = reconcile(world)
    assert found.text == "Koji never got it; it is given up"
    assert not [build for build in world.builds("foo") if build.state is BuildState.RUNNING]


def test_a_build_that_takes_too_long_is_said_to_be_cancelled_before_it_is(world: KojiWorld) -> None:
    build = submitted(world, "foo")
    late = world.now + timedelta(
        seconds=world.config.koji_config.task_timeout + 1
    )  # by our clock; the hub stands still
    (found,) = Reconciler(world.database, world.koji, world.config, late, dry_run=True).run(BACKEND)
    assert found.text == f"task {build.task_id} would be cancelled: it takes longer than koji_config.task_timeout"
    assert world.koji.read("getTaskInfo", build.task_id)["state"] in (0, 1, 4)


def test_builds_that_are_not_tagged_any_more_are_found(world: KojiWorld) -> None:
    world.hub.import_build("f43", source("bar", "3", "gcc"))
    assert texts(reconcile(world)) == ["f43: 1 real builds were not registered"]
    world.hub.untag_build("f43", "bar-3-1.fc43")
    expected = ["f43: 1 builds are not tagged any more: bar"]
    assert texts(reconcile(world, dry_run=True)) == expected
    assert not world.builds("bar")[0].untagged
    assert texts(reconcile(world)) == expected
    assert world.builds("bar")[0].untagged


def test_looking_alone_writes_nothing(world: KojiWorld) -> None:
    submitted(world, "foo")
    for _ in range(4):
        world.later(seconds=20)
    world.hub.add_package("f43", "fresh")
    world.hub.import_build("f43", source("bar", "3", "gcc"))
    before = content(world)
    assert len(reconcile(world, dry_run=True)) == 3
    assert content(world) == before
    assert len(reconcile(world)) == 3
    assert content(world) != before


def test_an_empty_package_list_is_not_believed_and_reported(world: KojiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    lie(monkeypatch, "listPackages", lambda truth, *args, **options: [])
    (found,) = reconcile(world)
    assert found.trouble
    assert "is empty" in found.text
    assert not world.package("foo").blocked


def test_a_tag_without_builds_is_not_believed_and_reported(world: KojiWorld) -> None:
    untag_everything(world)
    for dry_run in (True, False):
        (found,) = reconcile(world, dry_run=dry_run)
        assert found.trouble
        assert "none of 4 of the 4 packages with builds in f43" in found.text
    assert not world.builds("foo")[0].untagged


def untag_everything(world: KojiWorld) -> None:
    for tagged in tagging.latest_builds(world.koji, "f43"):
        world.hub.untag_build("f43", tagged.nvr)


def test_a_collection_that_really_shrank_is_believed_when_somebody_says_so(
    world: KojiWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with another destination tag: it has one package, and no build of it."""

    def one(truth: Callable[[], Any], *args: Any, **options: Any) -> Any:
        return [entry for entry in truth() if entry["package_name"] == "foo"]

    lie(monkeypatch, "listPackages", one)
    untag_everything(world)
    names = sorted(name for name in all_names(world) if name != "foo")
    expected = [
        f"f43: {len(names)} packages were not blocked and are in its list no more: {', '.join(names)}",
        "f43: 1 builds are not tagged any more: foo",
    ]
    before = content(world)
    assert texts(reconcile(world, dry_run=True, believe=True, only="f43")) == expected
    assert content(world) == before
    assert texts(reconcile(world, believe=True, only="f43")) == expected
    assert (world.package("bar").blocked, world.package("foo").blocked) == (True, False)
    assert world.builds("foo")[0].untagged
    assert reconcile(world) == []
    with world.database.begin() as session:
        first, _ = session.scalars(select(LogEntry.message).order_by(LogEntry.id))
    assert first == "Reconciled with Koji, with what its lists of f43 lack believed: 2 differences repaired"


def all_names(world: KojiWorld) -> list[str]:
    with world.database.begin() as session:
        return list(session.scalars(select(Package.name)))


def test_one_collection_can_be_compared_alone(world: KojiWorld) -> None:
    with world.database.begin() as session:
        session.add(Collection(name="gone", display_name="Gone", target="x", dest_tag="x", build_tag="x"))
    assert [item.subject for item in reconcile(world)] == ["gone"]
    assert reconcile(world, only="f43") == []


def test_progress_is_told_as_often_as_was_said(world: KojiWorld) -> None:
    told: list[str] = []
    work = Reconciler(world.database, world.koji, world.config, world.now, progress=told.append)
    work.run(BACKEND)
    assert told == ["running builds", "package list of f43", "real builds of f43"]
    assert work.steps() == len(told)
    with world.database.begin() as session:
        assert session.scalar(select(func.count()).select_from(Collection)) == 1
