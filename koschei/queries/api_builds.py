"""Builds as REST API v2 lists them: the newest first, of one package or of all."""

from __future__ import annotations

from collections.abc import Collection as Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, tuple_
from sqlalchemy.orm import Session

from koschei.model import Build, Collection, Package
from koschei.rules.states import BuildState

LOOKED_AT = 3000
"""So many builds are looked at for one page at most: a page may have fewer than were asked for, or none at all."""


@dataclass(frozen=True)
class Line:
    """A build in a list; `task_id` is None while Koji's answer to its submission is awaited, or when imported."""

    id: int
    package: str
    collection: str
    state: BuildState
    real: bool
    epoch: int | None
    version: str
    release: str
    task_id: int | None
    repo_id: int | None
    started: datetime
    finished: datetime | None
    untagged: bool


@dataclass(frozen=True)
class Wanted:
    """Which builds; an empty set or None leaves nothing out. `since`: those started then or later."""

    package: str | None = None
    collections: Set[str] = ()
    states: Set[BuildState] = ()
    real: bool | None = None
    since: datetime | None = None


@dataclass(frozen=True)
class Found:
    """Some builds; `after` (when it was started, and its id) leads to those behind, None when there are none."""

    lines: list[Line]
    after: tuple[datetime, int] | None


def newest(session: Session, wanted: Wanted, after: tuple[datetime, int] | None, limit: int) -> Found:
    """The builds that fit, behind `after`, newest first; `limit` at most, and fewer when few of very many fit."""
    query = select(Build.id, Build.started).order_by(Build.started.desc(), Build.id.desc()).limit(LOOKED_AT)
    if wanted.since is not None:
        query = query.where(Build.started >= wanted.since)
    if wanted.package is not None:
        query = query.where(Build.package_id.in_(select(Package.id).where(Package.name == wanted.package)))
    if after is not None:
        query = query.where(Build.started <= after[0], tuple_(Build.started, Build.id) < after)
    if wanted.states == {BuildState.RUNNING}:  # these have an index of their own; others would be looked for too long
        query = query.where(Build.state == BuildState.RUNNING)
    seen = query.subquery()
    rows: Select[*tuple[Any, ...]] = (
        select(
            Build.id,
            Package.name,
            Collection.name,
            Build.state,
            Build.real,
            Build.epoch,
            Build.version,
            Build.release,
            Build.task_id,
            Build.repo_id,
            Build.started,
            Build.finished,
            Build.untagged,
        )
        .select_from(seen)
        .join(Build, Build.id == seen.c.id)
        .join(Package, Package.id == Build.package_id)
        .join(Collection, Collection.id == Package.collection_id)
        .order_by(seen.c.started.desc(), seen.c.id.desc())
        .limit(limit + 1)
    )
    if wanted.collections:
        rows = rows.where(Collection.name.in_(wanted.collections))
    if wanted.states:
        rows = rows.where(Build.state.in_(sorted(wanted.states)))
    if wanted.real is not None:
        rows = rows.where(Build.real == wanted.real)
    found = [Line(*row) for row in session.execute(rows)]
    if len(found) > limit:
        return Found(found[:limit], (found[limit - 1].started, found[limit - 1].id))
    end = select(seen.c.started, seen.c.id, func.count().over()).order_by(seen.c.started, seen.c.id).limit(1)
    last = session.execute(end).one_or_none()
    return Found(found, None if last is None or last[2] < LOOKED_AT else (last[0], last[1]))
