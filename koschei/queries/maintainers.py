"""Who maintains a package, and what somebody maintains: as the source of that says, and by way of groups."""

from __future__ import annotations

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from koschei.model import (
    BasePackage,
    GroupACL,
    MaintainerSource,
    PackageGroup,
    PackageGroupRelation,
    PackageMaintainer,
    User,
)


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


def of_package(session: Session, name: str) -> list[str]:
    """Who maintains the package according to the source, by name."""
    query = select(PackageMaintainer.user_name).where(PackageMaintainer.package == name)
    return list(session.scalars(query.order_by(PackageMaintainer.user_name)))


def source(session: Session) -> MaintainerSource | None:
    """What is known of the source; None when it was never read."""
    return session.get(MaintainerSource, 1)


def _in_global_group(user_name: str, base_id: int) -> ColumnElement[bool]:
    return exists().where(
        PackageGroupRelation.base_id == base_id,
        PackageGroup.id == PackageGroupRelation.group_id,
        PackageGroup.namespace.is_(None),
        GroupACL.group_id == PackageGroup.id,
        GroupACL.user_id == User.id,
        User.name == user_name,
    )
