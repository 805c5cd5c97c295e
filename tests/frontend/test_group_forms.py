"""Groups are made, changed and deleted on pages: by those who may, with nothing lost on a mistake."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from koschei import groups
from koschei.db.engine import Database
from koschei.model import LogEntry
from tests.frontend.conftest import counting
from tests.frontend.persons import Visitor
from tests.frontend.test_group_pages import MOST_QUERIES, SOMEBODY
from tests.frontend.test_pages import words
from tests.world import filling

FORMS = ("/groups/tools/edit", "/groups/jane/own/edit", "/groups/tools/delete", "/groups/jane/own/delete")


@pytest.fixture(autouse=True)
def there(database: Database) -> None:
    """A global group and one of jane's, both maintained by her."""
    with filling(database) as world:
        collection = world.collection("f44", "Fedora Rawhide")
        for name in ("foo", "bar", "baz", "pkg001"):
            world.package(name, collection)
        groups.create(world.session, SOMEBODY, "tools", ["foo", "bar"], ["jane", "amy"])
        groups.create(world.session, SOMEBODY, "jane/own", ["foo"], ["jane"])


@pytest.fixture
def jane(client: FlaskClient, database: Database) -> Visitor:
    return Visitor(client, database, "jane")


def group(database: Database, full_name: str) -> groups.GroupDetail:
    with database.begin() as session:
        return groups.detail(session, full_name)


def names(database: Database) -> list[str]:
    with database.begin() as session:
        return [summary.name for summary in groups.summaries(session)]


def log(database: Database) -> list[str]:
    with database.begin() as session:
        return [f"{entry.user.name}: {entry.message}" for entry in session.scalars(select(LogEntry)) if entry.user]


def fields(page: str) -> dict[str, str]:
    """What a browser would send of the group's form as it stands."""
    found = {
        name: re.search(rf'<textarea[^>]* name="{name}"[^>]*>\s*([^<]*)<', page) for name in ("owners", "packages")
    }
    found |= {
        name: re.search(rf'<input[^>]* name="{name}"[^>]* value="([^"]*)"', page)
        for name in ("name", "was_owners", "was_packages")
    }
    return {name: match[1] for name, match in found.items() if match}


def test_ones_own_groups_stand_first_and_lead_to_their_forms(
    client: FlaskClient, jane: Visitor, database: Database
) -> None:
    with database.begin() as session:
        groups.create(session, SOMEBODY, "alpha", ["foo"], ["zoe"])
    page = jane.get("/groups").text
    links = re.findall(r'<th scope="row"><a href="/groups/([^"]*)"', page)
    assert links == ["tools", "jane/own", "alpha", "tools", "jane/own"]
    assert set(re.findall(r'href="(/groups/[^"]*/edit)"', page)) == {"/groups/tools/edit", "/groups/jane/own/edit"}
    assert 'href="/add-group"' in page
    assert "Yours" not in words(jane.get("/groups?q=too").text)
    assert 'href="/groups/tools/delete"' in jane.get("/groups/tools").text
    assert "/edit" not in jane.get("/groups/alpha").text
    zoe = words(Visitor(client, database, "newcomer").get("/groups").text)
    assert "Yours" not in zoe
    assert "New group" in zoe
    with client.session_transaction(base_url="https://localhost") as cookie:
        cookie.clear()
    page = client.get("/groups", base_url="https://localhost").text
    assert "/edit" not in page
    assert "New group" not in words(page)


def test_pages_with_forms_ask_few_queries(jane: Visitor, database: Database) -> None:
    with filling(database) as world:
        world.collection("eln", resolved=False)
        for number in range(40):
            groups.create(world.session, SOMEBODY, f"jane/g{number}", ["foo"], ["jane"])
    for address in ("/groups", "/groups/tools", "/add-group", *FORMS, "/add-packages"):
        jane.get(address)
        with counting(database) as statements:
            assert jane.get(address).status_code == 200
        assert len(statements) <= MOST_QUERIES, (address, statements)


def test_a_group_is_made_in_ones_own_namespace(jane: Visitor, database: Database) -> None:
    page = jane.get("/add-group?packages=foo,bar&name=mine").text
    assert fields(page) == {"name": "mine", "owners": "jane", "packages": "foo,bar"}
    answer = jane.post("/add-group", {**fields(page), "shared": "y"})
    assert (answer.status_code, answer.location) == (303, "/groups/jane/mine")
    assert jane.flashes() == ["Group created with 2 packages."]
    found = group(database, "jane/mine")
    assert (found.packages, found.maintainers) == (("bar", "foo"), ("jane",))
    assert "jane: Group jane/mine created" in log(database)


