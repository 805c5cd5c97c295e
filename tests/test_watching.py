"""What Koji's messages make us do: bodies as a real hub sends them, against the hub's stand-in and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from demo.hub import Outcome
from koschei import submission, watching
from koschei.audit import BACKEND
from koschei.db.notify import Listener
from koschei.errors import KojiOutage, MessageError
from koschei.model import Build, Collection
from koschei.rules.states import BuildState
from koschei.submission import Submitted
from tests.koji_world import NOW, KojiWorld, koji_world, source

RECORDINGS = Path(__file__).parents[2] / "shared" / "recordings"
PREFIX = "org.fedoraproject.prod."

# As the plugin in a real hub sends them; ids and names are changed to those of the test.
TASK: dict[str, Any] = {
    "base_url": "https://127.0.0.1",
    "info": {"id": 39, "method": "build", "state": 2, "request": ["x.src.rpm", "f43", {"scratch": True}]},
    "method": "build",
    "attribute": "state",
    "old": "OPEN",
    "new": "CLOSED",
    "id": 39,
    "owner": "koschei",
    "files_base_url": "http://127.0.0.1:18080/kojifiles/work",
    "srpm": "bash-5.2.37-1.fc43.src.rpm",
    "instance": "primary",
}
TAG: dict[str, Any] = {
    "base_url": "https://127.0.0.1",
    "tag": "f43",
    "name": "foo",
    "version": "1.7.11",
    "release": "33.fc43",
    "user": "kojiadmin",
    "owner": "kojiadmin",
    "tag_id": 2,
    "build_id": 6,
    "instance": "primary",
}
REPO: dict[str, Any] = {
    "base_url": "https://127.0.0.1",
    "tag": "f43-build",
    "tag_id": 1,
    "repo_id": 4,
    "instance": "primary",
}


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, (source("foo", "1", "gcc"), source("bar", "2", "foo"))) as world:
        world.poll()
        with world.database.begin() as session:
            collection = session.scalars(select(Collection)).one()
            collection.latest_repo_id, collection.latest_repo_resolved = 2, True
        for name in ("foo", "bar"):
            world.set(name, resolved=True, needs_resolution=False)
        yield world


def handle(world: KojiWorld, topic: str, body: dict[str, Any]) -> bool:
    return watching.handle(world.database, world.koji, world.config, PREFIX + topic, body, world.now)


def task(world: KojiWorld, name: str = "foo", **changes: Any) -> dict[str, Any]:
    return {**TASK, "id": world.builds(name)[0].task_id, **changes}


def start(world: KojiWorld, name: str = "foo", outcome: Outcome | None = None) -> None:
    if outcome is not None:
        world.hub.outcome = lambda context: outcome if context.package == name and context.scratch else None
    result = submission.submit(
        world.database, world.koji, world.config, world.package(name).id, actor=BACKEND, now=world.now
    )
    assert isinstance(result, Submitted)


def let_it_end(world: KojiWorld) -> None:
    for _ in range(10):
        world.later(seconds=10)


def asked(world: KojiWorld) -> list[tuple[bool, ...]]:
    """What can be seen of the packages' builds."""
    return [(build.real, build.untagged, build.finished is not None) for build in world.builds("foo")]


def test_a_task_that_ended_ends_its_build(world: KojiWorld) -> None:
    start(world)
    let_it_end(world)
    assert handle(world, "buildsys.task.state.change", task(world))
    assert world.builds("foo")[0].state is BuildState.COMPLETE


def test_a_message_is_a_hint_and_what_koji_says_counts(world: KojiWorld) -> None:
    start(world)
    assert handle(world, "buildsys.task.state.change", task(world, new="CLOSED"))
    assert world.builds("foo")[0].state is BuildState.RUNNING
    let_it_end(world)
    assert handle(world, "buildsys.task.state.change", task(world, old="CLOSED", new="FAILED"))
    assert world.builds("foo")[0].state is BuildState.COMPLETE


def test_a_message_that_comes_again_changes_nothing(world: KojiWorld) -> None:
    start(world)
    let_it_end(world)
    assert handle(world, "buildsys.task.state.change", task(world))
    ended = world.builds("foo")[0].finished
    assert not handle(world, "buildsys.task.state.change", task(world))
    assert world.builds("foo")[0].finished == ended


