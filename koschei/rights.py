"""What people may change: groups by their maintainers, packages by whoever is helped or by those who decide (ADR 15).

Pages and the API ask here, within the transaction that makes the change.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, select, true
from sqlalchemy.orm import Session

from koschei.config import Config
from koschei.errors import NotAllowedError
from koschei.model import GroupACL, PackageGroup
from koschei.packages import HIGHEST_PRIORITY, Edit
from koschei.queries import maintainers
from koschei.transitions import lock_packages


@dataclass(frozen=True)
class Person:
    """Somebody who asks for a change; `admin`: may administer Koschei, by `koschei-admin` or by a group."""

    id: int
    name: str
    admin: bool


def edits_group(person: Person) -> ColumnElement[bool]:
    """Whether a person may edit or delete a PackageGroup: who administers any, everybody else what one maintains."""
    if person.admin:
        return true()
    return exists().where(GroupACL.group_id == PackageGroup.id, GroupACL.user_id == person.id)


def may_edit_group(session: Session, group_id: int, person: Person) -> bool:
    """The same of one group."""
    return session.scalar(select(PackageGroup.id).where(PackageGroup.id == group_id, edits_group(person))) is not None


def highest_manual_priority(person: Person, config: Config) -> int:
    """The highest manual priority that this person may give a package, or change; the lowest is 0, but for an admin."""
    return HIGHEST_PRIORITY if person.admin else config.frontend.highest_manual_priority


def check_package_edit(session: Session, person: Person, package_id: int, wish: Edit, config: Config) -> None:
    """Raise NotAllowedError, with who may, when the wish is more than this person may change about the package.

    The package is locked, so that it is judged as it is changed; one that is gone is not.
    """
    package = next(iter(lock_packages(session, [package_id])), None)
    if person.admin or package is None:
        return
    if wish.static_priority is not None:
        raise NotAllowedError("Only people who administer Koschei may change static priorities. Nothing was changed.")
    ends = wish.tracked is False and package.tracked
    decides = ends or wish.arch_override is not None or wish.skip_resolution is not None
    if decides and not maintainers.maintains(session, person.name, package.base_id):
        raise NotAllowedError(
            f"Only the maintainers of {package.name}, and people who administer Koschei, may change this. "
            "Nothing was changed."
        )
    highest = highest_manual_priority(person, config)
    if wish.manual_priority is not None and package.manual_priority > highest:
        raise NotAllowedError(
            f"People who administer Koschei have set it to {package.manual_priority}, above {highest}, the most for "
            "others: only they may change that",
            field="manual_priority",
        )
    if wish.manual_priority is not None and not 0 <= wish.manual_priority <= highest:
        raise NotAllowedError(
            f"A number from 0 to {highest}: {highest} is the most for people who do not administer Koschei",
            field="manual_priority",
        )
