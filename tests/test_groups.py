"""Groups: making, changing, refreshing them, and the lists they come from."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from koschei import group_sources, groups, rights, users
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.errors import AlreadyExistsError, InvalidInputError, NotFoundError, ServiceError, UserError
from koschei.groups import GroupDetail, GroupEdit, GroupSummary
from koschei.model import BasePackage, Collection, Environment, LogEntry, Package, PackageGroup, User
from koschei.rights import Person

ALICE = Actor(Environment.ADMIN, "alice")
NAMES = [f"pkg{number:02}" for number in range(40)]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A collection with the packages of NAMES; `old` is blocked."""
    found = Database(database_url)
    with found.begin() as session:
        collection = Collection(name="f43", display_name="F43", target="f43", dest_tag="f43", build_tag="f43-build")
        for name in [*NAMES, "old"]:
            base = BasePackage(name=name)
            session.add(Package(base=base, name=name, collection=collection, blocked=name == "old"))
    yield found
    found.dispose()


@pytest.fixture
def session(database: Database) -> Iterator[Session]:
    with database.begin() as session:
        yield session


def content(session: Session, name: str) -> list[str]:
    return list(groups.detail(session, name).packages)


def log(session: Session) -> list[str]:
    return list(session.scalars(select(LogEntry.message).order_by(LogEntry.id)))


# making and changing


def test_a_group_is_made_with_packages_and_maintainers(session: Session) -> None:
    said = groups.create(session, ALICE, "bob/tools", ["pkg02", "pkg01", "pkg02", "old"], ["carol", "bob"])
    assert (
        said
        == log(session)
        == [
            "Group bob/tools created",
            "Group bob/tools: packages added: old, pkg01, pkg02",
            "Group bob/tools: maintainers added: bob, carol",
        ]
    )
    assert groups.detail(session, "bob/tools") == GroupDetail(
        "bob/tools", ("bob", "carol"), ("old", "pkg01", "pkg02"), ("old",)
    )


def test_lists_have_global_groups_first_and_count_packages_that_are_alive(session: Session) -> None:
    groups.create(session, ALICE, "bob/a", ["pkg01", "old"], ["bob"])
    groups.create(session, ALICE, "z")
    assert groups.summaries(session) == [GroupSummary("z", 0, ()), GroupSummary("bob/a", 1, ("bob",))]


@pytest.mark.parametrize("name", ["tools", "bob/tools"])
def test_two_groups_of_one_name_cannot_be(session: Session, name: str) -> None:
    groups.create(session, ALICE, name)
    with pytest.raises(AlreadyExistsError, match=f"Group already exists: {name}"):
        groups.create(session, ALICE, name)


def test_one_name_in_two_namespaces_is_two_groups(session: Session) -> None:
    for name in ("tools", "bob/tools", "carol/tools"):
        groups.create(session, ALICE, name)
    groups.remove(session, ALICE, "tools")
    assert [group.name for group in groups.summaries(session)] == ["bob/tools", "carol/tools"]


@pytest.mark.parametrize(
    "name", ["", "a b", "a/b/c", "/a", "a/", "ä", "a\n", "..", "a/..", "./a", "bob/edit", "bob/feed.atom"]
)
def test_names_that_no_page_could_have_are_refused(session: Session, name: str) -> None:
    with pytest.raises(InvalidInputError, match="Invalid group name"):
        groups.create(session, ALICE, name)


def test_unknown_packages_are_named_together_and_nothing_is_made(database: Database) -> None:
    with pytest.raises(NotFoundError, match=r"Packages don't exist: aaa, zzz\."), database.begin() as session:
        groups.create(session, ALICE, "tools", ["zzz", "pkg01", "aaa"])
    with database.begin() as session:
        assert session.scalar(select(func.count()).select_from(PackageGroup)) == 0
        assert log(session) == []