def test_a_message_about_one_task_leaves_other_builds_alone(world: KojiWorld) -> None:
    start(world, "foo")
    start(world, "bar")
    let_it_end(world)
    assert handle(world, "buildsys.task.state.change", task(world, "bar"))
    assert world.builds("foo")[0].state is BuildState.RUNNING
    assert world.builds("bar")[0].state is BuildState.COMPLETE


def test_a_task_that_nobody_knows_wakes_the_scheduler_only_while_it_misses_one(
    world: KojiWorld, database_url: str
) -> None:
    listener = Listener(database_url, "scheduler")
    listener.listen()
    assert not handle(world, "buildsys.task.state.change", {**TASK, "id": 4711})
    assert not listener.wait(0.2)
    start(world)
    with world.database.begin() as session:
        session.execute(update(Build).where(Build.state == BuildState.RUNNING).values(task_id=None))
    while listener.wait(0.2):  # what the submission itself told
        pass
    assert not handle(world, "buildsys.task.state.change", {**TASK, "id": 4711})
    assert listener.wait(60)
    listener.close()


def test_a_tagged_build_is_registered(world: KojiWorld) -> None:
    world.hub.import_build("f43", source("foo", "2"))
    assert handle(world, "buildsys.tag", TAG)
    assert [(build.version, build.real) for build in world.builds("foo")] == [("2", True), ("1", True)]
    assert handle(world, "buildsys.tag", TAG)
    assert len(world.builds("foo")) == 2


def test_a_tagged_build_is_registered_in_every_collection_that_has_the_package(world: KojiWorld) -> None:
    world.hub.add_tag("f44", arches="x86_64", parents=["f43"])
    world.hub.add_tag("f44-build", arches="x86_64", parents=["f44"])
    world.hub.add_target("f44", build_tag="f44-build", dest_tag="f44")
    with world.database.begin() as session:
        for name in ("gone", "f44"):
            collection = Collection(name=name, display_name=name, target=name, dest_tag=name, build_tag=f"{name}-build")
            session.add(collection)
            foo = world.package("foo")
            session.flush()
            session.add(type(foo)(base_id=foo.base_id, name="foo", collection_id=collection.id, tracked=True))
    world.hub.import_build("f43", source("foo", "2"))
    assert handle(world, "buildsys.tag", TAG), "a collection whose tag Koji does not know stops the others"
    with world.database.begin() as session:
        rows = session.execute(
            select(Collection.name, Build.version)
            .join(Build.package)
            .join(Collection)
            .where(Build.version == "2", Build.real)
            .order_by(Collection.name)
        ).all()
    assert ("f43", "2") in [tuple(row) for row in rows]
    assert ("f44", "2") in [tuple(row) for row in rows]


def test_an_untagged_build_is_marked(world: KojiWorld) -> None:
    world.hub.import_build("f43", source("foo", "2"))
    assert handle(world, "buildsys.tag", TAG)
    world.hub.untag_build("f43", "foo-2-1.fc43")
    assert handle(world, "buildsys.untag", {**TAG, "version": "2", "release": "1.fc43"})
    assert [(build.version, build.untagged) for build in world.builds("foo")] == [("2", True), ("1", False)]


def test_a_new_repository_wakes_the_resolver(world: KojiWorld, database_url: str) -> None:
    listener = Listener(database_url, "repo-resolver")
    listener.listen()
    assert not handle(world, "buildsys.repo.done", {**REPO, "tag": "eln-build"})
    assert not handle(world, "buildsys.repo.init", REPO)
    assert not listener.wait(0.2)
    assert handle(world, "buildsys.repo.done", REPO)
    assert listener.wait(60)
    listener.close()


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        ("buildsys.task.state.change", {**TASK, "instance": "secondary"}),
        ("buildsys.task.state.change", {key: value for key, value in TASK.items() if key != "instance"}),
        ("buildsys.task.state.change", {**TASK, "attribute": "weight"}),
        ("buildsys.task.state.change", {"instance": "primary"}),
        ("buildsys.tag", {**TAG, "name": "a-package-that-nobody-knows"}),
        ("buildsys.build.state.change", TAG),
        ("buildsystem.tag", TAG),
        ("buildsys", TAG),
    ],
)
def test_what_does_not_concern_us_or_makes_no_sense_does_nothing(
    world: KojiWorld, topic: str, body: dict[str, Any]
) -> None:
    world.server.stop()  # nobody asks Koji anything
    before = asked(world)
    assert handle(world, topic, body) is False
    assert asked(world) == before
    world.server = type("Stopped", (), {"stop": lambda self: None})()


