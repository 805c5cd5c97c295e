"""Who maintains which package: read from the distribution's source of packages, and kept as it last said.

The source is a file like Pagure's `pagure_owner_alias.json`: `{"rpms": {"package": ["user", ...], ...}, ...}`. What it
says of packages that we do not know is kept, too: they may be ours tomorrow, when the file is still the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, func, select, text
from sqlalchemy.orm import Session

from koschei.config import Config
from koschei.db.engine import Database
from koschei.downloads import Version, decode, fetch, json_tree
from koschei.errors import InvalidInputError, KoscheiError
from koschei.groups import NAME
from koschei.model import MaintainerSource, PackageMaintainer
from koschei.rules.doubt import plausible_loss
from koschei.rules.names import LONGEST_NAME

log = structlog.get_logger(__name__)

Pair = tuple[str, str]
"""A user's name, and that of a package."""

SECTION = "rpms"
CONVINCING = timedelta(days=2)
"""A source that lacks too much to be believed, and says the same for so long, is believed after all."""

DIFFERENCES = text("""
    WITH listed AS (
        SELECT l.user_name COLLATE "C" AS user_name, l.package COLLATE "C" AS package, true AS there
        FROM unnest(CAST(:users AS text[]), CAST(:packages AS text[])) AS l(user_name, package)
    ), known AS (
        SELECT user_name, package, true AS there FROM package_maintainer
    )
    SELECT user_name, package, listed.there IS NOT NULL AS new
    FROM listed FULL JOIN known USING (user_name, package)
    WHERE listed.there IS NULL OR known.there IS NULL
""")
ADD = text("""
    INSERT INTO package_maintainer (user_name, package)
    SELECT n.user_name, n.package
    FROM unnest(CAST(:users AS text[]), CAST(:packages AS text[])) AS n(user_name, package)
    ON CONFLICT DO NOTHING
""")
REMOVE = text("""
    DELETE FROM package_maintainer AS m
    USING unnest(CAST(:users AS text[]), CAST(:packages AS text[])) AS g(user_name, package)
    WHERE m.user_name = g.user_name COLLATE "C" AND m.package = g.package COLLATE "C"
""")


@dataclass(frozen=True)
class Owners:
    """What a source says; `malformed` counts what could be no name of a user or package."""

    pairs: frozenset[Pair]
    malformed: int = 0


@dataclass(frozen=True)
class Report:
    """What a look at the source led to. `error` says why its answer could not be used: then the last good one stays."""

    added: int = 0
    removed: int = 0
    malformed: int = 0
    error: str | None = None

    def detail(self) -> dict[str, Any]:
        """For the service's health port."""
        return {"error": self.error} if self.error else {"added": self.added, "removed": self.removed}


def refresh(database: Database, config: Config, now: datetime) -> Report:
    """Read the source, unless it is as it was, and store what is different; its failures are in the report.

    Without a source in the configuration, what one said before is forgotten: people's rights rest on it.
    """
    url = config.pagure.owner_alias_url
    if url is None:
        with database.begin() as session:
            return Report(removed=_forget(session))
    with database.begin() as session:
        known = _known(session, url)
    try:
        found = fetch(url, known)
        owners = None if found is None else parse(decode(found.data, url), url)
    except KoscheiError as error:
        with database.begin() as session:
            return _failed(session, url, str(error), now)
    with database.begin() as session:
        if found is None or owners is None:
            _well(session, url, known or Version(), now)
            return Report()
        return store(session, url, owners, found.version, now)


def parse(text: str, where: str) -> Owners:
    """Who maintains what. InvalidInputError when it is no such file, or hardly anything in it is a name."""
    tree = json_tree(text, where)
    packages = tree.get(SECTION) if isinstance(tree, dict) else None
    if not isinstance(packages, dict):
        raise InvalidInputError(f'{where} does not list who maintains packages: there is no "{SECTION}" in it')
    pairs: set[Pair] = set()
    malformed = 0
    for package, users in packages.items():
        if not _is_name(package) or not isinstance(users, list):
            malformed += 1
            continue
        good = [user for user in users if _is_name(user)]
        malformed += len(users) - len(good)
        pairs.update((user, package) for user in good)
    if malformed > len(pairs):
        raise InvalidInputError(f"{where} has {malformed} entries that are no names of users or packages, too many")
    return Owners(frozenset(pairs), malformed)


