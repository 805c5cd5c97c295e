"""Making and changing collections, with a hub that knows the targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from demo.hub import Hub, HubServer
from koschei import collections
from koschei.audit import Actor
from koschei.collections import Fields
from koschei.config import KojiConfig
from koschei.db.engine import Database
from koschei.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from koschei.koji.session import KojiSession
from koschei.model import BuildrootProblem, Collection, CollectionStateChange, Environment, LogEntry, OutboxEvent
from koschei.rules.states import CollectionState

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
ALICE = Actor(Environment.ADMIN, "alice")
MINIMUM = Fields(display_name="Fedora 43", target="f43")


@pytest.fixture(scope="module")
def koji(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KojiSession]:
    hub = Hub(tmp_path_factory.mktemp("koji"))
    for name in ("f43", "f44"):
        hub.add_tag(name, arches="x86_64")
        hub.add_tag(f"{name}-build", arches="x86_64", parents=[name])
        hub.add_target(name, build_tag=f"{name}-build", dest_tag=name)
    with HubServer(hub) as server, KojiSession(KojiConfig(server=server.hub_url), anonymous=True) as session:
        yield session
    hub.close()


@dataclass
class World:
    """An open transaction, and Koji."""

    session: Session
    koji: KojiSession

    def create(self, name: str = "f43", wish: Fields = MINIMUM) -> list[str]:
        target = collections.find_target(self.koji, wish.target or "f43")
        return collections.create(self.session, ALICE, name, wish, target, now=NOW)

    def edit(self, name: str, wish: Fields, new_name: str | None = None) -> list[str]:
        target = None if wish.target is None else collections.find_target(self.koji, wish.target)
        return collections.edit(self.session, ALICE, name, wish, target, new_name=new_name, now=NOW)

    def get(self, name: str = "f43") -> Collection:
        self.session.flush()
        return collections.by_name(self.session, name)


@pytest.fixture
def world(database_url: str, koji: KojiSession) -> Iterator[World]:
    database = Database(database_url)
    with database.begin() as session:
        yield World(session, koji)
    database.dispose()


def test_a_collection_takes_its_tags_from_the_target_and_the_rest_from_defaults(world: World) -> None:
    assert world.create() == ["Collection f43 created"]
    made = world.get()
    assert (made.target, made.build_tag, made.dest_tag) == ("f43", "f43-build", "f43-build")
    assert (made.order, made.priority_coefficient, made.build_group, made.poll_untracked) == (100, 1.0, "build", True)
    assert (made.bugzilla_product, made.bugzilla_version) == (None, None)
    assert made.state is CollectionState.UNKNOWN
    assert list(world.session.scalars(select(LogEntry.message))) == ["Collection f43 created"]


def test_everything_about_a_collection_can_be_said_when_it_is_made(world: World) -> None:
    world.create(
        wish=Fields(
            display_name="Fedora 43",
            target="f43",
            dest_tag="f43",
            order=43,
            priority_coefficient=0.5,
            build_group="srpm-build",
            poll_untracked=False,
            bugzilla_product="Fedora",
            bugzilla_version="43",
        )
    )
    made = world.get()
    assert (made.dest_tag, made.order, made.priority_coefficient) == ("f43", 43, 0.5)
    assert (made.build_group, made.poll_untracked) == ("srpm-build", False)
    assert (made.bugzilla_product, made.bugzilla_version) == ("Fedora", "43")


def test_a_target_that_koji_does_not_have_is_refused(world: World) -> None:
    with pytest.raises(NotFoundError, match="Target not found in Koji: f99"):
        world.create(wish=Fields(display_name="x", target="f99"))
    assert world.session.scalars(select(Collection)).all() == []


def test_a_tag_that_koji_does_not_have_is_refused(world: World) -> None:
    collections.check_tag(world.koji, "f43")
    collections.check_tag(world.koji, "")
    collections.check_tag(world.koji, None)
    with pytest.raises(NotFoundError, match=r"Tag not found in Koji: f99\. `koji list-tags` shows those that http"):
        collections.check_tag(world.koji, "f99")


def test_a_taken_name_is_refused(world: World) -> None:
    world.create()
    with pytest.raises(AlreadyExistsError, match="f43"):
        world.create()
    world.create("f44", Fields(display_name="Fedora 44", target="f44"))
    with pytest.raises(AlreadyExistsError, match="f43"):
        world.edit("f44", Fields(), new_name="f43")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 1000])
def test_koji_is_not_asked_for_a_target_that_cannot_be_one(name: str) -> None:
    away = KojiSession(KojiConfig(server="http://127.0.0.1:9/kojihub"), anonymous=True, sleep=lambda seconds: None)
    with pytest.raises(InvalidInputError, match="target"):
        collections.find_target(away, name)


@pytest.mark.parametrize(
    ("name", "wish", "named"),
    [
        ("a b", MINIMUM, "'a b'"),
        ("", MINIMUM, "''"),
        ("a/b", MINIMUM, "'a/b'"),
        ("f43", Fields(display_name=" ", target="f43"), "display name"),
        ("f43", Fields(display_name="x", target="f43", priority_coefficient=-1), "-1"),
        ("f43", Fields(display_name="x", target="f43", priority_coefficient=float("nan")), "nan"),
        ("f43", Fields(display_name="x", target="f43", order=2**40), "out of range"),
        ("f43", Fields(display_name="x"), "target"),
    ],
)
def test_values_that_make_no_sense_are_refused(world: World, name: str, wish: Fields, named: str) -> None:
    with pytest.raises(InvalidInputError, match=named):
        world.create(name, wish)


def test_an_edit_changes_what_is_given_and_nothing_else(world: World) -> None:
    world.create(wish=Fields(display_name="Fedora 43", target="f43", dest_tag="f43", bugzilla_product="Fedora"))
    messages = world.edit("f43", Fields(order=7, poll_untracked=False, bugzilla_product=""))
    assert messages == ["Collection f43 modified: bugzilla_product = none, order = 7, poll_untracked = False"]
    made = world.get()
    assert (made.order, made.poll_untracked, made.bugzilla_product) == (7, False, None)
    assert (made.display_name, made.target, made.dest_tag, made.build_tag) == ("Fedora 43", "f43", "f43", "f43-build")


def test_an_edit_that_changes_nothing_is_not_audited(world: World) -> None:
    world.create()
    assert world.edit("f43", Fields(order=100, target="f43")) == []
    assert len(world.session.scalars(select(LogEntry)).all()) == 1


def test_another_target_brings_its_build_tag_and_keeps_the_dest_tag(world: World) -> None:
    world.create()
    world.edit("f43", Fields(target="f44"))
    assert (world.get().build_tag, world.get().dest_tag) == ("f44-build", "f43-build")
    world.edit("f43", Fields(dest_tag=""))
    assert world.get().dest_tag == "f44-build"


def test_a_collection_can_be_renamed(world: World) -> None:
    world.create()
    world.edit("f43", Fields(), new_name="rawhide")
    assert world.get("rawhide").target == "f43"


def test_what_was_known_of_another_buildroot_is_forgotten(world: World) -> None:
    world.create()
    made = world.get()
    made.latest_repo_id, made.latest_repo_resolved = 5, False
    world.session.add(BuildrootProblem(collection_id=made.id, problem="nothing provides gcc"))
    world.edit("f43", Fields(order=1))
    assert made.state is CollectionState.UNRESOLVED
    world.edit("f43", Fields(build_group="other"))
    assert (made.latest_repo_id, made.state) == (None, CollectionState.UNKNOWN)
    assert world.session.scalars(select(BuildrootProblem)).all() == []
    change = world.session.scalars(select(CollectionStateChange)).one()
    assert (change.prev, change.new, change.repo_id) == (CollectionState.UNRESOLVED, CollectionState.UNKNOWN, 5)
    assert world.session.scalars(select(OutboxEvent)).all() == []


def test_names_that_look_like_the_one_that_nobody_knows_are_suggested(world: World) -> None:
    with pytest.raises(NotFoundError, match="create-collection makes one"):
        world.get("f43")
    world.create()
    world.create("f44", Fields(display_name="Fedora 44", target="f44"))
    with pytest.raises(NotFoundError, match=r"Collection not found: f4x\. Did you mean f4[34] or f4[34]\?"):
        world.get("f4x")
    with pytest.raises(NotFoundError, match="There are: f44, f43"):
        world.edit("epel", Fields())
