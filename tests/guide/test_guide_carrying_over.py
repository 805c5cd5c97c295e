"""What people have put into the old Koschei's database is read by the guide's own lines, and is here afterwards."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import create_engine, delete, select, text

from admin.main import cli
from demo.postgres import SUPERUSER, Postgres
from koschei import notices
from koschei.groups import detail, summaries
from koschei.model import Collection, CollectionGroup, LogEntry, Package, User
from tests.admin.conftest import MakeShell, Shell
from tests.admin.conftest import make_shell as make_shell  # a fixture
from tests.guide.guide import GUIDE
from tests.guide.test_guide_backup import section
from tests.koji_world import KojiWorld, koji_world, source

# The columns of the old tables that matter here, with their types and defaults.
OLD_TABLES = """
    CREATE TABLE "user" (id serial PRIMARY KEY, name varchar NOT NULL UNIQUE, admin boolean NOT NULL DEFAULT false);
    CREATE TABLE collection (
        id serial PRIMARY KEY, "order" integer NOT NULL DEFAULT 100, name varchar NOT NULL UNIQUE,
        display_name varchar NOT NULL, secondary_mode boolean NOT NULL DEFAULT false, target varchar NOT NULL,
        dest_tag varchar NOT NULL, build_tag varchar NOT NULL, bugzilla_product varchar, bugzilla_version varchar,
        priority_coefficient double precision NOT NULL DEFAULT 1, build_group varchar NOT NULL DEFAULT 'build',
        latest_repo_id integer, latest_repo_resolved boolean, poll_untracked boolean NOT NULL DEFAULT true);
    CREATE TABLE collection_group (id serial PRIMARY KEY, name varchar NOT NULL UNIQUE, display_name varchar NOT NULL);
    CREATE TABLE collection_group_relation (
        group_id integer REFERENCES collection_group, collection_id integer REFERENCES collection,
        PRIMARY KEY (group_id, collection_id));
    CREATE TABLE base_package (id serial PRIMARY KEY, name varchar NOT NULL UNIQUE, all_blocked boolean DEFAULT true);
    CREATE TABLE package (
        id serial PRIMARY KEY, base_id integer NOT NULL REFERENCES base_package, name varchar NOT NULL,
        collection_id integer NOT NULL REFERENCES collection, arch_override varchar,
        skip_resolution boolean NOT NULL DEFAULT false, resolved boolean, static_priority integer NOT NULL DEFAULT 0,
        manual_priority integer NOT NULL DEFAULT 0, tracked boolean NOT NULL DEFAULT false,
        blocked boolean NOT NULL DEFAULT false);
    CREATE TABLE admin_notice (key varchar PRIMARY KEY, content varchar NOT NULL);
    CREATE TABLE package_group (
        id serial PRIMARY KEY, namespace varchar, name varchar NOT NULL, UNIQUE (namespace, name));
    CREATE TABLE package_group_relation (
        group_id integer REFERENCES package_group, base_id integer REFERENCES base_package,
        PRIMARY KEY (group_id, base_id));
    CREATE TABLE group_acl (
        group_id integer REFERENCES package_group, user_id integer REFERENCES "user", PRIMARY KEY (group_id, user_id));
"""
NOTICE = 'Fedora\'s mass rebuild,\n"$HOME" `and` \\ more'
OLD_CONTENT = """
    INSERT INTO "user" (name, admin) VALUES ('boss', true), ('ann', false), ('bob', false), ('reader', false);
    INSERT INTO collection (name, display_name, target, dest_tag, build_tag, "order", priority_coefficient,
                            build_group, poll_untracked, bugzilla_product, bugzilla_version, secondary_mode) VALUES
        ('f43', 'Fedora''s 43', 'f43', 'f43', 'f43-build', -7, 0.5, 'build', false, 'Fedora', NULL, false),
        ('other', 'Elsewhere', 'other', 'other', 'other-build', 1, 1, 'build', true, NULL, NULL, true);
    INSERT INTO collection_group (name, display_name) VALUES ('fedora', 'Fedora');
    INSERT INTO collection_group_relation VALUES (1, 1), (1, 2);
    INSERT INTO base_package (name) VALUES ('foo'), ('bar'), ('baz'), ('gcc'), ('retired');
    INSERT INTO package (base_id, name, collection_id, tracked, static_priority, manual_priority, arch_override,
                         skip_resolution, blocked) VALUES
        (1, 'foo', 1, true, 100, 0, '^i386', false, false), (2, 'bar', 1, true, 100, -3000, '', true, false),
        (3, 'baz', 1, true, -5, 70, NULL, false, false), (4, 'gcc', 1, false, 0, 0, NULL, false, false),
        (5, 'retired', 1, true, 9, 9, 'x86_64', true, true), (1, 'foo', 2, true, 55, 5, 'x86_64', true, false);
    INSERT INTO admin_notice VALUES ('global_notice', :notice), ('another', 'not shown');
    INSERT INTO package_group (namespace, name) VALUES (NULL, 'twice'), (NULL, 'twice'), ('ann', 'mine');
    INSERT INTO package_group_relation VALUES (1, 1), (2, 2), (1, 5);
    INSERT INTO group_acl VALUES (1, 2), (2, 2), (2, 3), (3, 2);
