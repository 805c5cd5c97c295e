"""Packages that need each other, and the two resolvers at work on them in a small world."""

from __future__ import annotations

from sqlalchemy import select

from demo.hub import Binary
from koschei.build_resolution import BuildResolution, pending
from koschei.model import (
    Collection,
    Package,
    ResolutionChange,
    UnappliedChange,
)
from koschei.resolution import Resolution
from tests.koji_world import KojiWorld, source

LIBRARY = source(
    "lib",
    "1",
    binaries=[Binary("lib", provides=("pkgconfig(lib) = 1",)), Binary("lib-devel", requires=("lib",))],
)
SOURCES = (
    LIBRARY,
    source("direct", "1", "lib-devel"),
    source("far", "1", "direct"),
    source("alone", "1", "gcc"),
    source("rich", "1", "(nothing or pkgconfig(lib))"),
)


def resolution(world: KojiWorld, **options: object) -> Resolution:
    return Resolution(world.database, world.koji, world.config, clock=lambda: world.now, **options)  # type: ignore


def examine(world: KojiWorld, **options: object) -> bool:
    with world.database.begin() as session:
        collection_id = session.scalars(select(Collection.id)).one()
    return resolution(world, **options).examine(collection_id)


def build_work(world: KojiWorld) -> BuildResolution:
    return BuildResolution(world.database, world.koji, world.config, clock=lambda: world.now)


def resolve_builds(world: KojiWorld) -> int:
    work = build_work(world)
    with world.database.begin() as session:
        waiting = pending(session)
    return sum(work.resolve(item) for item in waiting)


def new_repo(world: KojiWorld) -> None:
    world.hub.new_repo("f43-build")
    for _ in range(3):
        world.later(seconds=30)


def unapplied(world: KojiWorld, name: str) -> set[tuple[str | None, str | None, int | None]]:
    with world.database.begin() as session:
        query = (
            select(UnappliedChange).join(Package, Package.id == UnappliedChange.package_id).where(Package.name == name)
        )
        return {
            (
                f"{row.prev.name}-{row.prev.version}" if row.prev else None,
                f"{row.curr.name}-{row.curr.version}" if row.curr else None,
                row.distance,
            )
            for row in session.scalars(query)
        }


def problems(world: KojiWorld, name: str) -> list[list[str]]:
    with world.database.begin() as session:
        query = (
            select(ResolutionChange)
            .join(Package, Package.id == ResolutionChange.package_id)
            .where(Package.name == name)
            .order_by(ResolutionChange.id)
        )
        return [[p.problem for p in row.problems] for row in session.scalars(query)]
