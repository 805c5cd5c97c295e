"""A small world for tests of operations: a hub with a few packages, one collection, and time at will."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from demo.hub import Binary, Hub, HubServer, SourcePackage, Timings
from demo.hub.rpc import REGISTRY
from koschei.config import Config
from koschei.db.engine import Database
from koschei.koji import tagging
from koschei.koji.session import KojiSession
from koschei.model import BasePackage, Build, Collection, Package
from koschei.packages import sync_package_list
from koschei.real_builds import refresh

GROUP = ("bash", "gcc")
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def source(name: str, version: str = "1", *requires: str, binaries: Sequence[Binary] | None = None) -> SourcePackage:
    """A source package that builds one binary of its own name."""
    return SourcePackage(
        name,
        version,
        "1.fc43",
        build_requires=requires,
        binaries=tuple(binaries) if binaries is not None else (Binary(name),),
    )


@dataclass
class KojiWorld:
    """Everything an operation needs; `now` is what tests call the present and move by hand."""

    hub: Hub
    server: HubServer
    database: Database
    config: Config
    koji: KojiSession
    now: datetime = NOW

    def later(self, **delta: float) -> datetime:
        """Time goes on, for the hub and for us."""
        self.now += timedelta(**delta)
        self.hub.tick()
        return self.now

    def poll(self) -> None:
        """What the polling service does about package lists and real builds."""
        with self.database.begin() as session:
            collection = session.scalars(select(Collection)).one()
        listed = tagging.packages(self.koji, collection.dest_tag)
        with self.database.begin() as session:
            sync_package_list(session, session.merge(collection), listed, now=self.now)
        with self.database.begin() as session:
            session.execute(Package.__table__.update().values(tracked=True))
        refresh(self.database, self.koji, self.config, collection, self.now)

    def package(self, name: str) -> Package:
        """The package as the database has it."""
        with self.database.begin() as session:
            found = session.scalars(select(Package).where(Package.name == name)).one()
            _ = found.collection
            return found

    def builds(self, name: str) -> list[Build]:
        """The package's builds, newest first."""
        query = (
            select(Build)
            .join(Package, Package.id == Build.package_id)
            .where(Package.name == name)
            .order_by(Build.started.desc(), Build.id.desc())
        )
        with self.database.begin() as session:
            return list(session.scalars(query))

    def set(self, name: str, **values: object) -> None:
        """Change columns of a package by hand."""
        with self.database.begin() as session:
            session.execute(Package.__table__.update().where(Package.name == name).values(**values))

    def add_package(self, name: str) -> int:
        """A tracked package without any build, of which Koji knows nothing."""
        with self.database.begin() as session:
            base = BasePackage(name=name)
            collection = session.scalars(select(Collection)).one()
            package = Package(base=base, name=name, collection=collection, tracked=True)
            session.add(package)
            session.flush()
            return package.id


def lie(patch: pytest.MonkeyPatch, method: str, answer: Callable[..., Any]) -> None:
    """Have the hub answer a call with `answer(truth, *args, **options)`, where `truth()` is the honest answer."""
    honest = REGISTRY[method]

    def told(exports: Any, *args: Any, **options: Any) -> Any:
        return answer(lambda: honest(exports, *args, **options), *args, **options)

    patch.setitem(REGISTRY, method, told)


@contextmanager
def koji_world(
    folder: Path, database_url: str, sources: Sequence[SourcePackage] = (), **koji_settings: object
) -> Iterator[KojiWorld]:
    """A world whose hub moves only when `later` is called."""
    world: list[KojiWorld] = []
    hub = Hub(
        folder / "koji",
        timings=Timings(assign=1, srpm=(2, 3), arch=(5, 6), repo=(10, 11)),
        clock=lambda: (world[0].now if world else NOW - timedelta(days=1)).timestamp(),
    )
    hub.add_user("koschei", password="koschei")
    hub.add_tag("f43", arches="x86_64")
    hub.add_tag("f43-build", arches="x86_64 i686", parents=["f43"])
    hub.add_target("f43", build_tag="f43-build", dest_tag="f43")
    hub.set_group("f43-build", "build", GROUP)
    hub.add_host("builder1", arches="x86_64 i386", capacity=4.0)
    server = HubServer(hub)
    server.start()
    settings = {
        "server": server.hub_url,
        "topurl": server.topurl,
        "login_method": "login",
        "login_args": {"user": "koschei", "password": "koschei"},
        **koji_settings,
    }
    config = Config.model_validate({"koji_config": settings, "directories": {"cachedir": str(folder / "cache")}})
    database = Database(database_url)
    koji = KojiSession(config.koji_config)
    made = KojiWorld(hub, server, database, config, koji, now=NOW - timedelta(days=1))
    world.append(made)
    try:
        for name in GROUP:
            hub.add_package("f43", name)
            hub.import_build("f43", source(name))
        first = hub.new_repo("f43-build")
        made.later(seconds=30)
        for item in sources:
            hub.add_package("f43", item.name)
            hub.import_build("f43", item, repo_id=first)
        hub.new_repo("f43-build")
        made.later(hours=23)
        with database.begin() as session:
            session.add(
                Collection(name="f43", display_name="Fedora 43", target="f43", dest_tag="f43", build_tag="f43-build")
            )
        yield made
    finally:
        koji.close()
        database.dispose()
        server.stop()
        hub.close()
