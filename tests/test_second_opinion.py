"""Comparing engines, with two that differ: libsolv, and libsolv that installs weak dependencies, too.

With the real libdnf5: tests/depsolve/test_engine_comparison.py, which `make test-libdnf5` runs.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from demo.hub import Binary
from koschei import depsolve
from koschei.depsolve.interface import Engine, Resolver
from koschei.depsolve.solv_engine import SolvEngine
from koschei.errors import ConfigError, NotFoundError
from koschei.model import Collection
from koschei.second_opinion import SecondOpinion, draw
from tests.admin.conftest import MakeShell, Shell
from tests.admin.conftest import make_shell as make_shell  # a fixture
from tests.koji_world import KojiWorld, koji_world, source
from tests.resolving import examine

SOURCES = (
    source("generous", "1", binaries=[Binary("generous", recommends=("extra",)), Binary("extra")]),
    source("plain", "1", "gcc"),
    source("lavish", "1", "generous"),
    source("broken", "1", "nowhere"),
)


class Lavish:
    """An engine that installs what the other ignores."""

    def open(self, *args: Any, **options: Any) -> Resolver:
        return SolvEngine().open(*args, **{**options, "ignore_weak_deps": False})


def either(name: str) -> Engine:
    return SolvEngine() if name == "solv" else Lavish()


@pytest.fixture
def world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    with koji_world(tmp_path, database_url, SOURCES) as world:
        world.poll()
        examine(world)
        yield world


@pytest.fixture
def two_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(depsolve, "engine", either)


@pytest.fixture
def no_libdnf5(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "libdnf5", None)
    monkeypatch.delitem(sys.modules, "libdnf5.base", raising=False)


@pytest.fixture
def shell(world: KojiWorld, make_shell: MakeShell, database_url: str) -> Shell:
    shell = make_shell(database_url)
    shell.env["KOSCHEI__KOJI_CONFIG__SERVER"] = world.config.koji_config.server
    shell.configure(
        f'koji_config = {{topurl = "{world.config.koji_config.topurl}"}}\n'
        f'directories = {{cachedir = "{shell.folder / "admin"}"}}'
    )
    return shell


def opinion(world: KojiWorld) -> SecondOpinion:
    return SecondOpinion(world.database, world.koji, world.config)


@pytest.mark.usefixtures("two_engines")
def test_engines_are_compared_in_the_newest_repository(world: KojiWorld) -> None:
    compared = opinion(world).compare("f43", (), 100)
    assert (compared.collection, compared.compared, compared.left_out) == ("f43", 6, ())
    with world.database.begin() as session:
        assert compared.repo_id == session.scalars(select(Collection.latest_repo_id)).one()
    assert list(compared.seconds) == ["solv", "libdnf5"]
    (difference,) = compared.differences
    assert difference.package == "lavish"
    solv, other = difference.opinions
    assert (solv.engine, solv.resolved, solv.problems, solv.only) == ("solv", True, (), ())
    assert (other.engine, other.resolved, other.problems, other.only) == (
        "libdnf5",
        True,
        (),
        ("extra-1-1.fc43.x86_64",),
    )


@pytest.mark.usefixtures("two_engines")
def test_packages_can_be_named_and_those_that_cannot_be_compared_are(world: KojiWorld) -> None:
    world.add_package("unbuilt")
    compared = opinion(world).compare("f43", ("plain", "unbuilt"), 100)
    assert (compared.compared, compared.left_out, compared.differences) == (1, ("unbuilt",), ())
    with pytest.raises(NotFoundError, match="plane"):
        opinion(world).compare("f43", ("plane",), 100)
    with pytest.raises(NotFoundError, match="f44"):
        opinion(world).compare("f44", (), 100)


def test_the_sample_is_the_same_in_the_same_repository_and_another_in_the_next() -> None:
    names = [f"p{number}" for number in range(1000)]
    assert draw(names, 100, 5) == draw(reversed(names), 100, 5) != draw(names, 100, 6)
    assert len(draw(names, 100, 5)) == 100
    assert draw(names[:3], 100, 5) == set(names[:3])


@pytest.mark.usefixtures("no_libdnf5")
def test_without_the_library_there_is_one_error_that_says_what_to_install(world: KojiWorld, shell: Shell) -> None:
    with pytest.raises(ConfigError, match="python3-libdnf5"):
        opinion(world).compare("f43", (), 100)
    result = shell.run("compare-engines", "-c", "f43")
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: dependency.engine: the engine 'libdnf5' needs the Python library libdnf5")


@pytest.mark.usefixtures("two_engines")
def test_the_command_shows_differences_to_people_and_to_programs(shell: Shell) -> None:
    result = shell.run("compare-engines", "-c", "f43")
    assert result.exit_code == 1
    *shown, summary = result.stdout.splitlines()
    assert shown == ["lavish:", "  solv installs", "  libdnf5 installs", "    extra-1-1.fc43.x86_64"]
    assert summary.startswith("6 packages of f43 in repository ")
    assert ": 1 differences; solv took " in summary
    found = json.loads(shell.run("compare-engines", "-c", "f43", "lavish", "--json").stdout)
    assert (found["compared"], [one["package"] for one in found["differences"]]) == (1, ["lavish"])
    assert ": 0 differences" in shell.ok("compare-engines", "-c", "f43", "plain", "broken")
