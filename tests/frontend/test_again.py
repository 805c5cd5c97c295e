"""Forms that came too late: nothing is changed, nothing that was filled in is lost, and nobody else can use that."""

from __future__ import annotations

import html
import re
from itertools import product
from typing import Any
from urllib.parse import unquote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from koschei import groups
from koschei.db.engine import Database
from koschei.model import LogEntry
from koschei.rules.states import BuildState
from tests.frontend.persons import BASE, Visitor, csrf_token
from tests.frontend.test_group_forms import fields
from tests.frontend.test_group_pages import SOMEBODY
from tests.world import filling

OURS = {"Origin": BASE, "Sec-Fetch-Site": "same-origin"}
LIST = "bash\r\nzsh"


@pytest.fixture(autouse=True)
def there(database: Database) -> None:
    """Packages, and a group that jane maintains."""
    with filling(database) as world:
        f43, f44 = world.collection("f43", "Stable"), world.collection("f44", "Rawhide")
        for name in ("bash", "zsh"):
            world.build(world.package(name, f43), hours=30)
            world.build(world.package(name, f44), hours=30)
        world.build(world.package("fish", f43), BuildState.RUNNING, hours=1)
        groups.create(world.session, SOMEBODY, "shells", ["bash"], ["jane"])


@pytest.fixture
def jane(client: FlaskClient, database: Database) -> Visitor:
    return Visitor(client, database, "jane")


def log_out_elsewhere(visitor: Visitor) -> None:
    """What a closed browser, or twelve hours, do."""
    with visitor.client.session_transaction(base_url=BASE) as cookie:
        cookie.clear()


def log_in_elsewhere(visitor: Visitor, database: Database) -> None:
    """What logging in in another tab does: the tokens of pages that are open are those of an earlier login."""
    log_out_elsewhere(visitor)
    Visitor(visitor.client, database, visitor.name)


def send(
    visitor: Visitor, path: str, form: dict[str, str], origin: dict[str, str] | None = None, **headers: str
) -> Any:
    """A form as the browser sends it."""
    return visitor.client.post(
        path, base_url=BASE, data=form, headers={**(OURS if origin is None else origin), **headers}
    )


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of the form on a page's main part."""
    main = page.split("<main")[1].split("</main>")[0]
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', main)
    return {name: html.unescape(value) for name, value in found}


def changes(database: Database) -> int:
    with database.read() as session:
        query = select(func.count()).select_from(LogEntry).where(~LogEntry.message.contains("registered"))
        return session.scalars(query).one()


def test_a_list_that_was_typed_into_a_group_outlives_the_login(jane: Visitor, database: Database) -> None:
    before = changes(database)
    form = {**fields(jane.get("/groups/shells/edit").text), "packages": LIST, "csrf_token": "old"}
    log_out_elsewhere(jane)
    answer = send(jane, "/groups/shells/edit", form, Referer=f"{BASE}/groups/shells/edit")
    assert answer.status_code == 401
    assert "Your login has ended; nothing was changed" in answer.text
    assert 'href="/login?next=/groups/shells/edit" target="_blank"' in answer.text
    assert "<pre>bash\r\nzsh</pre>" in answer.text
    kept = hidden(answer.text)
    assert kept == {name: value for name, value in form.items() if name != "csrf_token"}
    assert send(jane, "/groups/shells/edit", kept).status_code == 401  # whoever goes on too early loses nothing either
    log_in_elsewhere(jane, database)
    page = send(jane, "/groups/shells/edit", kept)
    assert page.status_code == 400
    assert "Nothing was changed yet" in page.text
    shown = fields(page.text)
    assert shown == {**kept, "packages": shown["packages"]}
    assert shown["packages"].split() == ["bash", "zsh"]
    assert changes(database) == before
    saved = send(jane, "/groups/shells/edit", {**shown, "csrf_token": csrf_token(page.text.split("<main")[1])})
    assert (saved.status_code, saved.location) == (303, "/groups/shells")
    with database.read() as session:
        assert groups.detail(session, "shells").packages == ("bash", "zsh")


