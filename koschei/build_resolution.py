"""Finding out with which dependencies each build was made, and how they differ from those of the build before it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from koschei import srpms
from koschei.buildroots import Buildroots
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.notify import wake
from koschei.dependencies import DependencyIds, load_dependencies, store_dependencies
from koschei.depsolve.interface import Answer, Nevra, Resolver
from koschei.errors import NoBuildGroup, RepositoryGone
from koschei.koji.session import KojiSession
from koschei.model import AppliedChange, Build, Cause, Collection, Package
from koschei.resolution_results import change_rows
from koschei.rules.changes import dependency_changes
from koschei.rules.states import BuildState
from koschei.transitions import changing

log = structlog.get_logger(__name__)

RESOLVABLE = (BuildState.RUNNING, BuildState.COMPLETE, BuildState.FAILED)


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


@dataclass
class BuildResolution:
    """What resolving builds needs; `stopping` is asked between builds."""

    database: Database
    koji: KojiSession
    config: Config
    buildroots: Buildroots
    ids: DependencyIds
    stopping: Callable[[], bool] = lambda: False
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def resolve(self, work: Pending) -> int:
        """Resolve the builds that wait for one repository; returns how many got an answer.

        When the repository is gone for good the answer is that nobody will ever know. Errors: KojiError and
        RepositoryError that may pass; the builds then wait.
        """
        with self.database.begin() as session:
            collection = session.get(Collection, work.collection_id)
            builds = self._waiting(session, work)
        if collection is None or not builds:
            return 0
        nvrs = {build.id: (build.package.name, build.version, build.release) for build in builds}
        facts = srpms.facts(self.database, self.koji, nvrs.values())
        requests = {key(build): facts[nvrs[build.id]].build_requires for build in builds if nvrs[build.id] in facts}
        try:
            repo = self.buildroots.usable(work.repo_id)
            resolver = self.buildroots.open(collection, repo, requests)
        except (RepositoryGone, NoBuildGroup) as error:
            log.info("builds can never be resolved", repo=work.repo_id, builds=len(builds), reason=str(error))
            for build in builds:
                self._store(build, None)
            return len(builds)
        with closing(resolver):
            for done, build in enumerate(builds):
                if self.stopping():
                    return done
                answer = resolver.resolve(key(build)) if key(build) in requests else None
                self._store(build, answer, resolver)
        return len(builds)

    @staticmethod
    def _waiting(session: Session, work: Pending) -> list[Build]:
        query = (
            select(Build)
            .join(Build.package)
            .where(
                Package.collection_id == work.collection_id,
                Build.repo_id == work.repo_id,
                Build.deps_resolved.is_(None),
                Build.state.in_(RESOLVABLE),
            )
            .order_by(Package.name, Build.started)
        )
        builds = list(session.scalars(query))
        for build in builds:
            _ = build.package.name  # loaded while the session is open
        return builds

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
            elif package.last_build_id == row.id:
                # Nobody will know what this build was made with: only a new one can be compared with.
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
        {"build_id": build.id, "prev_dep_id": prev, "curr_dep_id": curr, "distance": distance}
        for prev, curr, distance in change_rows(changes, {})
    ]
    if rows:
        session.execute(insert(AppliedChange), rows)


def _neighbour(session: Session, build: Build, *, newer: bool) -> Build | None:
    """The package's resolved build next to this one in time."""
    query = (
        select(Build)
        .where(Build.package_id == build.package_id, Build.id != build.id, Build.deps_resolved.is_(True))
        .limit(1)
    )
    if newer:
        query = query.where(Build.started > build.started).order_by(Build.started, Build.id)
    else:
        query = query.where(Build.started < build.started).order_by(Build.started.desc(), Build.id.desc())
    return session.scalars(query).one_or_none()


def _stored_distances(session: Session, build: Build) -> dict[str, int]:
    """Distances already known for a build's changes, by name."""
    rows = session.scalars(select(AppliedChange).where(AppliedChange.build_id == build.id))
    return {row.curr.name: row.distance for row in rows if row.curr is not None and row.distance is not None}
