"""Atom feeds: valid, about the right packages, and cheap to ask for again."""

from __future__ import annotations

from datetime import datetime
from xml.etree import ElementTree as ET

import pytest
from flask.testing import FlaskClient

from frontend.app import create_app
from koschei import groups
from koschei.audit import Actor
from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import Cause, Environment
from koschei.rules.states import BuildState, PackageState
from tests.frontend.conftest import counting
from tests.world import NOW, filling

OK, FAILING, UNRESOLVED, UNKNOWN = (
    PackageState.OK,
    PackageState.FAILING,
    PackageState.UNRESOLVED,
    PackageState.UNKNOWN,
)
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture
def filled(database: Database) -> Database:
    """Packages that broke and were mended."""
    with filling(database) as world:
        f44, f43 = world.collection("f44", "Rawhide", order=2), world.collection("f43", "Stable", order=1)
        gcc = world.package("gcc", f44)
        world.build(gcc, BuildState.COMPLETE, 50)
        bad = world.build(gcc, BuildState.FAILED, 30, changes=[("make", "1-1", "2-1", 1)])
        world.moved(gcc, OK, FAILING, 29, build=bad)
        glibc = world.package("glibc", f43, resolved=False)
        world.resolution(glibc, 20, "nothing provides <x>\x0b & y", "another")
        world.moved(glibc, OK, UNRESOLVED, 20, Cause.RESOLUTION)
        fixed = world.package("fixed", f44)
        world.moved(fixed, OK, FAILING, 900)
        world.moved(fixed, FAILING, OK, 10)
        quiet = world.package("quiet", f44)
        world.moved(quiet, UNKNOWN, OK, 5)
        moving = world.package("moving", f44, resolved=False)
        world.moved(moving, FAILING, UNRESOLVED, 4)
    with database.begin() as session:
        somebody = Actor(Environment.ADMIN, "operator")
        groups.create(session, somebody, "toolchain", ["gcc", "glibc"], ["jane"])
        groups.create(session, somebody, "jane/own", ["fixed"], ["jane"])
    return database


def entries(client: FlaskClient, address: str) -> list[str]:
    """The titles of a feed's entries, after a look at what RFC 4287 asks of each feed."""
    answer = client.get(address)
    assert (answer.status_code, answer.content_type) == (200, "application/atom+xml")
    root = ET.fromstring(answer.data)
    assert root.tag == f"{ATOM}feed"
    whole = [root, *root.iter(f"{ATOM}entry")]
    for element in whole:
        for name in ("id", "title", "updated"):
            assert len(element.findall(f"{ATOM}{name}")) == 1
            assert element.findtext(f"{ATOM}{name}")
        assert datetime.fromisoformat(element.findtext(f"{ATOM}updated", "")).tzinfo is not None
        assert element.findtext(f"{ATOM}id", "").startswith("urn:uuid:")
        for link in element.findall(f"{ATOM}link"):
            assert link.get("href", "").startswith("http://localhost/")
    ids = [element.findtext(f"{ATOM}id") for element in whole]
    assert len(set(ids)) == len(ids)
    assert root.findtext(f"{ATOM}author/{ATOM}name") == "Koschei"
    assert [link.get("rel") for link in root.findall(f"{ATOM}link")] == ["self", "alternate"]
    assert client.get(root.findall(f"{ATOM}link")[0].get("href", "")).status_code == 200
    assert client.get(root.findall(f"{ATOM}link")[1].get("href", "")).status_code == 200
    return [element.findtext(f"{ATOM}title", "") for element in root.iter(f"{ATOM}entry")]


GCC, GLIBC = "gcc in Rawhide began to fail", "glibc in Stable cannot have its dependencies installed"
FIXED, OLD = "fixed in Rawhide is fixed", "fixed in Rawhide began to fail"


