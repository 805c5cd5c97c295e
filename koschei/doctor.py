"""Whether everything around Koschei is as it should be, and what to do about what is not.

It looks at more than koschei.selfcheck, which every process can run: at the login, the bus, repositories, clocks, the
disk, the settings and the services. Nothing is changed anywhere.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from fedora_messaging.config import LazyConfig
from fedora_messaging.exceptions import ConfigurationException
from sqlalchemy import text

from koschei import selfcheck, status, webhooks
from koschei.config import Config
from koschei.db.engine import Database
from koschei.depsolve.download import HttpSource
from koschei.errors import KojiRefusal, KoscheiError
from koschei.koji import repositories
from koschei.koji.session import KojiSession
from koschei.queries.collections import all_collections
from koschei.status import Health

SECONDS = 10.0
"""How long anything outside may take to answer."""
MAX_REPOMD = 16 << 20
SKEW_NOTED, SKEW_WRONG = timedelta(seconds=10), timedelta(minutes=2)
LEAST_SPACE, GOOD_SPACE = 1 << 30, 5 << 30
REMEDIES = {
    "server": "start PostgreSQL, or correct db_url or database_config",
    "revision": "do what it says; docs/operations.md, “Upgrade”, has the whole way",
    "rights": "run `koschei-admin create-db` as the owner of the tables",
    "koji": "nothing if Koji is down: the services go on by themselves. Otherwise correct koji_config.server",
    "solver": "install what dependency.engine names, or choose another one (the image has all)",
}
PULSE_REMEDIES = {
    Health.LAGGING: "look at its log and its health port; restart it if it is stuck",
    Health.FAILING: "mend what it names; it goes on by itself, and restarting it does not help",
    Health.NEVER_SEEN: "start it: `koschei-backend {}`",
}


class State(StrEnum):
    """What was found: DOUBT is nothing that stops the work, but is worth a look."""

    WELL = "ok"
    DOUBT = "doubt"
    WRONG = "wrong"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at, what was seen, and, when it is not well, what to do."""

    name: str
    state: State
    text: str
    remedy: str = ""


def findings(config: Config, now: datetime) -> Iterator[Finding]:
    """Look at everything, one thing after the other. What needs something that is not there is left out."""
    checks = selfcheck.all_checks(config)
    for check in checks:
        state = State.WELL if check.well else State.WRONG
        yield Finding(check.name, state, check.text, "" if check.well else REMEDIES[check.name])
    well = {check.name for check in checks if check.well}
    yield from _settings(config)
    yield _disk(config.directories.cachedir)
    yield _bus(config.fedmsg.config_file)
    with KojiSession(config.koji_config) as koji:
        if "koji" in well:
            yield _checked("koji login", "correct koji_config.login_method and login_args", lambda: _login(koji))
            yield _koji_clock(config)
        if "revision" in well:
            database = Database(config.database_url(), application_name="koschei-admin", pool_size=1)
            with ExitStack() as at_end:
                at_end.callback(database.dispose)
                yield _checked("database clock", "", lambda: _database_clock(database))
                yield from _services(database, config, now)
                yield from _webhooks(database)
                if "koji" in well:
                    yield from _repositories(database, koji, config)


