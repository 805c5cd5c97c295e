"""Who may do what: the table of the user guide, what views say, and what really happens, are the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from frontend.access import READING, WITH_TOKENS, Role, role_of
from koschei.db.engine import Database
from koschei.model import GroupACL, PackageGroup, PackageGroupRelation, User
from koschei.rules.states import BuildState
from tests.frontend.persons import BASE, Visitor
from tests.world import filling

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "user-guide.md"
HEADING = "## Who may do what"
# A package's groups are not all of one kind: the table says whose maintainers are meant.
SAID = {"the maintainers of each group": Role.MAINTAINER.value}


@dataclass(frozen=True)
class Case:
    """A request that the lowest role which may make it can make with success."""

    path: str
    form: Mapping[str, str] = field(default_factory=dict)


def group(name: str) -> dict[str, str]:
    """The form of a group that has a package more than before."""
    was = {"was_owners": "maintainer", "was_packages": "bash"}
    return {"name": name, "owners": "maintainer", "packages": "bash zsh", **was}


# By rule and method; RUNNING, GROUP and OTHER stand for numbers.
CASES: dict[tuple[str, str], Case] = {
    ("/add-group", "GET"): Case("/add-group"),
    ("/add-group", "POST"): Case("/add-group", {"name": "new", "owners": "jack", "packages": "bash zsh"}),
    ("/add-packages", "GET"): Case("/add-packages"),
    ("/add-packages", "POST"): Case("/add-packages", {"packages": "zsh", "collection": "f43"}),
    ("/groups/<name>/delete", "GET"): Case("/groups/core/delete"),
    ("/groups/<name>/delete", "POST"): Case("/groups/core/delete"),
    ("/groups/<name>/edit", "GET"): Case("/groups/core/edit"),
    ("/groups/<name>/edit", "POST"): Case("/groups/core/edit", group("core")),
    ("/groups/<namespace>/<name>/delete", "GET"): Case("/groups/maintainer/shells/delete"),
    ("/groups/<namespace>/<name>/delete", "POST"): Case("/groups/maintainer/shells/delete"),
    ("/groups/<namespace>/<name>/edit", "GET"): Case("/groups/maintainer/shells/edit"),
    ("/groups/<namespace>/<name>/edit", "POST"): Case("/groups/maintainer/shells/edit", group("shells")),
    ("/build/<int:build_id>/cancel", "POST"): Case("/build/RUNNING/cancel"),
    ("/log", "GET"): Case("/log"),
    ("/package/<name>/edit", "POST"): Case("/package/bash/edit", {"manual_priority": "5"}),
    ("/package/<name>/groups", "POST"): Case("/package/bash/groups", {"group-prev-GROUP": "true"}),
    ("/package/<name>/rebuild", "POST"): Case("/package/bash/rebuild"),
    ("/package/<name>/resolve", "POST"): Case("/package/bash/resolve"),
    ("/logout", "POST"): Case("/logout"),
    ("/tokens", "GET"): Case("/tokens"),
    ("/tokens", "POST"): Case("/tokens", {"name": "script", "groups": "y", "days": "7"}),
    ("/tokens/<int:token_id>/revoke", "POST"): Case("/tokens/1/revoke"),
}


def guarded(app: Flask) -> dict[tuple[str, str], Role]:
    """Every request that changes something or is not for everybody, by rule and method, with who may make it."""
    found = {}
    for rule in app.url_map.iter_rules():
        if rule.endpoint.partition(".")[0] in WITH_TOKENS:
            continue
        role = role_of(app, rule.endpoint)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            if role is not Role.ANYONE or method not in READING:
                found[rule.rule, method] = role
    return found


def documented() -> dict[tuple[str, str], set[str]]:
    """The same from the table of the user guide: who is named beside each request."""
    section = GUIDE.read_text().split(HEADING)[1].split("\n## ")[0]
    found: dict[tuple[str, str], set[str]] = {}
    for line in section.splitlines():
        if line.startswith("|"):
            _, _what, requests, who, _ = line.split("|")
            for method, rule in re.findall(r"`([A-Z]+) ([^`]+)`", requests):
                found.setdefault((rule, method), set()).add(SAID.get(who.strip(), who.strip()))
    return found


def test_the_user_guide_has_every_request_that_is_not_for_everybody(app: Flask) -> None:
    known = documented()
    asked = guarded(app)
    assert sorted(asked.keys() - known.keys()) == []
    wrong = {key: (role.value, known[key]) for key, role in asked.items() if role.value not in known[key]}
    assert wrong == {}
    views = {(rule.rule, method) for rule in app.url_map.iter_rules() for method in rule.methods or ()}
    assert sorted(known.keys() - views) == []


def test_every_request_that_is_not_for_everybody_is_tried(app: Flask) -> None:
    assert sorted(guarded(app).keys() - CASES.keys()) == []


@pytest.fixture
def numbers(database: Database) -> dict[str, str]:
    """A world in which everything that is tried can be done, and the numbers of what is in it."""
    with filling(database) as world:
        collection = world.collection("f43")
        package = world.package("bash", collection)
        world.package("zsh", collection, tracked=False)
        world.build(package, hours=30)
        kernel = world.package("kernel", collection)
        world.build(kernel, hours=40)
        running = world.build(kernel, BuildState.RUNNING, hours=1)
        people = {name: User(name=name) for name in ("maintainer", "jane", "jack")}
        groups = {
            "core": PackageGroup(name="core"),
            "shells": PackageGroup(namespace="maintainer", name="shells"),
            "foreign": PackageGroup(name="foreign"),
        }
        world.session.add_all([*people.values(), *groups.values()])
        world.session.flush()
        for name in ("core", "shells"):
            world.session.add(GroupACL(group_id=groups[name].id, user_id=people["maintainer"].id))
            world.session.add(PackageGroupRelation(group_id=groups[name].id, base_id=package.base_id))
        world.session.add(PackageGroupRelation(group_id=groups["foreign"].id, base_id=package.base_id))
        return {"RUNNING": str(running.id), "GROUP": str(groups["core"].id), "OTHER": str(groups["foreign"].id)}


@pytest.fixture
def visitors(app: Flask, database: Database, numbers: dict[str, str]) -> dict[Role | None, Visitor]:
    """One person of each kind; None is nobody."""
    return {
        None: Visitor(app.test_client(), database),
        Role.USER: Visitor(app.test_client(), database, "jack"),
        Role.MAINTAINER: Visitor(app.test_client(), database, "maintainer"),
        Role.ADMIN: Visitor(app.test_client(), database, "root", admin=True),
    }


def ask(visitor: Visitor, method: str, case: Case, numbers: Mapping[str, str]) -> int:
    """The status of the answer to this request."""

    def filled(text: str) -> str:
        return re.sub("|".join(numbers), lambda match: numbers[match[0]], text)

    if method == "GET":
        return int(visitor.get(filled(case.path)).status_code)
    form = {filled(name): filled(value) for name, value in case.form.items()}
    answer = visitor.post(filled(case.path), form)
    if answer.status_code == 302:
        assert answer.location.startswith("/login"), answer.location
    return int(answer.status_code)


MAY = {
    Role.ANYONE: {None, Role.USER, Role.MAINTAINER, Role.ADMIN},
    Role.USER: {Role.USER, Role.MAINTAINER, Role.ADMIN},
    Role.MAINTAINER: {Role.MAINTAINER, Role.ADMIN},
    Role.ADMIN: {Role.ADMIN},
}


@pytest.mark.parametrize(("rule", "method"), sorted(CASES))
def test_what_happens_is_what_the_table_says(
    app: Flask, visitors: dict[Role | None, Visitor], numbers: dict[str, str], rule: str, method: str
) -> None:
    may = MAY[guarded(app)[rule, method]]
    for kind in visitors.keys() - may:
        status = ask(visitors[kind], method, CASES[rule, method], numbers)
        nobody = 302 if method in READING else 401
        assert status == (nobody if kind is None else 403), kind
    # What one has done cannot be done again, mostly: so only the lowest of those who may tries it in this world.
    lowest = next(kind for kind in visitors if kind in may and kind is not None)
    assert ask(visitors[lowest], method, CASES[rule, method], numbers) in (200, 303), lowest


@pytest.mark.parametrize(("rule", "method"), sorted(CASES))
def test_who_administers_may_do_everything(
    visitors: dict[Role | None, Visitor], numbers: dict[str, str], rule: str, method: str
) -> None:
    assert ask(visitors[Role.ADMIN], method, CASES[rule, method], numbers) in (200, 303)


CHANGING = sorted(key for key in CASES if key[1] not in READING)


@pytest.mark.parametrize(("rule", "method"), CHANGING)
def test_what_changes_something_refuses_other_methods_a_missing_token_and_foreign_origins(
    client: FlaskClient, database: Database, numbers: dict[str, str], app: Flask, rule: str, method: str
) -> None:
    root = Visitor(client, database, "root", admin=True)
    case = CASES[rule, method]
    path = re.sub("|".join(numbers), lambda match: numbers[match[0]], case.path)
    methods = {m for r in app.url_map.iter_rules() if r.rule == rule for m in r.methods or ()}
    for wrong in {"GET", "PUT", "DELETE", "PATCH"} - methods:
        assert client.open(path, method=wrong, base_url=BASE).status_code == 405, wrong
    form = dict(case.form)
    assert client.post(path, base_url=BASE, data=form).status_code == 400
    assert client.post(path, base_url=BASE, data={**form, "csrf_token": "x"}).status_code == 400
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://localhost.evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ):
        assert root.post(path, form, headers=headers).status_code == 400, headers


def test_a_token_of_another_session_does_not_count(app: Flask, database: Database, numbers: dict[str, str]) -> None:
    jack, jane = (Visitor(app.test_client(), database, name) for name in ("jack", "jane"))
    stolen = re.search(r'name="csrf_token" value="([^"]+)"', jane.get("/logout").text)
    assert stolen
    answer = jack.client.post("/package/bash/rebuild", base_url=BASE, data={"csrf_token": stolen[1]})
    assert answer.status_code == 400