def test_a_form_with_an_old_token_is_shown_as_it_was_sent(jane: Visitor, database: Database) -> None:
    before = changes(database)
    old = csrf_token(jane.get("/logout").text)
    log_in_elsewhere(jane, database)
    group = {"name": "shells", "owners": "jane amy", "packages": "zsh"}
    for path, form, seen in (
        ("/groups/shells/edit", group, ">\r\njane amy</textarea>"),
        ("/add-group", {"name": "mine", "owners": "jane", "packages": "<b>"}, ">\r\n&lt;b&gt;</textarea>"),
        ("/add-packages", {"packages": "zsh", "collection": "f44"}, '<option selected value="f44">'),
        ("/package/bash/edit", {"manual_priority": "77"}, 'value="77"'),
        ("/tokens", {"name": "my script", "groups": "y", "days": "7"}, 'value="my script"'),
    ):
        answer = send(jane, path, {**form, "csrf_token": old})
        assert answer.status_code == 400
        assert "Look at it, and send it once more" in answer.text
        assert seen in answer.text
        assert csrf_token(answer.text.split("<main")[1]) != old
    assert changes(database) == before


def test_a_button_with_an_old_token_can_be_pressed_once_more(jane: Visitor, database: Database) -> None:
    form = {"collection_id": "1", "csrf_token": csrf_token(jane.get("/package/bash?collection=f43").text)}
    log_in_elsewhere(jane, database)
    before = changes(database)
    answer = send(jane, "/package/bash/rebuild?x=1", form, Referer=f"{BASE}/package/bash?collection=f43")
    assert (answer.status_code, changes(database)) == (400, before)
    assert "<h1>Nothing was changed: send it once more</h1>" in answer.text
    assert 'action="/package/bash/rebuild?x=1"' in answer.text
    assert '<a href="/package/bash?collection=f43">Go back</a>' in answer.text
    assert send(jane, "/package/bash/rebuild", hidden(answer.text)).status_code == 303
    assert changes(database) == before + 1


def test_who_presses_a_button_after_the_login_has_ended_comes_back_to_its_page(
    client: FlaskClient, database: Database
) -> None:
    nobody = Visitor(client, database)
    for path, referrer, back in (
        ("/package/bash/resolve", f"{BASE}/package/bash?collection=f43", "/package/bash?collection=f43"),
        ("/package/bash/rebuild", f"{BASE}/package/bash/edit", "/package/bash"),  # the page of a mistake
        ("/package/a%2Bb/rebuild", None, "/package/a%2Bb"),
        ("/package/bash/rebuild", "https://evil.example/package/zsh", "/package/bash"),
        ("/package/bash/rebuild", "http://[", "/package/bash"),
        ("/package/bash/rebuild", f"{BASE}//evil.example/", "/"),
        ("/build/1/cancel", None, "/build/1"),
        ("/groups/shells/delete", None, "/groups/shells/delete"),
        ("/tokens/1/revoke", f"{BASE}/tokens", "/tokens"),
    ):
        headers = {} if referrer is None else {"Referer": referrer}
        answer = send(nobody, path, {"collection_id": "1", "csrf_token": "old"}, **headers)
        assert answer.status_code == 401
        assert "Your login has ended; nothing was changed" in answer.text
        links = re.findall(r'href="/login\?next=([^"]*)"', answer.text)
        assert {unquote(link) for link in links} == {back}
        assert "<form" not in answer.text.split("<main")[1]


def test_only_a_form_of_ours_is_shown_again(jane: Visitor, database: Database) -> None:
    form = {"name": "shells", "owners": "jane mallory", "packages": "bash", "csrf_token": "x"}
    origins: tuple[dict[str, str], ...] = (
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": BASE, "Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none"},
    )
    for known in (True, False):
        for path, origin in product(("/groups/shells/edit", "/groups/shells/delete"), origins):
            answer = send(jane, path, form, origin)
            assert answer.status_code in (400, 401)
            assert "mallory" not in answer.text
            assert "<form" not in answer.text.split("<main")[1]
        if known:
            log_out_elsewhere(jane)


def test_what_is_shown_again_is_refused_to_whoever_may_not_see_it(jane: Visitor, database: Database) -> None:
    jack = Visitor(jane.client, database, "jack")
    form = {"name": "shells", "owners": "jack", "packages": "bash", "csrf_token": "x"}
    assert send(jack, "/groups/shells/edit", form).status_code == 403
    assert send(jack, "/groups/gone/edit", form).status_code == 404
    assert send(jack, "/package/gone/edit", form).status_code == 404


def test_every_form_that_people_fill_in_has_a_page_to_be_shown_on_again(app: Flask) -> None:
    shown = {name for name, view in app.view_functions.items() if hasattr(view, "shown_again")}
    both = {rule.endpoint for rule in app.url_map.iter_rules() if {"GET", "POST"} <= (rule.methods or set())}
    assert both - shown == {"group_forms.delete"}  # which has a button only
