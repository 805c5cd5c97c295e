"""REST API v1: exact bodies."""

from __future__ import annotations

from datetime import datetime

import pytest
from flask.testing import FlaskClient

from koschei.db.engine import Database
from koschei.model import Build
from koschei.rules.states import BuildState
from tests.world import World, filling

COMPLETE, FAILED, RUNNING = BuildState.COMPLETE, BuildState.FAILED, BuildState.RUNNING


def moment(value: datetime) -> str:
    """A time as PostgreSQL writes it: UTC, without a zone, no zeros at the end of a fraction."""
    text = value.replace(tzinfo=None).isoformat()
    return text.rstrip("0") if "." in text else text


def described(build: Build) -> dict[str, object]:
    """A build as the API tells it."""
    assert build.finished
    return {
        "task_id": build.task_id,
        "time_started": moment(build.started),
        "time_finished": moment(build.finished),
        "epoch": build.epoch,
        "version": build.version,
        "release": build.release,
    }


def item(name: str, collection: str, state: str, build: Build | None = None) -> dict[str, object]:
    """One element of the answer."""
    last = described(build) if build else None
    return {"name": name, "collection": collection, "state": state, "last_complete_build": last}


@pytest.fixture
def answers(database: Database) -> list[dict[str, object]]:
    """A database and what the API says of it."""
    with filling(database) as world:
        return fill(world)


def fill(world: World) -> list[dict[str, object]]:
    f44, f43 = world.collection("f44", order=2), world.collection("f43", order=1)
    good = world.package("good", f44)
    first = world.build(good, COMPLETE, 30.123456, "1:2.0-3")
    bad = world.package("bad", f44)
    world.build(bad, COMPLETE, 40)
    failed = world.build(bad, FAILED, 20)
    old = world.package("bad", f43)
    kept = world.build(old, COMPLETE, 50)
    world.build(old, BuildState.SPOILED, 9, fault_text="disk full")
    world.build(old, BuildState.CANCELED, 8)
    first_run = world.package("running", f44)
    world.build(first_run, RUNNING, 1)
    world.package("lost", f44, resolved=False)
    world.package("untracked", f44, tracked=False)
    world.package("Blocked", f44, blocked=True)
    return [
        item("Blocked", "f44", "blocked"),
        item("bad", "f44", "failing", failed),
        item("bad", "f43", "ok", kept),
        item("good", "f44", "ok", first),
        item("lost", "f44", "unresolved"),
        item("running", "f44", "unknown"),
        item("untracked", "f44", "untracked"),
    ]


def test_without_packages_it_is_an_empty_array(client: FlaskClient) -> None:
    response = client.get("/api/v1/packages")
    assert response.mimetype == "application/json"
    assert response.json == []


def test_all_packages_are_told_by_name_with_their_last_counted_build(
    client: FlaskClient, answers: list[dict[str, object]]
) -> None:
    response = client.get("/api/v1/packages")
    assert response.json == answers
    assert [list(one) for one in response.json] == [["name", "collection", "state", "last_complete_build"]] * len(
        answers
    )
    last = response.json[1]["last_complete_build"]
    assert list(last) == ["task_id", "time_started", "time_finished", "epoch", "version", "release"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name=good", ["good"]),
        ("name=good&name=bad&name=nix", ["bad", "bad", "good"]),
        ("name=nix", []),
        ("collection=f43", ["bad"]),
        ("collection=f44&collection=nix&name=bad", ["bad"]),
        ("collection=f44&collection=f43&name=bad", ["bad", "bad"]),
        ("collection=f44,f43", []),
    ],
)
def test_it_is_narrowed_down(
    client: FlaskClient, answers: list[dict[str, object]], query: str, expected: list[str]
) -> None:
    response = client.get(f"/api/v1/packages?{query}")
    assert response.status_code == 200
    assert [one["name"] for one in response.json or []] == expected
    assert all(one in answers for one in response.json or [])


def test_an_unknown_collection_is_not_found_when_it_is_named_first(
    client: FlaskClient, answers: list[dict[str, object]]
) -> None:
    response = client.get("/api/v1/packages?collection=nix&collection=f44")
    assert response.status_code == 404
    assert response.json == {"error": "There is no collection “nix”"}


def test_two_collections_differ_where_states_do(client: FlaskClient, answers: list[dict[str, object]]) -> None:
    response = client.get("/api/v1/collections/diff/f44/f43")
    assert response.mimetype == "application/json"
    assert response.json == [{"name": "bad", "state": {"f44": "failing", "f43": "ok"}}]
    assert list(response.json[0]["state"]) == ["f44", "f43"]
    turned = client.get("/api/v1/collections/diff/f43/f44").json
    assert turned == [{"name": "bad", "state": {"f43": "ok", "f44": "failing"}}]
    assert client.get("/api/v1/collections/diff/f44/f44").json == []


@pytest.mark.parametrize("pair", ["nix/f44", "f44/nix"])
def test_a_difference_to_an_unknown_collection_is_not_found(
    client: FlaskClient, answers: list[dict[str, object]], pair: str
) -> None:
    response = client.get(f"/api/v1/collections/diff/{pair}")
    assert response.status_code == 404
    assert "nix" in (response.json or {})["error"]


def test_errors_of_the_api_are_json(client: FlaskClient) -> None:
    assert "error" in (client.get("/api/v1/nothing").json or {})
    assert client.post("/api/v1/packages").status_code == 405
    assert "error" in (client.post("/api/v1/packages").json or {})
