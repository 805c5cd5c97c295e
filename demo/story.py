"""The story that the demo tells its Koji: each step waits until Koschei has digested the one before.

What happens, to whom, and how it ends is in demo/cast.py.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from demo import cast
from demo.hub import Binary, Outcome, SourcePackage, Timings
from demo.observer import COLLECTION, Observer, koji_facts
from demo.outcomes import Breakage, Outcomes
from demo.settings import DemoError
from demo.world import BUILD_TAG, TAG, TARGET, World

QUICK = Timings(assign=0.1, srpm=(0.1, 0.4), arch=(0.3, 1.2), repo=(0.3, 0.8))
"""For `--once`; whoever watches gets LEISURELY."""
LEISURELY = Timings(assign=0.5, srpm=(1.0, 3.0), arch=(3.0, 12.0), repo=(3.0, 8.0))
SLOW_FACTOR = 6
MANUAL_PRIORITY = "1000"

RunAdmin = Callable[[Sequence[str]], str]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Step:
    """One step: what it is called, and what it does."""

    title: str
    act: Callable[[], None]


class Story:
    """The steps, in a world, seen by an observer. `admin` runs koschei-admin with arguments; `tell` is for people."""

    def __init__(self, world: World, observer: Observer, admin: RunAdmin, tell: Tell) -> None:
        self.world, self.hub, self.observer = world, world.hub, observer
        self._admin, self._tell = admin, tell
        self.title = ""
        self.outcomes = Outcomes()
        self.hub.outcome = self.outcomes
        for name, (arch, log) in cast.ALWAYS_FAILS.items():
            self.outcomes.breaks(Breakage(world.current[name].nvr, log, arch=arch))

    def steps(self) -> list[Step]:
        """All steps in order."""
        return [
            Step("the first repository", self.first_repository),
            Step(f"{cast.LIBRARY} {cast.LIBRARY_VERSION} breaks some of its dependents", self.library_bump),
            Step(f"{cast.REMOVED} is retired", self.removal),
            Step("a fault in Koji, a cancelled task, a slow builder and a maintainer's own build", self.misfortunes),
            Step("maintainers fix what they can", self.fixes),
            Step(f"{cast.BASE} breaks every buildroot", self.base_breaks),
            Step("the buildroot is mended", self.base_mended),
        ]

    def run(self) -> None:
        """Tell it all. Raises Stalled, which names the step and what was missing, and Stopped."""
        steps = self.steps()
        for number, step in enumerate(steps, 1):
            self._tell(f"[{number}/{len(steps)}] {step.title}")
            self.title = step.title
            step.act()

    # what steps are made of

    def digest(self, *, base_broken: bool = False) -> None:
        """Wait until Koschei has dealt with all that Koji has."""
        self.observer.wait_until_digested(self.hub, self.title, base_broken=base_broken)

    def new_repository(self) -> int:
        """Have Koji make a repository of what is tagged now."""
        repo_id = self.hub.new_repo(BUILD_TAG)
        self.observer.wait(
            lambda: ["Koji makes a repository"] if koji_facts(self.hub).repos_in_making else [], self.title
        )
        self._tell(f"Koji has made repository {repo_id}")
        return repo_id

    def admin(self, *arguments: str) -> None:
        """Run koschei-admin."""
        self._admin(arguments)

    def maintainer_builds(self, *sources: SourcePackage) -> None:
        """Maintainers build these sources in Koji, all at once; done when they are tagged."""
        tasks = {}
        for source in sources:
            self._tell(f"a maintainer builds {source.nvr}")
            tasks[source.nvr] = self.hub.start_build(TARGET, source)
        self.observer.wait(
            lambda: [f"Koji builds {nvr}" for nvr, task_id in tasks.items() if not self.hub.tasks[task_id].finished],
            self.title,
        )
        for nvr, task_id in tasks.items():
            fault = self.hub.tasks[task_id].fault
            if fault is not None:
                raise DemoError(f"The maintainer's build of {nvr} was to succeed, but: {fault.faultString}")
        for source in sources:
            self.world.current[source.name] = source

    # the steps

    def first_repository(self) -> None:
        """Koschei finds the packages and is told which ones to look after; the oldest get their builds."""
        listed = koji_facts(self.hub).listed
        self.observer.wait(
            lambda: [f"{n} packages are not known yet" for n in [len(listed - self.observer.known_packages())] if n],
            self.title,
        )
        self.admin("add-pkg", "--collection", COLLECTION, *self.world.distribution.tracked)
        self.digest()

    def library_bump(self) -> None:
        """A library gets a new version, with which some of its dependents cannot be built any more."""
        source = renewed(self.world, cast.LIBRARY, cast.LIBRARY_VERSION)
        for name in cast.BROKEN_BY_LIBRARY:
            nvr = self.world.current[name].nvr
            self.outcomes.breaks(Breakage(nvr, cast.GIT_ERROR, cast.LIBRARY, frozenset({source.nvr})))
        self.maintainer_builds(source)
        self.new_repository()
        self.digest()

    def removal(self) -> None:
        """A package that others need to be built is retired."""
        self.hub.block_package(TAG, cast.REMOVED)
        self.new_repository()
        self.digest()

    def misfortunes(self) -> None:
        """People ask for builds; two are spoiled and tried again, one takes long. A maintainer builds a new version."""
        slow = self.hub.timings.arch[1] * SLOW_FACTOR
        self.outcomes.next_build(cast.SPOILED, Outcome("infra"))
        self.outcomes.next_build(cast.CANCELED, Outcome("canceled"))
        self.outcomes.next_build(cast.SLOW, Outcome(duration=slow))
        asked_for = (cast.SPOILED, cast.CANCELED, cast.SLOW)
        self.admin("set-priority", "--collection", COLLECTION, *asked_for, MANUAL_PRIORITY)
        self._tell(f"somebody asks for builds of {', '.join(asked_for)}")
        self.maintainer_builds(renewed(self.world, cast.OWN_BUILD, cast.OWN_VERSION))
        self.new_repository()
        self.observer.wait(
            lambda: [f"no build of {name} was begun" for name in asked_for if not self.outcomes.happened(name)],
            self.title,
        )
        self.digest()

    def fixes(self) -> None:
        """Some dependents are fixed, one does without what was removed, and something else provides it for others."""
        self.hub.add_package(TAG, cast.REPLACEMENT)
        fixed = [
            renewed(self.world, name, version) if version else self.world.next_release(name)
            for name, version in cast.FIXED_AFTER_LIBRARY.items()
        ]
        without = tuple(
            wish for wish in self.world.current[cast.DROPS_REMOVED].build_requires if "python3-nose" not in wish
        )
        fixed.append(self.world.next_release(cast.DROPS_REMOVED, build_requires=without))
        self.maintainer_builds(*fixed, replacement(self.world))
        self.new_repository()
        self.observer.wait(
            lambda: [f"{n} is not known yet" for n in {cast.REPLACEMENT} - self.observer.known_packages()], self.title
        )
        self.admin("add-pkg", "--collection", COLLECTION, cast.REPLACEMENT)
        self.digest()

    def base_breaks(self) -> None:
        """A package of the build group needs something that is not there: nothing can be built."""
        self.break_base()
        self.new_repository()
        self.digest(base_broken=True)

    def break_base(self) -> None:
        """A maintainer builds it so."""
        source = self.world.current[cast.BASE]
        first = dataclasses.replace(source.binaries[0], requires=(*source.binaries[0].requires, cast.BASE_NEEDS))
        self.maintainer_builds(self.world.next_release(cast.BASE, binaries=(first, *source.binaries[1:])))

    def base_mended(self) -> None:
        """The broken package is untagged."""
        self.mend_base()
        self.new_repository()
        self.digest()

    def mend_base(self) -> None:
        """Koji goes back to the build before."""
        self.hub.untag_build(TAG, self.world.current[cast.BASE].nvr)
        tagged = self.hub.world.tagged_builds(self.hub.tag(TAG).id, latest=True)
        before = next(build.source for build, _, _ in tagged if build.source.name == cast.BASE)
        self.world.current[cast.BASE] = before


def renewed(world: World, name: str, version: str) -> SourcePackage:
    """The package in a new version; what it provides in the old version, it provides in the new one."""
    old = world.current[name]

    def new(binary: Binary) -> Binary:
        provides = tuple(each.replace(f"= {old.version}", f"= {version}") for each in binary.provides)
        return dataclasses.replace(binary, provides=provides)

    binaries = tuple(new(binary) for binary in old.binaries)
    return world.next_release(name, version=version, binaries=binaries)


def replacement(world: World) -> SourcePackage:
    """The package that takes the place of the removed one, for those that need nothing but its name."""
    version, old = cast.REPLACEMENT_VERSION, world.current[cast.REMOVED]
    built = f"python3-{cast.REPLACEMENT.removeprefix('python-')}"
    binary = Binary(
        built,
        arch="noarch",
        requires=("python(abi) = 3.14",),
        provides=(f"python3-nose = {version}", f"python3dist(pynose) = {version}"),
        obsoletes=("python3-nose < 1.4",),
    )
    release = f"1.{old.release.partition('.')[2]}"
    build_requires = ("python3-devel", "python3-setuptools")
    return SourcePackage(
        cast.REPLACEMENT, version, release, build_requires=build_requires, build_archs=("noarch",), binaries=(binary,)
    )
