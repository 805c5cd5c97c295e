"""Branching and forking a collection, and deleting one, at the size of a distribution.

Branching and forking are one transaction of a few statements, each over a whole table; nothing is fetched, and Koji
is asked before. The transaction is one snapshot and locks no package, so services and pages go on meanwhile: a build
that ends while it is being copied is running in the copy, and ends there when Koji is asked next.

Deleting is many short transactions. One that was interrupted goes on when it is asked for again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

import psycopg2.errors
from sqlalchemy import Table, func, insert, literal, select, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from koschei import audit, collections
from koschei.audit import Actor
from koschei.collections import Fields
from koschei.db.engine import Database
from koschei.db.locks import LockSpace, try_lock, wait_for_lock
from koschei.dependencies import naming
from koschei.errors import (
    AlreadyExistsError,
    DatabaseError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    ServiceError,
)
from koschei.koji.session import KojiSession
from koschei.model import (
    AppliedChange,
    Base,
    Build,
    BuildDependencies,
    Collection,
    CollectionGroupRelation,
    KojiTask,
    Package,
    PackageStateChange,
    ResolutionChange,
    ResolutionProblem,
)

T = TypeVar("T")
# What opens a transaction: Database.begin, or something around it.
Begin = Callable[[], AbstractContextManager[Session]]

# How far back a branch takes the history of packages with it; what their states rest on is taken whatever its age.
HISTORY = timedelta(days=31)
ATTEMPTS = 3
# Packages deleted in one transaction: a fraction of a second, which is how long anybody who wants one of them waits.
BATCH = 200
# How long a deletion waits for the resolver, which takes minutes for a large collection in a new repository.
PATIENCE = timedelta(minutes=15)


@dataclass(frozen=True)
class Wish:
    """What a branch or fork is to be. `target`: Koji's; `dest_tag` empty for the build tag of that target."""

    display_name: str
    target: str
    dest_tag: str = ""
    bugzilla_version: str | None = None


def branch(
    database: Database,
    actor: Actor,
    koji: KojiSession,
    master: str,
    new_name: str,
    wish: Wish,
    *,
    now: datetime,
    begin: Begin | None = None,
) -> list[str]:
    """Split a collection in two: what is there becomes the new release, a copy of it keeps the old name and target.

    `wish.target` and `wish.dest_tag` are those of the new release, which also moves up by one in `order`;
    `wish.display_name` and `wish.bugzilla_version` are the copy's. Returns the audit messages. Raises NotFoundError (no
    such collection, or Koji has no such target or tag), AlreadyExistsError, InvalidInputError, and what Koji raises;
    then nothing has changed. `begin` opens the transaction, if it is not to be a plain one.
    """
    with database.read() as session:
        kept = collections.by_name(session, master).target
        _check_free(session, new_name, "Branched")
    target, kept_target = (collections.find_target(koji, name) for name in (wish.target, kept))
    collections.check_tag(koji, wish.dest_tag)

    def work(session: Session) -> list[str]:
        old = collections.by_name(session, master)
        _check_free(session, new_name, "Branched")
        if old.target != kept:
            raise InvalidInputError(f"Collection {master} was given another target just now: look at it, and try again")
        fields = replace(_inherited(old, wish), target=old.target, dest_tag=old.dest_tag)
        moved = Fields(target=wish.target, dest_tag=wish.dest_tag, order=old.order + 1)
        messages = collections.edit(session, actor, master, moved, target, new_name=new_name, now=now)
        messages += collections.create(session, actor, master, fields, kept_target, now=now)
        copy = collections.by_name(session, master)
        session.execute(
            insert(CollectionGroupRelation).from_select(
                ["group_id", "collection_id"],
                select(CollectionGroupRelation.group_id, literal(copy.id)).where(
                    CollectionGroupRelation.collection_id == old.id
                ),
            )
        )
        copied = _copy(session, old.id, copy.id, since=now - HISTORY)
        words = f"Collection {master} branched: it is {new_name} now, and its copy {master} has {copied}"
        return [*messages, audit.record(session, actor, words)]

    return _in_one_snapshot(begin or database.begin, work)


def fork(
    database: Database,
    actor: Actor,
    koji: KojiSession,
    master: str,
    new_name: str,
    wish: Wish,
    *,
    now: datetime,
    begin: Begin | None = None,
) -> list[str]:
    """Make a collection that starts with the packages of another one and the builds that their states rest on.

    The other one stays as it is. Returns and raises what `branch` does.
    """
    with database.read() as session:
        collections.by_name(session, master)
        _check_free(session, new_name, "Forked")
    target = collections.find_target(koji, wish.target)
    collections.check_tag(koji, wish.dest_tag)

    def work(session: Session) -> list[str]:
        old = collections.by_name(session, master)
        _check_free(session, new_name, "Forked")
        fields = _inherited(old, wish)
        if wish.bugzilla_version is None:
            fields = replace(fields, bugzilla_version=old.bugzilla_version)
        messages = collections.create(session, actor, new_name, fields, target, now=now)
        copied = _copy(session, old.id, collections.by_name(session, new_name).id, since=None)
        words = f"Collection {master} forked: {new_name} has {copied}"
        return [*messages, audit.record(session, actor, words)]

    return _in_one_snapshot(begin or database.begin, work)


