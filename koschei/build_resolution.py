"""Finding out with which dependencies each build was made, and how they differ from those of the build before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session, contains_eager, joinedload

from koschei import srpms
from koschei.db.notify import wake
from koschei.dependencies import load_dependencies, store_dependencies
from koschei.depsolve.interface import Answer, Nevra, Resolver
from koschei.errors import NoBuildGroup, RepositoryError, RepositoryGone
from koschei.model import AppliedChange, Build, Cause, Collection, Package
from koschei.patience import Patience
from koschei.resolution_results import change_rows
from koschei.resolving import MISSING_DELAY, Resolving
from koschei.rules.changes import dependency_changes
from koschei.rules.states import COUNTED, BuildState
from koschei.transitions import changing

log = structlog.get_logger(__name__)

RESOLVABLE = (BuildState.RUNNING, *COUNTED)
# How long after a build has ended what Koji should have is still expected to turn up.
DOUBT = timedelta(days=3)


@dataclass(frozen=True)
class Pending:
    """A repository with builds whose dependencies are not known yet."""

    collection_id: int
    repo_id: int


def pending(session: Session) -> list[Pending]:
    """The repositories in which builds wait to be resolved, oldest first."""
    query = (
        select(Package.collection_id, Build.repo_id)
        .join(Package, Package.id == Build.package_id)
        .where(Build.deps_resolved.is_(None), Build.repo_id.is_not(None), Build.state.in_(RESOLVABLE))
        .distinct()
        .order_by(Build.repo_id, Package.collection_id)
    )
    return [Pending(collection_id, repo_id) for collection_id, repo_id in session.execute(query) if repo_id]


class BuildResolution(Resolving):
    """Resolves builds."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._patience = Patience[Pending](RepositoryError, self.clock)
        self._missing: dict[int, datetime] = {}

    def resolve(self, work: Pending) -> int:
        """Resolve the builds that wait for one repository; returns how many got an answer.

        When Koji has deleted the repository the answer is that nobody will ever know. When it says that the repository
        is there, but files, build group or a source package are not, that may be a fault of the moment: builds wait
        until they are DOUBT old. Errors: KojiError and RepositoryError that may pass; the builds then wait.
        """
        with self.database.begin() as session:
            collection = session.get(Collection, work.collection_id)
            builds = self._waiting(session, work)
        now = self.clock()
        builds = [build for build in builds if self._missing.get(build.id, now) <= now]
        if collection is None or not builds:
            return 0
        with self._patience.over(work):
            return self._resolve(collection, work.repo_id, builds)

    def _resolve(self, collection: Collection, repo_id: int, builds: list[Build]) -> int:
        requests = self._requests(builds)
        try:
            repo = self.buildroots.usable(repo_id)
        except RepositoryGone as error:
            return self._abandon(repo_id, builds, error)
        try:
            resolver = self.buildroots.open(collection, repo, requests)
        except (RepositoryGone, NoBuildGroup) as error:
            done = self._abandon(repo_id, [build for build in builds if self._old(build)], error)
            if done < len(builds):
                raise
            return done
        done = 0
        with closing(resolver):
            for build in builds:
                if self.stopping():
                    break
                if key(build) in requests:
                    self._store(build, resolver.resolve(key(build)), resolver)
                elif self._old(build):
                    self._store(build, None)
                else:
                    continue
                done += 1
        return done

    def _requests(self, builds: Sequence[Build]) -> dict[str, Sequence[str]]:
        """The BuildRequires of the builds whose source package Koji has; it is asked about the others again later."""
        nvrs = {build.id: (build.package.name, build.version, build.release) for build in builds}
        facts = srpms.facts(self.database, self.koji, nvrs.values())
        now = self.clock()
        self._missing = {build_id: until for build_id, until in self._missing.items() if until > now}
        self._missing.update({build_id: now + MISSING_DELAY for build_id, nvr in nvrs.items() if nvr not in facts})
        return {key(build): facts[nvrs[build.id]].build_requires for build in builds if nvrs[build.id] in facts}

    def _old(self, build: Build) -> bool:
        return build.finished is not None and self.clock() - build.finished > DOUBT

    def _abandon(self, repo_id: int, builds: Sequence[Build], error: Exception) -> int:
        if builds:
            log.info("builds can never be resolved", repo=repo_id, builds=len(builds), reason=str(error))
        for build in builds:
            self._store(build, None)
        return len(builds)

    @staticmethod
    def _waiting(session: Session, work: Pending) -> list[Build]:
        query = (
            select(Build)
            .join(Build.package)
            .options(contains_eager(Build.package))
            .where(
                Package.collection_id == work.collection_id,
                Build.repo_id == work.repo_id,
                Build.deps_resolved.is_(None),
                Build.state.in_(RESOLVABLE),
            )
            .order_by(Package.name, Build.started)
        )
        return list(session.scalars(query))

    def _store(self, build: Build, answer: Answer | None, resolver: Resolver | None = None) -> None:
        """Store the answer for one build; None: there will never be one."""
        now = self.clock()
        new_ids: dict[Nevra, int] = {}
        with (
            self.database.begin() as session,
            changing(session, [build.package_id], Cause.BUILD, now=now) as packages,
        ):
            row = session.scalars(select(Build).where(Build.id == build.id).with_for_update()).one_or_none()
            if row is None or not packages or row.deps_resolved is not None:
                return
            package = packages[0]
            row.deps_resolved = bool(answer and answer.resolved)
            if answer is not None and answer.resolved and resolver is not None:
                new_ids = self.ids.ids(session, answer.installed)
                store_dependencies(session, row.id, new_ids.values())
                compare(session, row, lambda: resolver.distances(key(build)))
                newer = _neighbour(session, row, newer=True)
                if newer is not None:
                    compare(session, newer, lambda: _stored_distances(session, newer))
            elif package.last_build_id == row.id and row.state in COUNTED:
                # Nobody will know what this build was made with: only a new one can be compared with. While it runs
                # that is no reason yet: it may still be spoiled.
                package.build_priority = self.config.priorities.newly_added
            if package.last_complete_build_id == row.id:
                package.needs_resolution = True
                wake(session, "repo-resolver", "scheduler")
        self.ids.remember(new_ids)


