"""The one way to change packages: lock them, change them, derive what follows, tell everybody.

    with changing(session, ids, Cause.BUILD, now=now) as packages:
        ...                         # insert or update builds, set resolved, tracked, blocked ...

On leaving the block the columns that follow from builds are derived, and each package whose state differs from before
gets a row of history and, when the difference is visible in messages, an event in the outbox: all in the caller's
transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, text, update
from sqlalchemy.orm import Session

from koschei import outbox
from koschei.db.notify import wake
from koschei.model import Cause, Package, PackageStateChange
from koschei.rules.states import PackageState

# The newest counted build, the newest one with a verdict, and the running one of each package; only rows that differ
# are written. A package whose answer rests on another source than before must be resolved again (the state is compared
# too, because deleting a build has already emptied the column that named it). Without any source nobody looks at it
# again, so an old answer must not stand for ever.
DERIVE = text("""
    UPDATE package AS p
    SET last_build_id = d.last_id,
        last_build_started = d.last_started,
        last_complete_build_id = d.complete_id,
        last_complete_build_state = d.complete_state,
        running_build_id = d.running_id,
        needs_resolution = p.needs_resolution
            OR (p.last_complete_build_id, p.last_complete_build_state)
               IS DISTINCT FROM (d.complete_id, d.complete_state),
        resolved = CASE WHEN p.last_complete_build_state IS NOT NULL AND d.complete_id IS NULL THEN NULL
                        ELSE p.resolved END
    FROM (
        SELECT q.id, l.id AS last_id, l.started AS last_started, c.id AS complete_id, c.state AS complete_state,
               r.id AS running_id
        FROM package AS q
        LEFT JOIN LATERAL (
            SELECT id, started FROM build WHERE package_id = q.id AND NOT untagged AND state IN (2, 3, 5)
            ORDER BY started DESC, id DESC LIMIT 1) AS l ON true
        LEFT JOIN LATERAL (
            SELECT id, state FROM build WHERE package_id = q.id AND NOT untagged AND state IN (3, 5)
            ORDER BY started DESC, id DESC LIMIT 1) AS c ON true
        LEFT JOIN build AS r ON r.package_id = q.id AND r.state = 2
        WHERE q.id = ANY(:ids)
    ) AS d
    WHERE p.id = d.id
      AND (p.last_build_id, p.last_build_started, p.last_complete_build_id, p.last_complete_build_state,
           p.running_build_id)
          IS DISTINCT FROM (d.last_id, d.last_started, d.complete_id, d.complete_state, d.running_id)
""")


@dataclass(frozen=True)
class Move:
    """A package went from one state to another; `build_id` is its newest build with a verdict."""

    package_id: int
    prev: PackageState
    new: PackageState
    build_id: int | None


def lock_packages(session: Session, package_ids: Iterable[int]) -> list[Package]:
    """The packages, locked in id order (the order everywhere, so that no two transactions wait for each other)."""
    query = (
        select(Package)
        .where(Package.id.in_(sorted(set(package_ids))))
        .order_by(Package.id)
        .with_for_update(key_share=True)
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(query))


@contextmanager
def changing(
    session: Session,
    package_ids: Iterable[int],
    cause: Cause,
    *,
    now: datetime,
    repo_id: int | None = None,
) -> Iterator[list[Package]]:
    """Change packages and everything that follows from it; see the module's text.

    Each state change is stored with its evidence: the repository of a resolution (`repo_id`), or the build that
    decided. Packages that are gone are left out.
    """
    packages = lock_packages(session, package_ids)
    before = {package.id: package.state for package in packages}
    yield packages
    session.flush()
    if not before:
        return
    derive(session, before)
    after = session.execute(
        select(Package.id, Package.state, Package.last_complete_build_id).where(Package.id.in_(before))
    ).all()
    moved = [Move(i, before[i], state, build) for i, state, build in after if state != before[i]]
    if moved:
        _record(session, moved, cause, now, repo_id)
    for package in packages:
        session.expire(package)


def derive(session: Session, package_ids: Iterable[int]) -> None:
    """Bring the columns that follow from builds up to date; the packages must be locked."""
    session.execute(DERIVE, {"ids": list(package_ids)})


def _record(session: Session, moved: Sequence[Move], cause: Cause, now: datetime, repo_id: int | None) -> None:
    built = cause in (Cause.BUILD, Cause.REAL_BUILD, Cause.UNTAGGED)
    rows = [
        {
            "package_id": move.package_id,
            "prev": move.prev,
            "new": move.new,
            "cause": cause,
            "timestamp": now,
            "build_id": move.build_id if built else None,
            "repo_id": repo_id,
        }
        for move in sorted(moved, key=lambda move: move.package_id)
    ]
    session.execute(
        update(Package).where(Package.id.in_([m.package_id for m in moved])).values(state_since=now),
        execution_options={"synchronize_session": False},  # whoever is changing them forgets what was loaded
    )
    session.execute(insert(PackageStateChange), rows)
    outbox.package_states_changed(session, {move.package_id: (move.prev, move.new) for move in moved})
    wake(session, "scheduler", "watcher")
