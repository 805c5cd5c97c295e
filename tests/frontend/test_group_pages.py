"""Pages of groups and users: how ours are, what is broken first; and what a package's page says of its settings."""

from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from koschei import groups
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.model import Environment
from koschei.rules.states import BuildState
from tests.frontend.conftest import counting
from tests.frontend.test_pages import checked, words
from tests.world import World, ago, filling

MOST_QUERIES = 12
SOMEBODY = Actor(Environment.ADMIN, "operator")


def members(page: str) -> list[str]:
    """The packages in a page's list, in order."""
    return re.findall(r'<th scope="row"><a href="/package/[^"]*">([^<]+)</a>', page)


def linked(page: str) -> list[str]:
    """The groups in a page's table, in order."""
    return re.findall(r'<th scope="row"><a href="/groups/[^"]*">([^<]+)</a>', page)


@pytest.fixture
def ours(database: Database) -> None:
    """A global group and one of jane's, in two collections; one package of them is failing."""
    with filling(database) as world:
        f44 = world.collection("f44", "Fedora Rawhide", order=2)
        f43 = world.collection("f43", "Fedora 43", order=1)
        for name in ("abc", "bad", "good", "other"):
            state = BuildState.FAILED if name == "bad" else BuildState.COMPLETE
            world.build(world.package(name, f44), state)
        world.build(world.package("good", f43, tracked=False))
        groups.create(world.session, SOMEBODY, "tools", ["abc", "bad", "good"], ["jane", "amy"])
        groups.create(world.session, SOMEBODY, "jane/own", ["good"])


def test_the_list_of_groups_counts_the_states_of_their_packages(client: FlaskClient, ours: None) -> None:
    page = checked(client, "/groups")
    assert linked(page) == ["tools", "jane/own"]
    seen = words(page)
    assert "2 groups" in seen
    assert re.search(r"tools 3 (1 failing )?.*1 failing, 2 ok none tracked amy, jane", seen)
    assert re.search(r"jane/own 1 .*1 ok none tracked nobody", seen)
    assert linked(checked(client, "/groups?of=users")) == ["jane/own"]
    assert linked(checked(client, "/groups?q=TOO")) == ["tools"]
    assert "No group fits" in words(checked(client, "/groups?of=users&q=too"))
    assert client.get("/groups?of=magic").status_code == 400


def test_a_group_shows_what_is_broken_first(client: FlaskClient, ours: None) -> None:
    page = checked(client, "/groups/tools")
    seen = words(page)
    assert "Broken: 1 of 3 packages in Fedora Rawhide." in seen
    assert "Maintained by amy, jane." in seen
    assert members(page) == ["bad", "abc", "good"]
    assert members(checked(client, "/groups/tools?order_by=name")) == ["abc", "bad", "good"]
    assert members(checked(client, "/groups/tools?state=ok")) == ["abc", "good"]
    assert "It has 1 package, and none of them is broken" in words(checked(client, "/groups/jane/own"))
    assert "No package of this group in these collections is failing" in words(
        checked(client, "/groups/jane/own?state=failing")
    )
    seen = words(checked(client, "/groups/tools?collection=f43"))
    assert "It has 3 packages, of which none is tracked in Fedora 43" in seen
    assert "No package of this group is tracked in Fedora 43. Show untracked packages" in seen
    assert members(checked(client, "/groups/tools?collection=f43&untracked=1")) == ["good"]


def test_links_of_a_group_keep_to_it(client: FlaskClient, ours: None) -> None:
    page = checked(client, "/groups/tools?order_by=since")
    for address in (
        "/groups/tools?state=failing&amp;order_by=since",
        "/groups/tools?running=1&amp;order_by=since",
        "/groups/tools?state=failing&amp;order_by=since&amp;collection=f44",
        "/groups/tools?order_by=name",
        "/groups/tools?order_by=since&amp;collection=f43&amp;remember=1",
    ):
        assert set(re.split(r"[?]|&amp;", address)) in [
            set(re.split(r"[?]|&amp;", found)) for found in re.findall(r'href="([^"]+)"', page)
        ], address


