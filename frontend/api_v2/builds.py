"""Builds: the newest ones, everything about one, and what changed for it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from frontend import context, present
from frontend.api_v2 import cursors, lookup
from frontend.api_v2.declare import get
from frontend.api_v2.problems import InvalidRequest
from frontend.api_v2.shapes import BuildLine, BuildWord, build_line
from frontend.api_v2.values import WHOLE, Answer, Flag, Moment, Name, Page, Paged, Pattern, Query
from koschei.errors import NotFoundError
from koschei.model import KojiTask
from koschei.queries import api_builds, builds, changes
from koschei.queries.api_builds import Wanted
from koschei.queries.builds import BuildDetail
from koschei.queries.changes import Binary
from koschei.rules.changes import Change, ChangeKind

TAG = "Builds"
MOST_CHANGES = 20_000


class BuildQuery(Paged):
    """Which builds are listed."""

    package: Annotated[Name | None, Field(description="Only those of this package.")] = None
    collection: Annotated[
        list[Name], Field(description="Only those in this collection.", max_length=100, default_factory=list)
    ]
    state: Annotated[
        list[BuildWord], Field(description="Only those in this state.", max_length=10, default_factory=list)
    ]
    real: Annotated[Flag | None, Field(description="Only maintainers' own builds, or only scratch builds.")] = None
    since: Annotated[Moment | None, Field(description="Only those started then or later.")] = None


class BuildPage(Page):
    """A page of builds."""

    items: list[BuildLine]


@get("/builds", tag=TAG, query=BuildQuery, answer=BuildPage, errors=(404,))
def build_list(query: BuildQuery) -> BuildPage:
    """List builds, the newest first.

    A page may have fewer items than `limit`, or none, and still a `next`: filters that let through few of many
    builds are looked at a piece at a time.
    """
    wanted = Wanted(
        package=query.package,
        collections=lookup.collections(query.collection),
        states=frozenset(word.state for word in query.state),
        real=query.real,
        since=query.since,
    )
    found = api_builds.newest(context.session(), wanted, _after(query.cursor), query.limit)
    cursor = None
    if found.after is not None:
        cursor = cursors.encode("builds", found.after[0].isoformat(), found.after[1])
    lines = [build_line(line, line.package, line.collection) for line in found.lines]
    return BuildPage(items=lines, next=cursors.next_address(query, cursor))


def _after(cursor: str | None) -> tuple[datetime, int] | None:
    values = cursors.decode(cursor, "builds", str, int)
    return None if values is None else (cursors.moment(values[0]), values[1])


class Task(Answer):
    """A build's task for one architecture."""

    task_id: int
    arch: str
    state: str = Field(description="As Koji calls it: free, open, closed, canceled, assigned or failed.")
    started: datetime
    finished: datetime | None


class Submission(Answer):
    """Who asked for a scratch build, and the terms of the priority that it had."""

    by: str | None = Field(description="A person, or scheduler.")
    terms: dict[str, float]


class BuildDetailed(Answer):
    """A build with its tasks and its verdict."""

    build: BuildLine
    counts: bool = Field(description="Whether it says something about the package: complete and failed ones do.")
    fault: str | None = Field(description="Why it says nothing: what Koji or whoever cancelled it gave as the reason.")
    cancel_requested: bool
    dependencies_resolved: bool | None = Field(
        description="Whether its dependencies are known, and so its changes; null: not looked at yet."
    )
    tasks: list[Task]
    submission: Submission | None = Field(description="Null for real builds, and for old ones.")
    changes: dict[ChangeKind, int] = Field(description="How many dependencies changed, by kind.")
    previous_build: int | None = Field(description="The build before that counts.")
    following_build: int | None = Field(description="The next one that counts.")


@get("/builds/<int:build_id>", tag=TAG, answer=BuildDetailed, errors=(404,))
def build(build_id: int) -> BuildDetailed:
    """Tell everything about a build."""
    found = _find(build_id)
    row = found.build
    return BuildDetailed(
        build=build_line(row, found.package.name, found.collection.name),
        counts=row.state.counted,
        fault=None if row.state.counted or not row.state.finished else present.fault_words(row),
        cancel_requested=row.cancel_requested,
        dependencies_resolved=row.deps_resolved,
        tasks=[_task(task) for task in found.tasks],
        submission=_submission(found),
        changes=changes.counts(context.session(), row.id),
        previous_build=found.previous.id if found.previous else None,
        following_build=found.following.id if found.following else None,
    )


