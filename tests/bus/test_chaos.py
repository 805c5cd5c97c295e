"""Chaos on the bus: the broker is killed again and again, and Koji's messages are lost, late, doubled and shuffled.

Out: every event of a story is delivered at least once, none is missing, and the order of each package holds.
In: after one polling pass everything is as Koji has it.

Three kills by default; `make test-bus` does twenty (KOSCHEI_BUS_KILLS).
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fedora_messaging.message import Message, get_message
from sqlalchemy import select, update

from backend import polling
from backend.frame import Context
from backend.health import Pulse
from demo.ending import histories, submissions, visible
from demo.hub import Outcome
from demo.rabbitmq import Rabbit
from koschei import outbox, submission
from koschei.audit import BACKEND
from koschei.model import Build, Cause, Collection, CollectionStateChange, OutboxEvent, Package
from koschei.rules.evr import sort_key
from koschei.rules.states import BuildState, CollectionState
from koschei.transitions import changing
from tests.bus.broker import EXCHANGE, PREFIX, Post, channel
from tests.bus.conftest import Serve, connected
from tests.koji_world import KojiWorld, source
from tests.support import wait_until
from tests.world import filling

KILLS = int(os.environ.get("KOSCHEI_BUS_KILLS", "3"))
CHANGES = 800
PACKAGES = 25
LISTENER = "koschei-listener"


@contextmanager
def listening(url: str) -> Iterator[Callable[[], list[Message]]]:
    """A consumer that has nothing to do with Koschei: a durable queue, read with the classes of koschei-messages."""
    with channel(url) as bus:
        bus.queue_declare(LISTENER, durable=True)
        bus.queue_bind(LISTENER, EXCHANGE, f"{PREFIX}.koschei.#")

    def heard() -> list[Message]:
        messages = []
        with channel(url) as bus:
            while True:
                method, properties, body = bus.basic_get(LISTENER, auto_ack=True)
                if method is None:
                    return messages
                messages.append(get_message(method.routing_key, properties, body))

    yield heard
    with channel(url) as bus:
        bus.queue_delete(LISTENER)


class Story:
    """Changes of package states, and some of the collection's, as services make them; each is true for a while."""

    def __init__(self, world: KojiWorld, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.told = 0
        with filling(world.database) as made:
            collection = made.session.scalars(select(Collection)).one()
            self.ids = []
            for number in range(PACKAGES):
                package = made.package(f"package{number}", collection)
                made.build(package)
                self.ids.append(package.id)

    def change(self) -> None:
        """Something happens to one package, or to the buildroot; in one transaction, as always."""
        with self.world.database.begin() as session:
            if self.random.random() < 0.03:
                self._buildroot(session)
            package_id = self.random.choice(self.ids)
            with changing(session, [package_id], Cause.RESOLUTION, now=self.world.now, repo_id=7) as packages:
                for package in packages:
                    if self.random.random() < 0.8:
                        package.resolved = not package.resolved
                    else:
                        package.tracked = not package.tracked
        self.told += 1

    def _buildroot(self, session: Any) -> None:
        collection = session.scalars(select(Collection)).one()
        before, after = CollectionState.OK, CollectionState.UNRESOLVED
        if not collection.latest_repo_resolved:
            before, after = after, before
        collection.latest_repo_resolved = not collection.latest_repo_resolved
        session.add(
            CollectionStateChange(
                collection_id=collection.id, prev=before, new=after, timestamp=self.world.now, repo_id=7
            )
        )
        outbox.collection_state_changed(session, collection, before, after, 7)

    def truth(self) -> dict[str, list[tuple[str, str]]]:
        """What happened to each package, and to the collection (""), as messages can tell it."""
        with self.world.database.begin() as session:
            found = {name: visible((c.prev, c.new) for c in made) for (_, name), made in histories(session).items()}
            query = select(CollectionStateChange).order_by(CollectionStateChange.id)
            found[""] = [(str(change.prev), str(change.new)) for change in session.scalars(query)]
        return {name: changes for name, changes in found.items() if changes}


def test_no_event_is_lost_or_out_of_order_however_often_the_broker_dies(
    world: KojiWorld, rabbit: Rabbit, serve: Serve
) -> None:
    chance = random.Random(20)
    story = Story(world, 500)
    ended = threading.Event()
    with listening(rabbit.url) as listen:
        connected(serve(rabbit.url, None, interval=1))

        def tell() -> None:
            # The story goes on during outages; it ends with the last kill, or soon after.
            while story.told < CHANGES:
                story.change()
                due = story.told * KILLS / CHANGES
                ended.wait(0.002 if kills.total() > due else 0.05)

        kills: Counter[str] = Counter()
        teller = threading.Thread(target=tell, daemon=True)
        teller.start()
        for _ in range(KILLS):
            kills["broker"] += 1
            ended.wait(chance.uniform(0, 1.5))
            rabbit.kill()
            ended.wait(chance.uniform(0, 1))
            rabbit.start()
        ended.set()
        teller.join(120)
        assert story.told == CHANGES

        def waiting() -> int:
            with world.database.begin() as session:
                return outbox.backlog(session)[0]

        wait_until(lambda: waiting() == 0, 120, "the outbox to be empty")
        messages = listen()

    first: dict[str, Message] = {}
    for message in messages:
        first.setdefault(message.id, message)
    with world.database.begin() as session:
        made = {str(event.message_id) for event in session.scalars(select(OutboxEvent))}
    assert first.keys() == made, "every event is delivered at least once, and nothing else is"
    told: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for message in first.values():
        told[message.body.get("name", "")].append((message.body["old"], message.body["new"]))
    assert told == story.truth(), "each exactly once in effect, and in order"
    print(f"{len(made)} events, {len(messages)} deliveries, {KILLS} kills")
    assert len(made) >= 500

    for message in messages:
        message.validate()
        assert_readable(message)


def assert_readable(message: Any) -> None:
    """The message says in words what happened, and where to read on."""
    name, kind = message.body.get("name"), type(message).__name__
    assert kind == ("PackageStateChange" if name else "CollectionStateChange")
    assert message.topic == f"{PREFIX}.koschei.{'package' if name else 'collection'}.state.change"
    assert (name or "Fedora 43") in message.summary
    assert str(message)
    assert message.url.startswith("https://koschei.fedoraproject.org/")
    if name:
        assert name in message.url
        assert message.packages == [name]


class BadPost:
    """The way from Koji to the broker: it loses, keeps, doubles and shuffles messages."""

    def __init__(self, post: Post, seed: int) -> None:
        self._post, self._random = post, random.Random(seed)
        self._kept: list[tuple[str, dict[str, Any]]] = []
        self.fates: Counter[str] = Counter()

    def take(self, topic: str, body: dict[str, Any]) -> None:
        """A message of the hub's."""
        fate = self._random.choices(("lost", "kept", "doubled", "passed"), (25, 35, 15, 25))[0]
        self.fates[fate] += 1
        message = (topic.removeprefix("buildsys."), dict(body))
        if fate == "lost":
            return
        if fate == "doubled":
            self._kept.append(message)
        if fate == "kept":
            self._kept.append(message)
        else:
            self._post.send(message)

    def let_some_through(self, share: float) -> None:
        """Some of what was kept arrives now, in any order."""
        self._random.shuffle(self._kept)
        count = round(len(self._kept) * share)
        late, self._kept = self._kept[:count], self._kept[count:]
        if late:
            self._post.send(*late)


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_koji_s_messages_suffer_one_polling_pass_later_all_is_as_koji_has_it(
    world: KojiWorld, post: Post, serve: Serve, seed: int
) -> None:
    chance = random.Random(seed)
    kinds = ("ok", "arch_failed", "srpm_failed", "infra", "canceled")
    fates = {name: chance.choice(kinds) for name in ("foo", "bar", "baz")}
    world.hub.outcome = lambda context: Outcome(fates[context.package]) if context.scratch else None
    connected(serve(post.rabbit.url, post.queue, interval=0.5))
    bad = BadPost(post, seed)
    world.hub.bus.on_message = bad.take
    versions = Counter(("foo", "bar", "baz"))
    for _ in range(20):
        fates.update({name: chance.choice(kinds) for name in fates})
        name = chance.choice(tuple(fates))
        match chance.choice(("submit", "submit", "tag", "untag", "lose the number", "repository")):
            case "submit":
                _submit(world, name)
            case "tag":
                versions[name] += 1
                world.hub.import_build("f43", source(name, f"{versions[name]}.1"))
            case "untag" if versions[name] > 1:
                nvr = f"{name}-{versions[name]}.1-1.fc43"
                if any(b.nvr == nvr for b, _, _ in world.hub.world.tagged_builds(world.hub.tag("f43").id)):
                    world.hub.untag_build("f43", nvr)
            case "lose the number":
                _submit(world, name)
                _lose_number(world, name)
            case "repository":
                world.hub.new_repo("f43-build")
        world.later(seconds=chance.uniform(0, 12))
        bad.let_some_through(chance.random())
    for _ in range(12):
        world.later(seconds=10)
    bad.let_some_through(0.7)
    wait_until(lambda: post.waiting() == 0, message="the messages to be taken")
    _poll(world)
    bad.let_some_through(1)  # what comes later still does no harm
    wait_until(lambda: post.waiting() == 0, message="the last messages to be taken")
    assert {"lost", "kept"} <= bad.fates.keys()
    assert _differences(world) == []


def _submit(world: KojiWorld, name: str) -> None:
    if any(build.state is BuildState.RUNNING for build in world.builds(name)):
        return
    submission.submit(
        world.database, world.koji, world.config, world.package(name).id, actor=BACKEND, now=world.later(seconds=1)
    )


def _lose_number(world: KojiWorld, name: str) -> None:
    """As if we had died between Koji's answer and our commit."""
    lost = update(Build).where(Build.package_id == world.package(name).id, Build.state == BuildState.RUNNING)
    with world.database.begin() as session:
        session.execute(lost.values(task_id=None, repo_id=None))


def _poll(world: KojiWorld) -> None:
    class At(Context):
        def now(self) -> Any:
            return world.now

    context = At(world.config, world.database, world.koji, threading.Event(), Pulse("polling"))
    # A submission without a number is looked for when its grace is over.
    world.later(hours=1)
    report = polling.prepare(context)()
    assert report.errors == []


def _differences(world: KojiWorld) -> list[str]:
    with world.database.begin() as session:
        wrong = submissions(session, world.hub)
        query = select(Package.name, Build).join(Build, Build.package_id == Package.id).where(Build.real)
        ours = {(name, b.version, b.release) for name, b in session.execute(query) if not b.untagged}
    tag = world.hub.tag("f43").id
    with world.hub.locked():
        latest = {b.source.name: b.source for b, _, _ in world.hub.world.tagged_builds(tag, latest=True)}
    newest = {(s.name, s.version, s.release) for s in latest.values()}
    wrong += [f"{each} is not registered" for each in newest - ours]
    for name, version, release in ours:
        if name in latest and _key(version, release) > _key(latest[name].version, latest[name].release):
            wrong.append(f"{name}-{version}-{release} is not known to be untagged")
    return wrong


def _key(version: str, release: str) -> bytes:
    return sort_key(0, version, release) or b""
