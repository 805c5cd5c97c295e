"""What goes on when the story has been told: believable events, one after another, for as long as somebody watches."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

from demo import cast
from demo.cast import GIT_ERROR
from demo.distribution import Distribution
from demo.hub import Outcome, SourcePackage
from demo.hub.repos import EXPIRED, INIT, READY
from demo.observer import COLLECTION, Stopped
from demo.outcomes import Breakage
from demo.settings import DemoError
from demo.story import MANUAL_PRIORITY, Story, renewed
from demo.world import BUILD_TAG, TAG, TARGET

BETWEEN_SECONDS = (6.0, 20.0)
OUTAGE_SECONDS = 20.0
MOST_BROKEN = 12
MISFORTUNES = {
    "infra": "the builder's disk is full",
    "canceled": "somebody else cancels it",
    "lock": "Koji cannot lock the build tag",
    "freed": "the builder restarts in the middle",
}
KEPT_REPOSITORIES = 12
TOOLCHAIN = ("glibc", "gcc", "binutils", "perl", "python3.14", "rpm", "make", "bash", cast.BASE)
"""Not touched: each new one has everything built again, and nobody would see anything else."""


class LiveStory:
    """Goes on with a world whose story has been told."""

    def __init__(self, story: Story, tell: Callable[[str], None], stopping: threading.Event, seed: int = 43) -> None:
        self._story, self._tell, self._stopping = story, tell, stopping
        self._world, self._hub = story.world, story.hub
        self._rng = random.Random(seed)
        self._broken: dict[str, str] = {}
        self._retired: list[str] = []

    def run(self) -> None:
        """Until stopped: something happens, Koji makes a repository when something was tagged, and a while passes."""
        while not self._stopping.wait(self._rng.uniform(*BETWEEN_SECONDS)):
            event = self._rng.choices(
                [
                    self.new_version,
                    self.breaks,
                    self.fixed,
                    self.misfortune,
                    self.wish,
                    self.retired,
                    self.base,
                    self.outage,
                ],
                weights=[8, 6, 4, 2, 2, 1, 0.3, 0.4],
            )[0]
            self._story.title = event.__name__.replace("_", " ")
            try:
                event()
            except Stopped:
                return
            except DemoError as error:
                self._tell(f"could not be carried out: {error}")
            self._repository()

    def new_version(self) -> None:
        """A maintainer builds a new version of something."""
        self._build(self._somebody())

    def breaks(self) -> None:
        """A new version of a library or module breaks one or two of the packages that are built with it."""
        if len(self._broken) >= MOST_BROKEN:
            self.fixed()
            return
        name = self._somebody()
        built = {binary.name for binary in self._world.current[name].binaries}
        victims = [
            source
            for source in self._world.current.values()
            if source.name != name
            and source.name not in self._broken
            and self._uses(source.build_requires, built, name)
        ]
        new = self._next(name)
        for source in self._rng.sample(victims, min(len(victims), self._rng.randint(1, 2))):
            self._broken[source.name] = source.nvr
            log = GIT_ERROR.replace("git_repository_init_ext", f"{name.replace('-', '_')}_init")
            self._story.outcomes.breaks(Breakage(source.nvr, log, name, frozenset({new.nvr})))
        self._build(name, new)

    def fixed(self) -> None:
        """A maintainer fixes what is broken."""
        if not self._broken:
            return
        name = self._rng.choice(sorted(self._broken))
        del self._broken[name]
        self._tell(f"{name} gets a patch")
        self._build(name, self._world.next_release(name))

    def misfortune(self) -> None:
        """Koji spoils a build of something, or gives it back."""
        name = self._somebody()
        kind = self._rng.choice(list(MISFORTUNES))
        self._tell(f"somebody asks for a build of {name}; {MISFORTUNES[kind]}")
        self._story.outcomes.next_build(name, Outcome(kind))
        self._story.admin("set-priority", "--collection", COLLECTION, name, MANUAL_PRIORITY)

    def wish(self) -> None:
        """Somebody wants something built, and it takes long."""
        name = self._somebody()
        self._tell(f"somebody asks for a build of {name}; it takes long")
        self._story.outcomes.next_build(name, Outcome(duration=45.0))
        self._story.admin("set-priority", "--collection", COLLECTION, name, MANUAL_PRIORITY)

    def retired(self) -> None:
        """A package is retired, or comes back."""
        if self._retired:
            name = self._retired.pop()
            self._tell(f"{name} comes back")
            self._hub.unblock_package(TAG, name)
            return
        name = self._somebody()
        self._tell(f"{name} is retired")
        self._retired.append(name)
        self._hub.block_package(TAG, name)

    def base(self) -> None:
        """The base buildroot breaksand is mended after a while."""
        self._tell(f"{cast.BASE} breaks every buildroot")
        self._story.break_base()
        self._repository()
        self._stopping.wait(BETWEEN_SECONDS[1])
        self._tell(f"{cast.BASE} is untagged")
        self._story.mend_base()

    def outage(self) -> None:
        """Koji is away for a while."""
        self._tell(f"Koji is offline for {OUTAGE_SECONDS:g} seconds")
        self._hub.faults.offline("Koji is being updated")
        self._stopping.wait(OUTAGE_SECONDS)
        self._hub.faults.clear()
        self._tell("Koji is back")

    # what events are made of

    def _somebody(self) -> str:
        distribution: Distribution = self._world.distribution
        left_out = {*TOOLCHAIN, *self._broken, *self._retired, cast.REMOVED, cast.REPLACEMENT, *cast.STAY_UNRESOLVED}
        left_out |= {*cast.BROKEN_BY_LIBRARY, *cast.ALWAYS_FAILS}
        return self._rng.choice([name for name in distribution.tracked if name not in left_out])

    @staticmethod
    def _uses(build_requires: tuple[str, ...], built: set[str], name: str) -> bool:
        words = {word.strip("()") for wish in build_requires for word in wish.split()}
        return bool(words & built) or f"pkgconfig({name}" in words

    def _next(self, name: str) -> SourcePackage:
        first, _, rest = self._world.current[name].version.rpartition(".")
        digits = "".join(char for char in rest if char.isdigit()) or "0"
        version = f"{first}.{int(digits) + 1}" if first else str(int(digits) + 1)
        return renewed(self._world, name, version)

    def _build(self, name: str, source: SourcePackage | None = None) -> None:
        new = source or self._next(name)
        self._story.maintainer_builds(new)

    def _repository(self) -> None:
        """A new repository of what changed, and old ones forgotten as Koji does."""
        with self._hub.locked():
            tag = self._hub.tag(BUILD_TAG)
            newest = self._hub.repos.newest(tag.id, READY)
            in_making = any(repo.state == INIT for repo in self._hub.repos)
            changed = newest is None or self._hub.world.last_change(tag.id) > newest.create_event
            ready = [repo for repo in self._hub.repos if repo.state == READY]
            expired = [repo for repo in self._hub.repos if repo.state == EXPIRED]
            for repo in ready[:-3]:
                self._hub.expire_repo(repo.id)
            for repo in expired[:-KEPT_REPOSITORIES]:
                self._hub.delete_repo(repo.id)
        if changed and not in_making:
            self._tell(f"Koji makes repository {self._hub.new_repo(BUILD_TAG)} of {TARGET}")
