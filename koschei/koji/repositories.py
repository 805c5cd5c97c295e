"""Targets, tags, their repositories and build groups."""

from __future__ import annotations

from urllib.parse import quote

import koji

from koschei.config import KojiConfig
from koschei.koji.answers import Row, rows
from koschei.koji.records import Repo, RepoState, Target
from koschei.koji.session import KojiSession

INSTALLED_TYPES = frozenset({"mandatory", "default"})
"""Types of build group members that get installed; the others are optional."""


def target(session: KojiSession, name: str) -> Target | None:
    """The build target of that name, None if Koji has none."""
    answer = session.read("getBuildTarget", name)
    return None if answer is None else Target.from_koji("getBuildTarget", answer)


def has_tag(session: KojiSession, name: str) -> bool:
    """Whether Koji has a tag of that name."""
    return session.read("getTag", name) is not None


def newest_repo(session: KojiSession, tag: str) -> Repo | None:
    """The newest ready repository of a build tag, None if there is none. KojiRefusal for an unknown tag."""
    answer = session.read("getRepo", tag, state=int(RepoState.READY))
    return None if answer is None else Repo.from_koji("getRepo", answer)


def repo(session: KojiSession, repo_id: int) -> Repo | None:
    """The repository of that id in whatever state, None if Koji never had it."""
    answer = session.read("repoInfo", repo_id)
    return None if answer is None else Repo.from_koji("repoInfo", answer)


def build_group(session: KojiSession, tag: str, group: str, event: int) -> tuple[str, ...] | None:
    """Names that a group of a tag installs, sorted, as of an event (a repository's `create_event`).

    None if the group does not exist then. KojiRefusal for an unknown tag.
    """
    method = "getTagGroups"
    found: set[str] | None = None
    for answer in rows(method, session.read(method, tag, event=event), lambda answer: Row(method, answer)):
        if answer.text("name") != group or answer.flag("blocked"):
            continue
        members = [Row(method, member) for member in answer.list_or_none("packagelist") or ()]
        found = {
            member.text("package")
            for member in members
            if not member.flag("blocked") and member.text_or_empty("type") in INSTALLED_TYPES
        }
    return None if found is None else tuple(sorted(found))


def tag_arches(session: KojiSession, build_tag: str) -> tuple[str, ...]:
    """Architectures of a build tag as they are spelled there, inherited ones too. KojiRefusal for an unknown tag."""
    return Row("getBuildConfig", session.read("getBuildConfig", build_tag)).words("arches")


def repo_url(config: KojiConfig, tag: str, repo_id: int, arch: str) -> str:
    """Address of a repository; its folders have canonical names (i386, not i686)."""
    return f"{config.topurl.rstrip('/')}/repos/{quote(tag, safe='')}/{repo_id}/{koji.canonArch(arch)}"
