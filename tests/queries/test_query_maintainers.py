"""Who maintains a package: in the source, or by way of a global group."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from koschei import groups
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.model import Environment, PackageMaintainer
from koschei.queries import maintainers
from koschei.queries.maintainers import Whose
from tests.world import World, filling

SOMEBODY = Actor(Environment.ADMIN, "operator")


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    """A world on a fresh database."""
    database = Database(database_url, application_name="koschei-tests")
    with filling(database) as world:
        yield world
    database.dispose()


def test_the_source_and_global_groups_say_who_maintains_and_groups_of_users_do_not(world: World) -> None:
    collection = world.collection()
    foo, bar = world.package("foo", collection).base_id, world.package("bar", collection).base_id
    world.session.add_all(
        PackageMaintainer(user_name=user, package=package)
        for user, package in (("zoe", "foo"), ("amy", "foo"), ("amy", "not-ours"))
    )
    groups.create(world.session, SOMEBODY, "tools", ["bar"], ["jane"])
    groups.create(world.session, SOMEBODY, "eve/mine", ["foo", "bar"], ["eve"])
    rights = {
        (user, base_id)
        for user in ("amy", "zoe", "jane", "eve", "nobody", "")
        for base_id in (foo, bar, 0)
        if maintainers.maintains(world.session, user, base_id)
    }
    assert rights == {("amy", foo), ("zoe", foo), ("jane", bar)}
    assert maintainers.of_package(world.session, "foo", foo) == Whose(("amy", "zoe"), ())
    assert maintainers.of_package(world.session, "bar", bar) == Whose((), ("tools",))


def test_a_package_tells_somebody_of_the_own_groups_that_have_it(world: World) -> None:
    base_id = world.package("foo", world.collection()).base_id
    groups.create(world.session, SOMEBODY, "tools", ["foo"], ["jane"])
    for name, maintainer in (("jane/mine", "jane"), ("eve/shared", "jane"), ("eve/hers", "eve"), ("jane/left", "eve")):
        groups.create(world.session, SOMEBODY, name, ["foo"], [maintainer])
    groups.create(world.session, SOMEBODY, "jane/empty", [], ["jane"])
    own = {user: maintainers.of_package(world.session, "foo", base_id, user).own for user in ("jane", "eve", "amy")}
    assert own == {
        "jane": ("eve/shared", "jane/left", "jane/mine"),
        "eve": ("eve/hers", "eve/shared", "jane/left"),
        "amy": (),
    }
    assert maintainers.of_package(world.session, "foo", base_id) == Whose((), ("tools",))