def _checked(name: str, remedy: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except KoscheiError as error:
        return Finding(name, State.WRONG, str(error), remedy)


def _login(koji: KojiSession) -> Finding:
    name = "koji login"
    if koji.config.login_method == "logout":
        remedy = "set koji_config.login_method and login_args for the scheduler"
        return Finding(name, State.DOUBT, "no login is configured: nothing can be submitted from here", remedy)
    user = koji.read("getLoggedInUser")
    if not isinstance(user, dict):
        return Finding(name, State.WRONG, "Koji does not know who we are", "correct koji_config.login_args")
    return Finding(name, State.WELL, f"Koji knows us as {user.get('name')}")


def _settings(config: Config) -> Iterator[Finding]:
    doubts = []
    if config.bypass_login is not None:
        doubts.append(("everyone is logged in as an admin", "unset bypass_login, which is for development"))
    if config.fedmsg_publisher.enabled and config.fedmsg.config_file is None:
        doubts.append(("our events are to be sent, but there is no bus", "set fedmsg.config_file"))
    if config.koji_config.load_threshold >= 1:
        doubts.append(("Koji's load is not looked at", "set koji_config.load_threshold below 1"))
    if config.koji_config.task_timeout < config.koji_config.submit_grace:
        doubts.append(("builds are cancelled before they are found", "raise koji_config.task_timeout"))
    if config.frontend.external_url is None:
        doubts.append(("links in reports and messages have no address", "set frontend.external_url"))
    for what, remedy in doubts:
        yield Finding("settings", State.DOUBT, what, remedy)
    if not doubts:
        yield Finding("settings", State.WELL, "they make sense")


def _disk(folder: Path) -> Finding:
    remedy = f"make room for {folder}, or point directories.cachedir elsewhere; what is in it may be deleted"
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    try:
        free = shutil.disk_usage(place).free
        if folder.exists():
            with tempfile.TemporaryFile(dir=folder):
                pass
    except OSError as error:
        return Finding("disk", State.WRONG, f"{folder} cannot be used: {error}", remedy)
    seen = f"{free / (1 << 30):.1f} GiB are free for {folder}, as seen from here"
    state = State.WRONG if free < LEAST_SPACE else State.DOUBT if free < GOOD_SPACE else State.WELL
    return Finding("disk", state, seen, "" if state is State.WELL else remedy)


def _bus(config_file: Path | None) -> Finding:
    """Connects to the broker's port only: a consumer of ours would take messages from the watcher."""
    if config_file is None:
        return Finding("bus", State.WELL, "none is configured: polling sees everything, later")
    remedy = f"correct {config_file}; if the broker is down, events wait in the outbox and none is lost"
    if not config_file.is_file():
        return Finding("bus", State.WRONG, f"there is no {config_file}", "correct fedmsg.config_file")
    try:
        address = urlsplit(str(LazyConfig().load_config(str(config_file))["amqp_url"]))
        port = address.port or (5671 if address.scheme == "amqps" else 5672)
        host = address.hostname or "localhost"
        socket.create_connection((host, port), timeout=SECONDS).close()
    except (ConfigurationException, OSError, ValueError) as error:
        return Finding("bus", State.WRONG, f"the broker cannot be reached: {error}", remedy)
    return Finding("bus", State.WELL, f"the broker at {host}:{port} takes connections")


def _koji_clock(config: Config) -> Finding:
    """By the Date of an HTTP answer (RFC 9110, 6.6.1), which has whole seconds."""
    name, url = "koji clock", config.koji_config.topurl
    try:
        answer = httpx.head(url, timeout=SECONDS, headers={"User-Agent": "koschei"})
        theirs = parsedate_to_datetime(answer.headers["date"])
    except (httpx.HTTPError, httpx.InvalidURL, KeyError, ValueError) as error:
        return Finding(name, State.DOUBT, f"{url} does not tell the time: {error}", "look whether it is reachable")
    return _clock(name, theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC), "Koji")


def _database_clock(database: Database) -> Finding:
    with database.begin() as session:
        theirs = session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return _clock("database clock", theirs, "PostgreSQL")


def _clock(name: str, theirs: datetime, whose: str) -> Finding:
    skew = abs(datetime.now(UTC) - theirs)
    state = State.WELL if skew < SKEW_NOTED else State.DOUBT if skew < SKEW_WRONG else State.WRONG
    seen = f"{whose} and this machine are {skew.total_seconds():.0f} s apart"
    return Finding(name, state, seen, "" if state is State.WELL else "set the clocks by NTP")


def _services(database: Database, config: Config, now: datetime) -> Iterator[Finding]:
    with database.read() as session:
        report = status.report(session, config, now)
    for service in report.services:
        name, remedy = f"service {service.service}", PULSE_REMEDIES.get(service.health, "")
        state = State.WELL if service.health is Health.OK else State.WRONG
        seen = str(service.health) if service.error is None else f"{service.health}: {service.error}"
        yield Finding(name, state, seen, remedy.format(service.service))


def _webhooks(database: Database) -> Iterator[Finding]:
    """A receiver is somebody else's, and one that fails is no reason to call Koschei ill."""
    with database.read() as session:
        found = webhooks.summaries(session)
    for webhook in found:
        name = f"webhook {webhook.name}"
        if webhook.trouble is None or not webhook.by_itself:
            seen = webhook.remarks or f"{webhook.waiting} events wait"
            yield Finding(name, State.WELL, seen)
        else:
            enable = f"have its receiver mended; then `koschei-admin edit-webhook {webhook.name} --enable`"
            yield Finding(name, State.DOUBT, webhook.remarks, enable)


def _repositories(database: Database, koji: KojiSession, config: Config) -> Iterator[Finding]:
    with database.read() as session:
        collections = [(found.name, found.target, found.build_tag) for found in all_collections(session)]
    for collection, target, build_tag in collections:
        name = f"repository of {collection}"
        try:
            yield _repository(koji, config, name, build_tag)
        except KojiRefusal as error:
            remedy = f"is its target right? `koschei-admin edit-collection {collection} -t {target}`"
            yield Finding(name, State.WRONG, str(error), remedy)
        except KoscheiError as error:
            remedy = "correct koji_config.topurl if that is not where Koji's files are; else the next one may be good"
            yield Finding(name, State.WRONG, str(error), remedy)


def _repository(koji: KojiSession, config: Config, name: str, tag: str) -> Finding:
    newest = repositories.newest_repo(koji, tag)
    if newest is None:
        return Finding(name, State.WRONG, f"Koji has no ready repository of {tag}", f"`koji regen-repo {tag}`")
    url = repositories.repo_url(config.koji_config, tag, newest.id, config.dependency.repo_arch)
    source = HttpSource(url, timeout=SECONDS, retries=0, pause=0, stop=threading.Event())
    with tempfile.TemporaryDirectory() as folder:
        source.fetch("repodata/repomd.xml", Path(folder) / "repomd.xml", MAX_REPOMD)
    return Finding(name, State.WELL, f"repository {newest.id} of {tag} can be downloaded")