def _check_free(session: Session, name: str, what: str) -> None:
    if session.scalar(select(Collection.id).where(Collection.name == name)) is not None:
        raise AlreadyExistsError(f"{what} collection exists already: {name}. Choose another name")


def _inherited(old: Collection, wish: Wish) -> Fields:
    """What the new collection is: what the wish says, the rest as in the old one."""
    return Fields(
        display_name=wish.display_name,
        target=wish.target,
        dest_tag=wish.dest_tag,
        bugzilla_version=wish.bugzilla_version,
        order=old.order,
        priority_coefficient=old.priority_coefficient,
        build_group=old.build_group,
        poll_untracked=old.poll_untracked,
        bugzilla_product=old.bugzilla_product,
    )


def _in_one_snapshot(begin: Begin, work: Callable[[Session], T]) -> T:
    """Do all of the work on one snapshot; again if the collection was changed, or the name taken, just then."""
    for last in (*[False] * (ATTEMPTS - 1), True):
        try:
            with begin() as session:
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
                naming(session)
                return work(session)
        except (DatabaseError, IntegrityError) as error:
            cause = error.orig if isinstance(error, IntegrityError) else getattr(error.__cause__, "orig", None)
            if last or not isinstance(cause, psycopg2.errors.SerializationFailure | psycopg2.errors.UniqueViolation):
                raise
    raise AssertionError("the last attempt returns or raises")


# --- The copy


@dataclass(frozen=True)
class Copied:
    """How much was copied."""

    packages: int
    builds: int

    def __str__(self) -> str:
        return f"{self.packages} packages and {self.builds} builds"


# New numbers are given in the order of the old ones: of two builds begun at once, the higher number is the newer.
MAP_PACKAGES = """
    CREATE TEMPORARY TABLE copied_package ON COMMIT DROP AS
    SELECT p.id AS old_id, nextval(pg_get_serial_sequence('package', 'id')) AS new_id
    FROM (SELECT id FROM package WHERE collection_id = :old_id ORDER BY id) AS p
"""

# The builds that the packages' states rest on, and (unless :since is NULL) the running and the recent ones. A running
# build without a task is an intention: only the one who stored it may follow it, or Koji would be asked twice.
MAP_BUILDS = """
    CREATE TEMPORARY TABLE copied_build ON COMMIT DROP AS
    SELECT b.id AS old_id, nextval(pg_get_serial_sequence('build', 'id')) AS new_id
    FROM (
        SELECT last_complete_build_id AS id FROM package
        WHERE collection_id = :old_id AND last_complete_build_id IS NOT NULL
        UNION
        SELECT b.id FROM package AS p JOIN build AS b ON b.package_id = p.id
        WHERE p.collection_id = :old_id AND (b.started >= :since OR (:since IS NOT NULL AND b.state = 2))
          AND (b.state <> 2 OR b.task_id IS NOT NULL)
        ORDER BY id
    ) AS b
"""

MAP_RESOLUTIONS = """
    CREATE TEMPORARY TABLE copied_resolution ON COMMIT DROP AS
    SELECT r.id AS old_id, nextval(pg_get_serial_sequence('resolution_change', 'id')) AS new_id
    FROM (
        SELECT c.id FROM copied_package AS m
        CROSS JOIN LATERAL (
            SELECT id FROM resolution_change WHERE package_id = m.old_id
            ORDER BY timestamp DESC, id DESC LIMIT CASE WHEN :since IS NULL THEN 1 END) AS c
        ORDER BY c.id
    ) AS r
"""