"""


# Stands for koschei-admin in the operator's shell, so that all commands can be run in one process.
NOTES = """#!/bin/sh
call=calls/$(ls calls | wc -l)
mkdir "$call"
printf '%s\\0' "$@" > "$call/words"
cat > "$call/input"
"""


@dataclass
class Move:
    """The old database, this Koschei's, and the operator's shell between them."""

    world: KojiWorld
    shell: Shell
    path: str
    port: int

    def type(self, line: str) -> subprocess.CompletedProcess[str]:
        """Type a line of the guide, where a checkout is; PostgreSQL's variables name the old database."""
        return subprocess.run(
            ["/bin/sh", "-c", line],
            env={
                "PATH": f"{self.shell.folder / 'bin'}:{self.path}",
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.port),
                "PGUSER": SUPERUSER,
                "PGDATABASE": "old_koschei",
                "LANG": "C.UTF-8",
            },
            cwd=self.shell.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def run_what_was_typed(self) -> list[str]:
        """Run the commands as the shell understood them, in their order; what they complained about."""
        complaints = []
        for call in sorted((self.shell.folder / "calls").iterdir(), key=lambda call: int(call.name)):
            words = (call / "words").read_text().split("\0")[:-1]
            runner = CliRunner(env=self.shell.env)
            result = runner.invoke(cli, words, input=(call / "input").read_text())
            assert result.exit_code == 0, f"{words}: {result.output}"
            complaints += result.stderr.splitlines()
        return complaints


@pytest.fixture
def move(make_shell: MakeShell, postgres: Postgres, database_url: str) -> Iterator[Move]:
    path = f"{postgres.binaries.folder}:{os.environ.get('PATH', os.defpath)}"
    if shutil.which("psql", path=path) is None:
        pytest.skip("there is no psql here: PostgreSQL's client programs are needed")
    old = create_engine(postgres.create_database("old_koschei"))
    with old.begin() as connection:
        connection.execute(text(OLD_TABLES))
        connection.execute(text(OLD_CONTENT), {"notice": NOTICE})
    old.dispose()
    shell = make_shell(database_url)
    (shell.folder / "deploy").symlink_to(GUIDE.parents[1] / "deploy")
    for name in ("bin", "calls"):
        (shell.folder / name).mkdir()
    program = shell.folder / "bin" / "koschei-admin"
    program.write_text(NOTES)
    program.chmod(0o755)
    sources = [source(name, "1", "gcc") for name in ("foo", "bar", "baz")]
    with koji_world(shell.folder, database_url, sources) as world:
        with world.database.begin() as session:
            session.execute(delete(Collection))
        shell.connect(world)
        yield Move(world, shell, path, postgres.port)
    postgres.drop_database("old_koschei")


def carried(move: Move) -> dict[str, Any]:
    """What people have put in, as this Koschei has it."""
    with move.world.database.begin() as session:
        packages = session.scalars(select(Package).where(Package.name != "bash"))
        collection = session.scalars(select(Collection)).one()
        groups = [detail(session, group.name) for group in summaries(session)]
        return {
            "collection": (collection.name, collection.display_name, collection.target, collection.dest_tag),
            "order": (collection.order, collection.priority_coefficient, collection.poll_untracked),
            "bugs": (collection.bugzilla_product, collection.bugzilla_version or None),
            "collection groups": [
                (group.name, group.display_name, [member.name for member in group.collections])
                for group in session.scalars(select(CollectionGroup))
            ],
            "packages": {
                p.name: (p.tracked, p.static_priority, p.manual_priority, p.arch_override, p.skip_resolution)
                for p in packages
            },
            "groups": {group.name: (list(group.packages), list(group.maintainers)) for group in groups},
            "admins": list(session.scalars(select(User.name).where(User.admin))),
            "notice": notices.current(session),
        }


CARRIED = {
    "collection": ("f43", "Fedora's 43", "f43", "f43"),
    "order": (-7, 0.5, False),
    "bugs": ("Fedora", None),
    "collection groups": [("fedora", "Fedora", ["f43"])],
    "packages": {
        "foo": (True, 100, 0, "^i386", False),
        "bar": (True, 100, 0, None, True),
        "baz": (True, -5, 70, None, False),
        "gcc": (False, 0, 0, None, False),
    },
    "groups": {"twice": (["bar", "foo"], ["ann", "bob"]), "ann/mine": ([], ["ann"])},
    "admins": ["boss"],
    "notice": NOTICE,
}


def test_what_people_put_into_the_old_koschei_is_here_after_the_lines_of_the_guide(move: Move) -> None:
    reading, loading = section("Coming from the old Koschei")
    assert shlex.split(loading) == ["sh", "carried.sh"]
    read = move.type(reading)
    assert (read.returncode, read.stdout, read.stderr) == (0, "", "")
    assert move.type(loading).stderr == ""
    assert move.run_what_was_typed() == ["Left out, no packages here: retired"]
    assert carried(move) == CARRIED
    with move.world.database.begin() as session:
        assert session.scalars(select(LogEntry.message).where(LogEntry.message.like("Package foo in f43: %"))).all()
