"""What people decide about packages (tracking, priorities, architectures, resolution), and Koji's package lists.

Functions that people's actions end in return the audit messages of what really changed, in the order of names.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.orm import Session, joinedload

from koschei import audit
from koschei.audit import Actor
from koschei.db.engine import Database
from koschei.db.notify import wake
from koschei.errors import InvalidInputError, NotFoundError
from koschei.koji import tagging
from koschei.koji.arches import canonical
from koschei.koji.records import TaggedPackage
from koschei.koji.session import KojiSession
from koschei.model import Cause, Collection, LogEntry, Package, PackageGroupRelation, UnappliedChange
from koschei.queries.unknown import unknown_packages
from koschei.rules.doubt import NAMED, plausible_loss, way_out
from koschei.rules.names import listed
from koschei.rules.states import SkipReason
from koschei.transitions import changing, lock_packages

HIGHEST_PRIORITY = 2**31 - 1


@dataclass(frozen=True)
class Edit:
    """What to change about a package; None leaves a value alone.

    `arch_override`: names separated by spaces or commas, with ^ in front for all but these; empty for none.
    """

    tracked: bool | None = None
    manual_priority: int | None = None
    static_priority: int | None = None
    arch_override: str | None = None
    skip_resolution: bool | None = None


def track(session: Session, actor: Actor, collection: Collection, names: Iterable[str], *, now: datetime) -> list[str]:
    """Have packages tested from now on. NotFoundError, with nothing changed, when any name is unknown."""
    return _edit_named(session, actor, collection, names, Edit(tracked=True), now)


def untrack(
    session: Session, actor: Actor, collection: Collection, names: Iterable[str], *, now: datetime
) -> list[str]:
    """Have packages not tested any more; what is known of them stays. NotFoundError as for `track`."""
    return _edit_named(session, actor, collection, names, Edit(tracked=False), now)


def set_priority(
    session: Session,
    actor: Actor,
    collection: Collection,
    names: Iterable[str],
    value: int,
    *,
    static: bool,
    now: datetime,
) -> list[str]:
    """Set the static priority (for good) or the manual one (until the build it causes has succeeded or failed).

    Raises NotFoundError as `track` does, and InvalidInputError for a number that is out of range.
    """
    wish = Edit(static_priority=value) if static else Edit(manual_priority=value)
    return _edit_named(session, actor, collection, names, wish, now)


def set_arch_override(
    session: Session,
    actor: Actor,
    collection: Collection,
    names: Iterable[str],
    value: str,
    *,
    known_arches: Sequence[str],
    now: datetime,
) -> list[str]:
    """Set or clear (empty text) the architectures to build for. `known_arches`: koji_config.build_arches.

    Raises NotFoundError as `track` does, and InvalidInputError for an architecture that is not known.
    """
    wish = Edit(arch_override=parse_arch_override(value, known_arches))
    return _edit_named(session, actor, collection, names, wish, now)


def edit(
    session: Session, actor: Actor, package_id: int, wish: Edit, *, known_arches: Sequence[str], now: datetime
) -> list[str]:
    """Change several things about one package. `known_arches`: koji_config.build_arches.

    Raises NotFoundError when the package is gone, InvalidInputError for a value that cannot be used: its `field` is
    that of the wish.
    """
    if wish.arch_override is not None:
        wish = replace(wish, arch_override=parse_arch_override(wish.arch_override, known_arches))
    if session.get(Package, package_id) is None:
        raise NotFoundError(f"There is no package with the number {package_id} any more")
    return _edit(session, actor, [package_id], wish, now)


def edit_many(
    session: Session,
    actor: Actor,
    package_ids: Sequence[int],
    wish: Edit,
    *,
    known_arches: Sequence[str],
    now: datetime,
) -> list[str]:
    """Change the same about several packages, wherever they are. Errors as `edit`; packages that are gone are left."""
    if wish.arch_override is not None:
        wish = replace(wish, arch_override=parse_arch_override(wish.arch_override, known_arches))
    return _edit(session, actor, package_ids, wish, now)


def members(session: Session, group_id: int | None, collection: Collection | None = None) -> list[int]:
    """The ids of the packages of a group (None: all packages), in one collection or wherever they are."""
    query = select(Package.id).order_by(Package.id)
    if group_id is not None:
        query = query.join(PackageGroupRelation, PackageGroupRelation.base_id == Package.base_id).where(
            PackageGroupRelation.group_id == group_id
        )
    if collection is not None:
        query = query.where(Package.collection_id == collection.id)
    return list(session.scalars(query))


def set_tracked(
    session: Session, actor: Actor, package_ids: Iterable[int], tracked: bool, *, now: datetime
) -> list[str]:
    """Track or untrack many packages, a whole collection's too; as `track` and `untrack`, but by id, and all at once.

    Packages that are gone are left out.
    """
    different = select(Package.id).where(Package.id.in_(set(package_ids)), Package.tracked != tracked)
    ids = list(session.scalars(different))
    words = "tracked" if tracked else "not tracked any more"
    with changing(session, ids, Cause.TRACKED, now=now) as packages:
        collections = dict(session.execute(select(Collection.id, Collection.name)).all())
        changed = sorted(
            (package for package in packages if package.tracked != tracked),
            key=lambda package: (package.name, package.collection_id),
        )
        entries = [(f"Package {p.name} in {collections[p.collection_id]}: {words}", p.base_id) for p in changed]
        values: dict[str, Any] = {"tracked": tracked}
        if tracked:
            values["needs_resolution"] = ~Package.skip_resolution
        session.execute(
            update(Package)
            .where(Package.id.in_([package.id for package in changed]))
            .values(values)
            .execution_options(synchronize_session=False)
        )
    if entries and tracked:
        wake(session, "repo-resolver", "polling")
    return _log(session, actor, entries)


def named(session: Session, names: Iterable[str], collection: Collection | None = None) -> list[Package]:
    """The packages of these names, by name, with their collections: in one collection, or wherever they are.

    Repeated names are fine. Raises NotFoundError that lists the names nobody knows.
    """
    wanted = sorted(set(names))
    query = select(Package).options(joinedload(Package.collection)).where(Package.name.in_(wanted))
    if collection is not None:
        query = query.where(Package.collection_id == collection.id)
    packages = list(session.scalars(query.order_by(Package.name, Package.collection_id)))
    unknown = sorted(set(wanted) - {package.name for package in packages})
    if unknown:
        raise unknown_packages(session, unknown, collection)
    return packages


def parse_arch_override(value: str, known_arches: Sequence[str]) -> str:
    """The override as it is stored: names separated by one space, ^ once in front, empty for none.

    Raises InvalidInputError for an architecture that is not among `known_arches`, in whichever of Koji's spellings.
    """
    words = value.replace(",", " ").split()
    excluding = bool(words) and words[0].startswith("^")
    names = [word.removeprefix("^") if excluding else word for word in words]
    names = [name for name in names if name]
    unknown = [name for name in names if not canonical([name]) <= canonical(known_arches)]
    if unknown:
        hint = " (^ belongs in front of all names)" if any(name.startswith("^") for name in unknown) else ""
        raise InvalidInputError(
            f"Unrecognized arch in arch override: {listed(unknown)}{hint}. Known are: {', '.join(known_arches)}",
            field="arch_override",
        )
    if excluding and not names:
        raise InvalidInputError(
            "An arch override of ^ alone leaves nothing out: name architectures after it", field="arch_override"
        )
    return ("^" if excluding else "") + " ".join(dict.fromkeys(names))


def _edit_named(
    session: Session, actor: Actor, collection: Collection, names: Iterable[str], wish: Edit, now: datetime
) -> list[str]:
    packages = named(session, names, collection)
    return _edit(session, actor, [package.id for package in packages], wish, now)


def _edit(session: Session, actor: Actor, package_ids: Sequence[int], wish: Edit, now: datetime) -> list[str]:
    for field in ("manual_priority", "static_priority"):
        value = getattr(wish, field)
        if value is not None and abs(value) > HIGHEST_PRIORITY:
            raise InvalidInputError(
                f"A priority of {value} is out of range: at most {HIGHEST_PRIORITY} either way", field=field
            )
    retracked = wish.tracked is not None and any(
        package.tracked != wish.tracked for package in lock_packages(session, package_ids)
    )
    entries: list[tuple[str, int]] = []
    services: set[str] = set()
    with changing(session, package_ids, Cause.TRACKED if retracked else Cause.EDITED, now=now) as packages:
        for package in sorted(packages, key=lambda package: package.name):
            for words, concerned in _apply(session, package, wish):
                services.update(concerned)
                entries.append((f"Package {package.name} in {package.collection.name}: {words}", package.base_id))
    wake(session, *sorted(services))
    return _log(session, actor, entries)


def _log(session: Session, actor: Actor, entries: Sequence[tuple[str, int]]) -> list[str]:
    """Write messages about base packages to the audit log, thousands of them in one go; returns the messages."""
    if entries:
        user_id = None if actor.name is None else audit.ensure_user(session, actor.name)
        rows = [
            {"user_id": user_id, "environment": actor.environment, "message": message, "base_id": base_id}
            for message, base_id in entries
        ]
        session.execute(insert(LogEntry), rows)
    return [message for message, _ in entries]


def _apply(session: Session, package: Package, wish: Edit) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Change what differs from the wish; each change in words, and the services to wake for it."""
    if wish.tracked is not None and wish.tracked != package.tracked:
        package.tracked = wish.tracked
        if wish.tracked:
            package.needs_resolution = not package.skip_resolution
        yield ("tracked", ("repo-resolver", "polling")) if wish.tracked else ("not tracked any more", ())
    for column, label in (("manual_priority", "manual priority"), ("static_priority", "static priority")):
        value, before = getattr(wish, column), getattr(package, column)
        if value is not None and value != before:
            setattr(package, column, value)
            yield f"{label} changed from {before} to {value}", ("scheduler",)
    if wish.arch_override is not None and wish.arch_override != (package.arch_override or ""):
        before = package.arch_override
        package.arch_override = wish.arch_override or None
        if package.scheduler_skip_reason is SkipReason.NO_ARCH:  # that was said of the old choice
            package.scheduler_skip_reason = package.retry_after = None
        yield f"arch override changed from {before or 'none'} to {package.arch_override or 'none'}", ("scheduler",)
    if wish.skip_resolution is not None and wish.skip_resolution != package.skip_resolution:
        package.skip_resolution = wish.skip_resolution
        package.needs_resolution = not wish.skip_resolution
        if wish.skip_resolution:
            package.resolved = None
            package.dependency_priority = 0
            session.execute(delete(UnappliedChange).where(UnappliedChange.package_id == package.id))
            yield "dependency resolution switched off", ("scheduler",)
        else:
            yield "dependency resolution switched on", ("repo-resolver",)


