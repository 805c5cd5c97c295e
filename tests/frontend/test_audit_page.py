"""The audit log for those who administer, and cancelling builds."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from koschei import audit
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.model import Build, Environment, LogEntry
from koschei.rules.states import BuildState
from tests.frontend.persons import Visitor
from tests.world import filling


@pytest.fixture
def admin(client: FlaskClient, database: Database) -> Visitor:
    with filling(database) as world:
        package = world.package("bash", world.collection("f43"))
        world.build(package, hours=5)
        world.build(package, BuildState.RUNNING, hours=1)
        for number in range(250):
            audit.record(world.session, Actor(Environment.ADMIN, "jane"), f"did thing {number}")
        audit.record(world.session, audit.BACKEND, "a service <did> this", base_id=package.base_id)
    return Visitor(client, database, "root", admin=True)


def test_the_log_is_read_page_by_page_to_its_end(admin: Visitor) -> None:
    path: str | None = "/log"
    seen: list[str] = []
    while path:
        page = admin.get(path).text
        seen += [line.split("</td>")[0] for line in page.split('<td class="wide">')[1:]]
        links = [line for line in page.split("<a ") if line.startswith('rel="next"')]
        path = links[0].split('href="')[1].split('"')[0].replace("&amp;", "&") if links else None
    assert [line for line in seen if "did thing" in line] == [f"did thing {number}" for number in range(249, -1, -1)]
    assert "bash</a>: a service &lt;did&gt; this" in seen[0] + seen[1]


def test_the_log_is_filtered_and_says_what_it_cannot_find(admin: Visitor) -> None:
    assert "did thing 249" in admin.get("/log?user=jane&environment=admin").text
    assert "did thing" not in admin.get("/log?package=bash").text
    assert "No entry fits" in admin.get("/log?user=jane&until=2001-01-01").text
    assert "User not found: jan. Did you mean jane?" in admin.get("/log?user=jan").text
    for query in (
        "environment=moon",
        "since=yesterday",
        "until=99999-01-01",
        "before=x",
    ):
        assert 'role="alert"' in admin.get(f"/log?{query}").text, query


def test_those_who_administer_are_named(admin: Visitor) -> None:
    assert 'administered by <a href="/user/root">root</a>' in admin.get("/log").text


def test_only_those_who_administer_read_the_log(admin: Visitor, database: Database, app: object) -> None:
    jack = Visitor(admin.client.application.test_client(), database, "jack")
    assert jack.get("/log").status_code == 403
    nobody = admin.client.application.test_client().get("/log?user=jane")
    assert (nobody.status_code, nobody.location) == (302, "/login?next=/log?user%3Djane")


def test_a_build_that_koji_did_not_cancel_says_so_and_can_be_cancelled_again(
    admin: Visitor, database: Database
) -> None:
    with database.begin() as session:
        running = session.scalars(select(Build).order_by(Build.started.desc())).first()
        assert running is not None
        running.fault_text = "Koji would not cancel it: Cannot cancel task, <not> owner"
    page = admin.get(f"/build/{running.id}").text
    assert "Koji would not cancel it: Cannot cancel task, &lt;not&gt; owner. It is followed to its end." in page
    assert "Cancel this build" in page
    admin.post(f"/build/{running.id}/cancel")
    assert "would not cancel" not in admin.get(f"/build/{running.id}").text


def test_a_running_build_is_cancelled_once(admin: Visitor, database: Database) -> None:
    with database.read() as session:
        ended, running = session.scalars(select(Build.id).order_by(Build.started)).all()
    assert "Cancel this build" in admin.get(f"/build/{running}").text
    assert "Cancel this build" not in admin.get(f"/build/{ended}").text
    answer = admin.post(f"/build/{running}/cancel")
    assert (answer.status_code, answer.location) == (303, f"/build/{running}")
    assert admin.flashes() == ["Cancelation request sent."]
    assert "It is to be cancelled" in admin.get(f"/build/{running}").text
    for build, words in ((running, "already has pending cancelation request"), (ended, "Only running builds can be")):
        refused = admin.post(f"/build/{build}/cancel")
        assert (refused.status_code, refused.location) == (303, f"/build/{build}")
        assert words in admin.get(f"/build/{build}").text
    assert admin.post("/build/123456/cancel").status_code == 404
    assert admin.post(f"/build/{2**70}/cancel").status_code == 404
    jack = Visitor(admin.client.application.test_client(), database, "jack")
    assert jack.post(f"/build/{running}/cancel").status_code == 403
    with database.read() as session:
        messages = session.scalars(select(LogEntry.message).where(LogEntry.message.contains("cancelation"))).all()
    assert messages == [f"Build {running} of bash in f43: cancelation requested"]