def test_a_maintainer_has_a_name(session: Session) -> None:
    with pytest.raises(InvalidInputError, match="Invalid maintainer: 'b b'"):
        groups.create(session, ALICE, "tools", (), ["b b"])


def test_content_is_replaced_or_added_to(session: Session) -> None:
    groups.create(session, ALICE, "tools", ["pkg01", "pkg02"])
    said = groups.edit(session, ALICE, "tools", GroupEdit(packages=["pkg02", "pkg03"], append=True))
    assert said == ["Group tools: packages added: pkg03"]
    said = groups.edit(session, ALICE, "tools", GroupEdit(packages=["pkg04", "pkg03"]))
    assert said == ["Group tools: packages added: pkg04", "Group tools: packages removed: pkg01, pkg02"]
    assert content(session, "tools") == ["pkg03", "pkg04"]
    assert groups.edit(session, ALICE, "tools", GroupEdit(packages=["pkg04", "pkg03"])) == []


def test_a_renamed_group_keeps_its_packages_and_the_log_knows(session: Session) -> None:
    groups.create(session, ALICE, "bob/mine", ["pkg01"])
    said = groups.edit(session, ALICE, "bob/mine", GroupEdit(name="ours", namespace=""))
    assert said == ["Group bob/mine renamed to ours"]
    said = groups.edit(session, ALICE, "ours", GroupEdit(namespace="carol", packages=["pkg02"], append=True))
    assert said == ["Group ours renamed to carol/ours", "Group carol/ours: packages added: pkg02"]
    assert content(session, "carol/ours") == ["pkg01", "pkg02"]
    assert log(session)[-2:] == said


def test_a_group_cannot_take_the_name_of_another(database: Database) -> None:
    with database.begin() as session:
        groups.create(session, ALICE, "bob/tools")
        groups.create(session, ALICE, "tools")
    with pytest.raises(AlreadyExistsError, match="already exists: tools"), database.begin() as session:
        groups.edit(session, ALICE, "bob/tools", GroupEdit(namespace=""))
    with database.begin() as session:
        assert [group.name for group in groups.summaries(session)] == ["tools", "bob/tools"]


def test_renaming_checks_the_new_name_too(session: Session) -> None:
    groups.create(session, ALICE, "edit")
    for wish in (GroupEdit(name="a b"), GroupEdit(namespace="bob"), GroupEdit(namespace="a/b")):
        with pytest.raises(InvalidInputError, match="Invalid group name"):
            groups.edit(session, ALICE, "edit", wish)


def test_an_unknown_group_is_told_with_what_looks_like_it(session: Session) -> None:
    groups.create(session, ALICE, "bob/tools")
    with pytest.raises(NotFoundError, match=r"Group bob/tool not found\. Did you mean bob/tools\?"):
        groups.remove(session, ALICE, "bob/tool")
    with pytest.raises(NotFoundError, match="list-groups"):
        groups.find(session, "xyz")


# refreshing


def test_an_empty_source_is_not_believed(session: Session) -> None:
    groups.create(session, ALICE, "tools", ["pkg01"])
    for append in (True, False):
        with pytest.raises(InvalidInputError, match="names no package"):
            groups.refresh(session, ALICE, "tools", [], append=append)
    assert content(session, "tools") == ["pkg01"]
    groups.refresh(session, ALICE, "tools", [], force=True)
    assert content(session, "tools") == []


@pytest.mark.parametrize(
    ("before", "after", "believed"),
    [
        (NAMES, NAMES[20:], True),
        (NAMES, NAMES[21:], False),
        (NAMES[:11], NAMES[10:11], True),
        (NAMES[:12], NAMES[11:12], False),
        (NAMES[:2], NAMES[5:9], False),
        (NAMES[:2], NAMES[1:9], True),
        ([], NAMES[:1], True),
    ],
)
def test_a_source_that_lacks_most_of_a_group_is_not_believed(
    session: Session, before: list[str], after: list[str], believed: bool
) -> None:
    groups.create(session, ALICE, "tools", before)
    if believed:
        groups.refresh(session, ALICE, "tools", after)
    else:
        with pytest.raises(InvalidInputError, match="too many to be believed"):
            groups.refresh(session, ALICE, "tools", after)
        assert content(session, "tools") == before
        groups.refresh(session, ALICE, "tools", after, force=True)
    assert content(session, "tools") == after


