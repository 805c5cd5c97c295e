"""The groups of one package, as those who may edit groups see them: in or out of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from koschei import audit
from koschei.audit import Actor
from koschei.errors import NotAllowedError
from koschei.model import BasePackage, GroupACL, PackageGroup, PackageGroupRelation


@dataclass(frozen=True)
class Membership:
    """A group, and whether the package is in it."""

    group: PackageGroup
    member: bool


def editable(session: Session, user_id: int, admin: bool, base_id: int, limit: int) -> list[Membership]:
    """The groups that a person may edit, global ones first: all for those who administer, else those one maintains."""
    member = exists().where(PackageGroupRelation.group_id == PackageGroup.id, PackageGroupRelation.base_id == base_id)
    query = select(PackageGroup, member).order_by(PackageGroup.namespace.asc().nulls_first(), PackageGroup.name)
    if not admin:
        query = query.where(exists().where(GroupACL.group_id == PackageGroup.id, GroupACL.user_id == user_id))
    return [Membership(group, bool(is_member)) for group, is_member in session.execute(query.limit(limit))]


def change(
    session: Session, actor: Actor, user_id: int, admin: bool, base: BasePackage, wanted: Mapping[int, bool]
) -> list[str]:
    """Put a package into groups (by id), or take it out of them; returns the audit messages.

    NotAllowedError, with nothing changed, for a group that the person may not edit. A group that is gone is left out.
    """
    query = select(PackageGroup).where(PackageGroup.id.in_(wanted)).order_by(PackageGroup.id).with_for_update()
    groups = session.scalars(query).all()
    if not admin:
        _refuse_others(session, user_id, groups)
    return [message for group in groups for message in _put(session, actor, group, base, wanted[group.id])]


def _refuse_others(session: Session, user_id: int, groups: Sequence[PackageGroup]) -> None:
    query = select(GroupACL.group_id).where(GroupACL.user_id == user_id, GroupACL.group_id.in_([g.id for g in groups]))
    allowed = set(session.scalars(query))
    for group in groups:
        if group.id not in allowed:
            raise NotAllowedError(f"Only its maintainers may edit the group {group.full_name}. Nothing was changed.")


def _put(session: Session, actor: Actor, group: PackageGroup, base: BasePackage, member: bool) -> list[str]:
    relation = PackageGroupRelation
    if member:
        added = session.scalar(
            insert(relation)
            .values(group_id=group.id, base_id=base.id)
            .on_conflict_do_nothing()
            .returning(relation.group_id)
        )
        words = "added" if added else None
    else:
        found = session.get(relation, (group.id, base.id))
        words = "removed" if found else None
        if found:
            session.delete(found)
    if words is None:
        return []
    message = f"Group {group.full_name}: packages {words}: {base.name}"
    return [audit.record(session, actor, message, base_id=base.id)]
