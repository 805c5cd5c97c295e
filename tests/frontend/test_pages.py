"""Every page: that it answers its question, escapes what it shows, and asks few queries."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from flask.testing import FlaskClient

from koschei.db.engine import Database
from koschei.model import Cause
from koschei.rules.states import BuildState, PackageState
from tests.frontend.conftest import counting
from tests.frontend.persons import Visitor
from tests.world import World, ago, filling

MOST_QUERIES = 15
COMPLETE, FAILED = BuildState.COMPLETE, BuildState.FAILED
OK, FAILING, UNRESOLVED = PackageState.OK, PackageState.FAILING, PackageState.UNRESOLVED
VOID = {"img", "meta", "link", "input", "path", "circle", "rect", "use", "polyline", "br"}


class Checker(HTMLParser):
    """Notes unbalanced elements, repeated ids, inline code, and addresses of other places that are loaded."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.faults: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if given.get("id"):
            self.ids.append(str(given["id"]))
        self.faults += [f"{tag} has {name}" for name in given if name == "style" or name.startswith("on")]
        loaded = given.get("src") or (given.get("href") if tag == "link" and given.get("rel") != "alternate" else None)
        if loaded and not loaded.startswith(("/static/", "/badge/")):
            self.faults.append(f"{tag} loads {loaded}")
        if tag == "script" and not given.get("src"):
            self.faults.append("inline script")

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"</{tag}> closes nothing")


def checked(client: FlaskClient, address: str, status: int = 200) -> str:
    """The page as text, after it was found to be sane HTML."""
    response = client.get(address)
    assert response.status_code == status, words(response.text)
    checker = Checker()
    checker.feed(response.text)
    assert checker.faults == []
    assert checker.open == []
    assert len(checker.ids) == len(set(checker.ids))
    assert "<h1" in response.text
    return response.text


def words(page: str) -> str:
    """What a reader sees in the page's main part, in one line."""
    main = page[page.index("<main") : page.index("</main>")]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main)).replace(" ,", ",").replace(" ;", ";").replace(" .", ".")


@pytest.fixture
def broken(database: Database) -> dict[str, Any]:
    """gcc-using package foo broke; bar is unresolved; baz is well."""
    with filling(database) as world:
        f44 = world.collection("f44", "Fedora Rawhide", order=2)
        f43 = world.collection("f43", "Fedora 43", order=1)
        foo = world.package("foo", f44)
        good = world.build(foo, COMPLETE, 50, "1.0-1")
        bad = world.build(
            foo,
            FAILED,
            30,
            "1.0-1",
            tasks={"x86_64": 5, "aarch64": 3},
            changes=[("glibc", "2.41-1", "2.42-1", 2), ("gcc", "15.1-1", "15.2-1", 1), ("zlib", "1.3-1", None, None)],
        )
        latest = world.build(foo, FAILED, 5, "1.0-1", tasks={"x86_64": 5}, deps_resolved=True)
        world.moved(foo, OK, FAILING, 29, build=bad)
        bar = world.package("bar", f44, resolved=False)
        world.build(bar, COMPLETE, 70, "2.0-1")
        world.resolution(bar, 60)
        world.resolution(bar, 3, "nothing provides libfoo.so.2 needed by bar", "conflicting requests")
        world.moved(bar, OK, UNRESOLVED, 3, Cause.RESOLUTION)
        baz = world.package("baz", f44)
        world.build(baz, FAILED, 60, "3.0-1")
        fixed = world.build(baz, COMPLETE, 20, "3.0-2", real=True)
        world.moved(baz, FAILING, OK, 19.5, Cause.REAL_BUILD, fixed)
        world.package("foo", f43, tracked=False)
        return {"good": good.id, "bad": bad.id, "latest": latest.id, "fixed": fixed.id}


