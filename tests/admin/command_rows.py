"""One row for each command of koschei-admin: a line that works, and what it needs. Also the world these lines are for.

A command that is added to admin.main.COMMANDS needs a row here: the tests of outages and of interrupts go through all.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from koschei.db.engine import Database
from koschei.messaging.webhook import new_secret
from koschei.model import ApiToken, Build, Collection, GroupACL, PackageGroup, PackageGroupRelation, User, Webhook
from koschei.rules.states import BuildState
from tests.world import filling


class Needs(StrEnum):
    """What of PostgreSQL a command needs."""

    TABLES = "our tables"
    SERVER = "a server, whatever is in it"
    REPORT = "nothing: it reports what is wrong"
    NOTHING = "nothing: it does not touch the database"


class Writes(StrEnum):
    """How a command changes things."""

    NOTHING = "not at all"
    ONCE = "in one transaction, with an audit entry"
    STEPS = "in steps, each of which is whole"
    TABLES = "tables, by migrations"


@dataclass(frozen=True)
class Row:
    """`line` is what is typed behind koschei-admin. `koji`: whether it asks Koji."""

    line: str
    needs: Needs = Needs.TABLES
    writes: Writes = Writes.NOTHING
    koji: bool = False

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line)


ONCE, STEPS = Writes.ONCE, Writes.STEPS
RUNNING = 1  # the id of the build that runs

ROWS = {
    "add-group": Row("add-group newgroup foo", writes=ONCE),
    "add-pkg": Row("add-pkg -c f27 new", writes=ONCE),
    "add-webhook": Row("add-webhook newhook https://hooks.example.org/x -c f27 -p foo", writes=ONCE),
    "alembic": Row("alembic current", needs=Needs.SERVER, writes=Writes.TABLES),
    "branch-collection": Row("branch-collection f27 f29 -d 'Fedora 27' -t f29", writes=ONCE, koji=True),
    "cancel-build": Row(f"cancel-build {RUNNING}", writes=ONCE),
    "cleanup": Row("cleanup --older-than 2", writes=STEPS),
    "clear-notice": Row("clear-notice", writes=ONCE),
    "compare-engines": Row("compare-engines -c f27 foo", koji=True),
    "completion": Row("completion bash", needs=Needs.NOTHING),
    "config": Row("config show", needs=Needs.NOTHING),
    "create-collection": Row("create-collection f30 -d 'Fedora 30' -t f30", writes=ONCE, koji=True),
    "create-collection-group": Row("create-collection-group epel -d EPEL -c f27", writes=ONCE),
    "create-db": Row("create-db", needs=Needs.SERVER, writes=Writes.TABLES),
    "create-group": Row("create-group filegroup --content-from-file names.txt", writes=ONCE),
    "db-check": Row("db-check", needs=Needs.REPORT),
    "delete-collection": Row("delete-collection --force f26", writes=STEPS),
    "delete-collection-group": Row("delete-collection-group --force fedora", writes=ONCE),
    "delete-group": Row("delete-group --force mygroup", writes=ONCE),
    "delete-webhook": Row("delete-webhook --force myhook", writes=ONCE),
    "doctor": Row("doctor", needs=Needs.REPORT, koji=True),
    "edit-collection": Row("edit-collection f27 -d 'Fedora Linux 27' -t other", writes=ONCE, koji=True),
    "edit-collection-group": Row("edit-collection-group fedora -d 'Fedora Linux'", writes=ONCE),
    "edit-group": Row("edit-group someuser/own --make-global --new-name thegroup", writes=ONCE),
    "edit-webhook": Row("edit-webhook myhook --url https://hooks.example.org/y", writes=ONCE),
    "explain": Row("explain foo"),
    "fork-collection": Row("fork-collection f27 f27-side -d 'Side' -t side", writes=ONCE, koji=True),
    "grant-admin": Row("grant-admin someuser", writes=ONCE),
    "list-builds": Row("list-builds foo"),
    "list-collections": Row("list-collections"),
    "list-groups": Row("list-groups"),
    "list-packages": Row("list-packages"),
    "list-users": Row("list-users"),
    "list-webhooks": Row("list-webhooks"),
    "log": Row("log"),
    "psql": Row("psql -c 'SELECT 1'", needs=Needs.NOTHING),
    "queue": Row("queue"),
    "reconcile": Row("reconcile", writes=STEPS, koji=True),
    "refresh-group": Row("refresh-group mygroup --from-file names.txt --force", writes=ONCE),
    "resolve": Row("resolve -c f28 foo", writes=ONCE),
    "retention": Row("retention --apply", writes=STEPS),
    "revoke-admin": Row("revoke-admin boss", writes=ONCE),
    "revoke-tokens": Row("revoke-tokens someuser", writes=ONCE),
    "selfcheck": Row("selfcheck", needs=Needs.REPORT, koji=True),
    "set-arch-override": Row("set-arch-override foo x86_64", writes=ONCE),
    "set-notice": Row("set-notice hello", writes=ONCE),
    "set-priority": Row("set-priority -c f27 bar foo 5", writes=ONCE),
    "show-build": Row(f"show-build {RUNNING}"),
    "show-collection": Row("show-collection f27"),
    "show-group": Row("show-group mygroup"),
    "show-package": Row("show-package foo"),
    "show-webhook": Row("show-webhook myhook"),
    "skip-resolution": Row("skip-resolution -c f27 bar foo", writes=ONCE),
    "status": Row("status"),
    "submit-build": Row("submit-build -c f28 foo", writes=STEPS, koji=True),
    "test-webhook": Row("test-webhook --show myhook"),
    "track": Row("track -c f27 new", writes=ONCE),
    "untrack": Row("untrack -c f27 foo", writes=ONCE),
}

MANY = 250
"""Packages in f26: more than are deleted in one step."""


def write_files(folder: Path) -> None:
    """The files that the lines above name."""
    (folder / "names.txt").write_text("foo\nbar\n")


def fill(url: str) -> None:
    """Make the world that the lines above work in."""
    database = Database(url)
    with filling(database) as world:
        f27 = world.collection("f27", order=27)
        f28 = world.collection("f28", order=28)
        old = world.collection("f26", order=26)
        foo, bar = world.package("foo", f27), world.package("bar", f27)
        world.build(foo, BuildState.RUNNING, 0.1)
        for package in (foo, bar, world.package("foo", f28), world.package("bar", f28)):
            for months in (40, 30, 20, 10, 0):
                world.build(package, hours=months * 720 + 20)
        world.package("new", f27, tracked=False)
        world.collection_group("fedora", "Fedora", f27, f28)
        world.notice("hello, world")
        world.session.add(
            Webhook(name="myhook", url="https://hooks.example.org/", secret=new_secret(), created_by="boss")
        )
        fill_people(world.session, foo.base_id)
        fill_many(world.session, old)
    with database.begin() as session:
        running = session.get(Build, RUNNING)
        assert running is not None
        assert running.state is BuildState.RUNNING
    database.dispose()


def fill_people(session: Session, base_id: int) -> None:
    """People and their groups."""
    someone = User(name="someuser")
    session.add_all([someone, User(name="boss", admin=True), User(name="chief", admin=True)])
    expires = datetime.now(UTC) + timedelta(days=30)
    session.add(ApiToken(user=someone, name="script", scopes=["packages"], digest=b"digest", expires=expires))
    session.flush()
    for group in (PackageGroup(name="mygroup"), PackageGroup(name="own", namespace="someuser")):
        session.add(group)
        session.flush()
        session.add_all(
            [PackageGroupRelation(group_id=group.id, base_id=base_id), GroupACL(group_id=group.id, user_id=someone.id)]
        )


def fill_many(session: Session, collection: Collection) -> None:
    """Packages that nobody knows by name."""
    session.execute(
        text(
            "WITH bases AS (INSERT INTO base_package (name) SELECT 'many' || n FROM generate_series(1, :n) AS n "
            "RETURNING id, name) "
            "INSERT INTO package (base_id, name, collection_id) SELECT id, name, :c FROM bases ORDER BY id"
        ),
        {"n": MANY, "c": collection.id},
    )


def fingerprint(database: Database) -> dict[str, str]:
    """A word for the content of each table; two databases with equal words hold the same rows."""
    with database.begin() as session:
        names = session.scalars(
            text("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        ).all()
        if not names:
            return {}
        one = "SELECT '{0}', md5(coalesce(string_agg(t::text, '|' ORDER BY t::text), '')) FROM {0} AS t"
        rows = session.execute(text(" UNION ALL ".join(one.format(name) for name in names)))
        return {row[0]: row[1] for row in rows}


def lock_tables(session: Session, *, without: tuple[str, ...] = ()) -> None:
    """Nobody else can read or write tables until the session's transaction ends."""
    names = session.scalars(text("SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"))
    wanted = ", ".join(name for name in names if name not in without)
    session.execute(text(f"LOCK TABLE {wanted} IN ACCESS EXCLUSIVE MODE"))


def wait_at_commit(session: Session) -> None:
    """From now on whoever writes an audit entry waits, while it is being committed, for advisory lock 77."""
    session.execute(
        text(
            "CREATE FUNCTION wait_for_77() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_advisory_xact_lock(77); RETURN NULL; END'"
        )
    )
    session.execute(
        text(
            "CREATE CONSTRAINT TRIGGER waits AFTER INSERT ON log_entry DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION wait_for_77()"
        )
    )