def key(build: Build) -> str:
    """What a build's BuildRequires are called in the resolver: two builds of one package may share a repository."""
    return f"{build.package.name}-{build.version}-{build.release}"


def compare(session: Session, build: Build, distances: Callable[[], Mapping[str, int]]) -> None:
    """Store the differences between a build's dependencies and those of the resolved build before it.

    Replaces what was stored: when builds are resolved out of order, the later ones are compared again. Distances are
    asked for only when something differs.
    """
    previous = _neighbour(session, build, newer=False)
    if previous is None:
        return
    sets = load_dependencies(session, [previous.id, build.id])
    before, after = sets.get(previous.id), sets.get(build.id)
    changes = dependency_changes(before, after, {})
    if changes:
        changes = dependency_changes(before, after, distances())
    session.execute(delete(AppliedChange).where(AppliedChange.build_id == build.id))
    rows = [
        {"build_id": build.id, "position": position, "prev_dep_id": prev, "curr_dep_id": curr, "distance": distance}
        for position, (prev, curr, distance) in enumerate(change_rows(changes, {}))
    ]
    if rows:
        session.execute(insert(AppliedChange), rows)


def _neighbour(session: Session, build: Build, *, newer: bool) -> Build | None:
    """The package's resolved build next to this one in time.

    A build that was spoiled or cancelled may have been resolved while it ran. It is nothing to compare with: what
    changed before it would be hidden from the build that counts.
    """
    query = (
        select(Build)
        .where(Build.package_id == build.package_id, Build.id != build.id, Build.deps_resolved.is_(True))
        .limit(1)
    )
    if newer:
        query = query.where(Build.started > build.started, Build.state.in_(RESOLVABLE))
        query = query.order_by(Build.started, Build.id)
    else:
        query = query.where(Build.started < build.started, Build.state.in_(COUNTED))
        query = query.order_by(Build.started.desc(), Build.id.desc())
    return session.scalars(query).one_or_none()


def _stored_distances(session: Session, build: Build) -> dict[str, int]:
    """Distances already known for a build's changes, by name."""
    query = select(AppliedChange).where(AppliedChange.build_id == build.id).options(joinedload(AppliedChange.curr))
    rows = session.scalars(query)
    return {row.curr.name: row.distance for row in rows if row.curr is not None and row.distance is not None}