def test_adding_to_a_group_never_takes_from_it(session: Session) -> None:
    groups.create(session, ALICE, "tools", NAMES[:20])
    groups.refresh(session, ALICE, "tools", ["pkg39"], append=True)
    assert content(session, "tools") == [*NAMES[:20], "pkg39"]


def test_a_group_that_is_not_there_is_made_only_when_that_is_said(session: Session) -> None:
    with pytest.raises(NotFoundError):
        groups.refresh(session, ALICE, "tools", ["pkg01"])
    groups.refresh(session, ALICE, "tools", ["pkg01"], create_missing=True)
    groups.refresh(session, ALICE, "tools", ["pkg01", "pkg02"], create_missing=True)
    assert content(session, "tools") == ["pkg01", "pkg02"]
    assert groups.refresh(session, ALICE, "tools", ["pkg01", "pkg02"], create_missing=True) == []


def test_names_can_be_chosen_among_packages_that_are_alive(session: Session) -> None:
    assert groups.known_packages(session, re.compile("^pkg0[12]$|old")) == ["pkg01", "pkg02"]
    assert groups.known_packages(session, re.compile("g39")) == ["pkg39"]


def test_unknown_names_can_be_left_out(session: Session) -> None:
    assert groups.without_unknown(session, ["zzz", "pkg02", "pkg01", "aaa"]) == (["pkg01", "pkg02"], ["aaa", "zzz"])


def test_maintainers_of_a_group_are_replaced_and_may_edit_it(session: Session) -> None:
    groups.create(session, ALICE, "tools", NAMES[:2], ["amy", "zoe"])
    wish = GroupEdit(maintainers=["zoe", "jane", "jane"])
    assert groups.edit(session, ALICE, "tools", wish) == [
        "Group tools: maintainers added: jane",
        "Group tools: maintainers removed: amy",
    ]
    assert groups.edit(session, ALICE, "tools", wish) == []
    assert groups.detail(session, "tools").maintainers == ("jane", "zoe")
    assert content(session, "tools") == NAMES[:2]
    group = groups.find(session, "tools")
    ids = dict(session.execute(select(User.name, User.id)).all())
    assert [
        name
        for name in ("amy", "jane", "zoe")
        if rights.may_edit_group(session, group.id, Person(ids[name], name, False))
    ] == [
        "jane",
        "zoe",
    ]
    assert rights.may_edit_group(session, group.id, Person(ids["amy"], "amy", True))
    with pytest.raises(InvalidInputError, match="Invalid maintainer"):
        groups.edit(session, ALICE, "tools", GroupEdit(maintainers=["a b"]))


# sources


@given(st.sets(st.from_regex(groups.NAME, fullmatch=True).filter(str.isascii)))
def test_a_list_is_the_same_as_lines_and_as_json(names: set[str]) -> None:
    assert group_sources.parse_names("\n".join(names), "x") == sorted(names)
    assert group_sources.parse_names(json.dumps(list(names)), "x") == sorted(names)


@given(st.text())
def test_any_text_is_a_list_or_refused(text: str) -> None:
    try:
        found = group_sources.parse_names(text, "x")
    except InvalidInputError:
        return
    assert all(groups.NAME.fullmatch(name) for name in found)


def test_comments_are_not_names() -> None:
    assert group_sources.parse_names("# ours\nb a # and more\n\nb\n", "x") == ["a", "b"]


@pytest.mark.parametrize("text", ["<html>", "[1]", '["a b"]', '["a"', "[" * 100_000, "a,b"])
def test_what_is_not_a_list_of_names_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"the\.txt"):
        group_sources.parse_names(text, "the.txt")