# --- Koji's package lists


@dataclass(frozen=True)
class SyncReport:
    """How many packages a package list added, blocked and unblocked; `refused` says what was not believed, and why.

    `gone` names those that were blocked because the list does not have them.
    """

    added: int
    blocked: int
    unblocked: int
    refused: str | None = None
    gone: tuple[str, ...] = ()


# A package that is listed twice is blocked only if every entry says so.
DIFFERENCES = text("""
    WITH listed AS (
        SELECT l.name COLLATE "C" AS name, bool_and(l.blocked) AS blocked
        FROM unnest(CAST(:names AS text[]), CAST(:blocked AS boolean[])) AS l(name, blocked)
        GROUP BY 1
    ), known AS (
        SELECT id, name, blocked FROM package WHERE collection_id = :collection_id
    )
    SELECT known.id, name, listed.blocked
    FROM listed FULL JOIN known USING (name)
    WHERE known.blocked IS DISTINCT FROM coalesce(listed.blocked, true)
""")

# In the order of names, so that two collections that learn of the same packages at once do not wait for each other.
ADD_BASES = text("""
    INSERT INTO base_package (name)
    SELECT n.name FROM unnest(CAST(:names AS text[])) AS n(name) ORDER BY n.name COLLATE "C"
    ON CONFLICT DO NOTHING
""")

