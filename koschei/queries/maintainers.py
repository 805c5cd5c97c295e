"""Who maintains a package, and what somebody maintains: as the source of that says, and by way of groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, any_, exists, false, func, null, or_, select, true, tuple_, union_all
from sqlalchemy.orm import Session

from koschei.model import (
    BasePackage,
    GroupACL,
    MaintainerSource,
    Package,
    PackageGroup,
    PackageGroupRelation,
    PackageMaintainer,
    User,
)
from koschei.queries.collections import Counts
from koschei.rules.states import LEFT_ALONE


@dataclass(frozen=True)
class Said:
    """What the source says of somebody: for how many packages it names them, ours or not; as of when (None: there is no
    source, or it never answered); and why it cannot be read, if it cannot.
    """

    packages: int = 0
    as_of: datetime | None = None
    error: str | None = None


@dataclass(frozen=True)
class Whose:
    """Who maintains a package according to the source, and the groups that have it: the global ones, and somebody's
    `own`, by their full names. All are in the order of names.
    """

    people: tuple[str, ...]
    groups: tuple[str, ...]
    own: tuple[str, ...] = ()


@dataclass(frozen=True)
class States:
    """How many packages there are, and how many are in which state in each collection."""

    packages: int
    counts: Mapping[int, Counts]


def maintains(session: Session, user_name: str, base_id: int) -> bool:
    """Whether this person maintains the package: in the source, or as a maintainer of a global group that has it.

    Groups of users do not count: anybody can make one, of any packages.
    """
    said = exists().where(
        PackageMaintainer.user_name == user_name,
        PackageMaintainer.package == BasePackage.name,
        BasePackage.id == base_id,
    )
    return bool(session.scalar(select(or_(said, _in_global_group(user_name, base_id)))))


def of_package(session: Session, name: str, base_id: int, user_name: str | None = None) -> Whose:
    """Whose the package is; `user_name`: whose own groups are told of, too. Those of others are left out."""
    relation = PackageGroupRelation
    told: ColumnElement[bool] = PackageGroup.namespace.is_(None)
    if user_name is not None:
        told = or_(told, PackageGroup.is_of(user_name))
    said = select(PackageMaintainer.user_name.label("name"), true().label("person"), null().label("namespace"))
    having = select(PackageGroup.name, false(), PackageGroup.namespace)
    query: Any = union_all(
        said.where(PackageMaintainer.package == name),
        having.join(relation, relation.group_id == PackageGroup.id).where(relation.base_id == base_id, told),
    ).order_by("namespace", "name")
    rows = session.execute(query).all()
    return Whose(
        tuple(row.name for row in rows if row.person),
        tuple(row.name for row in rows if not row.person and row.namespace is None),
        tuple(f"{row.namespace}/{row.name}" for row in rows if row.namespace is not None),
    )


def said_of(session: Session, user_name: str) -> Said:
    """What the source says of somebody."""
    named = select(func.count()).where(PackageMaintainer.user_name == user_name).scalar_subquery()
    row = session.execute(select(MaintainerSource.last_good, MaintainerSource.error, named)).one_or_none()
    return Said() if row is None else Said(row[2], row.last_good, row.error)


def are_of(user_name: str, base_id: Any = Package.base_id, *, few: bool = False) -> ColumnElement[bool]:
    """Whether packages are somebody's: by the source, or in a group that the person maintains or that bears the name.

    `base_id`: the column that says which packages; `few`: they are among a few in question, however many somebody has.

    As an array, they are looked up by index; joined, PostgreSQL would rather read all packages of all collections.
    """
    relation = PackageGroupRelation
    mine = (
        select(BasePackage.id)
        .join(PackageMaintainer, PackageMaintainer.package == BasePackage.name)
        .where(PackageMaintainer.user_name == user_name),
        select(relation.base_id)
        .join(GroupACL, GroupACL.group_id == relation.group_id)
        .join(User, User.id == GroupACL.user_id)
        .where(User.name == user_name),
        select(relation.base_id)
        .join(PackageGroup, PackageGroup.id == relation.group_id)
        .where(PackageGroup.namespace == user_name),
    )
    if few:
        return or_(*(base_id.in_(each) for each in mine))
    return base_id == any_(func.array(union_all(*mine).scalar_subquery()))  # type: ignore[no-any-return]


def states(session: Session, user_name: str, collection_ids: Sequence[int]) -> States:
    """How somebody's packages are: those that are tracked and not blocked."""
    query = (
        select(Package.collection_id, Package.state, func.count(), func.count(Package.base_id.distinct()))
        # The state says that they are tracked and not blocked, and an index has it.
        .where(are_of(user_name), Package.collection_id.in_(collection_ids), Package.state.not_in(LEFT_ALONE))
        .group_by(func.grouping_sets(tuple_(Package.collection_id, Package.state), tuple_()))
    )
    counts: dict[int, Counts] = {}
    packages = 0
    rows: Sequence[Any] = session.execute(query).all()
    for collection_id, state, number, names in rows:
        if collection_id is None:
            packages = names
        else:
            counts.setdefault(collection_id, {})[state] = number
    return States(packages, counts)


def groups_of(session: Session, user_name: str, limit: int) -> list[tuple[PackageGroup, int]]:
    """The groups that somebody maintains or that bear the name, global ones first, and how many packages each has."""
    size = select(func.count()).where(PackageGroupRelation.group_id == PackageGroup.id).scalar_subquery()
    query = (
        select(PackageGroup, size).where(PackageGroup.is_of(user_name)).order_by(*PackageGroup.in_order()).limit(limit)
    )
    return [(group, count) for group, count in session.execute(query)]


def _in_global_group(user_name: str, base_id: int) -> ColumnElement[bool]:
    return exists().where(
        PackageGroupRelation.base_id == base_id,
        PackageGroup.id == PackageGroupRelation.group_id,
        PackageGroup.namespace.is_(None),
        GroupACL.group_id == PackageGroup.id,
        GroupACL.user_id == User.id,
        User.name == user_name,
    )
