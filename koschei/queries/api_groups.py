"""Groups as REST API v2 tells of them."""

from __future__ import annotations

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from koschei.model import BasePackage, GroupACL, PackageGroup, PackageGroupRelation, User


def members(session: Session, group_id: int, most: int) -> list[str] | None:
    """All packages of a group, by name; None when there are more than so many."""
    query = (
        select(BasePackage.name)
        .join(PackageGroupRelation, PackageGroupRelation.base_id == BasePackage.id)
        .where(PackageGroupRelation.group_id == group_id)
        .limit(most + 1)
    )
    found = list(session.scalars(query))
    return None if len(found) > most else sorted(found)


def of_user(session: Session, user: str) -> list[str]:
    """The full names of the groups that a user maintains or that bear the user's name, global ones first."""
    maintained = select(GroupACL.group_id).join(User, User.id == GroupACL.user_id).where(User.name == user)
    query = select(PackageGroup).where(or_(PackageGroup.namespace == user, PackageGroup.id.in_(maintained)))
    found = session.scalars(query.order_by(PackageGroup.namespace.nulls_first(), PackageGroup.name))
    return [group.full_name for group in found]