ADD_PACKAGES = text("""
    INSERT INTO package (base_id, name, collection_id, blocked, tracked, state_since)
    SELECT b.id, b.name, :collection_id, l.blocked, :tracked, :now
    FROM unnest(CAST(:names AS text[]), CAST(:blocked AS boolean[])) AS l(name, blocked)
    JOIN base_package AS b ON b.name = l.name COLLATE "C"
    ON CONFLICT DO NOTHING
    RETURNING id
""")


def refresh_package_list(database: Database, koji: KojiSession, collection: Collection, now: datetime) -> SyncReport:
    """Ask Koji for the package list of a collection, and bring its packages in line with it. Errors: KojiError."""
    listed = tagging.packages(koji, collection.dest_tag)
    with database.begin() as session:
        return sync_package_list(session, collection, listed, now=now)


def sync_package_list(
    session: Session,
    collection: Collection,
    listed: Sequence[TaggedPackage],
    *,
    now: datetime,
    track_new: bool = False,
    believe: bool = False,
) -> SyncReport:
    """Bring the packages of a collection in line with Koji's package list of its dest_tag.

    Names that are not known yet become packages (tracked if `track_new`); what Koji blocks or unblocks is blocked or
    unblocked here. A package that is not in the list at all is blocked too, but too many of these at once are not
    believed: an empty or shrunken answer is far likelier than a distribution that lost its packages. With `believe`
    they are: a person has said that it is true.
    """
    differences = session.execute(
        DIFFERENCES,
        {
            "names": [entry.name for entry in listed],
            "blocked": [entry.blocked for entry in listed],
            "collection_id": collection.id,
        },
    ).all()
    new = {name: blocked for package_id, name, blocked in differences if package_id is None}
    known = [(package_id, blocked) for package_id, _, blocked in differences if package_id is not None]
    absent = {
        package_id: name for package_id, name, blocked in differences if package_id is not None and blocked is None
    }
    block = [package_id for package_id, blocked in known if blocked]
    unblock = [package_id for package_id, blocked in known if blocked is False]

    refused = None if believe else _doubt(session, collection, len(listed), list(absent.values()))
    gone = {} if refused else absent
    block += gone
    added = _add(session, collection, new, now, track_new)
    _set_blocked(session, block, True, now)
    _set_blocked(session, unblock, False, now)
    if unblock or (added and track_new):
        wake(session, "repo-resolver")
    return SyncReport(added, len(block), len(unblock), refused, tuple(sorted(gone.values())))


