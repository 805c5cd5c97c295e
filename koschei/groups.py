"""Groups of packages: making, changing, finding and refreshing them.

What changes something returns its audit messages: none when everything was like that already.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, exists, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from koschei import audit
from koschei.audit import Actor
from koschei.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from koschei.model import BasePackage, GroupACL, Package, PackageGroup, PackageGroupRelation, User
from koschei.queries import groups as queries
from koschei.queries.unknown import unknown_packages
from koschei.rules.names import LONGEST_NAME, listed, quoted, shown, suggestion

NAME = re.compile(r"[a-zA-Z0-9.+_-]+")
# /groups/<namespace>/edit is the page that edits a global group, not a group of that name; the others likewise.
RESERVED = ("delete", "edit", "feed.atom")
# A refreshed group that loses more than this share of its packages is likelier to have a broken source.
DRASTIC_SHARE = 0.5
FEW = 10


@dataclass(frozen=True)
class GroupSummary:
    """A group as a list shows it; `packages` counts members that are not blocked everywhere."""

    name: str
    packages: int
    maintainers: tuple[str, ...]


@dataclass(frozen=True)
class GroupDetail:
    """A group with everything in it, by name; `blocked` are the packages that no collection has unblocked."""

    name: str
    maintainers: tuple[str, ...]
    packages: tuple[str, ...]
    blocked: tuple[str, ...]


@dataclass(frozen=True)
class GroupContent:
    """What people can change about a group, by name."""

    name: str
    maintainers: tuple[str, ...]
    packages: tuple[str, ...]


@dataclass(frozen=True)
class GroupEdit:
    """What to change about a group; None leaves a thing alone.

    `namespace`: a user's name, or empty to make the group global. `packages` takes the place of what is in the group,
    or is added to it if `append`. `maintainers` are all that there are then.
    """

    name: str | None = None
    namespace: str | None = None
    packages: Sequence[str] | None = None
    append: bool = False
    maintainers: Sequence[str] | None = None


def split_name(full_name: str) -> tuple[str | None, str]:
    """Namespace (None: global) and name of a group. InvalidInputError when it cannot be a group's name."""
    namespace, slash, name = full_name.rpartition("/")
    _check_name(namespace if slash else None, name)
    return (namespace if slash else None), name


def find(session: Session, full_name: str, *, lock: bool = False) -> PackageGroup:
    """The group of that name, `namespace/name` or `name`. NotFoundError suggests names that look like it."""
    found = queries.find(session, full_name, lock=lock)
    if found is None:
        names = [group.full_name for group in session.scalars(select(PackageGroup))]
        hint = suggestion(full_name, names, "`koschei-admin list-groups` shows all")
        raise NotFoundError(f"Group {shown(full_name)} not found. {hint}")
    return found


def summaries(session: Session) -> list[GroupSummary]:
    """All groups, global ones first, by name."""
    alive = exists().where(Package.base_id == PackageGroupRelation.base_id, ~Package.blocked)
    counts = dict(
        session.execute(
            select(PackageGroupRelation.group_id, func.count()).where(alive).group_by(PackageGroupRelation.group_id)
        ).all()
    )
    groups = session.scalars(select(PackageGroup).order_by(*PackageGroup.in_order())).all()
    maintainers = queries.maintainers(session, [group.id for group in groups])
    return [
        GroupSummary(group.full_name, counts.get(group.id, 0), tuple(maintainers.get(group.id, ()))) for group in groups
    ]


def detail(session: Session, full_name: str) -> GroupDetail:
    """Everything about one group. Errors as `find`."""
    group = find(session, full_name)
    alive = exists().where(Package.base_id == BasePackage.id, ~Package.blocked)
    members = session.execute(
        select(BasePackage.name, alive)
        .join(PackageGroupRelation, PackageGroupRelation.base_id == BasePackage.id)
        .where(PackageGroupRelation.group_id == group.id)
        .order_by(BasePackage.name)
    ).all()
    return GroupDetail(
        group.full_name,
        _maintainers(session, group.id),
        tuple(name for name, _ in members),
        tuple(name for name, unblocked in members if not unblocked),
    )


def content(session: Session, group: PackageGroup) -> GroupContent:
    """What is in a group, and who maintains it."""
    return GroupContent(group.full_name, _maintainers(session, group.id), tuple(queries.members(session, group.id)))