def test_no_group_of_a_user_takes_the_address_of_another_page(app: Flask, jane: Visitor) -> None:
    ends = [re.fullmatch(r"/groups/<name>/([^<>/]+)", rule.rule) for rule in app.url_map.iter_rules()]
    taken = sorted({end[1] for end in ends if end})
    assert taken == sorted(groups.RESERVED)
    for name in taken:
        answer = jane.post("/add-group", {"name": name, "owners": "jane", "packages": "foo"})
        assert (answer.status_code, "would be the address of another page" in answer.text) == (422, True)


def test_who_administers_can_make_a_global_group(client: FlaskClient, database: Database) -> None:
    root = Visitor(client, database, "root", admin=True)
    assert 'name="shared"' in root.get("/add-group").text
    content = {"name": "sig", "owners": "amy, zoe", "packages": "foo"}
    assert root.post("/add-group", {**content, "shared": "y"}).location == "/groups/sig"
    assert root.post("/add-group", content).location == "/groups/root/sig"
    assert group(database, "sig").maintainers == ("amy", "zoe")


def test_a_paste_of_hundreds_of_names_works(jane: Visitor, database: Database) -> None:
    every = [f"many{number:03}" for number in range(300)]
    with filling(database) as world:
        collection = world.collection("f43")
        for name in every:
            world.package(name, collection)
    for number, separator in enumerate(("\r\n", " ", ",", ", \t\r\n")):
        answer = jane.post("/add-group", {"name": f"all{number}", "owners": "jane", "packages": separator.join(every)})
        assert answer.status_code == 303
        assert group(database, f"jane/all{number}").packages == tuple(every)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": ""}, "Invalid group name"),
        ({"name": "a/b"}, "Invalid group name"),
        ({"name": "x" * 201}, "Invalid group name"),
        ({"name": "edit"}, "would be the address of another page"),
        ({"name": ".."}, "Invalid group name"),
        ({"name": "own"}, "Group already exists"),
        ({"owners": " "}, "Group must have an owner"),
        ({"owners": "amy <b>"}, "Invalid owner list"),
        ({"packages": ", \n"}, "Empty group not allowed"),
        ({"packages": "foo b*r"}, "Invalid package list"),
        ({"packages": "foo nix <i>"}, "Invalid package list"),
        ({"packages": "foo barr nix"}, "Packages don't exist: barr, nix. Did you mean"),
    ],
)
def test_a_mistake_is_said_beside_its_field_and_nothing_is_lost(
    jane: Visitor, database: Database, wrong: dict[str, str], told: str
) -> None:
    sent = {"name": "mine", "owners": "jane, amy", "packages": "foo bar", **wrong}
    answer = jane.post("/add-group", sent)
    assert answer.status_code == 422
    said = re.search(r'<p class="error" id="(\w+)-error">([^<]*)</p>', answer.text)
    assert said
    assert said[1] == next(iter(wrong))
    assert told in said[2].replace("&#39;", "'")
    shown = fields(answer.text)
    for name, value in sent.items():
        assert shown[name].replace("&lt;", "<").replace("&gt;", ">").split() == value.split()
    assert names(database) == ["tools", "jane/own"]
    assert "<b>" not in answer.text


def test_a_group_is_changed_and_every_change_is_in_the_audit_log(jane: Visitor, database: Database) -> None:
    page = jane.get("/groups/jane/own/edit").text
    assert fields(page) == {
        "name": "own",
        "owners": "jane",
        "packages": "foo",
        "was_owners": "jane",
        "was_packages": "foo",
    }
    sent = {**fields(page), "name": "ours", "owners": "jane\nzoe", "packages": "bar baz"}
    answer = jane.post("/groups/jane/own/edit", sent)
    assert (answer.status_code, answer.location) == (303, "/groups/jane/ours"), "its namespace stays"
    assert jane.flashes() == ["Group modified: 2 packages added, 1 removed; it has 2 packages."]
    found = group(database, "jane/ours")
    assert (found.packages, found.maintainers) == (("bar", "baz"), ("jane", "zoe"))
    assert [line for line in log(database) if line.startswith("jane:")] == [
        "jane: Group jane/own renamed to jane/ours",
        "jane: Group jane/ours: packages added: bar, baz",
        "jane: Group jane/ours: packages removed: foo",
        "jane: Group jane/ours: maintainers added: zoe",
    ]
    assert jane.post("/groups/jane/ours/edit", fields(jane.get("/groups/jane/ours/edit").text)).status_code == 303
    assert jane.flashes() == ["Nothing was changed: it is like that already."]


def test_a_group_can_be_handed_over(jane: Visitor, database: Database) -> None:
    sent = {**fields(jane.get("/groups/tools/edit").text), "owners": "amy"}
    assert jane.post("/groups/tools/edit", sent).status_code == 303
    assert group(database, "tools").maintainers == ("amy",)
    assert jane.get("/groups/tools/edit").status_code == 403


