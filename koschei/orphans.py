"""Dependencies that nothing names any more: no build's packed set, no change of a build, no pending change.

They are deleted while resolvers and branches store ids. What names them is read at leisure, once. Then, a few
candidates at a time, a short transaction keeps out everybody who is going to name some (koschei.dependencies.naming),
reads what came since, and deletes the candidates that are still unnamed. What is new is known by its number: numbers
are given in ascending order, and when nobody else is at work, all that were given are settled.

The second dependency of a build's change is always in the build's own set, so the index finds the rest.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg2.errors
from sqlalchemy import text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from koschei import audit
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.dependencies import unpack
from koschei.errors import ServiceError
from koschei.retention import Kind, Progress

SETS_AT_ONCE = 500
CHANGES_AT_ONCE = 20_000
CANDIDATES_AT_ONCE = 1000
RANGE = 50_000
# Whoever wants to name dependencies waits behind us for so long at most, when somebody else keeps us waiting.
LONGEST_WAIT = "200ms"
PAUSE = 1.0
PATIENCE = 300.0

EXCLUSIVE = text("LOCK TABLE dependency_sweep IN EXCLUSIVE MODE")
SETS = text("""
    SELECT number, packed_ids FROM build_dependencies WHERE number > :after AND number <= :until
    ORDER BY number LIMIT :n
""")
PENDING = text("""
    SELECT id, prev_dep_id, curr_dep_id FROM unapplied_change WHERE id > :after AND id <= :until ORDER BY id LIMIT :n
""")
MARK = text("""
    SELECT coalesce((SELECT max(number) FROM build_dependencies), 0),
           coalesce((SELECT max(id) FROM unapplied_change), 0)
""")
HIGHEST = text("SELECT coalesce(max(id), 0) FROM dependency")
THERE = text("SELECT id FROM dependency WHERE id > :low AND id <= :high ORDER BY id")
CHANGED = text("""
    SELECT w.id FROM unnest(CAST(:ids AS bigint[])) AS w(id)
    WHERE EXISTS (SELECT FROM applied_change WHERE coalesce(prev_dep_id, curr_dep_id) = w.id)
""")
NEXT_GENERATION = text("""
    INSERT INTO dependency_sweep AS s (id, generation) VALUES (1, 1)
    ON CONFLICT (id) DO UPDATE SET generation = s.generation + 1