def test_the_overview_says_what_is_broken_since_when_and_why(client: FlaskClient, broken: dict[str, Any]) -> None:
    seen = words(checked(client, "/"))
    assert "2 of 3 packages are broken" in seen
    assert "foo Fedora Rawhide failing 1 day ago since gcc 15.1-1 → 15.2-1, with 2 others" in seen
    assert "bar Fedora Rawhide unresolved 3 hours ago nothing provides libfoo.so.2 needed by bar (and 1 more)" in seen
    assert seen.index("bar Fedora Rawhide") < seen.index("foo Fedora Rawhide")
    assert "ok baz in Fedora Rawhide was failing until 19 hours ago" in seen
    assert "No build is running" in seen


def test_the_overview_leads_to_all_that_is_broken_or_runs_without_a_number_that_counts_otherwise(
    client: FlaskClient, database: Database
) -> None:
    with filling(database) as world:
        for collection in (world.collection("f44"), world.collection("f43")):
            for number in range(11):
                package = world.package(f"p{number}", collection)
                world.build(package, FAILED, 9)
                world.build(package, BuildState.RUNNING, 1)
    page = checked(client, "/")
    assert "22 of 22 packages are broken" in words(page)
    for link in ("All broken packages", "All packages that are being built"):
        found = re.search(rf'href="([^"]*)">{link}</a>', page)
        assert found
        assert "11 packages" in words(checked(client, found[1].replace("&amp;", "&")))


def test_the_overview_counts_the_day_and_the_running_builds(
    client: FlaskClient, broken: dict[str, Any], database: Database
) -> None:
    with filling(database) as world:
        package = world.package("busy", world.collection("eln", "ELN"))
        world.build(package, BuildState.RUNNING, 1, "9-9", tasks={"x86_64": 1})
    page = checked(client, "/")
    assert "busy 9-9 in ELN for 1 h" in words(page)
    assert "1 running" in words(page)
    assert re.search(r"1 unresolved</span></a><span class=\"delta\"[^>]*>\+1", page)
    assert "Broken packages in the last 24 hours: 2 then, 2 now" in page


def test_a_package_shows_where_it_broke(client: FlaskClient, broken: dict[str, Any]) -> None:
    page = checked(client, "/package/foo")
    seen = words(page)
    assert "Fedora Rawhide : it began to fail 1 day ago; its latest build 1.0-1 ended 4 hours ago." in seen
    assert "Fedora 43 : it is not tested here." in seen
    card = page[page.index('id="broke"') : page.index("</section>", page.index('id="broke"'))]
    assert f'/build/{broken["good"]}"' in card
    assert f'/build/{broken["bad"]}"' in card
    assert f'/build/{broken["latest"]}"' in card
    names = re.findall(r'<th scope="row" class="mono">(\w+)', card)
    assert names == ["gcc", "glibc", "zlib"]
    assert "15.<b>1-1</b>" in card
    assert "/work/tasks/" in card
    assert "build.log" in card


def test_a_package_that_cannot_be_resolved_shows_its_problems_and_will_not_be_built(
    client: FlaskClient, broken: dict[str, Any]
) -> None:
    seen = words(checked(client, "/package/bar"))
    assert "cannot have its build dependencies installed; that began 3 hours ago." in seen
    assert "nothing provides libfoo.so.2 needed by bar conflicting requests" in seen
    assert "so the resolver said 2 days ago" in seen
    assert "It will not be built now" in seen
    assert "Package dependencies are not resolvable" in seen