@pytest.mark.parametrize(
    ("topic", "body"),
    [
        ("buildsys.task.state.change", {**TASK, "id": "39"}),
        ("buildsys.task.state.change", {**TASK, "id": True}),
        ("buildsys.task.state.change", {**TASK, "id": None}),
        ("buildsys.task.state.change", {**TASK, "id": -1}),
        ("buildsys.task.state.change", {**TASK, "id": 2**70}),
        ("buildsys.tag", {**TAG, "name": None}),
        ("buildsys.tag", {**TAG, "name": ["foo"]}),
        ("buildsys.tag", {**TAG, "name": ""}),
        ("buildsys.tag", {**TAG, "name": "fo\0o"}),
        ("buildsys.tag", {**TAG, "name": "foo\x1b"}),
        ("buildsys.tag", {**TAG, "name": "f" * 10_000}),
        ("buildsys.tag", {**TAG, "tag": 7}),
        ("buildsys.repo.done", {**REPO, "tag": None}),
        ("buildsys.repo.done", {**REPO, "tag": "f43\0-build"}),
    ],
)
def test_a_message_of_koji_that_makes_no_sense_is_refused_with_what_is_wrong(
    world: KojiWorld, topic: str, body: dict[str, Any]
) -> None:
    world.server.stop()  # nobody asks Koji anything
    with pytest.raises(MessageError, match=r"^(id|name|tag): .{1,90} cannot be a (task's|name)$"):
        handle(world, topic, body)
    world.server = type("Stopped", (), {"stop": lambda self: None})()


def test_a_task_that_was_told_of_before_its_number_was_stored_is_looked_at_afterwards(world: KojiWorld) -> None:
    early = watching.EarlyTasks()
    start(world)
    (build,) = (build for build in world.builds("foo") if not build.real)
    message = task(world)

    def number(task_id: int | None) -> None:
        with world.database.begin() as session:
            session.execute(update(Build).where(Build.id == build.id).values(task_id=task_id))

    def follow_up() -> int:
        return watching.follow_up(world.database, world.koji, world.config, early, world.now)

    number(None)
    let_it_end(world)
    topic = PREFIX + "buildsys.task.state.change"
    for body in (message, {**TASK, "id": 4711}):
        assert not watching.handle(world.database, world.koji, world.config, topic, body, world.now, early)
    assert follow_up() == 0
    number(build.task_id)
    assert follow_up() == 1
    assert world.builds("foo")[0].state is BuildState.COMPLETE
    assert early.ids(world.now) == [], "the other one is somebody else's"


def test_early_tasks_are_remembered_for_a_while_and_not_without_end() -> None:
    early = watching.EarlyTasks()
    for number in range(watching.MOST_EARLY + 5):
        early.note(number, NOW)
    assert early.ids(NOW) == list(range(5, watching.MOST_EARLY + 5))
    assert early.ids(NOW + watching.EARLY_FOR) == []


def test_an_outage_of_koji_is_told_so_that_the_message_comes_again(world: KojiWorld) -> None:
    start(world)
    let_it_end(world)
    message = task(world)
    world.server.stop()
    with pytest.raises(KojiOutage):
        handle(world, "buildsys.task.state.change", message)
    assert world.builds("foo")[0].state is BuildState.RUNNING
    world.server = type("Stopped", (), {"stop": lambda self: None})()


def test_every_message_that_a_real_hub_sent_is_understood_or_ignored(world: KojiWorld) -> None:
    recording = RECORDINGS / "60_messages_from_real_plugin.json"
    if not recording.exists():
        pytest.skip("../shared/recordings is not here")
    messages = json.loads(recording.read_text())["messages"]
    understood = {message["topic"] for message in messages if handle(world, message["topic"], message["body"])}
    assert understood <= {"buildsys.tag", "buildsys.untag", "buildsys.repo.done"}
    assert "buildsys.repo.done" in understood

    start(world)
    let_it_end(world)
    shapes = [message["body"] for message in messages if message["topic"] == "buildsys.task.state.change"]
    assert handle(
        world, "buildsys.task.state.change", task(world, **{**shapes[-1], "id": world.builds("foo")[0].task_id})
    )
    assert world.builds("foo")[0].state is BuildState.COMPLETE