""")
DELETE = text("DELETE FROM dependency WHERE id = ANY(:ids)")


@dataclass(frozen=True)
class Mark:
    """How far what names dependencies has come: the highest numbers of sets and of pending changes."""

    sets: int = 0
    pending: int = 0

    def near(self, other: Mark) -> bool:
        """Whether what lies between the two is read in no time."""
        return self.sets - other.sets <= SETS_AT_ONCE and self.pending - other.pending <= CHANGES_AT_ONCE


class Named:
    """The ids that sets and pending changes up to `mark` name, a bit each: hundreds of millions fit into memory."""

    def __init__(self) -> None:
        self._bits = bytearray()
        self.mark = Mark()

    def add(self, ids: set[int]) -> None:
        """Take note of ids."""
        highest = max(ids, default=0)
        if highest // 8 >= len(self._bits):
            self._bits.extend(bytes(highest // 8 + 1 - len(self._bits)))
        for number in ids:
            self._bits[number // 8] |= 1 << number % 8

    def __contains__(self, number: int) -> bool:
        return number // 8 < len(self._bits) and bool(self._bits[number // 8] >> number % 8 & 1)

    def read(self, session: Session, until: Mark) -> bool:
        """Read on, some more and not beyond `until`; whether there may be more."""
        span = {"after": self.mark.sets, "until": until.sets, "n": SETS_AT_ONCE}
        sets = session.execute(SETS, span).all()
        span = {"after": self.mark.pending, "until": until.pending, "n": CHANGES_AT_ONCE}
        pending = session.execute(PENDING, span).all()
        self.add({number for _, packed in sets for number in unpack(packed)})
        self.add({number for _, *both in pending for number in both if number is not None})
        self.mark = Mark(sets[-1][0] if sets else until.sets, pending[-1][0] if pending else until.pending)
        return bool(sets or pending)


def count(database: Database) -> int:
    """How many dependencies are orphans, as far as can be told while others work."""
    named = Named()
    with database.begin() as session:
        until = _mark(session)
    _read(database, named, until)
    return sum(len(found) for found in _candidates(database, named))


def sweep(database: Database, actor: Actor, title: str, *, progress: Progress) -> list[str]:
    """Delete the orphans in short transactions; the audit messages.

    Errors: ServiceError when somebody names dependencies all the time; what was deleted until then is in the audit log.
    """
    deleted = 0
    try:
        named = Named()
        with _alone(database) as session:
            until = _mark(session)
        _read(database, named, until)
        for found in _candidates(database, named):
            for start in range(0, len(found), CANDIDATES_AT_ONCE):
                number = _delete(database, named, found[start : start + CANDIDATES_AT_ONCE])
                deleted += number
                progress(Kind.DEPENDENCIES, number)
    except (KeyboardInterrupt, ServiceError):
        if deleted:
            with database.begin() as session:
                audit.record(session, actor, f"{title}: Deleted {deleted} {Kind.DEPENDENCIES}, then was interrupted")
        raise
    if not deleted:
        return []
    with database.begin() as session:
        return [audit.record(session, actor, f"{title}: Deleted {deleted} {Kind.DEPENDENCIES}")]


def _delete(database: Database, named: Named, ids: list[int]) -> int:
    """Delete those of the candidates that are still unnamed; how many."""
    while True:
        with _alone(database) as session:
            until = _mark(session)
            if until.near(named.mark):
                while named.read(session, until):
                    pass
                doomed = _unnamed(session, named, ids)
                if doomed:
                    session.execute(NEXT_GENERATION)
                    session.execute(DELETE, {"ids": doomed})
                return len(doomed)
        _read(database, named, until)  # much came at once, as from a branch: nobody has to wait for that


def _mark(session: Session) -> Mark:
    return Mark(*session.execute(MARK).one())


def _read(database: Database, named: Named, until: Mark) -> None:
    more = True
    while more:
        with database.begin() as session:
            more = named.read(session, until)


def _candidates(database: Database, named: Named) -> Iterator[list[int]]:
    """Dependencies that nothing names as far as is known, by and by."""
    with database.begin() as session:
        highest = session.scalars(HIGHEST).one()
    for low in range(0, highest, RANGE):
        with database.begin() as session:
            found = _unnamed(session, named, session.scalars(THERE, {"low": low, "high": low + RANGE}).all())
        yield found


def _unnamed(session: Session, named: Named, ids: Iterable[int]) -> list[int]:
    found = [number for number in ids if number not in named]
    changed = set(session.scalars(CHANGED, {"ids": found}))
    return [number for number in found if number not in changed]


@contextmanager
def _alone(database: Database) -> Iterator[Session]:
    """A transaction at the side of none that names dependencies: those before it have ended, later ones wait.

    Errors: ServiceError after PATIENCE.
    """
    patient_until = time.monotonic() + PATIENCE
    while True:
        with database.begin() as session:
            if _locked(session):
                yield session
                return
        if time.monotonic() > patient_until:
            raise ServiceError(
                f"Orphaned dependencies stay: for {PATIENCE:g} seconds there was no moment without somebody storing "
                "dependencies (a branch may be running). Run this again later"
            )
        time.sleep(PAUSE)


def _locked(session: Session) -> bool:
    """Whether the lock could be had within LONGEST_WAIT."""
    session.execute(text(f"SET LOCAL lock_timeout = '{LONGEST_WAIT}'"))
    try:
        with session.begin_nested():
            session.execute(EXCLUSIVE)
    except OperationalError as error:
        if not isinstance(error.orig, psycopg2.errors.LockNotAvailable):
            raise
        return False
    session.execute(text("SET LOCAL lock_timeout = DEFAULT"))
    return True
