"""Runs the demo with somebody's Koji: anonymous and passive, nothing is built, everything else is live."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from demo import ending, settings
from demo.observer import Observer, Stopped
from demo.screen import Screen
from demo.settings import SERVICES, DemoError, Folder, Ports
from demo.show import STOPPED, Report, Work, signals_stop, watch
from demo.stage import Admin, Postmaster, supervised
from koschei import build_resolution, collections
from koschei import packages as operations
from koschei.audit import Actor
from koschei.config import Config, load
from koschei.db.engine import Database
from koschei.errors import ConfigError, KojiError
from koschei.koji import repositories, tagging
from koschei.koji.records import TaggedPackage
from koschei.koji.session import KojiSession
from koschei.model import Build, Collection, Environment, Package, ServiceStatus, Srpm
from koschei.queries.collections import newest_resolutions

WITHOUT_SCHEDULER = tuple(name for name in SERVICES if name != "scheduler")
PATIENCE = 6 * 3600.0
"""A distribution of tens of thousands of packages takes its time: each build is asked about once."""
ACTOR = Actor(Environment.ADMIN, "demo")


@dataclass(frozen=True)
class Koji:
    """Somebody's Koji: its hub, where its files are, and the target to watch."""

    hub: str
    topurl: str
    target: str

    @property
    def weburl(self) -> str:
        """Its pages, where Koji's own configuration has them: beside the hub."""
        parts = urlsplit(self.hub)
        return urlunsplit((parts.scheme, parts.netloc, parts.path.rsplit("/", 1)[0] + "/koji", "", ""))

    @property
    def collection(self) -> str:
        """A name for the collection, made of the target's."""
        return re.sub(r"[^A-Za-z0-9.+_-]", "-", self.target).lstrip(".+-") or "collection"


@dataclass(frozen=True)
class Wish:
    """What somebody wants to watch, and how; without `names` all packages."""

    koji: Koji
    names: tuple[str, ...]
    folder: Folder
    port: int
    once: bool


def run(koji: Koji, *, packages: Sequence[str], folder: Path, port: int, once: bool) -> int:
    """Run it; the exit status. DemoError when the Koji or what is wanted of it is not there."""
    wish = Wish(koji, tuple(packages), Folder(folder), port, once)
    with signals_stop() as stopping, Screen("Koschei, passive", plain=once) as screen:
        ended = _run(wish, screen, stopping)
    return ended.show() if isinstance(ended, Report) else ended


def _run(wish: Wish, screen: Screen, stopping: threading.Event) -> Report | int:
    koji, folder = wish.koji, wish.folder
    ports = Ports.choose(wish.port)
    with ExitStack() as opened:
        folder.take()
        opened.callback(folder.release)
        screen.tell(f"asking {koji.hub} for the target {koji.target}")
        listed = listed_packages(_settings(koji, folder, ports, "postgresql://none-yet/")[1], wish, stopping)
        screen.tell("starting PostgreSQL")
        tables, config = _settings(koji, folder, ports, opened.enter_context(Postmaster(folder, durable=False)))
        folder.write_config(tables)
        folder.write_env()
        _create(Admin(folder), wish)
        observer = Observer(config, PATIENCE, stopping)
        opened.callback(observer.close)
        count = _track(observer.database, wish, listed)
        screen.tell(f"watching {count} packages; no login, no builds, no message bus (events are queued, none is sent)")
        supervisor = supervised(folder, ports, WITHOUT_SCHEDULER, screen.tell)
        opened.callback(supervisor.stop)
        screen.tell(f"dashboard: {ports.url}")
        heading = f"Koschei, passive: {ports.url}   ({koji.hub}, {koji.target})"
        with Work(lambda: _work(observer, wish, screen, stopping)) as work:
            watch(work, screen, heading, observer, supervisor, stopping, koji.collection)
            if stopping.is_set():
                screen.tell("stopping")
                return STOPPED if wish.once else 0
            if work.error is not None:
                raise work.error
        with observer.database.read() as reading:
            return Report(ending.summary(reading, koji.collection), [])


def _settings(koji: Koji, folder: Folder, ports: Ports, database_url: str) -> tuple[dict[str, object], Config]:
    """The settings, as they are written and as Koschei understands them. DemoError for addresses that are none."""
    addresses = {"server": koji.hub, "topurl": koji.topurl, "weburl": koji.weburl}
    tables = settings.passive(folder, ports, database_url, addresses)
    folder.write_config(tables)
    try:
        return tables, load([folder.config], environ={})
    except ConfigError as error:
        folder.config.unlink()
        raise DemoError(f"This cannot be used: {error}") from error


