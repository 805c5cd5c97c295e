"""The watcher hears Koji through a real RabbitMQ: every topic, every kind of nonsense, in any order."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from backend import repo_resolver
from demo.hub import Outcome
from koschei import parking, submission
from koschei.audit import BACKEND
from koschei.model import Build, Collection, Package, ServiceStatus
from koschei.rules.states import BuildState
from koschei.submission import Submitted
from tests.bus.broker import KOJI, Post, headers_of
from tests.bus.conftest import Serve, connected, seen
from tests.koji_world import KojiWorld, source
from tests.support import wait_until

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
COMMON = {"base_url": "https://127.0.0.1", "instance": "primary"}
REPO = {**COMMON, "tag": "f43-build", "tag_id": 1, "repo_id": 4}


def task(task_id: int, new: str = "CLOSED", **changes: Any) -> tuple[str, dict[str, Any]]:
    body = {**COMMON, "method": "build", "attribute": "state", "old": "OPEN", "new": new, "id": task_id}
    return "task.state.change", {**body, "owner": "koschei", "srpm": "foo-1-1.fc43.src.rpm", "info": {}, **changes}


def tag(name: str, topic: str = "tag", **changes: Any) -> tuple[str, dict[str, Any]]:
    body = {**COMMON, "tag": "f43", "tag_id": 2, "name": name, "version": "2", "release": "1.fc43", "build_id": 6}
    return topic, {**body, "user": "kojiadmin", "owner": "kojiadmin", **changes}


def start(world: KojiWorld, *names: str) -> dict[str, int]:
    """Submit builds of these packages; their tasks."""
    for name in names:
        package_id = world.package(name).id
        result = submission.submit(
            world.database, world.koji, world.config, package_id, actor=BACKEND, now=world.later(seconds=1)
        )
        assert isinstance(result, Submitted)
    return {name: task_id for name in names if (task_id := world.builds(name)[0].task_id) is not None}


def let_them_end(world: KojiWorld) -> None:
    for _ in range(12):
        world.later(seconds=10)


def state(world: KojiWorld, name: str) -> BuildState:
    return world.builds(name)[0].state


def dealt_with(post: Post, before: float, count: int) -> None:
    wait_until(lambda: total() - before >= count, message=f"{count} messages to be dealt with")
    assert post.waiting() == 0


def total() -> float:
    return sum(seen(outcome) for outcome in ("handled", "ignored", "parked"))


def test_a_finished_task_ends_its_build_however_often_and_in_whatever_order_it_is_told(
    world: KojiWorld, post: Post, serve: Serve
) -> None:
    world.hub.outcome = lambda context: Outcome("arch_failed") if context.package == "bar" and context.scratch else None
    connected(serve(post.rabbit.url, post.queue))
    tasks = start(world, "foo", "bar", "baz")
    messages = [
        task(task_id, new, old=old)
        for task_id in tasks.values()
        for old, new in (("FREE", "ASSIGNED"), ("ASSIGNED", "OPEN"), ("OPEN", "CLOSED"))
    ] * 3
    random.Random(5).shuffle(messages)
    let_them_end(world)
    before = total()
    post.send(*messages)
    dealt_with(post, before, len(messages))
    assert [state(world, name) for name in tasks] == [BuildState.COMPLETE, BuildState.FAILED, BuildState.COMPLETE]
    assert len(world.builds("foo")) == 2


def test_builds_are_tagged_and_untagged_in_every_collection_that_they_concern(
    world: KojiWorld, post: Post, serve: Serve
) -> None:
    for name, parent in (("f44", "f43"), ("eln", "eln-base")):
        if parent == "eln-base":
            world.hub.add_tag(parent, arches="x86_64")
        world.hub.add_tag(name, arches="x86_64", parents=[parent])
        world.hub.add_tag(f"{name}-build", arches="x86_64", parents=[name])
        world.hub.add_target(name, build_tag=f"{name}-build", dest_tag=name)
    with world.database.begin() as session:
        foo = world.package("foo")
        for name in ("f44", "eln"):
            made = Collection(name=name, display_name=name, target=name, dest_tag=name, build_tag=f"{name}-build")
            session.add(made)
            session.flush()
            session.add(Package(base_id=foo.base_id, name="foo", collection_id=made.id, tracked=True))
    connected(serve(post.rabbit.url, post.queue))
    before = total()
    world.hub.import_build("f43", source("foo", "2"))
    post.send(tag("foo"), tag("foo"), tag("foo", instance="secondary"), tag("nobody-knows-this"))
    dealt_with(post, before, 4)
    assert versions(world) == {("f43", "2"), ("f43", "1"), ("f44", "2")}
    world.hub.untag_build("f43", "foo-2-1.fc43")
    post.send(tag("foo", "untag"))
    wait_until(lambda: versions(world) == {("f43", "1"), ("f44", "1")}, message="the build to be untagged in both")


def versions(world: KojiWorld) -> set[tuple[str, str]]:
    query = (
        select(Collection.name, Build.version)
        .join(Package, Package.collection_id == Collection.id)
        .join(Build, Build.package_id == Package.id)
        .where(Package.name == "foo", Build.real, ~Build.untagged)
    )
    with world.database.begin() as session:
        return {(collection, version) for collection, version in session.execute(query)}


def test_messages_of_another_koji_change_nothing(world: KojiWorld, post: Post, serve: Serve) -> None:
    connected(serve(post.rabbit.url, post.queue))
    tasks = start(world, "foo")
    let_them_end(world)
    world.hub.import_build("f43", source("bar", "9"))
    before, ignored = total(), seen("ignored")
    post.send(task(tasks["foo"], instance="secondary"), tag("bar", instance="copr"), ("tag", {"name": "bar"}))
    dealt_with(post, before, 3)
    assert seen("ignored") == ignored + 3
    assert state(world, "foo") is BuildState.RUNNING
    assert world.builds("bar")[0].version == "2"


def test_every_message_that_a_real_hub_sent_is_read_and_none_makes_no_sense(
    world: KojiWorld, post: Post, serve: Serve
) -> None:
    if not RECORDINGS.exists():
        pytest.skip("../shared/recordings is not here")
    connected(serve(post.rabbit.url, post.queue))
    plain = json.loads((RECORDINGS / "60_messages_from_real_plugin.json").read_text())["messages"]
    received = json.loads((RECORDINGS / "61_messages_over_amqp.json").read_text())
    messages = [{**m, "topic": f"{KOJI}.{m['topic'].removeprefix('buildsys.')}"} for m in plain]
    messages += [m for m in received if m["topic"].startswith(KOJI)]
    topics = {m["topic"].removeprefix(f"{KOJI}.") for m in messages}
    assert topics >= {"task.state.change", "tag", "untag", "repo.done", "build.state.change"}
    before, parked, handled = total(), seen("parked"), seen("handled")
    for message in messages:
        post.send_raw(
            message["topic"],
            json.dumps(message["body"]).encode(),
            content_type="application/json",
            content_encoding="utf-8",
            message_id=message["id"],
            headers=message["headers"],
        )
    dealt_with(post, before, len(messages))
    assert seen("parked") == parked
    assert seen("handled") > handled, "repositories of f43-build concern us"


GOOD = {"content_type": "application/json", "content_encoding": "utf-8", "headers": headers_of(f"{KOJI}.tag")}
JUNK: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "no bytes at all": ("tag", b"", GOOD),
    "random bytes": ("tag", random.Random(1).randbytes(5000), GOOD),
    "bytes that are no UTF-8": ("tag", b'{"name": "\xff\xfe"}', GOOD),
    "half a message": ("tag", b'{"name": "foo", "tag', GOOD),
    "an encoding that nobody knows": ("tag", b"{}", {**GOOD, "content_encoding": "rot-26"}),
    "an encoding that is none of text": ("tag", b"{}", {**GOOD, "content_encoding": "zlib"}),
    "a body too deep": ("tag", b"[" * 200_000, GOOD),
    "a number without end": ("tag", b"9" * 100_000, GOOD),
    "no object": ("tag", b'["foo"]', GOOD),
    "a number": ("task.state.change", b"7", GOOD),
    "ten megabytes": ("tag", b'{"instance": "primary", "name": "' + b"x" * 10_000_000 + b'", "tag": "f43"}', GOOD),
    "a NUL": ("tag", b'{"instance": "primary", "name": "a\\u0000b", "tag": "f43"}', GOOD),
    "half a character": ("tag", b'{"instance": "primary", "name": "\\ud800", "tag": "f43"}', GOOD),
    "no task": ("task.state.change", b'{"instance": "primary", "attribute": "state", "id": "seven"}', GOOD),
    "no repository": ("repo.done", b'{"instance": "primary", "tag": {"name": "f43-build"}}', GOOD),
    "headers of strange types": ("tag", b"{}", {**GOOD, "headers": {"fedora_messaging_schema": [1, {"a": None}]}}),
}


def test_nonsense_is_parked_with_its_reason_and_what_comes_behind_it_is_heard(
    world: KojiWorld, post: Post, serve: Serve
) -> None:
    service = connected(serve(post.rabbit.url, post.queue, interval=0.5))
    before, parked = total(), seen("parked")
    for name, (topic, body, properties) in JUNK.items():
        post.send_raw(f"{KOJI}.{topic}", body, message_id=name, **properties)
    world.hub.import_build("f43", source("foo", "2"))
    post.send(tag("foo"))
    wait_until(lambda: world.builds("foo")[0].version == "2", message="the last message")
    dealt_with(post, before, len(JUNK) + 1)
    with world.database.begin() as session:
        kept = {message.message_id: message for message in parking.parked(session)}
    assert kept.keys() == JUNK.keys()
    assert seen("parked") == parked + len(JUNK)
    for name, message in kept.items():
        assert message.topic == f"{KOJI}.{JUNK[name][0]}"
        assert message.reason
        assert len(message.body) <= 20_000
    wait_until(lambda: service.health.facts()["detail"]["parked"] == len(JUNK), message="operators to be told")
    assert "rot-26" in kept["an encoding that nobody knows"].reason
    assert kept["half a message"].body == '{"name": "foo", "tag'
    assert kept["no task"].reason == "id: 'seven' cannot be a task's"


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"content_type": "text/plain"},
        {"content_type": "application/x-junk", "content_encoding": "utf-8", "headers": {}},
        {"headers": {"fedora_messaging_schema": "nobody.has.This", "fedora_messaging_severity": 20}},
    ],
)
def test_a_message_without_its_headers_is_heard_all_the_same(
    world: KojiWorld, post: Post, serve: Serve, properties: Mapping[str, Any]
) -> None:
    connected(serve(post.rabbit.url, post.queue))
    world.hub.import_build("f43", source("foo", "2"))
    post.send_raw(f"{KOJI}.tag", json.dumps(tag("foo")[1]).encode(), **properties)
    wait_until(lambda: world.builds("foo")[0].version == "2", message="the build")


def test_a_mistake_of_ours_parks_the_message_and_stops_nothing(
    world: KojiWorld, post: Post, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> int:
        raise ZeroDivisionError("a mistake of ours")

    connected(serve(post.rabbit.url, post.queue))
    tasks = start(world, "foo")
    world.hub.import_build("f43", source("bar", "9"))
    monkeypatch.setattr("koschei.builds.refresh", fails)
    post.send(task(tasks["foo"]), tag("bar"))
    wait_until(lambda: world.builds("bar")[0].version == "9", message="the message behind it")
    with world.database.begin() as session:
        (message,) = parking.parked(session)
    assert message.reason == "ZeroDivisionError: a mistake of ours"
    assert json.loads(message.body)["id"] == tasks["foo"]
    assert post.waiting() == 0


def test_a_task_that_is_told_of_before_its_number_is_stored_is_not_lost(
    world: KojiWorld, post: Post, serve: Serve
) -> None:
    connected(serve(post.rabbit.url, post.queue, interval=0.2))
    tasks = start(world, "foo")

    def number(task_id: int | None) -> None:
        with world.database.begin() as session:
            session.execute(update(Build).where(Build.state == BuildState.RUNNING).values(task_id=task_id))

    number(None)
    let_them_end(world)
    before = total()
    post.send(task(tasks["foo"]))
    dealt_with(post, before, 1)
    assert state(world, "foo") is BuildState.RUNNING
    number(tasks["foo"])
    wait_until(lambda: state(world, "foo") is BuildState.COMPLETE, message="the build to end")


def test_a_new_repository_wakes_the_resolver_at_once(world: KojiWorld, post: Post, serve: Serve) -> None:
    connected(serve(post.rabbit.url, post.queue))
    serve(post.rabbit.url, post.queue, repo_resolver.SERVICE)

    def passes() -> Any:
        with world.database.begin() as session:
            row = session.get(ServiceStatus, "repo-resolver")
            return row and (row.pass_started, row.pass_finished)

    def rests() -> bool:
        found = passes()
        return bool(found and found[0] and found[1] and found[1] >= found[0])

    with world.database.begin() as session:
        session.execute(update(Package).values(tracked=False))  # what a pass does is not the point
    wait_until(rests, message="its first pass to end")
    time_before = wait_for_rest(passes)
    begun = time.monotonic()
    post.send(("repo.done", REPO))
    wait_until(lambda: passes()[0] > time_before[0], message="a pass to begin")
    seconds = time.monotonic() - begun
    print(f"its pass began {seconds:.2f} s after the message was sent")
    assert seconds < 20, "the interval is ten minutes; a second on an idle machine"


def wait_for_rest(passes: Any) -> Any:
    """The times of its last pass, when they do not change any more."""
    last = passes()
    since = time.monotonic()

    def still() -> bool:
        nonlocal last, since
        now = passes()
        if now != last:
            last, since = now, time.monotonic()
        return time.monotonic() - since > 0.5

    wait_until(still, message="it to rest")
    return last
