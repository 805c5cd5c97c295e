"""Who maintains what is read from a real server: by differences, and never what cannot be believed."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from koschei import maintainers
from koschei.config import Config
from koschei.config.schema import PagureConfig
from koschei.db.engine import Database
from koschei.downloads import Version
from koschei.errors import InvalidInputError
from koschei.maintainers import Owners, Report
from koschei.model import MaintainerSource, PackageMaintainer
from tests.world import NOW

MANY = {f"pkg{number:03}": ["amy", "zoe"] for number in range(100)}


class Site(ThreadingHTTPServer):
    """A server of one file, whose versions it tells apart by ETag."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.body = b""
        self.status = 200
        self.asked: list[str | None] = []
        self.sent = 0

    def says(self, packages: object, *, status: int = 200) -> None:
        self.body, self.status = json.dumps({"rpms": packages, "container": {"c": ["eve"]}}).encode(), status

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/alias.json"


class Handler(BaseHTTPRequestHandler):
    """Answers as the site says."""

    server: Site

    def do_GET(self) -> None:
        tag = f'"{hash(self.server.body)}"'
        self.server.asked.append(self.headers.get("If-None-Match"))
        unchanged = self.server.status == 200 and self.headers.get("If-None-Match") == tag
        self.send_response(304 if unchanged else self.server.status)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", "0" if unchanged else str(len(self.server.body)))
        self.end_headers()
        if not unchanged:
            self.server.sent += 1
            self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[Site]:
    with Site() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url, application_name="koschei-tests")
    yield database
    database.dispose()


def config(url: str | None) -> Config:
    return Config(pagure=PagureConfig(owner_alias_url=url))


def read(database: Database, site: Site, hours: float = 0) -> Report:
    return maintainers.refresh(database, config(site.url), NOW + timedelta(hours=hours))


def stored(database: Database) -> set[tuple[str, str]]:
    with database.begin() as session:
        return {(row.package, row.user_name) for row in session.scalars(select(PackageMaintainer))}


def source(database: Database) -> MaintainerSource:
    with database.begin() as session:
        return session.get_one(MaintainerSource, 1)


def test_what_the_file_says_is_stored_by_differences(database: Database, site: Site) -> None:
    site.says({"foo": ["amy", "zoe", "amy"], "not-ours": ["amy"], "nobodys": []})
    assert read(database, site) == Report(added=3)
    assert stored(database) == {("foo", "amy"), ("foo", "zoe"), ("not-ours", "amy")}
    site.says({"foo": ["amy", "jane"], "not-ours": ["amy"]})
    assert read(database, site, 1) == Report(added=1, removed=1)
    assert stored(database) == {("foo", "amy"), ("foo", "jane"), ("not-ours", "amy")}
    assert source(database).last_good == NOW + timedelta(hours=1)


def test_a_file_that_has_not_changed_is_not_sent_again_but_is_as_good_as_new(database: Database, site: Site) -> None:
    site.says(MANY)
    read(database, site)
    assert read(database, site, 1) == read(database, site, 2) == Report()
    assert site.sent == 1
    assert site.asked[0] is None
    assert None not in site.asked[1:]
    assert source(database).last_good == NOW + timedelta(hours=2)


