"""The groups that a person may edit, and a package in or out of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from koschei import audit
from koschei.audit import Actor
from koschei.errors import NotAllowedError
from koschei.model import BasePackage, PackageGroup, PackageGroupRelation
from koschei.rights import Person, edits_group, may_edit_group


@dataclass(frozen=True)
class Membership:
    """A group, and whether the package is in it."""

    group: PackageGroup
    member: bool


def editable(session: Session, person: Person, limit: int) -> list[PackageGroup]:
    """The groups that a person may edit, global ones first."""
    query = select(PackageGroup).where(edits_group(person)).order_by(*PackageGroup.in_order())
    return list(session.scalars(query.limit(limit)))


def of_package(session: Session, person: Person, base_id: int, limit: int) -> list[Membership]:
    """The same, and whether the package is in them."""
    member = exists().where(PackageGroupRelation.group_id == PackageGroup.id, PackageGroupRelation.base_id == base_id)
    query = select(PackageGroup, member).where(edits_group(person))
    query = query.order_by(*PackageGroup.in_order())
    return [Membership(group, bool(is_member)) for group, is_member in session.execute(query.limit(limit))]


def change(session: Session, actor: Actor, person: Person, base: BasePackage, wanted: Mapping[int, bool]) -> list[str]:
    """Put a package into groups (by id), or take it out of them; returns the audit messages.

    NotAllowedError, with nothing changed, for a group that the person may not edit. A group that is gone is left out.
    """
    query = select(PackageGroup).where(PackageGroup.id.in_(wanted)).order_by(PackageGroup.id).with_for_update()
    groups = session.scalars(query).all()
    for group in groups:
        if not may_edit_group(session, group.id, person):
            raise NotAllowedError(f"Only its maintainers may edit the group {group.full_name}. Nothing was changed.")
    return [message for group in groups for message in _put(session, actor, group, base, wanted[group.id])]


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