@pytest.mark.parametrize(
    ("address", "titles"),
    [
        ("/feed.atom", [FIXED, GLIBC, GCC]),
        ("/feed.atom?collection=f43", [GLIBC]),
        ("/package/gcc/feed.atom", [GCC]),
        ("/package/fixed/feed.atom", [FIXED, OLD]),
        ("/package/quiet/feed.atom", []),
        ("/groups/toolchain/feed.atom", [GLIBC, GCC]),
        ("/groups/jane/own/feed.atom", [FIXED]),
        ("/user/jane/feed.atom", [FIXED, GLIBC, GCC]),
        ("/user/nobody/feed.atom", []),
        ("/collection/f44/feed.atom", [FIXED, GCC]),
    ],
)
def test_a_feed_tells_what_broke_and_what_was_mended(
    filled: Database, client: FlaskClient, address: str, titles: list[str]
) -> None:
    assert entries(client, address) == titles


def test_each_entry_has_its_reason_and_leads_to_the_evidence(filled: Database, client: FlaskClient) -> None:
    root = ET.fromstring(client.get("/feed.atom").data)
    found = {
        element.findtext(f"{ATOM}title"): (element.findtext(f"{ATOM}summary"), element.find(f"{ATOM}link"))
        for element in root.iter(f"{ATOM}entry")
    }
    summary, link = found[GCC]
    assert summary == "since make 1-1 → 2-1"
    assert link is not None
    assert client.get(link.get("href", "")).status_code == 200
    assert "/build/" in link.get("href", "")
    assert found[GLIBC][0] == "nothing provides <x>\ufffd & y (and 1 more)"
    assert found[FIXED][0] == "It was failing, and is ok."


@pytest.mark.parametrize("address", ["/package/x/feed.atom", "/groups/x/feed.atom", "/collection/x/feed.atom"])
def test_there_is_no_feed_of_what_there_is_not(filled: Database, client: FlaskClient, address: str) -> None:
    assert client.get(address).status_code == 404


def test_nothing_is_sent_twice(filled: Database, client: FlaskClient) -> None:
    first = client.get("/feed.atom")
    for header, name in (("If-None-Match", "ETag"), ("If-Modified-Since", "Last-Modified")):
        again = client.get("/feed.atom", headers={header: first.headers[name]})
        assert (again.status_code, again.data) == (304, b"")
    assert client.get("/feed.atom").data == first.data


def test_identities_stay_whatever_address_is_used(filled: Database, config: Config) -> None:
    """Where people find us is configured: then no address and no identity depends on who asks how."""
    frontend = config.frontend.model_copy(update={"external_url": "https://koschei.example.org/"})
    configured = create_app(config.model_copy(update={"frontend": frontend}), filled, clock=lambda: NOW).test_client()
    one = configured.get("/feed.atom", base_url="http://one")
    assert one.data == configured.get("/feed.atom", base_url="https://two").data
    assert b'href="https://koschei.example.org/package/' in one.data


def test_pages_lead_to_their_feed(filled: Database, client: FlaskClient) -> None:
    for page, feed in (
        ("/", "/feed.atom"),
        ("/package/gcc", "/package/gcc/feed.atom"),
        ("/groups/toolchain", "/groups/toolchain/feed.atom"),
        ("/groups/jane/own", "/groups/jane/own/feed.atom"),
        ("/user/jane", "/user/jane/feed.atom"),
        ("/collection/f44", "/collection/f44/feed.atom"),
    ):
        text = client.get(page).text
        assert (
            f'<link rel="alternate" type="application/atom+xml" title="Broken and fixed builds" href="{feed}">' in text
        )
        assert f'<a href="{feed}">Atom feed</a>' in text
    assert "feed.atom" not in client.get("/packages").text


def test_it_needs_few_queries(filled: Database, client: FlaskClient) -> None:
    for address in ("/feed.atom", "/user/jane/feed.atom"):
        with counting(filled) as statements:
            client.get(address)
        assert len(statements) <= 8


def test_a_page_names_the_feed_of_the_collections_that_it_shows(filled: Database, client: FlaskClient) -> None:
    for address, feed in (
        ("/", "/feed.atom"),
        ("/?collection=f43", "/feed.atom?collection=f43"),
        ("/groups/toolchain?collection=f43", "/groups/toolchain/feed.atom?collection=f43"),
        ("/package/gcc?collection=f43", "/package/gcc/feed.atom"),
        ("/collection/f43", "/collection/f43/feed.atom"),
    ):
        page = client.get(address).text
        assert page.count(f'href="{feed}"') == 2, address
        assert client.get(feed).status_code == 200