@pytest.mark.parametrize("order", ["state", "name", "since"])
def test_a_long_group_is_read_page_by_page(app_of_small_pages: FlaskClient, database: Database, order: str) -> None:
    with filling(database) as world:
        collection = world.collection()
        names = [f"p{number:02}" for number in range(12)]
        for number, name in enumerate(names):
            world.package(name, collection, state_since=ago(number // 3))
        world.package("stranger", collection)
        groups.create(world.session, SOMEBODY, "amy/many", names)
    found: list[str] = []
    address: str | None = f"/groups/amy/many?order_by={order}"
    while address:
        page = checked(app_of_small_pages, address)
        found += members(page)
        assert "12 packages" in words(page)
        following = re.search(r'<a rel="next" href="([^"]+)', page)
        address = following and following[1].replace("&amp;", "&")
    assert found == names


def test_many_groups_are_read_page_by_page(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        world.collection()
        names = [f"g{number:03}" for number in range(64)]
        for name in names:
            groups.create(world.session, SOMEBODY, name)
    pages = []
    address: str | None = "/groups?q=g"
    while address:
        page = checked(client, address)
        pages.append(linked(page))
        following = re.search(r'<a rel="next" href="([^"]+)', page)
        address = following and following[1].replace("&amp;", "&")
    assert [name for page in pages for name in page] == names
    previous = re.search(r'<a rel="prev" href="([^"]+)', page)
    assert previous
    assert linked(checked(client, previous[1].replace("&amp;", "&"))) == pages[-2]


def test_packages_of_a_group_are_a_filter_of_the_list(client: FlaskClient, ours: None) -> None:
    page = checked(client, "/packages?group=tools&state=ok")
    assert members(page) == ["abc", "good"]
    assert "2 packages of group tools, ok in any of 2 collections" in words(page)
    assert 'href="/packages?group=tools"' in page, "other filters can be cleared"
    assert 'href="/packages?state=ok"' in page, "the group can be left"
    assert members(checked(client, "/packages?group=jane/own")) == ["good"]
    assert "There is no group “nix”" in words(checked(client, "/packages?group=nix", 404))


def test_a_user_has_the_packages_of_all_groups_once(client: FlaskClient, ours: None) -> None:
    page = checked(client, "/user/jane")
    assert members(page) == ["bad", "abc", "good"]
    assert "Broken: 1 of 3 packages in Fedora Rawhide." in words(page)
    assert "jane maintains 2 groups: tools 3 packages, jane/own 1 package." in words(page)
    assert "amy maintains 1 group: tools 3 packages." in words(checked(client, "/user/amy"))
    assert "Nobody of this name maintains a package or a group" in words(checked(client, "/user/%3Cb%3E"))


@pytest.mark.parametrize("address", ["/groups/nix", "/groups/amy/tools", "/groups/jane", "/groups/a/b/c"])
def test_a_group_that_is_not_there_is_not_found(client: FlaskClient, ours: None, address: str) -> None:
    assert "overview" in words(checked(client, address, 404))


def test_a_package_shows_its_settings_and_global_groups(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        f44, f43 = world.collection("f44", order=3), world.collection("f43", order=2)
        f42 = world.collection("f42", order=1)
        foo = world.package(
            "foo", f44, manual_priority=500, static_priority=-40, arch_override="x86_64 s390x", needs_resolution=True
        )
        world.build(foo)
        world.package("foo", f43, tracked=False, needs_resolution=True, resolved=None)
        world.package("foo", f42, arch_override="^i686", skip_resolution=True, resolved=None, needs_resolution=True)
        groups.create(world.session, SOMEBODY, "tools", ["foo"])
        groups.create(world.session, SOMEBODY, "jane/own", ["foo"])
    seen = words(checked(client, "/package/foo"))
    manual = "Manual priority 500, until the next build has succeeded or failed"
    assert f"Tested yes, it is tracked {manual} Static priority −40" in seen
    assert "Architectures only x86_64, s390x Dependencies looked at in each new repository" in seen
    assert "Maintainers those of tools Groups tools" in seen
    assert "jane/own" not in seen
    assert "are to be looked at again" in seen
    seen = words(checked(client, "/package/foo?collection=f43"))
    assert "Tested no, it is not tracked" in seen
    assert "Architectures as its source package and the build tag say" in seen
    assert "are to be looked at" not in seen
    seen = words(checked(client, "/package/foo?collection=f42"))
    assert "Architectures all that its source package and the build tag say, but i686" in seen
    assert "Dependencies not looked at: it is built whether or not they can be installed" in seen
    assert "are to be looked at" not in seen


def test_what_stands_in_groups_is_escaped(client: FlaskClient, ours: None) -> None:
    for address in ("/groups?q=<script>", "/user/<script>", "/groups?after=<script>", "/groups?of=<script>"):
        assert "<script>" not in client.get(address).text


def test_pages_of_groups_ask_few_queries_whatever_they_show(
    app_of_small_pages: FlaskClient, ours: None, database: Database
) -> None:
    client = app_of_small_pages
    with filling(database) as world:
        world.collection("eln", resolved=False)  # what stands around every page is asked for, too
        more(world, 10)
    client.get("/")

    def queries(address: str) -> int:
        with counting(database) as statements:
            assert client.get(address).status_code == 200
        assert len(statements) <= MOST_QUERIES, (address, statements)
        return len(statements)

    addresses = ["/groups", "/groups/tools", "/groups/jane/own", "/user/jane", "/packages?group=tools"]
    few = [queries(address) for address in addresses]
    with filling(database) as world:
        more(world, 30)
    assert [queries(address) for address in addresses] == few


def more(world: World, number: int) -> None:
    """More packages for the group, and more groups for jane."""
    collection = world.collection(f"c{number}")
    names = [f"p{number}-{one}" for one in range(number)]
    for name in names:
        world.package(name, collection)
        groups.create(world.session, SOMEBODY, f"jane/{name}", [name, "good"], ["jane", "amy", name])
    wish = groups.GroupEdit(packages=names, append=True)
    groups.edit(world.session, SOMEBODY, "tools", wish)
