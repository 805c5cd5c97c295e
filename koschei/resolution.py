"""Resolving all packages of a collection in its newest repository: the basis of scheduling and of "can it be built"."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from koschei import outbox, srpms
from koschei.db.notify import wake
from koschei.depsolve.interface import Answer, Resolver
from koschei.errors import NoBuildGroup, RepositoryError
from koschei.koji import repositories
from koschei.koji.records import Repo
from koschei.model import (
    Build,
    BuildrootProblem,
    Collection,
    CollectionStateChange,
    Package,
    RepositoryResolution,
)
from koschei.patience import Patience
from koschei.resolution_results import ChunkReport, Resolved, store_chunk
from koschei.resolving import MISSING_DELAY, Resolving

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Subject:
    """A package to be resolved, by the source package of its last build with a verdict."""

    package_id: int
    name: str
    nvr: tuple[str, str, str]
    build_id: int


class Resolution(Resolving):
    """Resolves collections."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._patience = Patience[tuple[int, int]](RepositoryError, self.clock)
        self._missing: dict[srpms.Nvr, datetime] = {}

    def examine(self, collection_id: int) -> bool:
        """Do what there is to do for one collection; False when there was nothing.

        A repository that nobody has judged yet comes first, then the rest of one whose resolution was interrupted, then
        packages whose answer is out of date. A new repository that cannot be used does not keep the one before from
        being used. Errors: KojiError, RepositoryError; what was stored before stays.
        """
        with self.database.begin() as session:
            collection = session.get(Collection, collection_id)
        if collection is None:
            return False
        trouble = None
        newest = repositories.newest_repo(self.koji, collection.build_tag)
        if newest is not None and self._is_next(collection, newest):
            try:
                with self._patience.over((collection.id, newest.id)):
                    self.resolve_repository(collection, newest)
            except RepositoryError as error:
                trouble = error
            else:
                return True
        done = self._catch_up(collection)
        if trouble is not None:
            raise trouble
        return done

    def _is_next(self, collection: Collection, newest: Repo) -> bool:
        """Whether nobody has judged Koji's newest repository.

        Numbers grow. When Koji has deleted a newer one, the one before is no news: its answers would be false alarms.
        But a hub that was restored, or is another one, does not know the number, or has given it to another tag.
        """
        known = collection.latest_repo_id
        if known is None or newest.id >= known:
            return newest.id != known
        before = repositories.repo(self.koji, known)
        return before is None or before.tag != newest.tag

    def _catch_up(self, collection: Collection) -> bool:
        """Finish what is left to do in the repository that was judged last."""
        repo_id = collection.latest_repo_id
        if repo_id is None or not collection.latest_repo_resolved:
            return False
        with self.database.begin() as session:
            unfinished = self._unfinished(session, collection)
            subjects = [] if unfinished is not None else eligible(session, collection, outdated_only=True)
        now = self.clock()
        subjects = [s for s in subjects if self._missing.get(s.nvr, now) <= now]
        if unfinished is None and not subjects:
            return False
        with self._patience.over((collection.id, repo_id)):
            repo = self.buildroots.usable(repo_id)
            if unfinished is not None:
                self.resolve_repository(collection, repo, resume=unfinished)
            else:
                self._resolve_outdated(collection, repo, subjects)
        return True

    @staticmethod
    def _unfinished(session: Session, collection: Collection) -> RepositoryResolution | None:
        return session.scalars(
            select(RepositoryResolution).where(
                RepositoryResolution.collection_id == collection.id,
                RepositoryResolution.repo_id == collection.latest_repo_id,
                RepositoryResolution.base_resolved,
                RepositoryResolution.finished.is_(None),
            )
        ).one_or_none()

    def resolve_repository(
        self, collection: Collection, repo: Repo, *, resume: RepositoryResolution | None = None
    ) -> None:
        """Judge the base buildroot, then every eligible package; or go on behind `resume.position`."""
        with self.database.begin() as session:
            subjects = eligible(session, collection)
        requests, subjects = self._requests(subjects)
        try:
            resolver = self.buildroots.open(collection, repo, requests)
        except NoBuildGroup as error:
            self._store_base(collection, repo, Answer(False, (str(error),), frozenset()))
            return
        with closing(resolver):
            run_id = resume.id if resume else self._store_base(collection, repo, resolver.base())
            if run_id is None:
                return
            rest = [s for s in subjects if resume is None or resume.position is None or s.name > resume.position]
            log.info("resolving", collection=collection.name, repo=repo.id, packages=len(rest))
            if self._resolve(collection, repo, resolver, rest, run_id):
                self._finish(run_id)

    def _resolve_outdated(self, collection: Collection, repo: Repo, subjects: Sequence[Subject]) -> None:
        requests, subjects = self._requests(subjects)
        if not subjects:
            return
        with closing(self.buildroots.open(collection, repo, requests)) as resolver:
            self._resolve(collection, repo, resolver, subjects, None)
        with self.database.begin() as session:
            wake(session, "scheduler")

    def _requests(self, subjects: Sequence[Subject]) -> tuple[dict[str, Sequence[str]], list[Subject]]:
        """The BuildRequires of the subjects whose source package is known.

        The others are tried again in the next repository, and meanwhile not before MISSING_DELAY: each is two questions
        to Koji.
        """
        facts = srpms.facts(self.database, self.koji, [subject.nvr for subject in subjects])
        known = [subject for subject in subjects if subject.nvr in facts]
        missing = [subject for subject in subjects if subject.nvr not in facts]
        now = self.clock()
        self._missing = {nvr: until for nvr, until in self._missing.items() if until > now and nvr not in facts}
        self._missing.update({subject.nvr: now + MISSING_DELAY for subject in missing})
        if missing:
            names = sorted(subject.name for subject in missing)
            log.warning("Koji does not have these source packages", missing=len(names), first=names[:10])
        return {subject.name: facts[subject.nvr].build_requires for subject in known}, known

    def _store_base(self, collection: Collection, repo: Repo, base: Answer) -> int | None:
        """Store what the base buildroot is like; the id of the resolution that follows, None when there is none."""
        now = self.clock()
        with self.database.begin() as session:
            row = session.scalars(
                select(Collection).where(Collection.id == collection.id).with_for_update()
            ).one_or_none()
            if row is None or not _same_buildroot(row, collection) or row.latest_repo_id != collection.latest_repo_id:
                return None  # deleted, edited, or another resolver was faster: the next look starts afresh
            before = row.state
            row.latest_repo_id = repo.id
            row.latest_repo_resolved = base.resolved
            session.execute(delete(BuildrootProblem).where(BuildrootProblem.collection_id == row.id))
            session.add_all(BuildrootProblem(collection_id=row.id, problem=problem) for problem in base.problems)
            if row.state is not before:
                change = CollectionStateChange(
                    collection_id=row.id, prev=before, new=row.state, repo_id=repo.id, timestamp=now
                )
                session.add(change)
                outbox.collection_state_changed(session, row, before, row.state, repo.id)
                wake(session, "watcher")
            # There is one already when the buildroot was edited to and fro, or the hub was restored.
            run = session.scalars(
                select(RepositoryResolution).where(
                    RepositoryResolution.collection_id == row.id, RepositoryResolution.repo_id == repo.id
                )
            ).one_or_none() or RepositoryResolution(collection_id=row.id, repo_id=repo.id)
            run.base_resolved = base.resolved
            run.started = now
            run.repo_created = repo.created
            run.finished = None if base.resolved else now
            run.position = None
            run.resolved = run.unresolved = run.changed = 0
            session.add(run)
            session.flush()
        log.info("base buildroot", collection=collection.name, repo=repo.id, resolved=base.resolved)
        return run.id if base.resolved else None

    def _resolve(
        self,
        collection: Collection,
        repo: Repo,
        resolver: Resolver,
        subjects: Sequence[Subject],
        run_id: int | None,
    ) -> bool:
        """Resolve and store chunk by chunk; False when stopped in between, or when the answers are no longer asked."""
        started = reported = time.monotonic()
        done = 0
        for chunk in chunks(subjects, self.config.dependency.persist_chunk_size):
            answers = []
            for subject in chunk:
                if self.stopping():
                    return False
                answers.append(
                    Resolved(subject.package_id, subject.build_id, subject.name, resolver.resolve(subject.name))
                )
            if not self._store(collection, repo, resolver, answers, run_id):
                log.info("the collection's buildroot was changed meanwhile", collection=collection.name, repo=repo.id)
                return False
            done += len(chunk)
            if time.monotonic() - reported > self.config.dependency.perf_report_interval:
                reported = time.monotonic()
                rate = 60 * done / (reported - started)
                log.info("resolving", collection=collection.name, done=done, of=len(subjects), per_minute=round(rate))
        return True

    def _store(
        self, collection: Collection, repo: Repo, resolver: Resolver, answers: Sequence[Resolved], run_id: int | None
    ) -> bool:
        now = self.clock()
        with self.database.begin() as session:
            row = session.scalars(
                select(Collection).where(Collection.id == collection.id).with_for_update(read=True)
            ).one_or_none()
            if row is None or not _same_buildroot(row, collection) or row.latest_repo_id != repo.id:
                return False
            report = store_chunk(session, self.config, self.ids, resolver, answers, repo.id, now)
            if run_id is not None:
                self._advance(session, run_id, answers[-1].name, report)
        self.ids.remember(report.new_ids)
        return True

    @staticmethod
    def _advance(session: Session, run_id: int, position: str, report: ChunkReport) -> None:
        run = session.get_one(RepositoryResolution, run_id)
        run.position = position
        run.resolved += report.resolved
        run.unresolved += report.unresolved
        run.changed += report.changed

    def _finish(self, run_id: int) -> None:
        with self.database.begin() as session:
            run = session.get(RepositoryResolution, run_id)
            if run is None:
                return  # the collection was deleted
            run.finished = self.clock()
            wake(session, "scheduler")
            counts = {"resolved": run.resolved, "unresolved": run.unresolved, "changed": run.changed}
        log.info("repository resolved", repo=run.repo_id, **counts)


def _same_buildroot(row: Collection, seen: Collection) -> bool:
    """Whether a collection still has the buildroot that was looked at: an answer about another one says nothing."""
    return (row.build_tag, row.build_group) == (seen.build_tag, seen.build_group)


def eligible(session: Session, collection: Collection, *, outdated_only: bool = False) -> list[Subject]:
    """The packages to resolve, by name: tracked, not blocked, not exempt, with a build whose source is known."""
    query = (
        select(Package.id, Package.name, Build.version, Build.release, Build.id)
        .join(Build, Build.id == Package.last_complete_build_id)
        .where(
            Package.collection_id == collection.id,
            Package.tracked,
            ~Package.blocked,
            ~Package.skip_resolution,
        )
        .order_by(Package.name)
    )
    if outdated_only:
        query = query.where(Package.needs_resolution)
    return [
        Subject(package_id, name, (name, version, release), build_id)
        for package_id, name, version, release, build_id in session.execute(query)
    ]


def chunks(subjects: Sequence[Subject], size: int) -> Iterator[Sequence[Subject]]:
    """Consecutive pieces of at most `size`."""
    for start in range(0, len(subjects), size):
        yield subjects[start : start + size]
