"""The commands that explain and show, on a database with a story in it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from koschei.db.engine import Database
from koschei.model import Build, LogEntry, Package, PackageGroup, PackageGroupRelation
from koschei.rules.states import BuildState
from tests.admin.conftest import Shell
from tests.world import NOW, filling

# The story is told from NOW on; the command line lives in the present.
SINCE = (datetime.now(UTC) - NOW) / timedelta(hours=1)


def ago(hours: float) -> float:
    """The argument that makes a build begin `hours` before the present."""
    return hours - SINCE


@pytest.fixture
def ids(database_url: str) -> Iterator[dict[str, int]]:
    """f44 with a package of each kind, and f43 with one of them; ids of builds by what they are."""
    database = Database(database_url)
    found: dict[str, int] = {}
    with filling(database) as world:
        f44, f43 = world.collection("f44", order=2), world.collection("f43", order=1)
        wanted = world.package("wanted", f44, manual_priority=500, static_priority=30)
        world.build(wanted, hours=ago(100))
        less = world.package("less", f44, manual_priority=300)
        world.build(less, hours=ago(1))
        world.build(world.package("wanted", f43, manual_priority=900), hours=ago(1))
        recent = world.package("recent", f44)
        world.build(recent, hours=ago(1))
        broken = world.package("broken", f44)
        found["good"] = world.build(broken, hours=ago(30), evr="1.0-1").id
        change = ("gcc", "15-1", "16-1", 1)
        found["bad"] = world.build(broken, BuildState.FAILED, ago(20), "1.0-2", changes=[change]).id
        found["still bad"] = world.build(broken, BuildState.FAILED, ago(2), "1:1.0-2", tasks={"x86_64": 5}).id
        lost = world.package("lost", f44, resolved=False)
        world.build(lost, hours=ago(3))
        world.resolution(lost, ago(1), "nothing provides libold")
        busy = world.package("busy", f44)
        world.build(busy, hours=ago(40))
        found["running"] = world.build(busy, BuildState.RUNNING, ago(1)).id
        world.package("asleep", f44, tracked=False)
        group = PackageGroup(namespace="infra", name="mygroup")
        world.session.add(group)
        world.session.flush()
        for package in (broken, lost):
            world.session.add(PackageGroupRelation(group_id=group.id, base_id=package.base_id))
    yield found
    database.dispose()


def test_the_queue_is_what_is_built_next_with_the_sum_of_each_priority(shell: Shell, ids: dict[str, int]) -> None:
    lines = [line.split() for line in shell.ok("queue").splitlines()]
    assert [line[1:3] for line in lines[1:]] == [["wanted", "f43"], ["wanted", "f44"], ["less", "f44"]]
    data = json.loads(shell.ok("queue", "--json"))
    for entry in data:
        assert sum(term["value"] for term in entry["terms"]) == pytest.approx(entry["priority"], abs=0.1)
    assert {term["name"]: term["value"] for term in data[1]["terms"]}["static"] == 30
    assert "500 manual + 30 static" in shell.ok("queue")


def test_the_queue_can_be_cut_and_be_that_of_one_collection(shell: Shell, ids: dict[str, int]) -> None:
    assert [e["package"] for e in json.loads(shell.ok("queue", "--json", "-c", "f44"))] == ["wanted", "less"]
    assert [e["place"] for e in json.loads(shell.ok("--collection", "f44", "queue", "--json", "--limit", "1"))] == [1]
    assert shell.run("queue", "--limit", "0").exit_code == 2
    assert "Did you mean" in shell.run("queue", "-c", "f45").stderr


def test_an_empty_queue_says_so(shell: Shell, database: Database) -> None:
    assert "Nothing deserves a build now" in shell.ok("queue")
    assert json.loads(shell.ok("queue", "--json")) == []


def test_a_failing_package_is_explained_by_where_it_broke_and_what_changed_there(
    shell: Shell, ids: dict[str, int]
) -> None:
    said = shell.ok("explain", "broken")
    assert said.startswith("broken in f44 is failing since ")
    assert f"It broke with build {ids['bad']} (1.0-2), after build {ids['good']} (1.0-1)" in said
    assert "gcc 15-1 -> 16-1 (upgraded, distance 1)" in said
    assert "yes No build of it is running" in said
    (data,) = json.loads(shell.ok("explain", "broken", "--json"))
    assert (data["good"]["id"], data["bad"]["id"]) == (ids["good"], ids["bad"])
    assert (data["changes_total"], data["changes"][0]["name"]) == (1, "gcc")
    assert sum(term["value"] for term in data["terms"]) == pytest.approx(data["priority"])


def test_an_unresolved_package_is_explained_by_its_problems_and_what_ends_them(
    shell: Shell, ids: dict[str, int]
) -> None:
    said = shell.ok("explain", "lost")
    assert "  nothing provides libold\n" in said
    assert "NO  Package dependencies are not resolvable" in said
    assert "Package dependencies are not resolvable. Tried again in every new repository." in said


@pytest.mark.parametrize(
    ("name", "next_step"),
    [
        ("less", "It is built as soon as the limits and Koji's load allow"),
        ("recent", "Unless something changes before, it is built from "),
        ("busy", "Package has a running build. Ends with that build."),
        ("asleep", "Package is not tracked. "),
    ],
)
def test_every_package_says_what_comes_next(shell: Shell, ids: dict[str, int], name: str, next_step: str) -> None:
    assert next_step in shell.ok("explain", name).split("What comes next:")[1]


def test_what_is_queued_is_told_what_the_scheduler_found(shell: Shell, database: Database, ids: dict[str, int]) -> None:
    detail = {"running": 2, "max_builds": 2, "waiting_for": "running builds to end"}
    with filling(database) as world:
        world.service("scheduler", detail=detail)
    next_steps = shell.ok("explain", "less").split("What comes next:")[1]
    assert " UTC: 2 of at most 2 builds are running; it waits for running builds to end" in next_steps


def test_a_package_is_explained_wherever_it_is(shell: Shell, ids: dict[str, int]) -> None:
    assert {one["collection"] for one in json.loads(shell.ok("explain", "wanted", "--json"))} == {"f43", "f44"}
    assert [one["collection"] for one in json.loads(shell.ok("explain", "wanted", "--json", "-c", "f43"))] == ["f43"]
    result = shell.run("explain", "nope")
    assert result.exit_code == 1
    assert "Packages don't exist: nope" in result.stderr


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((), ["broken", "busy", "less", "lost", "recent", "wanted"]),
        (("--all",), ["asleep", "broken", "busy", "less", "lost", "recent", "wanted"]),
        (("--state", "failing", "--state", "unresolved"), ["broken", "lost"]),
        (("--state", "untracked"), ["asleep"]),
        (("b*", "less"), ["broken", "busy", "less"]),
        (("_us*",), []),
        (("--group", "infra/mygroup", "-c", "f44"), ["broken", "lost"]),
        (("-c", "f43"), ["wanted"]),
    ],
)
def test_packages_are_listed_by_what_they_are(
    shell: Shell, ids: dict[str, int], words: tuple[str, ...], names: list[str]
) -> None:
    assert shell.ok("list-packages", *words, "--names").split() == names
    assert sorted({line["name"] for line in json.loads(shell.ok("list-packages", *words, "--json"))}) == names


def test_packages_are_listed_for_people_with_their_states(shell: Shell, ids: dict[str, int]) -> None:
    lines = [line.split() for line in shell.ok("list-packages", "-c", "f44").splitlines()]
    assert ["broken", "f44", "failing"] in [line[:3] for line in lines]
    assert next(line for line in lines if line[0] == "busy")[-1] == "running"


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (("--group", "nobody/nothing"), 1, "Group nobody/nothing not found"),
        (("--state", "fine"), 2, "--state"),
        (("--names", "--json"), 2, "at once"),
        (("-c", "f99"), 1, "Collection not found: f99"),
    ],
)
def test_wrong_selections_are_refused(
    shell: Shell, ids: dict[str, int], words: tuple[str, ...], code: int, text: str
) -> None:
    result = shell.run("list-packages", *words)
    assert result.exit_code == code
    assert text in result.stderr


def test_a_package_is_shown_with_settings_groups_builds_and_history(shell: Shell, ids: dict[str, int]) -> None:
    said = shell.ok("show-package", "broken")
    assert said.startswith("broken; groups: infra/mygroup\n")
    data = json.loads(shell.ok("show-package", "wanted", "--json"))
    assert set(data["collections"]) == {"f43", "f44"}
    assert data["collections"]["f44"]["static priority"] == 30
    assert data["collections"]["f44"]["builds"][0]["state"] == "complete"


def test_the_builds_of_a_package_are_listed_newest_first(shell: Shell, ids: dict[str, int]) -> None:
    data = json.loads(shell.ok("list-builds", "broken", "--json"))
    assert [line["id"] for line in data] == [ids["still bad"], ids["bad"], ids["good"]]
    assert (data[0]["version"], data[0]["state"]) == ("1:1.0-2", "failed")
    assert len(json.loads(shell.ok("list-builds", "broken", "--json", "--limit", "2"))) == 2
    assert shell.run("list-builds", "asleep").stderr == "There is no such build\n"


def test_running_builds_are_listed_with_their_tasks(shell: Shell, ids: dict[str, int], database_url: str) -> None:
    (line,) = json.loads(shell.ok("list-builds", "--running", "--json"))
    assert (line["id"], line["package"], line["state"]) == (ids["running"], "busy", "running")
    assert str(line["task_id"]) in shell.ok("list-builds", "--running")
    for words in ((), ("busy", "--running")):
        assert shell.run("list-builds", *words).exit_code == 2


def test_a_build_is_shown_with_its_tasks_and_what_changed_before_it(shell: Shell, ids: dict[str, int]) -> None:
    data = json.loads(shell.ok("show-build", str(ids["still bad"]), "--json"))
    assert data["previous"] == ids["bad"]
    assert [(task["arch"], task["state"]) for task in data["tasks"]] == [("x86_64", "failed")]
    said = shell.ok("show-build", str(ids["bad"]))
    assert "gcc 15-1 -> 16-1 (upgraded)" in said
    for number, code in (("999999999", 1), ("0", 2), ("9" * 30, 2), ("x", 2)):
        assert shell.run("show-build", number).exit_code == code


def test_looking_changes_nothing(shell: Shell, ids: dict[str, int], database_url: str) -> None:
    """Not even the audit log."""
    for words in (["queue"], ["explain", "busy"], ["list-packages"], ["show-package", "busy"], ["list-builds", "busy"]):
        shell.ok(*words)
    database = Database(database_url)
    with database.begin() as session:
        assert session.query(LogEntry).count() == 0
        assert session.query(Build).count() == 10
        assert session.query(Package).count() == 8
    database.dispose()