def test_what_a_distgit_group_has_is_found() -> None:
    tree = {"rpms": {"b": ["@sig", "x"], "a": ["@sig"], "c": ["sig"], "d": None}, "container": {"e": ["@sig"]}}
    assert group_sources.parse_distgit(json.dumps(tree), "@sig", "x") == ["a", "b"]
    assert group_sources.parse_distgit(json.dumps(tree), "@other", "x") == []
    for text in ("[]", "{}", '{"rpms": []}', "<html>"):
        with pytest.raises(InvalidInputError, match="the address"):
            group_sources.parse_distgit(text, "@sig", "the address")


class Handler(BaseHTTPRequestHandler):
    """Answers that a server may give."""

    gate = threading.Event()

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/list")
            self.end_headers()
            return
        self.send_response(200 if self.path in ("/list", "/binary", "/slow", "/trickle") else 404)
        self.end_headers()
        if self.path == "/slow":
            self.wfile.write(b"pkg01\n")
            self.wfile.flush()
            self.gate.wait(60)
        elif self.path == "/trickle":
            with suppress(ConnectionError):
                for _ in range(500):
                    self.wfile.write(b"a")
                    self.gate.wait(0.02)
        else:
            self.wfile.write(b"\xff\xfe" if self.path == "/binary" else b"pkg01\npkg02\n")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Handler.gate.clear()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Handler.gate.set()
        server.shutdown()
        thread.join()


def test_a_list_is_downloaded_wherever_it_has_moved(site: str) -> None:
    assert group_sources.download(f"{site}/list") == group_sources.download(f"{site}/moved") == "pkg01\npkg02\n"


def test_downloads_are_bounded_in_size_and_time(site: str) -> None:
    with pytest.raises(ServiceError, match="longer than the 5 bytes"):
        group_sources.download(f"{site}/list", largest=5)
    with pytest.raises(ServiceError, match="slow cannot be read"):
        group_sources.download(f"{site}/slow", patience=0.2)
    with pytest.raises(ServiceError, match=r"was not read in 0\.5 seconds"):
        group_sources.download(f"{site}/trickle", patience=0.5)


@pytest.mark.parametrize(("path", "error"), [("/nothing", ServiceError), ("/binary", InvalidInputError)])
def test_answers_that_are_no_list_are_told(site: str, path: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=f"{site}{path}"):
        group_sources.download(f"{site}{path}")


def test_a_server_that_is_away_is_told_from_an_address_that_is_none() -> None:
    with pytest.raises(ServiceError, match="127"):
        group_sources.download("http://127.0.0.1:9/list")
    for url in ("file:///etc/passwd", "nonsense", "http://[", ""):
        with pytest.raises(UserError):
            group_sources.download(url)


# people


def test_people_may_administer_and_may_not_any_more(session: Session) -> None:
    session.add(User(name="bob"))
    session.flush()
    assert users.set_admin(session, ALICE, "bob", True) == ["User bob may administer Koschei"]
    assert users.set_admin(session, ALICE, "bob", True) == []
    assert [user.name for user in users.summaries(session, admins_only=True)] == ["bob"]
    assert users.set_admin(session, ALICE, "bob", False) == ["User bob may not administer Koschei any more"]
    assert users.summaries(session, admins_only=True) == []
    assert len(log(session)) == 2


def test_a_misspelled_person_is_not_made_an_administrator(session: Session) -> None:
    session.add(User(name="bobby"))
    session.flush()
    with pytest.raises(NotFoundError, match="Did you mean bobby"):
        users.set_admin(session, ALICE, "bobyb", True)
    with pytest.raises(InvalidInputError):
        users.set_admin(session, ALICE, "b b", True, create=True)
    users.set_admin(session, ALICE, "new", True, create=True)
    assert [user.name for user in users.summaries(session, admins_only=True)] == ["new"]
