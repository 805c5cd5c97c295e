"""What happened to the packages of a distribution: builds in the order in which they were started, and states."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from koschei.rules.states import BuildState

DAY = 86400.0
SPAN = 180 * DAY
"""How far back builds go, in seconds."""

RUNNING, COMPLETE, CANCELED, FAILED, SPOILED = (
    int(state)
    for state in (
        BuildState.RUNNING,
        BuildState.COMPLETE,
        BuildState.CANCELED,
        BuildState.FAILED,
        BuildState.SPOILED,
    )
)


@dataclass(frozen=True)
class Release:
    """A collection, the share of all builds that it has, and how its packages' releases end."""

    name: str
    title: str
    order: int
    share: float
    suffix: str


RELEASES = (
    Release("f45", "Fedora Rawhide", 150, 0.34, "fc45"),
    Release("f44", "Fedora 44", 144, 0.22, "fc44"),
    Release("f43", "Fedora 43", 143, 0.2, "fc43"),
    Release("eln", "Fedora ELN", 120, 0.14, "eln"),
    Release("f42", "Fedora 42", 100, 0.1, "fc42"),
)


@dataclass(frozen=True)
class Sizes:
    """How much there is of everything."""

    packages: int = 24_000
    builds: int = 1_000_000
    changes_each: float = 5.0
    binaries: int = 75_000
    people: int = 3_000
    groups: int = 300
    groups_of_people: int = 1_000
    log_entries: int = 500_000

    def scaled(self, factor: float) -> Sizes:
        """The same distribution, smaller."""
        numbers = {name: max(20, int(value * factor)) for name, value in vars(self).items() if name != "changes_each"}
        return Sizes(**{**numbers, "changes_each": self.changes_each})  # type: ignore[arg-type]


@dataclass(slots=True)
class Past:
    """A build; `before`: when the build that it is compared with was started, None if there is none."""

    started: float
    package: int
    state: int
    real: bool
    version: int
    before: float | None
    id: int = 0

    @property
    def finished(self) -> float:
        """When it ended; derived, so that the same build always takes the same time."""
        return self.started + 240 + self.id * 7919 % 9000


@dataclass(slots=True)
class Present:
    """A package in a collection, as its history left it."""

    id: int
    base: int
    collection: int
    tracked: bool = True
    blocked: bool = False
    resolved: bool | None = True
    last: Past | None = None
    complete: Past | None = None
    running: Past | None = None
    since: float = 0.0
    moves: list[tuple[float, str, str, Past | None]] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The state rule, as far as histories go here."""
        if self.blocked or not self.tracked:
            return "blocked" if self.blocked else "untracked"
        if self.resolved is False:
            return "unresolved"
        if self.complete is None:
            return "unknown"
        return "ok" if self.complete.state == COMPLETE else "failing"


def happened(sizes: Sizes, now: float, chance: Random) -> tuple[list[Present], list[Past]]:
    """The packages of all collections, by id, and all builds, in the order of their ids."""
    packages: list[Present] = []
    weights: list[float] = []
    for number, release in enumerate(RELEASES):
        for base in range(1, sizes.packages + 1):
            packages.append(Present(len(packages) + 1, base, number + 1))
            # The kernel, which everybody likes to rebuild, has hundreds of builds; most packages have about eight.
            popularity = 60.0 if base == 3 else 8.0 if base <= 45 else 0.3 + chance.lognormvariate(-0.4, 0.5)
            weights.append(release.share * popularity)
    scale = sizes.builds / sum(weights)
    builds: list[Past] = []
    for package, weight in zip(packages, weights, strict=True):
        draw = chance.random()
        package.tracked, package.blocked = not 0.015 < draw < 0.04, draw < 0.015
        number = max(1, round(weight * scale)) if draw > 0.002 else 0
        builds += _builds(package, number, now, chance)
    builds.sort(key=lambda build: build.started)
    for number, build in enumerate(builds, 1):
        build.id = number
    for package in packages:
        _moves(package, now, chance)
    return packages, builds


def _builds(package: Present, number: int, now: float, chance: Random) -> list[Past]:
    """The builds of a package: failures come in rows."""
    found: list[Past] = []
    failing, version, before = chance.random() < 0.05, chance.randint(1, 300), None
    for moment in sorted(now - 4 * 3600 - SPAN * chance.random() for _ in range(number)):
        draw = chance.random()
        real = draw < 0.1 and not failing
        version += real
        failing = (draw > 0.3) if failing else (draw > 0.98)
        state = CANCELED if 0.1 < draw < 0.11 else SPOILED if 0.11 < draw < 0.12 else FAILED if failing else COMPLETE
        build = Past(moment, package.id, state, real, version, before)
        found.append(build)
        if state in (COMPLETE, FAILED):
            became = "failing" if failing else "ok"
            was = "unknown" if package.complete is None else "ok" if package.complete.state == COMPLETE else "failing"
            if was != became:
                package.moves.append((moment + 3600, was, became, build))
            package.complete, before = build, moment
    package.last = package.complete
    if found and chance.random() < 0.0005 and package.tracked and not package.blocked:
        package.running = package.last = Past(
            now - 3 * 3600 * chance.random(), package.id, RUNNING, False, version, None
        )
        found.append(package.running)
    return found


def _moves(package: Present, now: float, chance: Random) -> None:
    """Some packages become unresolved, and most of them resolved again."""
    if package.complete is not None and chance.random() < 0.08:
        base = package.state
        begin = max(now - SPAN * chance.random(), package.complete.started + 4000)
        if begin < now:
            package.moves.append((begin, base, "unresolved", None))
            package.resolved = False
            end = begin + 20 * DAY * chance.random()
            if end < now:
                package.moves.append((end, "unresolved", base, None))
                package.resolved = True
    if package.blocked or not package.tracked:
        package.resolved = None
    package.since = package.moves[-1][0] if package.moves else now - SPAN