def _task(task: KojiTask) -> Task:
    return Task(
        task_id=task.task_id,
        arch=task.arch,
        state=present.task_word(task),
        started=task.started,
        finished=task.finished,
    )


def _submission(found: BuildDetail) -> Submission | None:
    submission = found.build.submission
    if submission is None:
        return None
    by = submission.get("by")
    return Submission(by=None if by is None else str(by), terms=dict(present.submitted_terms(submission)))


def _find(build_id: int) -> BuildDetail:
    found = builds.build_detail(context.session(), build_id)
    if found is None:
        raise NotFoundError(f"There is no build {build_id}. Old builds are deleted after a while")
    return found


class BinaryVersion(Answer):
    """A binary package's version."""

    epoch: int
    version: str
    release: str
    arch: str


class DependencyChange(Answer):
    """A build dependency that came, went or changed."""

    name: str
    kind: ChangeKind
    before: BinaryVersion | None
    after: BinaryVersion | None
    distance: int | None = Field(
        description="1: the package requires it itself, 2: what it requires does, and so on; null: not known."
    )


class ChangeQuery(Paged):
    """Which changes are listed."""

    contains: Annotated[Pattern | None, Field(description="Only those whose name contains this; `*` is anything.")] = (
        None
    )
    kind: Annotated[ChangeKind | None, Field(description="Only changes of this kind.")] = None


class ChangePage(Page):
    """A page of dependency changes, the most suspicious first."""

    items: list[DependencyChange]
    total: int = Field(description="How many there are on all pages.")
    compared: bool = Field(description="Whether there is an earlier build to compare with.")


@get("/builds/<int:build_id>/changes", tag=TAG, query=ChangeQuery, answer=ChangePage, errors=(404,))
def build_changes(build_id: int, query: ChangeQuery) -> ChangePage:
    """List what changed among the dependencies of a build since the build before, the most suspicious first."""
    values = cursors.decode(query.cursor, "changes", int) or (0,)
    skipped = values[0]
    if skipped > MOST_CHANGES:
        raise InvalidRequest.of("cursor", cursors.HINT)
    _find(build_id)
    found = changes.of_builds(
        context.session(), [build_id], skipped + query.limit, name=query.contains or "", kind=query.kind
    )[build_id]
    shown = found.shown[skipped:]
    # The changes of a build stay as they are: a number leads to the same place again.
    cursor = cursors.encode("changes", skipped + len(shown)) if found.total > skipped + len(shown) and shown else None
    return ChangePage(
        items=[change_line(change) for change in shown],
        total=found.total,
        compared=found.compared,
        next=cursors.next_address(query, cursor),
    )


def change_line(change: Change[Binary]) -> DependencyChange:
    """A change as answers tell it."""
    return DependencyChange(
        name=change.name,
        kind=change.kind,
        before=None if change.prev is None else BinaryVersion.model_validate(change.prev),
        after=None if change.curr is None else BinaryVersion.model_validate(change.curr),
        distance=change.distance,
    )


class PendingChanges(Answer):
    """What would be installed now against what the last build had."""

    items: list[DependencyChange]
    total: int = Field(description="How many there are; the first of them are in `items`.")


class PendingQuery(Query):
    """How many of the changes are listed."""

    limit: Annotated[int, Field(ge=1, le=2000, description="The most items."), WHOLE] = 500


@get("/packages/<name>/<collection>/changes", tag="Packages", query=PendingQuery, answer=PendingChanges, errors=(404,))
def pending_changes(name: str, collection: str, query: PendingQuery) -> PendingChanges:
    """List what changed among the dependencies of a package since its last build, the most suspicious first."""
    found = changes.pending(context.session(), lookup.package(name, collection), query.limit)
    return PendingChanges(items=[change_line(change) for change in found.shown], total=found.total)
