"""The operators' guide is true: each command in it runs as written, through the installed script, and is on record.

Every command has a database of its own: a copy of one in which everything that the guide speaks of is there.
"""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Session

from admin.main import COMMANDS
from demo.postgres import Postgres
from koschei import audit, notices, status
from koschei.audit import Actor
from koschei.collections import by_name
from koschei.db.engine import Database
from koschei.model import Collection, Environment, LogEntry, Package, PackageGroup, PackageGroupRelation
from tests.koji_world import KojiWorld, koji_world, source
from tests.world import World

GUIDE = Path(__file__).resolve().parents[1] / "docs/operations.md"
SCRIPT = Path(sys.executable).parent / "koschei-admin"

# What the operators of today's Koschei have in their own guide and in their fingers: it must work for ever.
VERBATIM = (
    'koschei-admin set-notice "Koschei operation is currently suspended due to scheduled Koji outage"',
    "koschei-admin clear-notice",
    "koschei-admin add-group mynewgroup",
    "koschei-admin add-group mynewgroup pkg1 pkg2 pkg3",
    "koschei-admin --collection f27 set-priority --static foo 100",
    "koschei-admin set-priority --static foo 100 --collection f27",
    "koschei-admin branch-collection f27 f28 -d 'Fedora 27' -t f28 --bugzilla-version 27",
    "koschei-admin delete-collection --force f39",
    "koschei-admin edit-group someuser/mygroup --make-global --new-name thegroup",
)
# These look and change nothing.
LOOKING = ("queue", "explain", "status", "doctor", "log", "retention")
PACKAGES = ("foo", "bar", "bash", "zlib", "pkg1", "pkg2", "pkg3", "rubygem-rails")
SOMEBODY = Actor(Environment.ADMIN, "someuser")
_numbers = itertools.count(1)


def commands(text: str) -> list[str]:
    """The lines of code blocks, fenced or indented, that run koschei-admin."""
    found: list[str] = []
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif (fenced or line.startswith("    ")) and line.strip().removeprefix("$ ").startswith("koschei-admin "):
            found.append(line.strip().removeprefix("$ "))
    return list(dict.fromkeys(found))


GUIDED = commands(GUIDE.read_text())


def name_of(line: str) -> str:
    """Which command it is."""
    return next(word for word in shlex.split(line)[1:] if word in COMMANDS)


def looks_only(line: str) -> bool:
    """Whether a line changes nothing, and so is not on record."""
    name, words = name_of(line), shlex.split(line)
    looks = name in LOOKING or name.startswith(("list-", "show-"))
    return "--dry-run" in words or (looks and "--apply" not in words)


