"""A builder of data for tests of queries and pages: it writes rows as the services would, in few words."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from koschei.db.engine import Database
from koschei.model import (
    AdminNotice,
    AppliedChange,
    BasePackage,
    Build,
    BuildrootProblem,
    Cause,
    Collection,
    CollectionGroup,
    Dependency,
    KojiTask,
    Package,
    PackageStateChange,
    RepositoryResolution,
    ResolutionChange,
    ResolutionProblem,
    ServiceStatus,
    UnappliedChange,
)
from koschei.rules.evr import sort_key
from koschei.rules.states import BuildState, PackageState
from koschei.transitions import derive

# Koji numbers tasks for all collections together; each build leaves room for those of its architectures.
_task_ids = itertools.count(130_000_000, 10)

NOW = datetime(2026, 5, 14, 12, 0, tzinfo=UTC)

# name, version before, version after (None: not there), distance
ChangeSpec = tuple[str, str | None, str | None, int | None]


def ago(hours: float = 0) -> datetime:
    """The moment that many hours before NOW."""
    return NOW - timedelta(hours=hours)


def split_evr(evr: str) -> tuple[int, str, str]:
    """`1:2.3-4` as epoch, version and release."""
    epoch, _, rest = evr.rpartition(":")
    version, _, release = rest.rpartition("-")
    return int(epoch or 0), version, release


class World:
    """One database being filled. What follows from builds is derived at the end of
    `filling`, or by `settle`; objects got before know nothing of it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._built: set[int] = set()
        self._bases: dict[str, BasePackage] = {}
        self._dependencies: dict[tuple[str, str], Dependency] = {}

    def settle(self) -> None:
        """Bring up to date what follows from builds."""
        self.session.flush()
        derive(self.session, sorted(self._built))
        self._built.clear()

    def collection(
        self,
        name: str = "f44",
        title: str | None = None,
        *,
        order: int = 100,
        resolved: bool | None = True,
        **more: Any,
    ) -> Collection:
        """A collection; `resolved`: whether its base buildroot could be installed in its newest repository."""
        values = {
            "target": name,
            "dest_tag": name,
            "build_tag": f"{name}-build",
            "latest_repo_id": None if resolved is None else more.pop("repo_id", 6_700_000),
            "latest_repo_resolved": resolved,
            **more,
        }
        collection = Collection(name=name, display_name=title or name.upper(), order=order, **values)
        self.session.add(collection)
        self.session.flush()
        return collection

    def collection_group(self, name: str, title: str, *collections: Collection) -> CollectionGroup:
        """A group of collections."""
        group = CollectionGroup(name=name, display_name=title, collections=list(collections))
        self.session.add(group)
        return group

    def problems(self, collection: Collection, *texts: str) -> None:
        """Why the collection's base buildroot cannot be installed."""
        self.session.add_all(BuildrootProblem(collection_id=collection.id, problem=text) for text in texts)

    def repository(
        self, collection: Collection, repo_id: int, hours: float, minutes: float | None, **more: Any
    ) -> None:
        """A resolution in a repository, begun `hours` ago; `minutes` it took, None while it goes on."""
        finished = None if minutes is None else ago(hours) + timedelta(minutes=minutes)
        row = {"base_resolved": True, "resolved": 0, "unresolved": 0, "changed": 0, **more}
        self.session.add(
            RepositoryResolution(
                collection_id=collection.id, repo_id=repo_id, started=ago(hours), finished=finished, **row
            )
        )

    def package(self, name: str, collection: Collection, **columns: Any) -> Package:
        """A package, tracked and resolvable unless told otherwise."""
        base = self._bases.get(name) or self.session.scalar(select(BasePackage).where(BasePackage.name == name))
        if base is None:
            base = BasePackage(name=name)
            self.session.add(base)
            self.session.flush()
        self._bases[name] = base
        values = {"tracked": True, "resolved": True, "needs_resolution": False, "state_since": ago(1000), **columns}
        package = Package(name=name, base_id=base.id, collection_id=collection.id, **values)
        self.session.add(package)
        self.session.flush()
        return package

    def build(
        self,
        package: Package,
        state: BuildState = BuildState.COMPLETE,
        hours: float = 10,
        evr: str = "1.0-1",
        *,
        minutes: float = 20,
        tasks: Mapping[str, int] | None = None,
        changes: Sequence[ChangeSpec] = (),
        **columns: Any,
    ) -> Build:
        """A build begun `hours` ago, with its tasks (architecture to Koji's state) and dependency changes."""
        epoch, version, release = split_evr(evr)
        task_id = next(_task_ids)
        running = state is BuildState.RUNNING
        values = {
            "task_id": task_id,
            "repo_id": 6_700_000,
            "finished": None if running else ago(hours) + timedelta(minutes=minutes),
            "deps_resolved": True if state.counted else None,
            **columns,
        }
        build = Build(
            package_id=package.id,
            state=state,
            started=ago(hours),
            epoch=epoch,
            version=version,
            release=release,
            evr_key=sort_key(epoch, version, release),
            **values,
        )
        self.session.add(build)
        self.session.flush()
        for number, (arch, task_state) in enumerate((tasks or {}).items(), 1):
            self.session.add(
                KojiTask(
                    build_id=build.id,
                    task_id=task_id + number,
                    arch=arch,
                    state=task_state,
                    started=build.started,
                    finished=build.finished,
                )
            )
        self._changes(AppliedChange, "build_id", build.id, changes)
        self._built.add(package.id)
        return build

    def pending(self, package: Package, *changes: ChangeSpec) -> None:
        """What changed since the package's last build."""
        self._changes(UnappliedChange, "package_id", package.id, changes)

    def dependency(self, name: str, evr: str, arch: str = "x86_64") -> int:
        """The id of a binary package."""
        found = self._dependencies.get((name, evr))
        if found is None:
            epoch, version, release = split_evr(evr)
            key = sort_key(epoch, version, release)
            values = {"name": name, "epoch": epoch, "version": version, "release": release, "arch": arch}
            found = self.session.scalar(select(Dependency).filter_by(**values))
            if found is None:
                found = Dependency(**values, evr_key=key)
                self.session.add(found)
                self.session.flush()
            self._dependencies[name, evr] = found
        return found.id

    def _changes(self, table: Any, owner: str, owner_id: int, changes: Sequence[ChangeSpec]) -> None:
        rows = [
            {
                owner: owner_id,
                "prev_dep_id": before and self.dependency(name, before),
                "curr_dep_id": after and self.dependency(name, after),
                "distance": distance,
            }
            for name, before, after, distance in changes
        ]
        if table is AppliedChange:
            rows = [{**row, "position": position} for position, row in enumerate(rows)]
        if rows:
            self.session.execute(insert(table), rows)

    def resolution(self, package: Package, hours: float, *problems: str, repo_id: int = 6_700_000) -> ResolutionChange:
        """An answer of the resolver: resolvable without problems."""
        change = ResolutionChange(package_id=package.id, resolved=not problems, timestamp=ago(hours), repo_id=repo_id)
        self.session.add(change)
        self.session.flush()
        self.session.add_all(
            ResolutionProblem(resolution_id=change.id, position=position, problem=text)
            for position, text in enumerate(problems)
        )
        return change

    def moved(
        self,
        package: Package,
        prev: PackageState,
        new: PackageState,
        hours: float,
        cause: Cause = Cause.BUILD,
        build: Build | None = None,
    ) -> None:
        """The package's latest change of state."""
        self.session.add(
            PackageStateChange(
                package_id=package.id,
                prev=prev,
                new=new,
                cause=cause,
                timestamp=ago(hours),
                build_id=build and build.id,
                repo_id=6_700_000,
            )
        )
        package.state_since = ago(hours)
        self.session.flush()

    def notice(self, text: str) -> None:
        """An announcement."""
        self.session.add(AdminNotice(key="global_notice", content=text))

    def service(self, name: str, hours: float | None = 0.01, *, interval: float = 60, **columns: Any) -> None:
        """A service whose last pass ended `hours` ago (None: it has not ended any)."""
        finished = None if hours is None else ago(hours)
        self.session.add(
            ServiceStatus(
                service=name,
                instance=f"{name}-1",
                interval=interval,
                **{"started": ago(200), "pass_finished": finished, "last_success": finished, **columns},
            )
        )


@contextmanager
def filling(database: Database) -> Iterator[World]:
    """A world to be filled in one transaction."""
    with database.begin() as session:
        world = World(session)
        yield world
        world.settle()
