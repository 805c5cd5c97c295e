"""The drill of the operators' guide: a database with history is dumped, lost and restored by the guide's own commands,
and what became of the time in between is what the guide says.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import select, update

from demo.postgres import SUPERUSER, Postgres
from frontend.app import create_app
from koschei import builds, notices, outbox, submission
from koschei.audit import BACKEND
from koschei.config import Config
from koschei.db.engine import Database
from koschei.model import Build, Package
from koschei.rules.states import BuildState
from tests.frontend.conftest import SECRET_KEY
from tests.guide.guide import GUIDE, SCRIPTS, SOMEBODY, blocks
from tests.koji_world import KojiWorld, koji_world, source
from tests.resolving import examine

NAMES = ("done", "running", "asked", "later", "real")
PAGES = ("/", "/packages?untracked=1", "/collections", "/collection/f43", "/api/v1/packages", "/build/1")
LOOKS = ("show-package done --json", "log --json")


def section(title: str) -> list[str]:
    """The commands of a section of the guide, as they are to be typed."""
    found = re.search(rf"^## {title}\n(.*?)^## ", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return blocks(found[1])


@dataclass
class Drill:
    """A world, the operator's shell in it, and two databases: the one that is lost, and the new one."""

    world: KojiWorld
    postgres: Postgres
    folder: Path

    def environ(self, database: str) -> dict[str, str]:
        """As the guide wants it: PostgreSQL's variables, and the settings that name the same database."""
        return {
            "PATH": f"{SCRIPTS}:{self.postgres.binaries.folder}:{os.environ.get('PATH', os.defpath)}",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.postgres.port),
            "PGUSER": SUPERUSER,
            "PGDATABASE": database,
            "KOSCHEI_CONFIG": str(self.folder / "settings.toml"),
            "KOSCHEI__DB_URL": self.postgres.url(database),
            "SUDO_USER": "alice",
            "LANG": "C.UTF-8",
        }

    def type(self, line: str, database: str) -> str:
        """Type a line into a shell; what it printed."""
        result = subprocess.run(
            ["/bin/sh", "-c", line],
            env=self.environ(database),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
        return result.stdout

    def shown(self, name: str, now: datetime) -> dict[str, str]:
        """What pages and commands answer from a database, at this moment."""
        database = Database(self.postgres.url(name))
        config = Config.model_validate({"flask": {"SECRET_KEY": SECRET_KEY}})
        try:
            client = create_app(config, database, clock=lambda: now).test_client(use_cookies=False)
            packages = [f"/package/{name}" for name in NAMES]
            answers = {page: client.get(page) for page in (*PAGES, *packages)}
        finally:
            database.dispose()
        assert {answer.status_code for answer in answers.values()} == {200}
        said = {line: self.type(f"koschei-admin {line}", name) for line in LOOKS}
        return {page: answer.text for page, answer in answers.items()} | said

    def submit(self, name: str) -> int:
        """Submit a scratch build; its task."""
        world = self.world
        result = submission.submit(
            world.database, world.koji, world.config, world.package(name).id, actor=BACKEND, now=world.now
        )
        assert isinstance(result, submission.Submitted), result
        return result.task_id


@pytest.fixture
def drill(tmp_path: Path, postgres: Postgres, database_url: str) -> Iterator[Drill]:
    for program in ("pg_dump", "pg_restore", "createdb", "psql"):
        if shutil.which(program, path=f"{postgres.binaries.folder}:{os.environ.get('PATH', os.defpath)}") is None:
            pytest.skip(f"there is no {program} here: PostgreSQL's client programs are needed")
    sources = [source(name, "1", "gcc") for name in NAMES]
    with koji_world(tmp_path, database_url, sources) as world:
        world.poll()
        examine(world)
        koji = world.config.koji_config
        (tmp_path / "settings.toml").write_text(
            f'[koji_config]\nserver = "{koji.server}"\ntopurl = "{koji.topurl}"\nlogin_method = "login"\n'
            # The world's builds began at a moment that recedes into the past.
            'login_args = {user = "koschei", password = "koschei"}\ntask_timeout = 1e12\n'
            f'[directories]\ncachedir = "{tmp_path}"\n'
        )
        yield Drill(world, postgres, tmp_path)
    postgres.drop_database("restored")


def history(drill: Drill) -> dict[str, int]:
    """What had happened when the dump was made; the tasks of the builds."""
    world = drill.world
    tasks = {"done": drill.submit("done")}
    world.later(minutes=1)
    builds.refresh(world.database, world.koji, world.config, world.now)
    tasks |= {name: drill.submit(name) for name in ("running", "asked")}
    with world.database.begin() as session:
        # The dump was made between Koji's answer and our storing it.
        session.execute(update(Build).where(Build.task_id == tasks["asked"]).values(task_id=None))
        notices.set_notice(session, SOMEBODY, "set before the dump")
    return tasks


def meanwhile(drill: Drill) -> int:
    """What happened after it; the task of a build of which the dump knows nothing."""
    world = drill.world
    task = drill.submit("later")
    for version in ("2", "3"):
        world.hub.import_build("f43", source("real", version, "gcc"))
    world.hub.add_package("f43", "newcomer")
    with world.database.begin() as session:
        notices.set_notice(session, SOMEBODY, "set after the dump")
    for _ in range(5):
        world.later(minutes=1)
    return task


@pytest.mark.exact_schema
def test_a_restored_database_answers_as_the_dumped_one_and_finds_out_what_the_guide_says(drill: Drill) -> None:
    world = drill.world
    lost = world.database.url.rpartition("/")[2]
    tasks = history(drill)
    dumped = world.now
    before = drill.shown(lost, dumped)
    with world.database.begin() as session:
        events = [event.message_id for event in outbox.unsent(session)]
    (dump,) = section("Backup")
    drill.type(dump, lost)
    unknown_task = meanwhile(drill)

    said = {}
    for line in section("Restore"):
        if line == "koschei-admin reconcile --dry-run":
            assert drill.shown("restored", dumped) == before
        said[line] = drill.type(line, "restored")

    assert "as needed" in said["koschei-admin db-check"]
    expected = ("task", "not known; it would be looked for", "1 packages were not known", "1 real builds were not")
    assert [text for text in expected if text not in said["koschei-admin reconcile --dry-run"]] == []
    world.database.dispose()
    world.database = Database(drill.postgres.url("restored"))
    # A build that ran, and one that was being submitted, are followed to their end.
    for name in ("running", "asked"):
        (build,) = [one for one in world.builds(name) if not one.real]
        assert (build.task_id, build.state) == (tasks[name], BuildState.COMPLETE)
    # Of maintainers' builds the newest is registered, and no other.
    assert sorted(build.version for build in world.builds("real")) == ["1", "3"]
    # One that was submitted later is not known, and the package may be built again.
    assert [build.task_id for build in world.builds("later") if not build.real] == []
    assert world.koji.read("getTaskInfo", unknown_task)["method"] == "build"
    assert drill.submit("later") != unknown_task
    with world.database.begin() as session:
        assert session.scalar(select(Package.name).where(Package.name == "newcomer")) == "newcomer"
        assert notices.current(session) == "set before the dump"
        # What waited in the outbox still does, under the same ids.
        assert [event.message_id for event in outbox.unsent(session)][: len(events)] == events
    assert events


def test_the_owner_of_the_tables_makes_them_for_services_that_connect_as_another_role(drill: Drill) -> None:
    (line,) = section("A role that owns the tables")
    (drill.folder / "settings.toml").write_text(
        f'unpriv_db_username = "koschei-service"\n[database_config]\nhost = "127.0.0.1"\nport = {drill.postgres.port}\n'
        'database = "restored"\nusername = "koschei-service"\n'
    )
    roles = ('"koschei-owner"', '"koschei-service"')

    def status(words: str) -> int:
        """Of a line typed in the admin pod: as drill.type, but with no more than the settings to find the database."""
        return subprocess.run(
            ["/bin/sh", "-c", f"unset KOSCHEI__DB_URL; {words}"], env=drill.environ("restored"), check=False
        ).returncode

    for role in roles:
        drill.type(f"psql -c 'CREATE ROLE {role} LOGIN'", "postgres")
    try:
        drill.type("createdb --owner=koschei-owner restored", "postgres")
        assert status("koschei-admin create-db") == 3
        assert status(line) == 0
        assert status("koschei-admin db-check") == 0
        assert status("koschei-admin alembic downgrade -- -1") == 3
    finally:
        drill.postgres.drop_database("restored")
        for role in roles:
            drill.type(f"psql -c 'DROP ROLE {role}'", "postgres")
