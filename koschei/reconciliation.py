"""Comparing what is stored with what Koji says, and repairing what differs: what polling does, on request and told.

Each step is one that the services take, too, so doing it while they run, or twice, does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePosixPath

from sqlalchemy import select
from sqlalchemy.orm import Session

from koschei import audit, builds, real_builds, submission
from koschei.audit import Actor
from koschei.config import Config
from koschei.db.engine import Database
from koschei.errors import KojiError, KojiRefusal
from koschei.koji import tagging
from koschei.koji import tasks as koji_tasks
from koschei.koji.links import task_url
from koschei.koji.records import TaggedPackage
from koschei.koji.session import KojiSession
from koschei.model import Build, Collection, Package
from koschei.packages import SyncReport, sync_package_list
from koschei.queries.build_lines import BuildLine, line
from koschei.queries.collections import all_collections
from koschei.rules.names import listed as names
from koschei.rules.states import BuildState
from koschei.rules.verdict import TaskState

MANY = 100_000
ENDED = (TaskState.CLOSED, TaskState.CANCELED, TaskState.FAILED)


@dataclass(frozen=True)
class Difference:
    """Something that was not as Koji says, in words. `trouble`: it is not mended, and somebody should look."""

    subject: str
    text: str
    trouble: bool = False


@dataclass(frozen=True)
class Reconciler:
    """Compares with Koji; with `dry_run` nothing is written, here or there.

    `progress` is called with what is looked at next. One collection of which Koji does not tell is a difference with
    trouble; Koji or PostgreSQL being away ends it all (KojiOutage, KojiAuthError, DatabaseError): what was mended
    before stays. With `believe` lists are taken as they are, however much they lack.
    """

    database: Database
    koji: KojiSession
    config: Config
    now: datetime
    dry_run: bool = False
    believe: bool = False
    progress: Callable[[str], None] = lambda text: None

    def run(self, actor: Actor, only: str | None = None) -> list[Difference]:
        """Compare everything, or one collection and all running builds. What was mended is in the audit log."""
        with self.database.begin() as session:
            collections = [c for c in all_collections(session) if only in (None, c.name)]
        found: list[Difference] = []
        try:
            self._running_builds(found)
            for collection in collections:
                try:
                    self._lists(collection, found)
                except KojiRefusal as error:
                    found.append(Difference(collection.name, str(error), trouble=True))
        except (KeyboardInterrupt, KojiError):
            if found:
                self._record(actor, found, "Reconciling with Koji did not come to its end")
            raise
        believed = f", with what its lists of {only or 'all collections'} lack believed" if self.believe else ""
        self._record(actor, found, f"Reconciled with Koji{believed}")
        return found

    def _record(self, actor: Actor, found: Iterable[Difference], words: str) -> None:
        if self.dry_run:
            return
        mended = sum(not difference.trouble for difference in found)
        with self.database.begin() as session:
            audit.record(session, actor, f"{words}: {mended} differences repaired")

    def steps(self, only: str | None = None) -> int:
        """How often `progress` will be called."""
        with self.database.begin() as session:
            return 1 + 2 * len([c for c in all_collections(session) if only in (None, c.name)])

    def _running_builds(self, found: list[Difference]) -> None:
        self.progress("running builds")
        with self.database.begin() as session:
            before = _lines(session, Build.state == BuildState.RUNNING)
        if self.dry_run:
            found += self._would_end(before)
            found += self._unknown_tasks()
            return
        try:
            submission.reconcile(self.database, self.koji, self.config, self.now)
            builds.refresh(self.database, self.koji, self.config, self.now)
        finally:  # they are mended one by one
            with self.database.begin() as session:
                after = {item.id: item for item in _lines(session, Build.id.in_([item.id for item in before]))}
            became = ((item, _became(item, after.get(item.id))) for item in before)
            found += [Difference(_title(item), text) for item, text in became if text is not None]
        found += self._unknown_tasks()

    def _unknown_tasks(self) -> Iterable[Difference]:
        """Scratch builds of ours in Koji that no build here follows: the database was restored, or is another one."""
        tasks = koji_tasks.unfinished_submissions(self.koji)
        with self.database.begin() as session:
            unnumbered = session.scalar(select(submission.UNNUMBERED))
            known = set(session.scalars(select(Build.task_id).where(Build.task_id.in_([task.id for task in tasks]))))
        if unnumbered:
            return  # one of them may be a submission whose number is still to be stored: the next look tells
        for task in tasks:
            if task.id not in known:
                what = PurePosixPath(str((task.request or ("?",))[0])).name
                text = (
                    f"builds {what} in our name, and no build here follows it. When it was submitted with a database "
                    f"that is no more, it is safe to cancel: {task_url(self.config.koji_config, task.id)}"
                )
                yield Difference(f"task {task.id}", text, trouble=True)

    def _would_end(self, running: Iterable[BuildLine]) -> list[Difference]:
        running = list(running)
        asked = koji_tasks.tasks(self.koji, [item.task_id for item in running if item.task_id is not None])
        found = []
        for item in running:
            if item.task_id is None:
                found.append(Difference(_title(item), "its task is not known; it would be looked for in Koji"))
                continue
            if item.task_id not in asked:
                found.append(Difference(_title(item), "Koji does not tell about its task", trouble=True))
                continue
            task = asked[item.task_id]
            if task is None:
                found.append(Difference(_title(item), f"Koji does not know task {item.task_id}"))
            elif task.state in ENDED:
                found.append(Difference(_title(item), f"task {task.id} is {task.state.name.lower()} in Koji"))
            elif (self.now - item.started).total_seconds() > self.config.koji_config.task_timeout:
                text = f"task {task.id} would be cancelled: it takes longer than koji_config.task_timeout"
                found.append(Difference(_title(item), text))
            elif item.cancel_requested:
                found.append(Difference(_title(item), f"task {task.id} would be cancelled, as was asked for"))
        return found

    def _lists(self, collection: Collection, found: list[Difference]) -> None:
        self.progress(f"package list of {collection.name}")
        packages = tagging.packages(self.koji, collection.dest_tag)
        with self.database.begin() as session:
            report = self._sync(session, collection, packages)
            if self.dry_run:
                session.rollback()
        found += _list_differences(collection, report)
        self.progress(f"real builds of {collection.name}")
        found += self._would_be_tagged(collection, packages) if self.dry_run else self._real_builds(collection)

    def _sync(self, session: Session, collection: Collection, packages: Sequence[TaggedPackage]) -> SyncReport:
        return sync_package_list(session, session.merge(collection), packages, now=self.now, believe=self.believe)

    def _real_builds(self, collection: Collection) -> Iterable[Difference]:
        with self.database.begin() as session:
            before = _untagged(session, collection)
        report = real_builds.refresh(self.database, self.koji, self.config, collection, self.now, believe=self.believe)
        with self.database.begin() as session:
            after = _untagged(session, collection)
        return _build_differences(collection, report, before, after)

    def _would_be_tagged(self, collection: Collection, packages: Sequence[TaggedPackage]) -> Iterable[Difference]:
        """What would come of the list of builds after that of packages: those that are blocked then do not count."""
        latest = tagging.latest_builds(self.koji, collection.dest_tag)
        listed = [tagged for tagged in latest if tagged.state in real_builds.VERDICTS]
        with self.database.begin() as session:
            self._sync(session, collection, packages)
            before = _untagged(session, collection)
            new = len(real_builds.unregistered(session, collection, listed))
            differing = real_builds.disagreement(session, collection, listed, believe=self.believe)
            real_builds.mark_untagged(session, collection, listed, self.now, believe=self.believe)
            after = _untagged(session, collection)
            session.rollback()
        return _build_differences(collection, real_builds.Report(new, differing.refused), before, after)


def _list_differences(collection: Collection, report: SyncReport) -> Iterable[Difference]:
    for count, text in (
        (report.added, "packages were not known"),
        (report.blocked - len(report.gone), "packages were not blocked"),
        (len(report.gone), f"packages were not blocked and are in its list no more: {names(report.gone)}"),
        (report.unblocked, "packages were still blocked"),
    ):
        if count:
            yield Difference(collection.name, f"{count} {text}")
    if report.refused:
        yield Difference(collection.name, report.refused, trouble=True)


def _build_differences(
    collection: Collection, report: real_builds.Report, before: dict[int, str], after: dict[int, str]
) -> Iterable[Difference]:
    """`before`, `after`: the builds that are untagged, id to name of the package."""
    if report.registered:
        yield Difference(collection.name, f"{report.registered} real builds were not registered")
    for ours, others, text in ((after, before, "are not tagged any more"), (before, after, "are tagged again")):
        changed = ours.keys() - others.keys()
        if changed:
            packages = names(sorted({ours[build] for build in changed}))
            yield Difference(collection.name, f"{len(changed)} builds {text}: {packages}")
    if report.refused:
        yield Difference(collection.name, report.refused, trouble=True)


def _untagged(session: Session, collection: Collection) -> dict[int, str]:
    query = select(Build.id, Package.name).join(Build.package)
    return dict(session.execute(query.where(Build.untagged, Package.collection_id == collection.id)).all())


def _lines(session: Session, condition: object) -> list[BuildLine]:
    query = select(Build).where(condition).order_by(Build.id).limit(MANY)  # type: ignore[arg-type]
    return [line(build, session.get_one(Package, build.package_id)) for build in session.scalars(query)]


def _title(item: BuildLine) -> str:
    return f"build {item.id} of {item.package} in {item.collection}"


def _became(before: BuildLine, after: BuildLine | None) -> str | None:
    """What became of a build that was taken to be running; None when it still runs as before."""
    if after is None:
        return "Koji never got it; it is given up"
    if after.state != before.state:
        return f"it is {after.state}" + (f": {after.fault}" if after.fault else "")
    return None if after.task_id == before.task_id else f"its task is {after.task_id}"
