"""Source packages: their BuildRequires, architecture headers, and where Koji keeps the file."""

from __future__ import annotations

from collections.abc import Sequence

import koji
import structlog

from koschei.config import KojiConfig
from koschei.errors import KojiOutage, KojiRefusal
from koschei.koji.answers import Row, nonsense, rows
from koschei.koji.records import SrpmFacts, TaggedBuild
from koschei.koji.session import Call, KojiSession

log = structlog.get_logger(__name__)

Nvr = tuple[str, str, str]
"""Name, version and release."""

ARCH_HEADERS = ("BUILDARCHS", "EXCLUDEARCH", "EXCLUSIVEARCH")
FIND_REQUIRES = 1 << 14
"""RPMSENSE_FIND_REQUIRES: found by a script instead of written in the spec file."""
OPERATORS = ((koji.RPMSENSE_LESS, "<"), (koji.RPMSENSE_GREATER, ">"), (koji.RPMSENSE_EQUAL, "="))
COMPARISON = koji.RPMSENSE_LESS | koji.RPMSENSE_GREATER | koji.RPMSENSE_EQUAL


def srpm_facts(session: KojiSession, nvrs: Sequence[Nvr]) -> dict[Nvr, SrpmFacts | None]:
    """The facts of each source package; None where Koji does not have it (any more).

    A source package about which Koji gives no sensible answer is left out, and logged: ask again later.
    """
    calls = []
    for name, version, release in nvrs:
        nvra = {"name": name, "version": version, "release": release, "arch": "src"}
        calls.append(Call("getRPMDeps", (nvra, koji.DEP_REQUIRE)))
        calls.append(Call("getRPMHeaders", kwargs={"rpmID": nvra, "headers": list(ARCH_HEADERS)}))
    answers = session.multicall(calls)
    facts: dict[Nvr, SrpmFacts | None] = {}
    for nvr, requires, headers in zip(nvrs, answers[::2], answers[1::2], strict=True):
        try:
            facts[nvr] = _facts(nvr, requires, headers)
        except (KojiRefusal, KojiOutage) as error:
            log.warning("Koji does not tell about a source package", srpm="-".join(nvr), reason=str(error))
    return facts


def _facts(nvr: Nvr, requires: object, headers: object) -> SrpmFacts | None:
    for answer in (requires, headers):
        if isinstance(answer, KojiRefusal):
            raise answer
    dependencies = rows("getRPMDeps", requires, lambda answer: Row("getRPMDeps", answer))
    header = Row("getRPMHeaders", headers)
    # Every source package requires some rpmlib() feature, so without requirements it is missing
    if not dependencies or not headers:
        return None
    name, version, release = nvr
    texts = (requirement(row.text("name"), row.flags("flags"), row.text_or_empty("version")) for row in dependencies)
    return SrpmFacts(
        name,
        version,
        release,
        build_requires=tuple(dict.fromkeys(text for text in texts if text is not None)),
        buildarchs=header.texts("BUILDARCHS"),
        exclusivearch=header.texts("EXCLUSIVEARCH"),
        excludearch=header.texts("EXCLUDEARCH"),
    )


def requirement(name: str, flags: int, version: str) -> str | None:
    """A BuildRequires as text, None for those on RPM itself (`rpmlib(...)`)."""
    if flags & ~FIND_REQUIRES & ~COMPARISON:
        return None
    operator = "".join(sign for bit, sign in OPERATORS if flags & bit)
    return f"{name} {operator} {version}" if operator and version else name


def source_path(session: KojiSession, config: KojiConfig, build: TaggedBuild) -> str | None:
    """Path of a build's source package as `build` takes it (relative to Koji's work folder); None if it has none."""
    method = "listRPMs"
    answer = session.read(method, buildID=build.build_id, arches="src")
    sources = [row for row in rows(method, answer, lambda row: Row(method, row)) if row.text("arch") == "src"]
    if not sources:
        return None
    first = min(sources, key=lambda row: row.number("id"))
    rpm = {part: first.text(part) for part in ("name", "version", "release", "arch")}
    folder = {"name": build.name, "version": build.version, "release": build.release, "volume_name": build.volume}
    for part in (*rpm.values(), *folder.values()):
        if "/" in part or part in (".", ".."):
            raise nonsense(method, "part of a path", part)
    paths = koji.PathInfo(topdir=config.srpm_relative_path_root)
    return f"{paths.build(folder)}/{paths.rpm(rpm)}"
