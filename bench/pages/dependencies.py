"""Binary packages, their versions in each release, and how they changed from build to build."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from random import Random

from bench.pages.copying import NULL
from bench.pages.history import COMPLETE, FAILED, RELEASES, SPAN, Past, Present
from koschei.rules.evr import sort_key

POOL = 1 << 18
CURRENT = 0.1
"""The share of binary packages that has several versions within the span."""


@cache
def key(version: str, release: str) -> str:
    """The sort key of a version, as COPY reads it."""
    return "\\\\x" + sort_key(0, version, release).hex()


class Binaries:
    """Names of binary packages, the most depended on first, with the ids of their versions in each release."""

    def __init__(self, names: list[str], now: float, chance: Random) -> None:
        self.names = names
        self.now = now
        self._chance = chance
        self._often = [self._versions(rank) for rank in range(len(names))]
        offsets, total = [], 0
        for often in self._often:
            offsets.append(total)
            total += often
        self._offsets, self._total = offsets, total
        weights = [1 / (rank + 12) for rank in range(len(names))]
        self._pool = chance.choices(range(len(names)), weights, k=POOL)

    def _versions(self, rank: int) -> int:
        """How many versions it has within the span: what all depend on gets a new one each week."""
        return 26 if rank < 30 else 8 if rank < len(self.names) * CURRENT else 2

    def rows(self) -> Iterator[str]:
        """All versions of all binary packages, in the order of their ids."""
        number = 0
        for release in RELEASES:
            for rank, name in enumerate(self.names):
                arch = "noarch" if rank % 7 == 6 else "x86_64"
                for i in range(self._often[rank]):
                    number += 1
                    version, suffix = f"{1 + rank % 9}.{i // 4}.{i % 4}", f"{1 + rank % 5}.{release.suffix}"
                    yield f"{number}\t{name}\t0\t{version}\t{suffix}\t{arch}\t{key(version, suffix)}"

    def ids(self, rank: int, release: int) -> range:
        """The ids of its versions in a release (counted from 0), oldest first."""
        first = release * self._total + self._offsets[rank] + 1
        return range(first, first + self._often[rank])

    def change(self, rank: int, release: int, begin: float, end: float) -> str:
        """How it changed between two moments: distance and ids, as COPY reads them."""
        versions = self.ids(rank, release)
        draw = self._chance.random()
        distance = NULL if draw > 0.93 else str(1 + int(draw * 6))
        if draw < 0.04:
            return f"{distance}\t{NULL}\t{versions[-1]}"
        if draw < 0.08:
            return f"{distance}\t{versions[0]}\t{NULL}"
        old, new = self._place(versions, begin), self._place(versions, end)
        if old == new:
            old, new = (old - 1, new) if old else (old, new + 1)
        return f"{distance}\t{versions[old]}\t{versions[new]}"

    def _place(self, versions: range, moment: float) -> int:
        age = min(max((self.now - moment) / SPAN, 0.0), 0.999)
        return int((1 - age) * len(versions) * 0.999)

    def some(self, number: int) -> list[int]:
        """Different binary packages, the well known ones more often; the first of all in two of five."""
        found = dict.fromkeys([0] if self._chance.random() < 0.4 else [])
        for _ in range(2 * number):
            if len(found) >= number:
                break
            found[self._pool[int(self._chance.random() * POOL)]] = None
        return list(found)


def applied(builds: Iterable[Past], binaries: Binaries, packages: int, each: float, chance: Random) -> Iterator[str]:
    """The changes of all builds that could be compared with one before: most have few, some have hundreds."""
    for build in builds:
        if build.before is None or build.state not in (COMPLETE, FAILED):
            continue
        draw = chance.random()
        number = 0 if draw < 0.25 else 1 + int(chance.expovariate(1 / each))
        if draw > 0.99:
            number = chance.randint(50, 400)
        release = (build.package - 1) // packages
        for position, rank in enumerate(binaries.some(number) if number else ()):
            yield f"{build.id}\t{position}\t{binaries.change(rank, release, build.before, build.started)}"


def unapplied(packages: Iterable[Present], binaries: Binaries, chance: Random) -> Iterator[str]:
    """What would be installed now against the last build."""
    for package in packages:
        if package.complete is None or not package.tracked or package.blocked:
            continue
        number = int(chance.expovariate(1 / 6)) if chance.random() < 0.98 else chance.randint(100, 600)
        for rank in binaries.some(number):
            change = binaries.change(rank, package.collection - 1, package.complete.started, binaries.now)
            yield f"{package.id}\t{change}"