# Packages and builds name each other, which PostgreSQL checks at the end of a statement: this is one. The newest
# counted build is copied unless it is an intention or, in a fork, running; before it comes the newest with a verdict.
COPY_PACKAGES = """
    WITH packages AS (
        INSERT INTO package (id, collection_id, last_build_id, last_build_started, last_complete_build_id,
                             running_build_id, needs_resolution, {package})
        SELECT m.new_id, :new_id, coalesce(l.new_id, c.new_id),
               CASE WHEN l.new_id IS NULL THEN b.started ELSE p.last_build_started END,
               c.new_id, r.new_id, NOT p.skip_resolution, {p_package}
        FROM copied_package AS m
        JOIN package AS p ON p.id = m.old_id
        LEFT JOIN copied_build AS l ON l.old_id = p.last_build_id
        LEFT JOIN copied_build AS c ON c.old_id = p.last_complete_build_id
        LEFT JOIN copied_build AS r ON r.old_id = p.running_build_id
        LEFT JOIN build AS b ON b.id = p.last_complete_build_id
        ORDER BY m.new_id
    )
    INSERT INTO build (id, package_id, copied_from, {build})
    SELECT m.new_id, q.new_id, b.id, {b_build}
    FROM copied_build AS m
    JOIN build AS b ON b.id = m.old_id
    JOIN copied_package AS q ON q.old_id = b.package_id
    ORDER BY m.new_id
"""

COPY_OF_BUILDS = """
    INSERT INTO {table} (build_id, {columns})
    SELECT m.new_id, {t_columns} FROM copied_build AS m JOIN {table} AS t ON t.build_id = m.old_id
    ORDER BY m.new_id
"""

COPY_RESOLUTIONS = """
    INSERT INTO resolution_change (id, package_id, {columns})
    SELECT m.new_id, q.new_id, {t_columns}
    FROM copied_resolution AS m
    JOIN resolution_change AS t ON t.id = m.old_id
    JOIN copied_package AS q ON q.old_id = t.package_id
    ORDER BY m.new_id
"""

COPY_PROBLEMS = """
    INSERT INTO resolution_problem (resolution_id, {columns})
    SELECT m.new_id, {t_columns} FROM copied_resolution AS m JOIN resolution_problem AS t ON t.resolution_id = m.old_id
"""

# The recent ones, and of each package and state the latest way into it, whatever its age: since when, and why.
COPY_STATES = """
    INSERT INTO package_state_change (package_id, build_id, {columns})
    SELECT q.new_id, b.new_id, {t_columns}
    FROM (
        SELECT s.*, row_number() OVER (PARTITION BY s.package_id, s.new ORDER BY s.timestamp DESC, s.id DESC) AS place
        FROM package_state_change AS s JOIN copied_package AS m ON m.old_id = s.package_id
    ) AS t
    JOIN copied_package AS q ON q.old_id = t.package_id
    LEFT JOIN copied_build AS b ON b.old_id = t.build_id
    WHERE t.place = 1 OR t.timestamp >= :since
    ORDER BY t.id
"""

DERIVED = ("last_build_id", "last_build_started", "last_complete_build_id", "running_build_id")


def _copy(session: Session, old_id: int, new_id: int, *, since: datetime | None) -> Copied:
    """Copy what belongs to a collection's packages to a new collection; `since` None: only what states rest on."""
    session.flush()
    values = {"old_id": old_id, "new_id": new_id, "since": since}

    def run(statement: str, **parts: str) -> int:
        # The casts tell PostgreSQL what a NULL is.
        typed = statement.format(**parts).replace(":since", "CAST(:since AS timestamptz)")
        return session.connection().execute(text(typed), values).rowcount

    run("SET LOCAL work_mem = '64MB'")  # the maps of a whole collection fit, and are not written to files
    for name in ("copied_package", "copied_build", "copied_resolution"):
        run(f"DROP TABLE IF EXISTS pg_temp.{name}")
    packages = run(MAP_PACKAGES)
    builds = run(MAP_BUILDS)
    run(MAP_RESOLUTIONS)
    for name in ("copied_package", "copied_build", "copied_resolution"):
        run(f"ANALYZE {name}")
    run(
        COPY_PACKAGES,
        **_columns("package", "p", Package, "id", "collection_id", "needs_resolution", *DERIVED),
        **_columns("build", "b", Build, "id", "package_id", "copied_from"),
    )
    for model in (KojiTask, BuildDependencies, AppliedChange):
        run(COPY_OF_BUILDS, table=model.__tablename__, **_columns("columns", "t", model, "id", "number", "build_id"))
    run(COPY_RESOLUTIONS, **_columns("columns", "t", ResolutionChange, "id", "package_id"))
    run(COPY_PROBLEMS, **_columns("columns", "t", ResolutionProblem, "resolution_id"))
    run(COPY_STATES, **_columns("columns", "t", PackageStateChange, "id", "package_id", "build_id"))
    return Copied(packages, builds)


def _columns(label: str, alias: str, model: type[Base], *without: str) -> dict[str, str]:
    """The columns of a table that are copied as they are: as `label`, and with the alias as `<alias>_<label>`."""
    table = model.__table__
    assert isinstance(table, Table)
    names = [column.name for column in table.columns if column.computed is None and column.name not in without]
    return {label: _list("", names), f"{alias}_{label}": _list(f"{alias}.", names)}