def _doubt(session: Session, collection: Collection, entries: int, absent: Sequence[str]) -> str | None:
    """Why the absence of so many packages from a list is not believed; None when it is."""
    if entries and not absent:
        return None
    known, unblocked = session.execute(
        select(func.count(), func.count().filter(~Package.blocked)).where(Package.collection_id == collection.id)
    ).one()
    where = f"Koji's package list of {collection.dest_tag}"
    if not entries and known:
        doubt = f"{where} is empty, but {collection.name} has {known} packages; none was blocked"
        return f"{doubt}. {way_out(collection.name)}"
    if not plausible_loss(len(absent), unblocked):
        return (
            f"{where} lacks {len(absent)} of the {unblocked} unblocked packages of {collection.name} "
            f"({listed(sorted(absent), NAMED)}), too many to be believed; they stay as they are. "
            f"{way_out(collection.name)}"
        )
    return None


def _add(session: Session, collection: Collection, new: dict[str, bool], now: datetime, tracked: bool) -> int:
    if not new:
        return 0
    names = list(new)
    session.execute(ADD_BASES, {"names": names})
    values = {"names": names, "blocked": list(new.values())}
    rows = session.execute(ADD_PACKAGES, {**values, "collection_id": collection.id, "tracked": tracked, "now": now})
    return len(rows.all())


def _set_blocked(session: Session, package_ids: Sequence[int], blocked: bool, now: datetime) -> None:
    if not package_ids:
        return
    values: dict[str, Any] = {"blocked": blocked}
    if not blocked:
        values["needs_resolution"] = ~Package.skip_resolution
    with changing(session, package_ids, Cause.BLOCKED, now=now):
        session.execute(
            update(Package)
            .where(Package.id.in_(package_ids))
            .values(values)
            .execution_options(synchronize_session=False)
        )
