"""What people ask the services for: that a build be cancelled, that packages be resolved again, or built now."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from koschei import audit
from koschei.audit import Actor
from koschei.config import Config
from koschei.db.notify import wake
from koschei.errors import InvalidInputError, NotFoundError
from koschei.model import Build, Package
from koschei.queries import scheduling
from koschei.rights import Person, highest_manual_priority
from koschei.rules.states import BuildState
from koschei.transitions import lock_packages


def cancel_build(session: Session, actor: Actor, build_id: int) -> str:
    """Have polling cancel a running build in Koji; returns the audit message.

    Raises NotFoundError, and InvalidInputError when it does not run or is to be cancelled already.
    """
    build = session.scalars(select(Build).where(Build.id == build_id).with_for_update()).one_or_none()
    if build is None:
        raise NotFoundError(f"There is no build {build_id}")
    if build.state is not BuildState.RUNNING:
        raise InvalidInputError(f"Only running builds can be canceled. Build {build_id} is {build.state.word}")
    if build.cancel_requested:
        raise InvalidInputError(f"Build already has pending cancelation request. Polling cancels build {build_id}")
    package = session.get_one(Package, build.package_id)
    build.cancel_requested = True
    build.fault_text = None  # of a request before, which Koji refused
    wake(session, "polling")
    message = f"Build {build_id} of {package.name} in {package.collection.name}: cancelation requested"
    return audit.record(session, actor, message, base_id=package.base_id)


@dataclass(frozen=True)
class Asked:
    """What was asked of the resolver: `waiting` packages (ids) will be answered; `messages` are those of the audit log.

    `left_out` says of each other package why the resolver does not look at it.
    """

    waiting: tuple[int, ...]
    messages: tuple[str, ...]
    left_out: tuple[str, ...]


def resolve(session: Session, actor: Actor, packages: Iterable[Package]) -> Asked:
    """Have the repo-resolver look at packages again, in the repository it judged last, without waiting for the next.

    Raises InvalidInputError, with nothing changed, when it would not look at any of them.
    """
    waiting, messages, left_out = [], [], []
    for package in sorted(lock_packages(session, [package.id for package in packages]), key=lambda p: p.name):
        title = f"Package {package.name} in {package.collection.name}"
        obstacle = _obstacle(package)
        if obstacle is not None:
            left_out.append(f"{title} is not resolved: {obstacle}")
            continue
        waiting.append(package.id)
        if not package.needs_resolution:
            package.needs_resolution = True
        messages.append(audit.record(session, actor, f"{title}: resolution requested", base_id=package.base_id))
    if not waiting:
        raise InvalidInputError("; ".join(left_out) or "No package was named")
    wake(session, "repo-resolver")
    return Asked(tuple(waiting), tuple(messages), tuple(left_out))


def rebuild(session: Session, actor: Actor, person: Person, package_id: int, config: Config, now: datetime) -> str:
    """Have a package built before all that only became due; returns the audit message.

    Its manual priority is raised as far as that takes, and this person may; the build resets it. Limits hold as for
    every other build. Raises NotFoundError, and InvalidInputError when it cannot be built now, cannot be put first, or
    is first already.
    """
    package = next(iter(lock_packages(session, [package_id])), None)
    if package is None:
        raise NotFoundError(f"There is no package with the number {package_id} any more")
    title = f"Package {package.name} in {package.collection.name}"
    found = scheduling.explain(session, package, config, now)
    obstacles = [condition.reason for condition in found.conditions if not condition.holds]
    if obstacles or found.priority is None:
        raise InvalidInputError(f"{title} cannot be built now: {'; '.join(obstacles) or 'no build of it is known'}")
    urgent = config.priorities.build_threshold + config.priorities.newly_added
    missing = math.ceil(urgent - found.priority.total)
    if missing <= 0:
        raise InvalidInputError(
            f"{title} is among the first to be built already: its priority is {found.priority.total:.0f}"
        )
    before = package.manual_priority
    _check_within_bounds(title, before + missing, package.static_priority, highest_manual_priority(person, config))
    package.manual_priority = before + missing
    wake(session, "scheduler")
    message = f"{title}: rebuild requested, manual priority changed from {before} to {package.manual_priority}"
    return audit.record(session, actor, message, base_id=package.base_id)


def _check_within_bounds(title: str, needed: int, static: int, highest: int) -> None:
    if needed <= highest:
        return
    off = f"Its static priority of {static} puts it off: ask" if static < 0 else "Ask"
    raise InvalidInputError(
        f"{title} cannot be put first: it takes a manual priority of {needed}, and {highest} is the highest that you "
        f"may give. {off} people who administer Koschei"
    )


def unanswered(session: Session, package_ids: Sequence[int]) -> int:
    """How many of these packages still wait for the resolver."""
    query = select(func.count()).select_from(Package).where(Package.id.in_(package_ids), Package.needs_resolution)
    return session.execute(query).scalar_one()


def packages_of(session: Session, package_ids: Sequence[int]) -> list[Package]:
    """These packages with their collections, by name."""
    query = select(Package).options(joinedload(Package.collection)).where(Package.id.in_(package_ids))
    return list(session.scalars(query.order_by(Package.name, Package.collection_id)))


def _obstacle(package: Package) -> str | None:
    """Why the repo-resolver would not look at a package; None when it would (koschei.resolution.eligible)."""
    if package.blocked:
        return "it is blocked in Koji"
    if not package.tracked:
        return "it is not tracked"
    if package.skip_resolution:
        return "its resolution is switched off"
    if package.last_complete_build_id is None:
        return "no build of it is known"
    if not package.collection.latest_repo_resolved:
        return f"the base buildroot of {package.collection.display_name} cannot be installed"
    return None
