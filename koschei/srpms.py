"""Facts about source packages: from the database when we ever had them, else from Koji, and then kept for ever."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from koschei.db.engine import Database
from koschei.koji import srpms as koji_srpms
from koschei.koji.records import SrpmFacts
from koschei.koji.session import KojiSession
from koschei.model import Srpm

Nvr = tuple[str, str, str]

CHUNK = 500


def facts(database: Database, koji: KojiSession, nvrs: Iterable[Nvr]) -> dict[Nvr, SrpmFacts]:
    """Facts of each source package (name, version, release); those whose SRPM Koji does not have are absent.

    A missing SRPM is never remembered as "no BuildRequires": Koji is asked again next time.
    """
    wanted = sorted(set(nvrs))
    with database.begin() as session:
        known = stored(session, wanted)
    missing = [nvr for nvr in wanted if nvr not in known]
    for start in range(0, len(missing), CHUNK):
        answers = koji_srpms.srpm_facts(koji, missing[start : start + CHUNK])
        fetched = {nvr: found for nvr, found in answers.items() if found is not None}
        if fetched:
            with database.begin() as session:
                store(session, fetched.values())
            known.update(fetched)
    return known


def stored(session: Session, nvrs: Iterable[Nvr]) -> dict[Nvr, SrpmFacts]:
    """What the database knows."""
    wanted = list(nvrs)
    if not wanted:
        return {}
    names, versions, releases = (list(column) for column in zip(*wanted, strict=True))
    rows = session.execute(
        text("""
            SELECT s.name, s.version, s.release, s.build_requires, s.buildarchs, s.exclusivearch, s.excludearch
            FROM unnest(:names ::text[], :versions ::text[], :releases ::text[]) AS w(name, version, release)
            JOIN srpm AS s ON (s.name, s.version, s.release) = (w.name COLLATE "C", w.version, w.release)
        """),
        {"names": names, "versions": versions, "releases": releases},
    )
    return {
        (name, version, release): SrpmFacts(name, version, release, *map(tuple, lists))
        for name, version, release, *lists in rows
    }


def store(session: Session, found: Iterable[SrpmFacts]) -> None:
    """Keep facts; two processes may store the same ones at once."""
    rows = [
        {
            "name": item.name,
            "version": item.version,
            "release": item.release,
            "build_requires": list(item.build_requires),
            "buildarchs": list(item.buildarchs),
            "exclusivearch": list(item.exclusivearch),
            "excludearch": list(item.excludearch),
        }
        for item in found
    ]
    if rows:
        session.execute(insert(Srpm).on_conflict_do_nothing(), rows)
