"""The world the demo starts with: a hub that has built the sample distribution over the last weeks.

What happened before the demo is told to the hub with its clock set back, so that builds, tasks, tags and repositories
have the times they would have.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from pathlib import Path

from demo.distribution import ARCHES, Distribution
from demo.hub import Hub, SourcePackage, Timings

TAG, BUILD_TAG, TARGET = "f43", "f43-build", "f43"
USER, PASSWORD = "koschei", "koschei"
TICK = 0.05
# Packages whose last build is so old that time alone has them built again, by age in days.
OLD = {
    "jq": 9,
    "tree": 41,
    "perl-Test-Taint": 30,
    "ocaml-seq": 22,
    "rust-cfg-if": 17,
    "gnuplot": 12,
    "python-six": 15,
    "texlive-base": 26,
    "inkscape": 10,
    "strace": 8,
}
# Packages that were built anew in the first repository, some hours before the demo.
UPDATED = ("tmux", "nano", "htop", "perl-Moose", "python-sphinx", "ocaml-lwt", "rust-clap", "nmap", "lmdb", "gedit")


class HistoryClock:
    """Time that can be set back while the past is told. Calling it gives seconds since 1970."""

    def __init__(self) -> None:
        self.back = 0.0

    def __call__(self) -> float:
        return time.time() - self.back


class World:
    """The hub, its clock and what is built in it. `close` stops its time."""

    def __init__(self, topdir: Path, distribution: Distribution, timings: Timings, seed: int = 43) -> None:
        self.clock = HistoryClock()
        self.distribution = distribution
        self.hub = Hub(topdir, timings=timings, seed=seed, clock=self.clock)
        self.current: dict[str, SourcePackage] = {}
        self._releases: dict[tuple[str, str], int] = {}
        self._stopped = threading.Event()
        self._ticker = threading.Thread(target=self._tick, name="hub-time", daemon=True)

    def build(self) -> None:
        """Tell the hub what happened so far; afterwards its time goes on by itself."""
        hub, distribution = self.hub, self.distribution
        self.clock.back = 86400 * 60
        hub.add_user(USER, PASSWORD)
        hub.add_user("maintainer", "maintainer")
        for number in range(1, 5):
            hub.add_host(f"builder{number}.example.org", arches=" ".join(ARCHES), capacity=12.0)
        hub.add_tag(TAG)
        hub.add_tag(BUILD_TAG, arches=" ".join(ARCHES), parents=[TAG])
        hub.add_target(TARGET, build_tag=BUILD_TAG, dest_tag=TAG)
        hub.set_group(BUILD_TAG, "build", distribution.build_group)
        # The first builds were made in a repository of their predecessors, which nobody remembers: it is the next one.
        ages = {
            source.name: 86400.0 * OLD.get(source.name, 0) or self._young(source.name) for source in self._sources()
        }
        for source in sorted(self._sources(), key=lambda source: -ages[source.name]):
            self.clock.back = ages[source.name]
            hub.import_build(TAG, source, repo_id=1, announce=False)
            self.current[source.name] = source
        self.clock.back = 3600 * 6.5
        first = hub.new_repo(BUILD_TAG, wait=True)
        if first != 1:
            raise RuntimeError(f"the first repository has the number {first}, but builds say they were made in 1")
        for number, name in enumerate(UPDATED):
            self.clock.back = 3600 * 6 - 600 * number
            self.update(name, repo_id=first)
        for name in distribution.blocked:
            hub.block_package(TAG, name)
        self.clock.back = 1800
        hub.new_repo(BUILD_TAG, wait=True)
        self.clock.back = 0
        self._ticker.start()

    def _sources(self) -> tuple[SourcePackage, ...]:
        return self.distribution.sources

    def _young(self, name: str) -> float:
        return 3600 * self.distribution.age_hours[name]

    def update(self, name: str, repo_id: int | None = None, **changes: object) -> SourcePackage:
        """A new official build of the package, finished at once; by default of the next release of the same source."""
        source = self.next_release(name, **changes)
        self.hub.import_build(TAG, source, repo_id=repo_id, announce=False)
        self.current[name] = source
        return source

    def next_release(self, name: str, **changes: object) -> SourcePackage:
        """The package's source with these changes; with a new version release 1, else the next release."""
        source = self.current[name]
        number, _, dist = source.release.partition(".")
        # Behind what was ever built, tagged still or not: no two builds have one name.
        key = (name, str(changes.get("version", source.version)))
        used = self._releases.get(key, 0 if "version" in changes else int(number))
        self._releases[key] = used + 1
        release = f"{used + 1}.{dist}"
        return dataclasses.replace(source, release=release, **changes)  # type: ignore[arg-type]

    def _tick(self) -> None:
        while not self._stopped.wait(TICK):
            self.hub.tick()

    def close(self) -> None:
        """Time stops."""
        self._stopped.set()
        if self._ticker.is_alive():
            self._ticker.join()
        self.hub.close()
