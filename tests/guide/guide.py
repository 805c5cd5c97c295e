"""The operators' guide as tests read it, and the installation that its commands are run in.

Every command has a database of its own: a copy of one in which everything that the guide speaks of is there.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from admin.main import COMMANDS
from demo.postgres import Postgres
from koschei import audit, notices, status, tokens
from koschei.audit import Actor
from koschei.config import Config, load
from koschei.koji.session import KojiSession
from koschei.model import Collection, Environment, Package, PackageGroup, PackageGroupRelation, User
from koschei.rules.states import BuildState
from koschei.tokens import Scope
from tests.koji_world import KojiWorld, source
from tests.world import World

GUIDE = Path(__file__).resolve().parents[2] / "docs/operations.md"
SCRIPTS = Path(sys.executable).parent

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
# These look and change nothing (or, create-db, nothing that is not like that already).
LOOKING = ("queue", "explain", "status", "doctor", "log", "retention", "db-check", "selfcheck", "create-db", "psql")
PACKAGES = ("foo", "bar", "bash", "zlib", "pkg1", "pkg2", "pkg3", "rubygem-rails")
SOMEBODY = Actor(Environment.ADMIN, "someuser")
RUNNING_BUILD = 4711
OLD_BUILD = 4700
# Hours before May 2026 that make a build older than any limit.
LONG_AGO = 24 * 1000


def blocks(text: str) -> list[str]:
    """The lines of code blocks, fenced or indented."""
    found: list[str] = []
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    "):
            found.append(line.strip().removeprefix("$ "))
    return found


def commands(text: str, program: str = "koschei-admin") -> list[str]:
    """The lines of code blocks that run a program, each once."""
    return list(dict.fromkeys(line for line in blocks(text) if line.split(" ")[0] == program))


GUIDED = commands(GUIDE.read_text())


def name_of(line: str) -> str:
    """Which command it is."""
    return next(word for word in shlex.split(line)[1:] if word in COMMANDS)


def looks_only(line: str) -> bool:
    """Whether a line changes nothing, and so is not on record."""
    name, words = name_of(line), shlex.split(line)
    looks = name in LOOKING or name.startswith(("list-", "show-"))
    return "--dry-run" in words or (looks and "--apply" not in words)


WRITING = [line for line in dict.fromkeys((*GUIDED, *VERBATIM)) if not looks_only(line)]


@dataclass
class Installation:
    """What is there when an operator opens the guide."""

    postgres: Postgres
    template: str
    settings: Path
    koji: KojiSession

    def environ(self, url: str) -> dict[str, str]:
        """alice's environment, with PostgreSQL's own programs in her PATH."""
        path = f"{self.postgres.binaries.folder}:{os.defpath}"
        settings = {"KOSCHEI_CONFIG": str(self.settings), "KOSCHEI__DB_URL": url}
        return {**settings, "SUDO_USER": "alice", "LANG": "C.UTF-8", "PATH": path}

    def config(self, url: str) -> Config:
        """The settings, as the programs read them."""
        return load(None, self.environ(url))

    def run(self, url: str, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line of the guide as alice would."""
        command = [SCRIPTS / "koschei-admin", *shlex.split(line)[1:]]
        return subprocess.run(command, env=self.environ(url), capture_output=True, text=True, timeout=60, check=False)


def furnish(world: KojiWorld) -> None:
    """Everything that the guide speaks of by name."""
    for name in ("f27", "f28", "f39", "f27-side"):
        world.hub.add_tag(name)
        world.hub.add_tag(f"{name}-build", arches="x86_64", parents=[name])
        world.hub.add_target(name, build_tag=f"{name}-build", dest_tag=name)
        world.hub.set_group(f"{name}-build", "build", ["bash"])
        for package in PACKAGES if name in ("f27", "f39") else ():
            world.hub.add_package(name, package)
            world.hub.import_build(name, source(package, name[1:]))
        world.hub.new_repo(f"{name}-build")
    world.later(seconds=60)
    with world.database.begin() as session:
        session.execute(delete(Collection))
        _fill(World(session))
        group = PackageGroup(namespace="someuser", name="mygroup")
        session.add(group)
        session.flush()
        foo = session.scalars(select(Package).where(Package.name == "foo")).first()
        assert foo is not None
        session.add(PackageGroupRelation(group_id=group.id, base_id=foo.base_id))
        notices.set_notice(session, SOMEBODY, "an older notice")
        for name in ("someuser", "somebody-else"):
            audit.ensure_user(session, name)
        session.execute(update(User).values(admin=True))
        now = datetime.now(UTC)
        tokens.make(session, SOMEBODY, "script", [Scope.PACKAGES], now + timedelta(days=30), now=now)
        for service in status.SERVICES:
            status.started(session, service, "pod", 10**6, datetime.now(UTC))
            status.pass_finished(session, service, datetime.now(UTC))


def _fill(world: World) -> None:
    for order, name in enumerate(("f27", "f39", "f43")):
        collection = world.collection(name, f"Fedora {name[1:]}", order=order)
        for package in PACKAGES:
            made = world.package(package, collection, tracked=name == "f39")
            if (name, package) == ("f39", "foo"):
                world.build(made, hours=LONG_AGO, evr="1-1.fc41", id=OLD_BUILD)
                for number in range(1, 4):
                    world.build(made, hours=LONG_AGO - number, evr="1-1.fc42")
            world.build(made, hours=20, evr="1-1.fc43")
            world.build(made, hours=10, evr="1-1.fc43")
            if (name, package) == ("f39", "bar"):
                world.build(made, BuildState.RUNNING, hours=1, evr="1-1.fc43", id=RUNNING_BUILD)
    world.settle()


def prepare(session: Session, line: str) -> None:
    """A name that a command gives away must be free, and what the lines before it made must be there."""
    words, name = shlex.split(line), name_of(line)
    if name == "create-collection":
        session.execute(delete(Collection).where(Collection.name == words[words.index(name) + 1]))
    if name == "edit-collection" and words[words.index(name) + 1] == "f28":
        session.execute(update(Collection).where(Collection.name == "f27").values(name="f28"))
    if name in ("branch-collection", "resolve", "submit-build"):
        f27 = select(Collection.id).where(Collection.name == "f27").scalar_subquery()
        session.execute(
            update(Package).where(Package.collection_id == f27).values(tracked=True, needs_resolution=False)
        )