def described(session: Session, full_name: str) -> str:
    """A group in words: what a question about it says. Errors as `find`."""
    found = detail(session, full_name)
    return f"group {found.name} with {len(found.packages)} packages"


def known_packages(session: Session, pattern: re.Pattern[str]) -> list[str]:
    """Names of packages, unblocked somewhere, in which the pattern is found (`^` and `$` are its own business)."""
    alive = exists().where(Package.base_id == BasePackage.id, ~Package.blocked)
    names = session.scalars(select(BasePackage.name).where(alive).order_by(BasePackage.name))
    return [name for name in names if pattern.search(name)]


def create(
    session: Session, actor: Actor, full_name: str, packages: Iterable[str] = (), maintainers: Iterable[str] = ()
) -> list[str]:
    """Make a group, `namespace/name` or (global) `name`. Maintainers need not have logged in yet.

    Raises AlreadyExistsError, InvalidInputError for names that cannot be, and NotFoundError for unknown packages.
    """
    namespace, name = split_name(full_name)
    people = _people(maintainers)
    base_ids = _bases(session, packages)
    group_id = session.scalar(
        insert(PackageGroup).values(namespace=namespace, name=name).on_conflict_do_nothing().returning(PackageGroup.id)
    )
    if group_id is None:
        raise _exists(full_name)
    messages = [audit.record(session, actor, f"Group {full_name} created")]
    messages += _set_packages(session, actor, group_id, full_name, base_ids, append=False)
    return messages + _set_maintainers(session, actor, group_id, full_name, people)


def edit(session: Session, actor: Actor, full_name: str, wish: GroupEdit) -> list[str]:
    """Change what the wish says. Errors as `create` and `find`."""
    group = find(session, full_name, lock=True)
    base_ids = None if wish.packages is None else _bases(session, wish.packages)
    people = None if wish.maintainers is None else _people(wish.maintainers)
    messages = _rename(session, actor, group, wish)
    if base_ids is not None:
        messages += _set_packages(session, actor, group.id, group.full_name, base_ids, append=wish.append)
    if people is not None:
        messages += _set_maintainers(session, actor, group.id, group.full_name, people)
    return messages


def remove(session: Session, actor: Actor, full_name: str) -> list[str]:
    """Delete a group; its packages stay. Errors as `find`."""
    group = find(session, full_name, lock=True)
    session.execute(delete(PackageGroup).where(PackageGroup.id == group.id))
    return [audit.record(session, actor, f"Group {full_name} deleted")]


def refresh(
    session: Session,
    actor: Actor,
    full_name: str,
    packages: Sequence[str],
    *,
    append: bool = False,
    create_missing: bool = False,
    force: bool = False,
) -> list[str]:
    """Make the content of a group what a source says, or add that (`append`).

    An empty source is refused with InvalidInputError unless `force`; so is one that lacks more than half of the
    packages in the group (a few may always go). Other errors as `create` and `find`.
    """
    if not packages and not force:
        raise InvalidInputError(
            f"The source names no package; group {full_name} stays as it is. If it is really empty, say --force"
        )
    if create_missing and not _is_there(session, full_name):
        return create(session, actor, full_name, packages)
    group = find(session, full_name, lock=True)
    if not append and not force:
        _check_shrinking(session, group, packages)
    return edit(session, actor, full_name, GroupEdit(packages=packages, append=append))


