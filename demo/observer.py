"""What the demo sees of Koschei: how far it is with what Koji has, through Koschei's own questions to its database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVarTuple

import koji
from sqlalchemy import Select, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from demo.hub import Hub
from demo.hub.repos import INIT, READY
from demo.settings import DemoError
from demo.world import BUILD_TAG, TAG
from koschei import build_resolution, collections, status
from koschei.config import Config
from koschei.db.engine import Database
from koschei.errors import DatabaseError
from koschei.model import Build, Collection, Package
from koschei.queries.collections import state_counts
from koschei.rules.states import CollectionState, PackageState

COLLECTION = "f43"
LOOK_SECONDS = 0.1
NAMED = 5
Columns = TypeVarTuple("Columns")


class Stalled(DemoError):  # noqa: N818 - what it is
    """Koschei did not get there in time; the message says where it stands."""


class Stopped(DemoError):  # noqa: N818
    """Somebody wants the demo to end."""


@dataclass(frozen=True)
class KojiFacts:
    """What Koji has at a moment: the newest ready repository, running scratch builds, and the tagged builds by name."""

    repo_id: int | None
    repos_in_making: int
    scratch_running: int
    tagged: dict[str, str]
    blocked: frozenset[str]
    listed: frozenset[str]


def koji_facts(hub: Hub) -> KojiFacts:
    """What the hub has now."""
    with hub.locked():
        tag, build_tag = hub.tag(TAG), hub.tag(BUILD_TAG)
        newest = hub.repos.newest(build_tag.id, READY)
        names = hub.world.packages
        packages = hub.world.package_list(tag.id)
        return KojiFacts(
            repo_id=newest.id if newest else None,
            repos_in_making=sum(repo.state == INIT for repo in hub.repos),
            scratch_running=sum(1 for task in hub.tasks if task.parent is None and task.scratch and not task.finished),
            tagged={
                build.source.name: build.nvr
                for build, _, _ in hub.world.tagged_builds(tag.id, latest=True)
                if build.state == koji.BUILD_STATES["COMPLETE"]
            },
            blocked=frozenset(names[i] for i, (listed, _) in packages.items() if listed.blocked),
            listed=frozenset(names[i] for i in packages),
        )


class Observer:
    """Questions to Koschei's database; each survives that PostgreSQL is away for a while."""

    def __init__(self, config: Config, patience: float, stopping: threading.Event) -> None:
        self.config = config
        self._stopping = stopping
        self.database = Database(config.database_url(), application_name="koschei-demo", pool_size=2)
        self.patience = patience

    def close(self) -> None:
        """Close all connections."""
        self.database.dispose()

    def status(self) -> status.StatusReport:
        """The report that `koschei-admin status` prints. Errors: DatabaseError."""
        with self.database.read() as session:
            return status.report(session, self.config, datetime.now(UTC))

    def counts(self, name: str) -> dict[PackageState, int]:
        """How many tracked packages are in each state. Errors: DatabaseError, NotFoundError."""
        with self.database.read() as session:
            collection = collections.by_name(session, name)
            return state_counts(session, [collection.id])[collection.id]

    def known_packages(self) -> set[str]:
        """The names of all packages of the collection. Errors: DatabaseError."""
        with self.database.read() as session:
            return set(session.scalars(_of_collection(select(Package.name))))

    def undigested(self, hub: Hub, *, base_broken: bool = False) -> list[str]:
        """What Koschei has still to do until everything Koji has is known, acted on and judged; empty when nothing.

        `base_broken`: the newest repository's base buildroot cannot be installed, so nothing can be resolved in it.
        """
        koji_has = koji_facts(hub)
        waiting = []
        if koji_has.repos_in_making:
            waiting.append("Koji makes a repository")
        if koji_has.scratch_running:
            waiting.append(f"Koji runs {koji_has.scratch_running} scratch builds")
        with self.database.read() as session:
            collection = collections.by_name(session, COLLECTION)
            report = status.report(session, self.config, datetime.now(UTC))
            waiting += _packages_behind(session, koji_has)
            waiting += _builds_behind(session, koji_has)
            waiting += _repository_behind(collection, report, koji_has, base_broken)
            if report.running:
                waiting.append(f"builds run: {_few([build.package for build in report.running])}")
            if report.queue:
                waiting.append(f"{report.queue} packages wait to be built")
            spoiled = session.scalars(_of_collection(select(Package.name)).where(Package.spoiled_in_a_row > 0)).all()
            if spoiled:
                waiting.append(f"to be tried again after Koji spoiled their builds: {_few(list(spoiled))}")
            if pending := build_resolution.pending(session):
                waiting.append(f"builds in {len(pending)} repositories are to be resolved")
        return waiting

    def wait_until_digested(self, hub: Hub, what: str, *, base_broken: bool = False) -> None:
        """Return when nothing is undigested. Raises Stalled, with what is waited for, when that takes too long."""
        self.wait(lambda: self.undigested(hub, base_broken=base_broken), what)

    def wait(self, unfinished: Callable[[], list[str]], what: str) -> None:
        """Ask until the answer is empty. Raises Stopped; Stalled, with the last answer, when that takes too long."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                missing = unfinished()
            except DatabaseError as error:
                missing = [str(error)]
            if not missing:
                return
            if time.monotonic() > deadline:
                raise Stalled(f"The step “{what}” stalled: after {self.patience:g} s still {'; '.join(missing)}")
            if self._stopping.wait(LOOK_SECONDS):
                raise Stopped(f"stopped in the step “{what}”")


def _packages_behind(session: Session, koji_has: KojiFacts) -> list[str]:
    rows = session.execute(_of_collection(select(Package.name, Package.blocked))).all()
    waiting = []
    if missing := koji_has.listed - {name for name, _ in rows}:
        waiting.append(f"not in the package list yet: {_few(sorted(missing))}")
    if wrong := {name for name, blocked in rows if blocked} ^ koji_has.blocked:
        waiting.append(f"blocked in one place only: {_few(sorted(wrong))}")
    return waiting


def _builds_behind(session: Session, koji_has: KojiFacts) -> list[str]:
    """Packages whose newest real build is not the one that is tagged."""
    newest = (
        _of_collection(select(Package.name, Build.version, Build.release))
        .join(Build, Build.package_id == Package.id)
        .where(Build.real, ~Build.untagged)
        .ext(distinct_on(Package.name))
        .order_by(Package.name, Build.started.desc(), Build.id.desc())
    )
    known = {name: f"{name}-{version}-{release}" for name, version, release in session.execute(newest)}
    wrong = [name for name, nvr in koji_has.tagged.items() if known.get(name) != nvr]
    return [f"newest builds not registered: {_few(sorted(wrong))}"] if wrong else []


def _repository_behind(
    collection: Collection, report: status.StatusReport, koji_has: KojiFacts, base_broken: bool
) -> list[str]:
    mine = next(each for each in report.collections if each.name == collection.name)
    waiting = []
    if mine.repo_id != koji_has.repo_id:
        waiting.append(f"repository {koji_has.repo_id} is not looked at (but {mine.repo_id})")
    expected = CollectionState.UNRESOLVED if base_broken else CollectionState.OK
    if mine.state is not expected:
        waiting.append(f"the base buildroot is {mine.state}, not {expected}")
    elif not base_broken:
        if mine.resolution_finished is None:
            waiting.append(f"repository {mine.repo_id} is being resolved")
        if mine.needing_resolution:
            waiting.append(f"{mine.needing_resolution} packages are to be resolved")
    return waiting


def _of_collection(query: Select[*Columns]) -> Select[*Columns]:
    return query.join(Collection, Collection.id == Package.collection_id).where(Collection.name == COLLECTION)


def _few(names: list[str]) -> str:
    rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + rest
