"""What a bug report says of a package: the build it rests on, where it broke, and what changed there."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from koschei.model import Build, Collection, KojiTask, Package
from koschei.queries import builds, changes, package
from koschei.queries.builds import BrokeAt
from koschei.queries.changes import Changes
from koschei.rules.states import BuildState, PackageState
from koschei.rules.verdict import TaskState

CHANGES_SHOWN = 8


@dataclass(frozen=True)
class Evidence:
    """Everything that a report is made of. `build` is the last one that counts; `problems` those of an unresolved
    package; `broke` and `changes` are empty unless the build failed.
    """

    package: Package
    collection: Collection
    build: Build
    failed: tuple[KojiTask, ...] = ()
    broke: BrokeAt = field(default_factory=lambda: BrokeAt(None, None))
    changes: Changes = field(default_factory=Changes)
    problems: tuple[str, ...] = ()

    @property
    def broken(self) -> bool:
        """Whether there is anything to report: it cannot be resolved, or its last build that counts failed."""
        return self.package.state is PackageState.UNRESOLVED or self.build.state is BuildState.FAILED


def evidence(session: Session, name: str, collection: Collection) -> Evidence | None:
    """What is known of a package in a collection; None when it is not there, is blocked, or no build of it counts."""
    here = next(iter(package.everywhere(session, name, [collection])), None)
    if here is None or here.package.blocked or here.last_complete is None:
        return None
    problems: tuple[str, ...] = ()
    if here.package.state is PackageState.UNRESOLVED:
        newest = package.resolutions(session, here.package.id, None, 1)
        problems = newest[0].problems if newest else ()
    build = here.last_complete
    if build.state is not BuildState.FAILED:
        return Evidence(here.package, collection, build, problems=problems)
    broke = builds.broke_at(session, here.package.id, build)
    found = Changes()
    if broke.bad is not None:
        found = changes.of_builds(session, [broke.bad.id], CHANGES_SHOWN)[broke.bad.id]
    return Evidence(
        here.package,
        collection,
        build,
        tuple(task for task in builds.tasks(session, [build.id])[build.id] if task.state == TaskState.FAILED),
        broke,
        found,
        problems,
    )