def without_unknown(session: Session, packages: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names split into those of packages that are known, and the others, each in order."""
    wanted = sorted(set(packages))
    known = set(session.scalars(select(BasePackage.name).where(BasePackage.name.in_(wanted))))
    return [name for name in wanted if name in known], [name for name in wanted if name not in known]


def _check_shrinking(session: Session, group: PackageGroup, packages: Sequence[str]) -> None:
    members = set(queries.members(session, group.id))
    lost = members - set(packages)
    if (lost and lost == members) or len(lost) > max(FEW, len(members) * DRASTIC_SHARE):
        raise InvalidInputError(
            f"The source lacks {len(lost)} of the {len(members)} packages of group {group.full_name}, too many to be "
            "believed; the group stays as it is. If they are really gone, say --force"
        )


def _is_there(session: Session, full_name: str) -> bool:
    split_name(full_name)  # refuses what could not be one
    return session.scalar(select(PackageGroup.id).where(PackageGroup.is_called(full_name))) is not None


def _check_name(namespace: str | None, name: str) -> None:
    for part in (name,) if namespace is None else (namespace, name):
        if not NAME.fullmatch(part) or not part.strip(".") or len(part) > LONGEST_NAME:
            raise InvalidInputError(
                f"Invalid group name: {quoted(part)}. It consists of letters, digits and . + _ -, "
                "with its namespace and a / in front if it has one"
            )
    if namespace is not None and name in RESERVED:
        raise InvalidInputError(f"Invalid group name: {namespace}/{name} would be the address of another page")


def _exists(full_name: str) -> AlreadyExistsError:
    return AlreadyExistsError(f"Group already exists: {full_name}. `koschei-admin edit-group` changes it")


def _bases(session: Session, packages: Iterable[str]) -> dict[str, int]:
    """Base packages by name. NotFoundError that lists the names nobody knows."""
    wanted = sorted(set(packages))
    found = dict(session.execute(select(BasePackage.name, BasePackage.id).where(BasePackage.name.in_(wanted))).all())
    unknown = [name for name in wanted if name not in found]
    if unknown:
        raise unknown_packages(session, unknown)
    return found


def _maintainers(session: Session, group_id: int) -> tuple[str, ...]:
    return tuple(queries.maintainers(session, [group_id]).get(group_id, ()))


def _people(names: Iterable[str]) -> list[str]:
    """Names of users, each once. They need not be known yet."""
    people = sorted(set(names))
    wrong = [person for person in people if not NAME.fullmatch(person) or len(person) > LONGEST_NAME]
    if wrong:
        raise InvalidInputError(f"Invalid maintainer: {listed(wrong)}. A user's name is needed")
    return people


def _rename(session: Session, actor: Actor, group: PackageGroup, wish: GroupEdit) -> list[str]:
    before = group.full_name
    name = group.name if wish.name is None else wish.name
    namespace = group.namespace if wish.namespace is None else (wish.namespace or None)
    if (namespace, name) == (group.namespace, group.name):
        return []
    _check_name(namespace, name)
    after = f"{namespace}/{name}" if namespace else name
    try:
        with session.begin_nested():
            group.namespace, group.name = namespace, name
            session.flush()
    except IntegrityError as error:
        raise _exists(after) from error
    return [audit.record(session, actor, f"Group {before} renamed to {after}")]


def _set_packages(
    session: Session, actor: Actor, group_id: int, full_name: str, wanted: dict[str, int], *, append: bool
) -> list[str]:
    relation = PackageGroupRelation
    members = dict(
        session.execute(
            select(BasePackage.name, BasePackage.id)
            .join(relation, relation.base_id == BasePackage.id)
            .where(relation.group_id == group_id)
        ).all()
    )
    added = sorted(wanted.keys() - members.keys())
    gone = [] if append else sorted(members.keys() - wanted.keys())
    messages = []
    if added:
        session.execute(insert(relation), [{"group_id": group_id, "base_id": wanted[name]} for name in added])
        messages.append(audit.record(session, actor, f"Group {full_name}: packages added: {', '.join(added)}"))
    if gone:
        ids = [members[name] for name in gone]
        session.execute(delete(relation).where(relation.group_id == group_id, relation.base_id.in_(ids)))
        messages.append(audit.record(session, actor, f"Group {full_name}: packages removed: {', '.join(gone)}"))
    return messages


def _set_maintainers(session: Session, actor: Actor, group_id: int, full_name: str, wanted: Sequence[str]) -> list[str]:
    query = select(User.name, User.id).join(GroupACL, GroupACL.user_id == User.id).where(GroupACL.group_id == group_id)
    known = dict(session.execute(query).all())
    added = [name for name in wanted if name not in known]
    gone = sorted(known.keys() - set(wanted))
    messages = []
    if added:
        rows = [{"group_id": group_id, "user_id": audit.ensure_user(session, name)} for name in added]
        session.execute(insert(GroupACL), rows)
        messages.append(audit.record(session, actor, f"Group {full_name}: maintainers added: {', '.join(added)}"))
    if gone:
        ids = [known[name] for name in gone]
        session.execute(delete(GroupACL).where(GroupACL.group_id == group_id, GroupACL.user_id.in_(ids)))
        messages.append(audit.record(session, actor, f"Group {full_name}: maintainers removed: {', '.join(gone)}"))
    return messages
