"""The doctor: each thing that can be wrong is found, and has a remedy."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from koschei import doctor, status
from koschei.config import Config
from koschei.doctor import Finding, State, findings
from koschei.model import Collection
from tests.koji_world import KojiWorld, koji_world


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url) as world:
        yield world


def look(world: KojiWorld, **changes: Any) -> dict[str, Finding]:
    """What the doctor says with these settings changed; of several things of one name, the worst."""
    tree = world.config.model_dump(by_alias=True)
    tree |= {"db_url": world.database.url, "frontend": {"external_url": "http://localhost"}}
    for section, values in changes.items():
        tree[section] = {**tree[section], **values} if isinstance(values, dict) else values
    found: dict[str, Finding] = {}
    for finding in findings(Config.model_validate(tree), datetime.now(UTC)):
        if finding.name not in found or found[finding.name].state is State.WELL:
            found[finding.name] = finding
    return found


def pulse(world: KojiWorld) -> None:
    with world.database.begin() as session:
        for service in status.SERVICES:
            status.started(session, service, "pod", 10, datetime.now(UTC))
            status.pass_finished(session, service, datetime.now(UTC))


def test_everything_is_looked_at_and_well(world: KojiWorld) -> None:
    pulse(world)
    found = look(world)
    assert [one for one in found.values() if one.state is State.WRONG] == []
    assert set(found) == {
        *("server", "revision", "koji", "solver", "settings", "disk", "bus"),
        *("koji login", "koji clock", "database clock", "repository of f43"),
        *(f"service {name}" for name in status.SERVICES),
    }


def test_a_login_that_koji_refuses_is_wrong_and_none_at_all_is_doubtful(world: KojiWorld) -> None:
    wrong = look(world, koji_config={"login_args": {"user": "koschei", "password": "no"}})["koji login"]
    assert wrong.state is State.WRONG
    assert "login_args" in wrong.remedy
    assert look(world, koji_config={"login_method": "logout", "login_args": {}})["koji login"].state is State.DOUBT


def test_koji_that_is_away_is_said_once_and_the_rest_is_looked_at(world: KojiWorld) -> None:
    world.server.stop()
    found = look(world)
    assert found["koji"].state is State.WRONG
    assert "koji login" not in found
    assert "repository of f43" not in found
    assert "service polling" in found


def test_services_that_were_never_seen_are_to_be_started(world: KojiWorld) -> None:
    found = look(world)["service polling"]
    assert found.state is State.WRONG
    assert found.remedy == "start it: `koschei-backend polling`"


def test_a_repository_that_cannot_be_downloaded_is_wrong(world: KojiWorld) -> None:
    found = look(world, koji_config={"topurl": world.server.topurl + "/elsewhere"})["repository of f43"]
    assert found.state is State.WRONG
    assert "topurl" in found.remedy


def test_a_tag_that_koji_does_not_know_is_wrong(world: KojiWorld) -> None:
    with world.database.begin() as session:
        session.add(Collection(name="gone", display_name="Gone", target="x", dest_tag="x", build_tag="x"))
    found = look(world)
    assert found["repository of gone"].state is State.WRONG
    assert found["repository of f43"].state is State.WELL


def test_a_bus_is_reached_or_not(world: KojiWorld, tmp_path: Path) -> None:
    settings = tmp_path / "fedora-messaging.toml"
    with closing(socket.create_server(("127.0.0.1", 0))) as broker:
        settings.write_text(f'amqp_url = "amqp://127.0.0.1:{broker.getsockname()[1]}"\n')
        assert look(world, fedmsg={"config_file": settings})["bus"].state is State.WELL
    away = look(world, fedmsg={"config_file": settings})["bus"]
    assert away.state is State.WRONG
    assert "outbox" in away.remedy
    settings.write_text("this is not = = TOML")
    assert look(world, fedmsg={"config_file": settings})["bus"].state is State.WRONG
    assert look(world, fedmsg={"config_file": tmp_path / "none.toml"})["bus"].remedy == "correct fedmsg.config_file"


def test_settings_that_are_for_development_are_doubtful(world: KojiWorld) -> None:
    assert look(world)["settings"].state is State.WELL
    found = look(world, bypass_login="me")["settings"]
    assert (found.state, found.remedy) == (State.DOUBT, "unset bypass_login, which is for development")


def test_a_folder_that_is_none_is_wrong(world: KojiWorld, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    found = look(world, directories={"cachedir": file})["disk"]
    assert found.state is State.WRONG
    assert "cachedir" in found.remedy


@pytest.mark.parametrize(("seconds", "state"), [(0, State.WELL), (30, State.DOUBT), (600, State.WRONG)])
def test_clocks_may_differ_by_little(seconds: int, state: State) -> None:
    for sign in (1, -1):
        found = doctor._clock("x", datetime.now(UTC) + sign * timedelta(seconds=seconds), "Koji")
        assert found.state is state
        assert bool(found.remedy) is (state is not State.WELL)


def test_a_database_without_tables_ends_what_needs_them(world: KojiWorld, empty_database_url: str) -> None:
    found = look(world, db_url=empty_database_url)
    assert found["revision"].state is State.WRONG
    assert "service polling" not in found
    assert found["koji login"].state is State.WELL
