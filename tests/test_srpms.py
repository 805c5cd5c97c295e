"""Facts about source packages: asked from Koji once, kept for ever, and never invented when Koji has nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from koschei import srpms
from koschei.model import Srpm
from tests.koji_world import KojiWorld, koji_world, lie, source

FOO, BAR = ("foo", "1", "1.fc43"), ("bar", "2", "1.fc43")


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, (source("foo", "1", "gcc"), source("bar", "2", "foo >= 1"))) as world:
        yield world


def facts(world: KojiWorld, *nvrs: srpms.Nvr) -> dict[srpms.Nvr, tuple[str, ...]]:
    return {nvr: found.build_requires for nvr, found in srpms.facts(world.database, world.koji, nvrs).items()}


def kept(world: KojiWorld) -> int:
    with world.database.begin() as session:
        return session.execute(select(func.count()).select_from(Srpm)).scalar_one()


def test_koji_is_asked_once(world: KojiWorld) -> None:
    assert facts(world, FOO, BAR, FOO) == {FOO: ("gcc",), BAR: ("foo >= 1",)}
    world.hub.calls.clear()
    assert facts(world, FOO, BAR) == {FOO: ("gcc",), BAR: ("foo >= 1",)}
    assert world.hub.calls.requests == 0


def test_nothing_is_asked_about_nothing(world: KojiWorld) -> None:
    world.hub.calls.clear()
    assert facts(world) == {}
    assert world.hub.calls.requests == 0


def test_a_missing_source_package_is_not_taken_for_one_without_requirements(world: KojiWorld) -> None:
    world.hub.faults.hide_srpm("foo-1-1.fc43")
    assert facts(world, FOO, BAR) == {BAR: ("foo >= 1",)}
    assert kept(world) == 1
    world.hub.faults.clear()
    assert facts(world, FOO) == {FOO: ("gcc",)}


def test_nonsense_about_one_package_hides_no_other(world: KojiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    lie(monkeypatch, "getRPMDeps", lambda truth, nvra, *_: [{"name": 7}] if nvra["name"] == "foo" else truth())
    assert facts(world, FOO, BAR) == {BAR: ("foo >= 1",)}


def test_what_two_processes_store_at_once_is_stored_once(world: KojiWorld) -> None:
    found = srpms.facts(world.database, world.koji, [FOO])
    with world.database.begin() as session:
        srpms.store(session, found.values())
    assert kept(world) == 1


def test_many_are_asked_in_pieces(world: KojiWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srpms, "CHUNK", 1)
    assert set(facts(world, FOO, BAR, ("nosuch", "1", "1"))) == {FOO, BAR}
