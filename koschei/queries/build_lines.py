"""Builds as lines of a list: of one package, or those that run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from koschei.model import Build, Collection, Package
from koschei.rules.states import BuildState


@dataclass(frozen=True)
class BuildLine:
    """A build in one line; `task_id` is None while Koji's answer to its submission is awaited, or when imported."""

    id: int
    package: str
    collection: str
    state: str
    real: bool
    version: str
    task_id: int | None
    repo_id: int | None
    started: datetime
    finished: datetime | None
    untagged: bool
    cancel_requested: bool
    fault: str | None


def line(build: Build, package: Package) -> BuildLine:
    """A build of that package (whose collection is loaded, or can be) as a line."""
    return BuildLine(
        id=build.id,
        package=package.name,
        collection=package.collection.name,
        state=build.state.word,
        real=build.real,
        version=f"{f'{build.epoch}:' if build.epoch else ''}{build.version}-{build.release}",
        task_id=build.task_id,
        repo_id=build.repo_id,
        started=build.started,
        finished=build.finished,
        untagged=build.untagged,
        cancel_requested=build.cancel_requested,
        fault=build.fault_text,
    )


def of_packages(session: Session, package_ids: Iterable[int], limit: int) -> list[BuildLine]:
    """The newest builds of these packages, newest first."""
    return _lines(session, limit, Build.package_id.in_(list(package_ids)), newest=True)


def running(session: Session, collection: Collection | None, limit: int) -> list[BuildLine]:
    """Builds that run or are being submitted, the longest running first."""
    only = () if collection is None else (Package.collection_id == collection.id,)
    return _lines(session, limit, Build.state == BuildState.RUNNING, *only, newest=False)


def _lines(session: Session, limit: int, *conditions: object, newest: bool) -> list[BuildLine]:
    order = (Build.started.desc(), Build.id.desc()) if newest else (Build.started, Build.id)
    query = (
        select(Build)
        .join(Build.package)
        .join(Package.collection)
        .options(contains_eager(Build.package).contains_eager(Package.collection))
        .where(*conditions)  # type: ignore[arg-type]
        .order_by(*order)
        .limit(limit)
    )
    return [line(build, build.package) for build in session.scalars(query)]
