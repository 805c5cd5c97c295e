"""Builds with what belongs to them: tasks, the build before, the package and its collection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from koschei.model import Build, Collection, KojiTask, Package
from koschei.rules.states import COUNTED, BuildState


@dataclass(frozen=True)
class BuildDetail:
    """A build and its surroundings; `previous` is the counted build that it is compared with."""

    build: Build
    package: Package
    collection: Collection
    tasks: list[KojiTask]
    previous: Build | None
    following: Build | None


def build_detail(session: Session, build_id: int) -> BuildDetail | None:
    """A build by its id; None if there is none."""
    row = session.execute(
        select(Build, Package, Collection)
        .join(Package, Package.id == Build.package_id)
        .join(Collection, Collection.id == Package.collection_id)
        .where(Build.id == build_id)
    ).one_or_none()
    if row is None:
        return None
    build, package, collection = row
    previous, following = neighbours(session, build)
    return BuildDetail(build, package, collection, tasks(session, [build.id])[build.id], previous, following)


def neighbours(session: Session, build: Build) -> tuple[Build | None, Build | None]:
    """The counted builds just before and just after this one."""
    same = select(Build.id).where(Build.package_id == build.package_id, ~Build.untagged, Build.state.in_(COUNTED))
    before = same.where(Build.started < build.started).order_by(Build.started.desc(), Build.id.desc()).limit(1)
    after = same.where(Build.started > build.started).order_by(Build.started, Build.id).limit(1)
    # As scalars: for two subqueries joined by OR, PostgreSQL would read the whole table.
    found = session.scalars(
        select(Build).where(Build.id.in_([before.scalar_subquery(), after.scalar_subquery()]))
    ).all()
    earlier = [b for b in found if b.started < build.started]
    later = [b for b in found if b.started > build.started]
    return (earlier[0] if earlier else None), (later[0] if later else None)


def tasks(session: Session, build_ids: Iterable[int]) -> dict[int, list[KojiTask]]:
    """The architecture tasks of each build, by architecture."""
    result: dict[int, list[KojiTask]] = {build_id: [] for build_id in build_ids}
    query = select(KojiTask).where(KojiTask.build_id.in_(result)).order_by(KojiTask.arch, KojiTask.task_id)
    for task in session.scalars(query):
        result[task.build_id].append(task)
    return result


@dataclass(frozen=True)
class BrokeAt:
    """Where a package broke: its last good build and the first bad one after it, either unknown if None."""

    good: Build | None
    bad: Build | None


def broke_among(newest: Sequence[Build], whole: bool, last: Build) -> BrokeAt | None:
    """The same as `broke_at` from the newest builds of the package, newest first; None when these do not tell.

    `whole`: there are no others.
    """
    counted = [build for build in newest if not build.untagged]
    good = next((b for b in counted if b.state is BuildState.COMPLETE and b.started < last.started), None)
    if good is None and not whole:
        return None
    failed = [b for b in counted if b.state is BuildState.FAILED and b.started <= last.started]
    since = [b for b in failed if good is None or b.started > good.started]
    return BrokeAt(good, min(since, key=lambda b: (b.started, b.id), default=None))


def broke_at(session: Session, package_id: int, last: Build) -> BrokeAt:
    """Where the row of failures began that ends with the failed build `last`."""
    counted = select(Build.id).where(Build.package_id == package_id, ~Build.untagged)
    good = (
        counted.where(Build.state == BuildState.COMPLETE, Build.started < last.started)
        .order_by(Build.started.desc(), Build.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    other = aliased(Build)
    since = select(other.started).where(other.id == good).scalar_subquery()
    failed = counted.where(Build.state == BuildState.FAILED, Build.started <= last.started)
    bad = failed.where(since.is_(None) | (Build.started > since)).order_by(Build.started, Build.id).limit(1)
    found = session.scalars(select(Build).where(Build.id.in_([good, bad.scalar_subquery()]))).all()
    by_state = {build.state: build for build in found}
    return BrokeAt(by_state.get(BuildState.COMPLETE), by_state.get(BuildState.FAILED))
