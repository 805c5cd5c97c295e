"""The page of a package: its groups and maintainers, what can be done about it, when it is built next, its chart."""

from __future__ import annotations

import html
import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from koschei import groups
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.model import Environment, Package, PackageMaintainer, ServiceStatus
from koschei.rules.states import BuildState
from tests.frontend.persons import Visitor
from tests.world import ago, filling

COMPLETE, FAILED = BuildState.COMPLETE, BuildState.FAILED
OPERATOR = Actor(Environment.ADMIN, "operator")


def setting(page: str, name: str) -> str:
    """What stands beside a word in the list of settings, with its links."""
    found = re.search(rf"<dt>{name}</dt><dd>(.*?)</dd>", page, re.DOTALL)
    assert found
    return found[1]


def text(markup: str) -> str:
    return re.sub(r"<[^>]*>", "", markup)


@pytest.fixture
def bash(database: Database) -> None:
    """bash, in a global group and in groups of users; zsh, in none, which is not tracked."""
    with filling(database) as world:
        collection = world.collection("f44", "Fedora Rawhide")
        world.build(world.package("bash", collection, state_since=ago(30)), hours=30)
        world.package("zsh", collection, tracked=False)
        for name, maintainers in (("core", ["kofi"]), ("jane/shells", ["jane"]), ("eve/hers", ["eve"])):
            groups.create(world.session, OPERATOR, name, ["bash"], maintainers)


def test_whoever_is_logged_in_sees_the_own_groups_of_a_package(
    client: FlaskClient, database: Database, bash: None
) -> None:
    assert text(setting(client.get("/package/bash").text, "Groups")) == "core"
    assert setting(Visitor(client, database, "jane").get("/package/bash").text, "Groups") == (
        '<a href="/groups/core">core</a>, <a href="/groups/jane/shells">jane/shells</a>'
    )
    assert text(setting(Visitor(client, database, "root", admin=True).get("/package/bash").text, "Groups")) == "core"


def test_the_maintainers_of_a_package_are_those_of_its_global_groups_too(
    client: FlaskClient, database: Database, bash: None
) -> None:
    of_core = 'those of <a href="/groups/core">core</a>'
    assert setting(client.get("/package/bash").text, "Maintainers") == of_core
    with filling(database) as world:
        world.session.add(PackageMaintainer(user_name="amy", package="bash"))
    found = setting(Visitor(client, database, "jane").get("/package/bash").text, "Maintainers")
    assert " ".join(found.split()) == f'<a href="/user/amy">amy</a>, and {of_core}'
    assert text(setting(client.get("/package/zsh").text, "Maintainers")) == "none that are known"


def test_a_package_that_is_not_tracked_leads_to_where_it_is(
    client: FlaskClient, database: Database, bash: None
) -> None:
    address = "/add-packages?packages=zsh&collection=f44"
    link = f'<a href="{address.replace("&", "&amp;")}">Add packages</a>'
    assert link in client.get("/package/zsh").text
    assert "add-packages?packages" not in client.get("/package/bash").text
    form = Visitor(client, database, "jane").get(address).text
    assert re.search(r"<textarea[^>]*>\s*zsh</textarea>", form)
    assert '<option selected value="f44">' in form


def test_the_chart_of_its_builds_says_what_it_shows(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        package = world.package("bash", world.collection())
        for number, state in enumerate((COMPLETE, FAILED, COMPLETE, BuildState.CANCELED)):
            world.build(package, state, 100 + number, minutes=30)
    assert "<figure" not in client.get("/package/bash").text
    with filling(database) as world:
        world.build(package, FAILED, 120, minutes=90)
    page = client.get("/package/bash").text
    chart = page[page.index("<figure") : page.index("</figure>")]
    assert "The 5 builds below, oldest first: the taller, the longer one took (1 h 30 min at the most)" in text(chart)
    assert 'aria-label="failed 1 h 30 min, canceled 30 min, complete 30 min, failed 30 min, complete 30 min"' in chart
    assert re.findall(r'<use href="#i-(\w+)" x=', chart) == ["failing", "inconclusive", "ok", "failing", "ok"]
    legend = chart[chart.index('class="legend"') :]
    assert re.findall(r"</svg>(\w+)</span>", legend) == ["failed", "canceled", "complete"]


def test_when_it_is_built_next_is_a_moment_that_stays_true(client: FlaskClient, bash: None) -> None:
    page = client.get("/package/bash").text
    assert re.search(
        r'Its next build is due <time datetime="[^"]+" title="[^"]+ UTC">in 5 days</time>, or earlier', page
    )


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ({"waiting_for": "running builds to end"}, "2 of at most 2 builds are running; it waits for running builds"),
        ({"obstacles": ["zsh: Koji's load is 93%, above 50%"]}, "running; zsh: Koji's load is 93%, above 50%."),
        ({"submitted": "zsh"}, "running; zsh was submitted last."),
        ({}, "2 of at most 2 builds are running."),
    ],
)
def test_what_is_queued_tells_what_the_scheduler_found_in_its_way(
    client: FlaskClient, database: Database, bash: None, detail: dict[str, object], words: str
) -> None:
    assert "The scheduler, " not in client.get("/package/bash").text
    with filling(database) as world:
        world.service("scheduler", detail={"running": 2, "max_builds": 2, **detail})
    assert "The scheduler, " not in client.get("/package/bash").text
    with filling(database) as world:
        world.session.execute(update(Package).where(Package.name == "bash").values(manual_priority=500))
    page = client.get("/package/bash").text
    assert "It will be built as soon as Koji has room" in page
    found = re.search(r"The scheduler, (.*?)</p>", page, re.DOTALL)
    assert found
    assert words in html.unescape(text(found[1]))
    assert 'href="/packages?order_by=current_priority&amp;collection=f44"' in found[1]
    with filling(database) as world:
        world.session.execute(update(ServiceStatus).values(error="it broke", error_since=ago(1)))
    assert "The scheduler, " not in client.get("/package/bash").text


def test_a_package_that_is_being_built_says_so(client: FlaskClient, database: Database) -> None:
    with filling(database) as world:
        package = world.package("bash", world.collection("f44", "Fedora Rawhide"))
        world.build(package, hours=30)
        world.build(package, BuildState.RUNNING, hours=1)
    page = client.get("/package/bash").text
    assert re.search(r'<h3 id="next">\s*It is being built\s*</h3>', page)
    assert "It will not be built now" not in page
    assert "Ends with that build" in page