def test_a_package_page_adds_up_its_priority(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        package = world.package(
            "foo", world.collection(), static_priority=30, dependency_priority=128, state_since=ago(9)
        )
        world.build(package, COMPLETE, 6, "1-1")
        world.pending(package, ("gcc", "1-1", "2-1", 2))
    seen = words(checked(client, "/package/foo"))
    assert "Priority 158 of 256 needed" in seen
    assert re.search(r"static 30 .* dependency 128 .* sum 158 reaches 256 by age alone in \d+ hours", seen)
    assert "Its next build is due in" in seen
    assert "Changed since its last build 1 dependency" in seen


def test_history_goes_on_where_it_ended(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        package = world.package("foo", world.collection())
        for number in range(40):
            world.build(package, COMPLETE, 100 - number, f"{number}-1")
    address: str | None = "/package/foo"
    versions: list[str] = []
    while address:
        page = checked(client, address)
        timeline = page[page.index('<ol class="history">') : page.index("</ol>")]
        versions += re.findall(r'<a class="evr" href="/build/\d+">(\d+)-1</a>', timeline)
        following = re.search(r'<a rel="next" href="([^"#]+)', page)
        address = following and following[1].replace("&amp;", "&")
    assert versions == [str(number) for number in reversed(range(40))]
    assert client.get("/package/foo?last_seen_ts=1778760000").status_code == 200
    assert client.get("/package/foo?last_seen_ts=yesterday").status_code == 400


def test_a_package_is_shown_where_it_is(client: FlaskClient, broken: dict[str, Any]) -> None:
    assert "It is not in Fedora 43. It is in: Fedora Rawhide" in words(checked(client, "/package/bar?collection=f43"))
    assert "There is no package “nix”" in words(checked(client, "/package/nix", 404))


def test_a_build_shows_its_verdict_tasks_and_changes(client: FlaskClient, broken: dict[str, Any]) -> None:
    page = checked(client, f"/build/{broken['bad']}")
    seen = words(page)
    assert (
        "It failed 1 day ago on x86_64; the build before it had succeeded, so this is where the package broke." in seen
    )
    assert "aarch64 canceled" in seen
    assert "3 changes 1 removed 2 upgraded" in seen
    assert "glibc" not in words(checked(client, f"/build/{broken['bad']}?name=gc"))
    assert "zlib" in words(checked(client, f"/build/{broken['bad']}?kind=removed"))
    assert "No change fits" in words(checked(client, f"/build/{broken['bad']}?name=nothing"))
    assert client.get(f"/build/{broken['bad']}?kind=magic").status_code == 400


def test_a_build_that_koji_spoiled_says_so_and_why(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        build = world.build(
            world.package("foo", world.collection()),
            BuildState.SPOILED,
            2,
            fault_code=1005,
            fault_text="the disk was full",
            submission={"by": "jane", "priority": {"time": 38.2, "dependency": 256, "manual": 0}},
        )
    seen = words(checked(client, f"/build/{build.id}"))
    assert "Koji spoiled it 1 hour ago. It says nothing about the package and is not counted" in seen
    assert "the disk was full (fault 1005)" in seen
    assert "Asked for by jane" in seen
    assert "dependency 256 + time 38 = 294, its priority at that moment" in seen


@pytest.mark.parametrize(
    "address", ["/build/0", "/build/99999999999999999999999", "/collection/nix", "/package/", "/x"]
)
def test_what_is_not_there_is_not_found(client: FlaskClient, broken: dict[str, Any], address: str) -> None:
    assert "overview" in words(checked(client, address, 404))


def test_collections_are_grouped_and_show_their_repositories(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        f44 = world.collection("f44", "Fedora Rawhide", order=3, repo_id=12)
        eln = world.collection("eln", "ELN", resolved=False, order=1)
        world.collection("new", "Brand new", resolved=None, order=2)
        world.collection_group("fedora", "Fedora", f44)
        world.problems(eln, "nothing provides bash")
        world.repository(f44, 12, 2, 14, resolved=5, unresolved=1, changed=2)
        world.repository(f44, 11, 3, 13)
        world.package("a", f44)
    seen = words(checked(client, "/collections"))
    assert re.search(
        r"newest repository Collection .* Fedora Rawhide ok .* 12, resolved 1 hour ago Others .* Brand new unknown",
        seen,
    )
    assert "none seen yet" in seen
    seen = words(checked(client, "/collection/f44"))
    assert "Repository 12 Taken up 2 hours ago Resolved 1 hour ago, took 14 min" in seen
    assert "5 resolvable, 1 not, 2 changed" in seen
    assert "nothing provides bash" in words(checked(client, "/collection/eln"))


def test_warnings_and_announcements_stand_on_pages_of_their_collection(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        f44, eln = world.collection("f44", "Rawhide"), world.collection("eln", "ELN", resolved=False)
        world.problems(eln, "nothing provides bash")
        world.notice("Koji <b>rests</b>")
        package = world.package("foo", f44)
        build = world.build(package)
    for address in ("/", "/packages", "/?collection=eln"):
        page = checked(client, address)
        assert "The base buildroot of" in page
        assert "nothing provides bash" in page
        assert "Koji &lt;b&gt;rests&lt;/b&gt;" in page
    for address in ("/?collection=f44", "/package/foo", f"/build/{build.id}"):
        page = checked(client, address)
        assert "nothing provides bash" not in page
        assert "Koji &lt;b&gt;rests" in page


def test_the_pulse_of_services_and_who_lags_are_told(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        world.collection()
        world.service("polling", 0.5, interval=1200)
        world.service("scheduler", 0.5, interval=10)
        world.service("build-resolver", 0.001, interval=5, error="bus <away>", error_since=ago(1))
        world.service("watcher", None, started=ago(3))
        world.service("repo-resolver", None, started=ago(0.01))
    page = checked(client, "/")
    banner = page[page.index("What you see may be out of date") :]
    banner = banner[: banner.index("</p>")]
    assert "scheduler last finished a pass" in banner
    assert "watcher has not finished a pass since" in banner
    assert ": what happens in Koji is noticed late." in banner
    assert ": nothing new is built." in banner
    assert "polling" not in banner
    assert "repo-resolver" not in banner
    foot = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page[page.index("<footer") :]))
    assert "build-resolver fails, first 1 hour ago: bus &lt;away&gt;" in foot
    assert "polling 30 minutes ago" in foot


def test_a_page_is_not_called_out_of_date_while_only_the_scheduler_rests(
    client: FlaskClient, database: Database
) -> None:
    with filling(database) as world:
        world.collection()
        world.service("scheduler", 0.5, interval=10)
        world.service("polling", 0.5, interval=1200)
    page = checked(client, "/")
    assert "What you see may be out of date" not in page
    assert re.search(r"Nothing new is built\.</strong>\s*scheduler[^<]* <time[^>]*>[^<]*</time>\.\s", page)


def test_everything_that_comes_from_outside_is_escaped(client: FlaskClient, database: Database) -> None:
    evil = "<script>alert('x')</script>"
    with filling(database) as world:
        collection = world.collection(
            "f44", f"{evil}44", resolved=False, target=evil, dest_tag=evil, build_tag=evil, bugzilla_product=evil,
            bugzilla_version=evil, build_group=evil,
        )  # fmt: skip
        world.collection("f43", f"{evil}43")
        world.problems(collection, evil)
        world.notice(evil)
        world.service("watcher", 0.1, error=evil, error_since=ago(1))
        package = world.package(f"p{evil}".replace("/", "-"), collection, resolved=False)
        world.build(package, COMPLETE, 30, f"{evil}-1".replace(":", ""))
        world.build(
            package, FAILED, 20, "1-<b>", tasks={evil: 5}, changes=[(evil, "1-<u>", "2-<u>", 1)], fault_text=evil,
            submission={"by": evil, "source": evil, "target": evil, "priority": {"time": evil}},
        )  # fmt: skip
        spoiled = world.build(package, BuildState.SPOILED, 10, f"{evil}-1", fault_text=evil, fault_code=1)
        world.resolution(package, 4, evil)
        world.moved(package, OK, UNRESOLVED, 4, Cause.RESOLUTION)
    name = package.name.replace("<", "%3C").replace(">", "%3E")
    addresses = ["/", "/packages", f"/package/{name}", "/collections", "/collection/f44", f"/build/{spoiled.id}"]
    addresses += [
        f"/build/{spoiled.id - 1}",
        "/search?q=script",
        "/search?q=%3Cscript%3E",
        f"/build/{spoiled.id - 1}?name=<b>",
    ]
    for address in addresses:
        page = checked(client, address)
        assert "<script>alert" not in page, address
    for address in ("/packages?state=<script>", "/packages?order_by=<script>", "/packages?collection=<script>"):
        assert "<script>" not in client.get(address).text


def test_search_goes_straight_to_a_package_and_else_lists(client: FlaskClient, broken: dict[str, Any]) -> None:
    assert client.get("/search?q=").headers["Location"] == "/"
    assert client.get("/search?q= foo ").headers["Location"] == "/package/foo"
    assert client.get("/search?q=Foo").headers["Location"] == "/package/foo"
    field = re.search(r'<input id="q"[^>]*>', client.get("/").text)
    assert field
    assert all(f'{name}="off"' in field[0] for name in ("autocapitalize", "autocorrect", "autocomplete"))
    assert "2 packages with “ba” in the name" in words(checked(client, "/search?q=ba"))
    seen = words(checked(client, "/search?q=barium"))
    assert "No package has “barium” in its name" in seen
    assert "Names that begin alike: bar" in seen
    assert client.get("/search?q=%25").status_code == 200
    assert "No package has" in words(checked(client, "/search?q=%25"))


def test_without_collections_every_page_says_what_to_do(client: FlaskClient) -> None:
    for address in ("/", "/packages", "/package/foo", "/collections", "/search?q=foo"):
        assert "koschei-admin create-collection" in words(checked(client, address))


def test_without_collections_people_log_in_and_read_how_to_make_one(client: FlaskClient, database: Database) -> None:
    assert 'href="/documentation/operations#a-new-collection"' in checked(client, "/")
    assert 'id="a-new-collection"' in checked(client, "/documentation/operations")
    assert client.get("/login", environ_overrides={"REMOTE_USER": "jane"}).status_code == 303
    root = Visitor(client, database, "root", admin=True)
    for address, heading in (("/log", "Audit log"), ("/tokens", "You have no API token"), ("/logout", "Log out")):
        assert f"<h1>{heading}" in root.get(address).text
    assert root.post("/logout").status_code == 303
    assert root.get("/log").location.startswith("/login")


def test_a_collection_is_chosen_in_the_address_and_kept_by_links(client: FlaskClient, broken: dict[str, Any]) -> None:
    page = checked(client, "/?collection=f44")
    assert 'href="/packages?collection=f44"' in page
    assert '<input type="hidden" name="collection" value="f44">' in page
    assert client.get("/search?q=foo&collection=f44").headers["Location"] == "/package/foo?collection=f44"
    assert checked(client, "/packages?collection=f43,f44")
    assert "There is no collection “nix”" in words(checked(client, "/packages?collection=f44,nix", 404))


def test_pages_ask_few_queries_whatever_they_show(client: FlaskClient, sample: Database) -> None:
    page = client.get("/packages?state=failing").text
    failing = re.search(r'href="(/package/[^"]+)"', page)
    unresolved = re.search(r'href="(/package/[^"]+)"', client.get("/packages?state=unresolved").text)
    assert failing
    assert unresolved
    addresses = ["/", "/packages", "/packages?order_by=current_priority", "/collections", "/collection/f44"]
    addresses += ["/search?q=python", "/build/5", failing[1], unresolved[1], "/package/kernel"]
    client.get("/")
    for address in addresses:
        with counting(sample) as statements:
            assert client.get(address).status_code == 200
        assert len(statements) <= MOST_QUERIES, (address, statements)


def test_a_page_of_many_packages_asks_as_much_as_one_of_few(client: FlaskClient, database: Database) -> None:
    def queries() -> list[int]:
        numbers = []
        for address in ("/", "/packages", "/collections"):
            with counting(database) as statements:
                client.get(address)
            numbers.append(len(statements))
        return numbers

    def add(world: World, first: int, last: int) -> None:
        for number in range(first, last):
            package = world.package(f"p{number:03}", collection)
            build = world.build(package, FAILED, 5 + number, tasks={"x86_64": 5}, changes=[("gcc", "1-1", "2-1", 1)])
            world.moved(package, OK, FAILING, 4 + number, build=build)

    with filling(database) as world:
        collection = world.collection()
        add(world, 0, 2)
    few = queries()
    with filling(database) as world:
        add(world, 2, 60)
    assert queries() == few