def test_what_somebody_else_changed_meanwhile_is_shown_and_not_undone(jane: Visitor, database: Database) -> None:
    sent = {**fields(jane.get("/groups/tools/edit").text), "packages": "foo baz", "owners": "jane amy"}
    with database.begin() as session:
        wish = groups.GroupEdit(packages=["bar", "foo", "pkg001"], maintainers=["jane", "zoe"])
        groups.edit(session, SOMEBODY, "tools", wish)
    answer = jane.post("/groups/tools/edit", sent)
    assert answer.status_code == 409
    seen = words(answer.text)
    assert "Nothing was saved yet: somebody else changed this group" in seen
    assert "They added packages: pkg001." in seen
    assert "They added maintainers: zoe. They removed maintainers: amy." in seen
    assert group(database, "tools").packages == ("bar", "foo", "pkg001")
    again = fields(answer.text)
    assert again["packages"].split() == ["baz", "foo", "pkg001"], "her removal, her addition, their addition"
    assert jane.post("/groups/tools/edit", again).status_code == 303
    found = group(database, "tools")
    assert (found.packages, found.maintainers) == (("baz", "foo", "pkg001"), ("jane", "zoe"))


def test_a_mistake_in_an_edit_loses_neither_fields_nor_what_it_was_made_from(jane: Visitor, database: Database) -> None:
    sent = {**fields(jane.get("/groups/tools/edit").text), "packages": "foo nix"}
    answer = jane.post("/groups/tools/edit", sent)
    assert answer.status_code == 422
    assert "Packages don" in answer.text
    assert fields(answer.text) == {**sent, "owners": fields(answer.text)["owners"]}
    taken = jane.post("/groups/jane/own/edit", {**fields(jane.get("/groups/jane/own/edit").text), "name": "a b"})
    assert "Invalid group name" in taken.text


def test_a_group_cannot_take_the_name_of_another(jane: Visitor, database: Database) -> None:
    jane.post("/add-group", {"name": "second", "owners": "jane", "packages": "foo"})
    sent = {**fields(jane.get("/groups/jane/second/edit").text), "name": "own"}
    answer = jane.post("/groups/jane/second/edit", sent)
    assert answer.status_code == 422
    assert "Group already exists" in answer.text


def test_deleting_is_explained_first_and_done_by_its_form_alone(jane: Visitor, database: Database) -> None:
    seen = words(jane.get("/groups/tools/delete").text)
    assert "Delete the group tools? The 2 packages in it stay, and go on being tested." in seen
    assert "cannot be undone" in seen
    assert names(database) == ["tools", "jane/own"]
    answer = jane.post("/groups/tools/delete")
    assert (answer.status_code, answer.location) == (303, "/groups")
    assert jane.flashes() == ["Group tools deleted."]
    assert names(database) == ["jane/own"]
    assert "jane: Group tools deleted" in log(database)
    assert jane.get("/groups/tools/delete").status_code == 404


@pytest.mark.parametrize("address", FORMS)
def test_others_may_neither_see_nor_send_the_forms_of_a_group(
    client: FlaskClient, database: Database, address: str
) -> None:
    assert client.get(address, base_url="https://localhost").location.startswith("/login?next=/groups/")
    eve = Visitor(client, database, "eve")
    before = [group(database, name) for name in names(database)]
    sent = {"name": "evil", "owners": "eve", "packages": "foo", "was_owners": "jane", "was_packages": "foo"}
    for answer in (eve.get(address), eve.post(address, sent)):
        assert answer.status_code == 403
        assert "Only the maintainers of the group" in words(answer.text)
    assert [group(database, name) for name in names(database)] == before


def test_who_administers_may_change_every_group(client: FlaskClient, database: Database) -> None:
    root = Visitor(client, database, "root", admin=True)
    for address in FORMS:
        assert root.get(address).status_code == 200
    assert root.post("/groups/jane/own/delete").status_code == 303


def test_a_form_without_its_token_changes_nothing(jane: Visitor, database: Database) -> None:
    sent: dict[str, Any] = {"name": "own", "owners": "jane", "packages": "bar", "csrf_token": "x"}
    for address in ("/add-group", "/groups/jane/own/edit", "/groups/jane/own/delete"):
        assert jane.post(address, sent).status_code == 400
    assert names(database) == ["tools", "jane/own"]
    assert group(database, "jane/own").packages == ("foo",)


@pytest.mark.parametrize("address", ["/groups/nix/edit", "/groups/jane/nix/delete", "/groups/nobody/x/edit"])
def test_a_group_that_is_not_there_has_no_forms(jane: Visitor, address: str) -> None:
    assert jane.get(address).status_code == 404
    assert jane.post(address, {"name": "a", "owners": "jane", "packages": "foo"}).status_code == 404
