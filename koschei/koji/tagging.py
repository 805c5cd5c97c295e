"""What is in a tag: its latest builds and its package list."""

from __future__ import annotations

from functools import partial

from koschei.koji.answers import rows
from koschei.koji.records import TaggedBuild, TaggedPackage
from koschei.koji.session import KojiSession


def latest_builds(session: KojiSession, tag: str, package: str | None = None) -> list[TaggedBuild]:
    """The latest build of each package in a tag, inherited ones too, or of one package (none if it is unknown).

    KojiRefusal for an unknown tag.
    """
    only = {} if package is None else {"package": package}
    answer = session.read("listTagged", tag, latest=True, inherit=True, **only)
    return rows("listTagged", answer, partial(TaggedBuild.from_koji, "listTagged"))


def packages(session: KojiSession, tag: str) -> list[TaggedPackage]:
    """The package list of a tag, inherited and blocked ones too. KojiRefusal for an unknown tag."""
    answer = session.read("listPackages", tagID=tag, inherited=True)
    return rows("listPackages", answer, partial(TaggedPackage.from_koji, "listPackages"))