def test_a_failure_keeps_the_last_good_answer_and_is_remembered_until_it_is_over(
    database: Database, site: Site
) -> None:
    site.says(MANY)
    read(database, site)
    before = stored(database)
    site.says(MANY, status=503)
    failed = read(database, site, 1)
    assert failed.error
    assert "HTTP status 503" in failed.error
    assert failed.detail() == {"error": failed.error}
    read(database, site, 2)
    known = source(database)
    assert (known.last_good, known.error_since) == (NOW, NOW + timedelta(hours=1))
    assert stored(database) == before
    site.says(MANY)
    assert read(database, site, 3).error is None
    assert source(database).error is source(database).error_since is None


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"rpms": []}', b'{"rpms": {"foo": ["amy"]', b"\xff\xfe", b"[" * 100_000]
)
def test_what_is_no_such_file_changes_nothing(database: Database, site: Site, body: bytes) -> None:
    site.says({"foo": ["amy"]})
    read(database, site)
    site.body = body
    assert site.url in (read(database, site, 1).error or "")
    assert stored(database) == {("foo", "amy")}


def test_an_empty_or_drastically_shrunken_answer_is_not_believed(database: Database, site: Site) -> None:
    site.says(MANY)
    read(database, site)
    site.says({})
    assert "names nobody" in (read(database, site, 1).error or "")
    site.says(dict(list(MANY.items())[:94]))
    assert "lacks 12 of 200" in (read(database, site, 2).error or "")
    assert len(stored(database)) == 200
    site.says(dict(list(MANY.items())[:95]))
    assert read(database, site, 3) == Report(removed=10)


def test_a_shrunken_answer_is_believed_when_it_has_said_so_for_days_and_an_empty_one_never(
    database: Database, site: Site
) -> None:
    site.says(MANY)
    read(database, site)
    site.says({"pkg001": ["amy"]})
    assert read(database, site, 1).error
    assert read(database, site, 48).error
    site.says({})
    assert read(database, site, 80).error
    site.says({"pkg001": ["amy"]})
    assert read(database, site, 81) == Report(removed=199)
    assert source(database).refused_since is None


def test_another_address_may_say_something_else(database: Database, site: Site) -> None:
    site.says(MANY)
    read(database, site)
    site.says({"pkg001": ["amy"]})
    moved = f"{site.url}?moved"
    site.status = 404
    assert maintainers.refresh(database, config(moved), NOW).error
    assert len(stored(database)) == 200
    assert source(database).url == site.url
    site.status = 200
    assert maintainers.refresh(database, config(moved), NOW) == Report(removed=199)
    assert source(database).url == moved


def test_without_a_source_nothing_is_asked_and_what_one_said_is_forgotten(database: Database, site: Site) -> None:
    assert maintainers.refresh(database, config(None), NOW) == Report()
    site.says(MANY)
    read(database, site)
    assert maintainers.refresh(database, config(None), NOW) == Report(removed=200)
    assert stored(database) == set()
    assert read(database, site).added == 200
    assert (len(site.asked), site.sent) == (2, 2), "what was forgotten is read again"


def test_entries_that_are_no_names_are_left_out_and_counted() -> None:
    packages = {
        "foo": ["amy", "with space", 7, None, "zo\0e"],
        "bar": "amy",
        "b/r": ["amy"],
        "x" * 201: ["amy"],
        **{f"p{number}": ["zoe"] for number in range(9)},
    }
    owners = maintainers.parse(json.dumps({"rpms": packages}), "x")
    assert owners.malformed == 7
    assert owners.pairs == {("amy", "foo"), *(("zoe", f"p{number}") for number in range(9))}
    with pytest.raises(InvalidInputError, match="2 entries that are no names"):
        maintainers.parse('{"rpms": {"foo": ["a b", "c d"], "bar": ["amy"]}}', "x")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.text() | JSON.map(json.dumps) | JSON.map(lambda tree: json.dumps({"rpms": tree})))
def test_any_text_is_such_a_file_or_refused(text: str) -> None:
    try:
        found = maintainers.parse(text, "x")
    except InvalidInputError:
        return
    assert all(maintainers.NAME.fullmatch(name) for pair in found.pairs for name in pair)


def test_any_answer_that_is_believed_is_what_is_stored_afterwards(database: Database) -> None:
    steps = [{("a", "x")}, {("a", "x"), ("b", "x"), ("a", "y")}, {("a", "y"), ("c", "x")}, {("c", "z")} | {("c", "x")}]
    for pairs in steps:
        with database.begin() as session:
            maintainers.store(session, "http://x", Owners(frozenset(pairs)), Version(), NOW)
        assert stored(database) == {(package, user) for user, package in pairs}


def test_an_empty_setting_is_none() -> None:
    assert PagureConfig(owner_alias_url="").owner_alias_url is None
