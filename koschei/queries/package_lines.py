"""Packages as lines of a list, by whatever an operator selects them; and all that is set about one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from koschei.config import Config
from koschei.model import Collection, Package, PackageGroup, PackageGroupRelation
from koschei.queries.scheduling import priority_column
from koschei.rules.states import PackageState


@dataclass(frozen=True)
class PackageLine:
    """A package in a collection, in one line; `priority` is None as long as no build of it is known."""

    name: str
    collection: str
    state: PackageState
    since: datetime
    priority: float | None
    tracked: bool
    blocked: bool
    running: bool


@dataclass(frozen=True)
class Wanted:
    """Which packages: without states, the tracked ones that are not blocked, unless `everything`.

    `patterns`: names in which * stands for anything; any of them will do, none: all names.
    """

    collection: Collection | None = None
    states: frozenset[PackageState] = frozenset()
    group: PackageGroup | None = None
    patterns: Sequence[str] = ()
    everything: bool = False


def listed(session: Session, wanted: Wanted, config: Config, now: datetime) -> list[PackageLine]:
    """The packages, by name and collection."""
    query = (
        select(
            Package.name,
            Collection.name,
            Package.state,
            Package.state_since,
            priority_column(config, now),
            Package.tracked,
            Package.blocked,
            Package.running_build_id.is_not(None),
        )
        .join(Collection, Collection.id == Package.collection_id)
        .order_by(Package.name, Collection.order.desc(), Collection.name)
    )
    if wanted.collection is not None:
        query = query.where(Package.collection_id == wanted.collection.id)
    if wanted.states:
        query = query.where(Package.state.in_(sorted(wanted.states)))
    elif not wanted.everything:
        query = query.where(Package.tracked, ~Package.blocked)
    if wanted.group is not None:
        members = select(PackageGroupRelation.base_id).where(PackageGroupRelation.group_id == wanted.group.id)
        query = query.where(Package.base_id.in_(members))
    if wanted.patterns:
        query = query.where(or_(*(Package.name.like(_like(pattern)) for pattern in wanted.patterns)))
    return [PackageLine(*row) for row in session.execute(query)]


def groups(session: Session, base_ids: Iterable[int]) -> list[str]:
    """The groups that hold any of these packages, by their full names."""
    query = (
        select(PackageGroup)
        .where(
            PackageGroup.id.in_(
                select(PackageGroupRelation.group_id).where(PackageGroupRelation.base_id.in_(list(base_ids)))
            )
        )
        .order_by(PackageGroup.namespace.nulls_first(), PackageGroup.name)
    )
    return [group.full_name for group in session.scalars(query)]


def _like(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%")