def _list(prefix: str, names: Iterable[str]) -> str:
    return ", ".join(f'{prefix}"{name}"' for name in names)


# --- Deleting

# What hangs on packages goes first, a table at a time: PostgreSQL would follow it row by row, and changes not at all.
DELETE_BATCH = tuple(
    text(statement)
    for statement in (
        "DELETE FROM applied_change USING build AS b WHERE build_id = b.id AND b.package_id = ANY(:ids)",
        "DELETE FROM koji_task USING build AS b WHERE build_id = b.id AND b.package_id = ANY(:ids)",
        "DELETE FROM build_dependencies USING build AS b WHERE build_id = b.id AND b.package_id = ANY(:ids)",
        "DELETE FROM package_state_change WHERE package_id = ANY(:ids)",
        "DELETE FROM resolution_problem USING resolution_change AS r "
        "WHERE resolution_id = r.id AND r.package_id = ANY(:ids)",
        "DELETE FROM package WHERE id = ANY(:ids)",
    )
)


def delete(
    database: Database,
    actor: Actor,
    name: str,
    *,
    force: bool,
    begin: Begin | None = None,
    say: Callable[[str], None] = lambda message: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    patience: timedelta = PATIENCE,
) -> list[str]:
    """Delete a collection with its packages, builds and history. Returns the last audit message.

    Packages go in batches, each a transaction of its own (`begin`), so nobody waits; `say` is told when it begins, and
    `progress` how many of how many are gone. Interrupted, it goes on when called again. Builds that run in Koji go on
    there. Raises NotFoundError, NotAllowedError when there are packages and not `force`, and ServiceError when the
    repo-resolver is at work in it for longer than `patience`: then nothing has changed.
    """
    begin = begin or database.begin
    with begin() as session:
        collection = collections.by_name(session, name)
        total = _count(session, collection.id)
        if total and not force:
            raise NotAllowedError(
                f"Collection {name} has {total} packages. Deleting it deletes them with all their builds and history, "
                "which cannot be undone: --force does it"
            )
    with _unresolved(database, collection, say, patience):
        if total:
            begun = f"Deletion of collection {name} begun: {total} packages"
            with begin() as session:
                if not _forget_repository(session, collection.id):
                    raise NotFoundError(f"Collection {name} was deleted by somebody else meanwhile")
                audit.record(session, actor, begun)
            say(f"{begun}. If it is interrupted, the same command goes on with it")
        done = 0
        while gone := _delete_some(begin, collection.id):
            done += gone
            progress(min(done, total), total)
        with begin() as session:
            # From here on nobody can add a package; one that came meanwhile goes with the collection.
            found = session.scalar(select(Collection).where(Collection.id == collection.id).with_for_update())
            if found is None:
                return []
            while _delete_batch(session, collection.id):
                pass
            session.delete(found)
            return [audit.record(session, actor, f"Collection {name} deleted")]


@contextmanager
def _unresolved(
    database: Database, collection: Collection, say: Callable[[str], None], patience: timedelta
) -> Iterator[None]:
    """Within it no resolver looks at the collection; one that is at it is waited for."""
    place = database.engine, LockSpace.REPO_RESOLVER, collection.id
    lock = try_lock(*place)
    if lock is None:
        minutes = f"{patience.total_seconds() / 60:g} minutes"
        busy = f"The repo-resolver, or another deletion, is at work in {collection.name}"
        say(f"{busy}: waiting for its end, {minutes} at most")
        lock = wait_for_lock(*place, patience.total_seconds())
        if lock is None:
            raise ServiceError(
                f"{busy}, for {minutes} already; nothing was deleted. Try again later, or stop the repo-resolver "
                "until the collection is gone"
            )
    try:
        yield
    finally:
        lock.release()


def _forget_repository(session: Session, collection_id: int) -> bool:
    """Make the buildroot unknown: nothing new is submitted, until a resolver looks again. False: no such collection."""
    query = update(Collection).where(Collection.id == collection_id).returning(Collection.id)
    return session.scalar(query.values(latest_repo_id=None, latest_repo_resolved=None)) is not None


def _count(session: Session, collection_id: int) -> int:
    query = select(func.count()).select_from(Package).where(Package.collection_id == collection_id)
    return session.scalars(query).one()


def _delete_some(begin: Begin, collection_id: int) -> int:
    with begin() as session:
        return _delete_batch(session, collection_id)


def _delete_batch(session: Session, collection_id: int) -> int:
    """Delete some packages with all that hangs on them; how many, 0 when there are none."""
    query = select(Package.id).where(Package.collection_id == collection_id).order_by(Package.id).limit(BATCH)
    ids = list(session.scalars(query.with_for_update()))
    if ids:
        for statement in DELETE_BATCH:
            session.execute(statement, {"ids": ids})
    return len(ids)
