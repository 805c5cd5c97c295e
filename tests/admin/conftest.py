"""The command line in this process, with a database of its own and no Koji unless a test brings one."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from click.testing import CliRunner, Result
from sqlalchemy import select
from sqlalchemy.orm import Session

from admin.main import cli
from demo.postgres import Postgres
from koschei.db.engine import Database
from koschei.model import BasePackage, Collection, LogEntry, Package
from tests.admin.command_rows import fill
from tests.koji_world import KojiWorld, koji_world, source
from tests.resolving import examine

SCRIPT = Path(sys.executable).parent / "koschei-admin"
FILLED = "filled_template"
NOBODY = "http://127.0.0.1:9/kojihub"  # the discard port: connections are refused


@dataclass
class Shell:
    """Somebody called alice at a shell."""

    folder: Path
    settings: Path
    env: dict[str, str]

    def configure(self, text: str) -> None:
        """Add settings."""
        with self.settings.open("a") as file:
            file.write(f"{text}\n")

    def connect(self, world: KojiWorld) -> None:
        """Let the settings name that world's Koji."""
        koji = world.config.koji_config
        self.env["KOSCHEI__KOJI_CONFIG__SERVER"] = koji.server
        self.configure(
            f'[koji_config]\ntopurl = "{koji.topurl}"\nlogin_method = "login"\n'
            'login_args = {user = "koschei", password = "koschei"}'
        )

    def run(self, *args: str, **env: str) -> Result:
        """Run koschei-admin; whatever it raised is not swallowed."""
        result = CliRunner(env={**self.env, **env}).invoke(cli, args)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
        return result

    def ok(self, *args: str) -> str:
        """Run a command that must succeed; what it printed."""
        result = self.run(*args)
        assert result.exit_code == 0, result.output
        return result.stdout


MakeShell = Callable[[str], Shell]


@pytest.fixture
def make_shell(tmp_path: Path) -> Iterator[MakeShell]:
    """Makes a shell whose settings name this database."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def make(url: str) -> Shell:
        settings = tmp_path / "settings.toml"
        settings.write_text(f'db_url = "{url}"\n')
        env = {"KOSCHEI_CONFIG": str(settings), "SUDO_USER": "alice", "KOSCHEI__KOJI_CONFIG__SERVER": NOBODY}
        return Shell(tmp_path, settings, env)

    yield make
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def examined_world(tmp_path: Path, database_url: str) -> Iterator[KojiWorld]:
    """Koji with the packages foo and bar, which polling has seen and the resolver has found resolvable, just now."""
    with koji_world(tmp_path, database_url, [source("foo", "1", "gcc"), source("bar", "2", "gcc")]) as world:
        world.now = datetime.now(UTC)
        world.poll()
        examine(world)
        yield world


@pytest.fixture
def shell(make_shell: MakeShell, database_url: str) -> Shell:
    return make_shell(database_url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """The database that the shell's commands work on, with the collections f27 and f28 and two packages in each."""
    found = Database(database_url)
    with found.begin() as session:
        bases = [BasePackage(name=name) for name in ("foo", "bar")]
        for number, name in enumerate(("f27", "f28")):
            collection = Collection(
                name=name,
                display_name=f"Fedora {name[1:]}",
                order=number,
                target=name,
                dest_tag=name,
                build_tag=f"{name}-build",
            )
            session.add(collection)
            session.add_all(Package(base=base, name=base.name, collection=collection) for base in bases)
    yield found
    found.dispose()


@pytest.fixture(scope="session")
def filled_template(postgres: Postgres, migrated_template: str) -> str:
    """The name of a database with the world of command_rows in it, to be copied."""
    fill(postgres.create_database(FILLED, migrated_template))
    return FILLED


@pytest.fixture
def filled_url(postgres: Postgres, filled_template: str) -> Iterator[str]:
    """The address of a database in which each line of command_rows works."""
    yield postgres.create_database("filled", filled_template)
    postgres.drop_database("filled")


def package(session: Session, name: str, collection: str) -> Package:
    """A package as it is now."""
    query = select(Package).join(Collection).where(Package.name == name, Collection.name == collection)
    return session.scalars(query).one()


def audit_log(session: Session) -> list[tuple[str, str]]:
    """Who did what."""
    entries = session.scalars(select(LogEntry).order_by(LogEntry.id))
    return [(entry.user.name if entry.user else "", entry.message) for entry in entries]