def listed_packages(config: Config, wish: Wish, stopping: threading.Event) -> list[TaggedPackage]:
    """The package list of the tag that the target builds from.

    DemoError when Koji, the target or a named package is not there, or there is no repository to be resolved once.
    """
    koji = wish.koji
    try:
        with KojiSession(config.koji_config, anonymous=True, stop=stopping) as session:
            target = repositories.target(session, koji.target)
            if target is None:
                raise DemoError(
                    f"{koji.hub} has no target {koji.target!r}: name another with --target "
                    "(`koji list-targets` shows those there are)"
                )
            listed = tagging.packages(session, target.build_tag)
            newest = repositories.newest_repo(session, target.build_tag)
    except KojiError as error:
        raise DemoError(f"{koji.hub} cannot be used: {error}") from error
    if newest is None and wish.once:
        raise DemoError(f"{koji.hub} has no ready repository of {target.build_tag}, so there is nothing to resolve now")
    if unknown := sorted(set(wish.names) - {each.name for each in listed}):
        raise DemoError(f"{koji.target} has no packages named {', '.join(unknown)}: check --packages")
    return listed


def _create(admin: Admin, wish: Wish) -> None:
    admin(["create-db"])
    name, target = wish.koji.collection, wish.koji.target
    untracked = ["--no-poll-untracked"] if wish.names else []
    admin(["create-collection", name, "-d", target, "-t", target, *untracked])


def _track(database: Database, wish: Wish, listed: Sequence[TaggedPackage]) -> int:
    """Have the named packages looked after, or all of them; how many these are."""
    now = datetime.now(UTC)
    with database.begin() as session:
        collection = collections.by_name(session, wish.koji.collection)
        report = operations.sync_package_list(session, collection, listed, now=now, track_new=not wish.names)
        if report.refused:
            raise DemoError(report.refused)
        if wish.names:
            operations.track(session, ACTOR, collection, wish.names, now=now)
        watched = select(func.count()).select_from(Package).where(Package.tracked, ~Package.blocked)
        return session.execute(watched).scalar_one()


class Progress:
    """Whether everything that is watched was resolved in the newest repository, asked again and again."""

    def __init__(self, observer: Observer, collection: str) -> None:
        self._observer, self._collection = observer, collection
        self._polled: datetime | None = None

    def missing(self) -> list[str]:
        """What is still to be done; empty when nothing is."""
        with self._observer.database.read() as session:
            collection = collections.by_name(session, self._collection)
            waiting = self._passes(session)
            run = newest_resolutions(session, [collection]).get(collection.id)
            if run is None or run.finished is None:
                waiting.append("no repository is resolved yet")
            elif collection.latest_repo_resolved and (count := _to_be_resolved(session, collection)):
                waiting.append(f"{count} packages are to be resolved")
            if pending := build_resolution.pending(session):
                waiting.append(f"builds in {len(pending)} repositories are to be resolved")
        return waiting

    def _passes(self, session: Session) -> list[str]:
        """Polling must have seen all builds, and then the resolver must have looked."""
        services = {row.service: row for row in session.scalars(select(ServiceStatus))}
        polling, resolver = services.get("polling"), services.get("repo-resolver")
        if self._polled is None and polling is not None:
            self._polled = polling.last_success
        if self._polled is None:
            builds = session.execute(select(func.count()).select_from(Build)).scalar_one()
            return [f"builds are being registered ({builds} so far)"]
        if resolver is None or resolver.pass_started is None or resolver.last_success is None:
            return ["the resolver has not looked yet"]
        if resolver.pass_started < self._polled or resolver.last_success < resolver.pass_started:
            return ["the resolver is at work"]
        return []


def _to_be_resolved(session: Session, collection: Collection) -> int:
    """Packages whose answer is out of date; one whose source package Koji has lost gets none, now or later."""
    known = (Srpm.name == Package.name) & (Srpm.version == Build.version) & (Srpm.release == Build.release)
    query = (
        select(func.count())
        .select_from(Package)
        .join(Build, Build.id == Package.last_complete_build_id)
        .join(Srpm, known)
        .where(Package.collection_id == collection.id, Package.needs_resolution, Package.tracked, ~Package.blocked)
    )
    return session.execute(query).scalar_one()


def _work(observer: Observer, wish: Wish, screen: Screen, stopping: threading.Event) -> None:
    try:
        observer.wait(Progress(observer, wish.koji.collection).missing, "the newest repository is resolved")
    except Stopped:
        return
    screen.tell("everything that is watched is resolved in the newest repository")
    if not wish.once:
        stopping.wait()