def store(session: Session, url: str, owners: Owners, version: Version, now: datetime) -> Report:
    """Make what is stored what the source says, if that can be believed."""
    differences = session.execute(DIFFERENCES, _arrays(owners.pairs)).all()
    added = [(row.user_name, row.package) for row in differences if row.new]
    gone = [(row.user_name, row.package) for row in differences if not row.new]
    source = _source(session, url)
    refused = _doubt(session, source, url, owners, len(gone))
    if refused is not None and not _convinced(source, bool(owners.pairs), now):
        source.refused_since = source.refused_since or now
        return _failed(session, url, refused, now)
    if added:
        session.execute(ADD, _arrays(added))
    if gone:
        session.execute(REMOVE, _arrays(gone))
    _well(session, url, version, now)
    if added or gone:
        log.info("who maintains what has changed", added=len(added), removed=len(gone), malformed=owners.malformed)
    return Report(len(added), len(gone), owners.malformed)


def _is_name(value: object) -> bool:
    return isinstance(value, str) and len(value) <= LONGEST_NAME and NAME.fullmatch(value) is not None


def _arrays(pairs: Collection[Pair]) -> dict[str, list[str]]:
    ordered = sorted(pairs)
    return {"users": [user for user, _ in ordered], "packages": [package for _, package in ordered]}


def _source(session: Session, url: str) -> MaintainerSource:
    """The row about the source, made when there is none."""
    found = session.get(MaintainerSource, 1)
    if found is None:
        found = MaintainerSource(id=1, url=url)
        session.add(found)
    return found


def _known(session: Session, url: str) -> Version | None:
    """The version of the answer that is stored; None when the source has to be read in any case."""
    found = session.get(MaintainerSource, 1)
    if found is None or found.url != url or found.last_good is None:
        return None
    return Version(found.etag, found.last_modified)


def _doubt(session: Session, source: MaintainerSource, url: str, owners: Owners, lost: int) -> str | None:
    """Why an answer is not believed; None when it is. One from another address than before may say what it will."""
    if not owners.pairs:
        return f"{url} names nobody who maintains a package; what it said before stays"
    known = session.execute(select(func.count()).select_from(PackageMaintainer)).scalar_one()
    if source.url != url or plausible_loss(lost, known):
        return None
    return (
        f"{url} lacks {lost} of {known} entries that it had, too many to be believed; what it said before stays. "
        f"It is believed when it has said so for {CONVINCING.days} days"
    )


def _convinced(source: MaintainerSource, anybody: bool, now: datetime) -> bool:
    return anybody and source.refused_since is not None and now - source.refused_since >= CONVINCING


def _well(session: Session, url: str, version: Version, now: datetime) -> None:
    source = _source(session, url)
    if source.error is not None:
        log.info("who maintains what can be read again", url=url)
    source.url, source.last_good = url, now
    source.etag, source.last_modified = version.etag, version.last_modified
    source.error = source.error_since = source.refused_since = None


def _failed(session: Session, url: str, error: str, now: datetime) -> Report:
    """Note it, and say it in the log once. The address and version stay those of what is stored."""
    source = _source(session, url)
    if source.error != error:
        log.warning("who maintains what cannot be read; what was known stays", error=error)
    source.error, source.error_since = error, source.error_since or now
    return Report(error=error)


def _forget(session: Session) -> int:
    if session.get(MaintainerSource, 1) is None:
        return 0
    gone = session.execute(delete(PackageMaintainer)).rowcount  # type: ignore[attr-defined]
    session.execute(delete(MaintainerSource))
    log.info("who maintains what is forgotten: pagure.owner_alias_url is not set any more", removed=gone)
    return int(gone)