@dataclass
class Installation:
    """What is there when an operator opens the guide."""

    postgres: Postgres
    template: str
    settings: Path

    def run(self, url: str, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line of the guide as alice would."""
        words = shlex.split(line)
        env = {"KOSCHEI_CONFIG": str(self.settings), "KOSCHEI__DB_URL": url, "SUDO_USER": "alice", "LANG": "C.UTF-8"}
        return subprocess.run([SCRIPT, *words[1:]], env=env, capture_output=True, text=True, timeout=60, check=False)


def furnish(world: KojiWorld) -> None:
    """Everything that the guide speaks of by name."""
    for name in ("f27", "f28", "f39"):
        world.hub.add_tag(name)
        world.hub.add_tag(f"{name}-build", arches="x86_64", parents=[name])
        world.hub.add_target(name, build_tag=f"{name}-build", dest_tag=name)
        world.hub.set_group(f"{name}-build", "build", ["bash"])
        for package in PACKAGES if name != "f28" else ():
            world.hub.add_package(name, package)
            world.hub.import_build(name, source(package, name[1:]))
        world.hub.new_repo(f"{name}-build")
    world.later(seconds=60)
    with world.database.begin() as session:
        session.execute(delete(Collection))
        filled = World(session)
        for order, name in enumerate(("f27", "f39", "f43")):
            collection = filled.collection(name, f"Fedora {name[1:]}", order=order)
            for package in PACKAGES:
                made = filled.package(package, collection, tracked=name == "f39")
                filled.build(made, evr="1-1.fc43")
        filled.settle()
        group = PackageGroup(namespace="someuser", name="mygroup")
        session.add(group)
        session.flush()
        foo = session.scalars(select(Package).where(Package.name == "foo")).first()
        assert foo is not None
        session.add(PackageGroupRelation(group_id=group.id, base_id=foo.base_id))
        notices.set_notice(session, SOMEBODY, "an older notice")
        audit.ensure_user(session, "someuser")
        for service in status.SERVICES:
            status.started(session, service, "pod", 10**6, datetime.now(UTC))
            status.pass_finished(session, service, datetime.now(UTC))


@pytest.fixture(scope="module")
def installation(
    postgres: Postgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("guide")
    template = "operations_guide"
    url = postgres.create_database(template, migrated_template)
    with koji_world(folder, url) as world:
        furnish(world)
        world.database.dispose()
        koji = world.config.koji_config
        settings = folder / "settings.toml"
        settings.write_text(
            f'[koji_config]\nserver = "{koji.server}"\ntopurl = "{koji.topurl}"\nlogin_method = "login"\n'
            f'login_args = {{user = "koschei", password = "koschei"}}\n[directories]\ncachedir = "{folder}"\n'
        )
        yield Installation(postgres, template, settings)
    postgres.drop_database(template)


@pytest.fixture
def database(installation: Installation) -> Iterator[Database]:
    name = f"operations_guide_{next(_numbers)}"
    database = Database(installation.postgres.create_database(name, installation.template))
    yield database
    database.dispose()
    installation.postgres.drop_database(name)


def prepare(session: Session, line: str) -> None:
    """A name that a command gives away must be free, and what the line before it made must be there."""
    words, name = shlex.split(line), name_of(line)
    if name == "create-collection":
        session.execute(delete(Collection).where(Collection.name == words[words.index(name) + 1]))
    if name == "edit-collection" and words[words.index(name) + 1] == "f28":
        session.execute(update(Collection).where(Collection.name == "f27").values(name="f28"))


def carried_out(installation: Installation, database: Database, line: str) -> list[str]:
    """Run a line that must succeed; what the audit log has of it."""
    with database.begin() as session:
        prepare(session, line)
        before = session.scalars(select(LogEntry.id).order_by(LogEntry.id.desc()).limit(1)).one()
    result = installation.run(database.url, line)
    assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
    with database.begin() as session:
        entries = session.scalars(select(LogEntry).where(LogEntry.id > before).order_by(LogEntry.id)).all()
        for entry in entries:
            assert entry.environment is Environment.ADMIN
            assert entry.user is not None
            assert entry.user.name == "alice"
        return [entry.message for entry in entries]


def test_the_guide_has_commands() -> None:
    assert len(GUIDED) > 15
    assert commands("a koschei-admin x\n    koschei-admin y\n```\n$ koschei-admin z\n```\nkoschei-admin q\n") == [
        "koschei-admin y",
        "koschei-admin z",
    ]


def test_the_guide_has_what_operators_know_by_heart() -> None:
    spelled = {re.sub(r"\s+", " ", line) for line in GUIDED}
    assert [line for line in VERBATIM if line not in spelled and not line.endswith("--collection f27")] == []


@pytest.mark.parametrize("line", [line for line in GUIDED if line not in VERBATIM])
def test_each_command_of_the_guide_does_what_it_says_and_is_on_record(
    installation: Installation, database: Database, line: str
) -> None:
    messages = carried_out(installation, database, line)
    assert bool(messages) is not looks_only(line), messages


def names(session: Session) -> dict[str, str]:
    """Display names of collections, by their names."""
    return {found.name: found.display_name for found in session.scalars(select(Collection))}


def static_priority(session: Session) -> int:
    return session.scalars(
        select(Package.static_priority).where(
            Package.name == "foo", Package.collection_id == by_name(session, "f27").id
        )
    ).one()


def members(session: Session, namespace: str | None, name: str) -> int:
    """How many packages a group has; an error if there is no such group."""
    group = session.scalars(
        select(PackageGroup).where(PackageGroup.name == name, PackageGroup.namespace.is_not_distinct_from(namespace))
    ).one()
    query = select(PackageGroupRelation).where(PackageGroupRelation.group_id == group.id)
    return len(session.scalars(query).all())


EFFECTS: tuple[Callable[[Session], object], ...] = (
    lambda session: notices.current(session) == shlex.split(VERBATIM[0])[2],
    lambda session: notices.current(session) is None,
    lambda session: members(session, None, "mynewgroup") == 0,
    lambda session: members(session, None, "mynewgroup") == 3,
    lambda session: static_priority(session) == 100,
    lambda session: static_priority(session) == 100,
    lambda session: names(session) == {"f28": "Fedora 27", "f27": "Fedora 27", "f39": "Fedora 39", "f43": "Fedora 43"},
    lambda session: "f39" not in names(session),
    lambda session: members(session, None, "thegroup") == 1,
)


@pytest.mark.parametrize(("line", "effect"), list(zip(VERBATIM, EFFECTS, strict=True)), ids=VERBATIM)
def test_what_operators_know_by_heart_has_its_effect(
    installation: Installation, database: Database, line: str, effect: Callable[[Session], bool]
) -> None:
    with database.begin() as session:
        try:
            already = effect(session)
        except NoResultFound:  # the group is not there yet
            already = False
    assert not already
    assert carried_out(installation, database, line) != []
    with database.begin() as session:
        assert effect(session)
