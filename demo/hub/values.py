"""What the stand-in is told about the world: source packages and their binaries, timings, and how builds end.

These are plain frozen values. A `SourcePackage` stands for a spec file: everything the hub says about an SRPM, its
RPMs and the repository metadata made of them is derived from it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Binary:
    """A binary package. `arch` is 'noarch', or anything else for "built on every architecture of the build".

    Dependencies are written as in a spec file: 'name', 'name >= 1:2-3', '/usr/bin/x', '(a or b)'. A provide of the
    package's own name and EVR is added by itself.
    """

    name: str
    arch: str = "x86_64"
    version: str | None = None
    requires: tuple[str, ...] = ()
    provides: tuple[str, ...] = ()
    conflicts: tuple[str, ...] = ()
    obsoletes: tuple[str, ...] = ()
    recommends: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    summary: str | None = None


@dataclass(frozen=True)
class SourcePackage:
    """A source package of one version, with the binaries it builds into. Without binaries it builds nothing."""

    name: str
    version: str
    release: str
    epoch: int | None = None
    build_requires: tuple[str, ...] = ()
    build_archs: tuple[str, ...] = ()
    exclusive_arch: tuple[str, ...] = ()
    exclude_arch: tuple[str, ...] = ()
    binaries: tuple[Binary, ...] = ()
    summary: str | None = None

    @property
    def nvr(self) -> str:
        return f"{self.name}-{self.version}-{self.release}"

    @property
    def evr(self) -> str:
        """EVR as RPM writes it; the epoch only where there is one."""
        return f"{self.epoch}:{self.version}-{self.release}" if self.epoch else f"{self.version}-{self.release}"

    @property
    def srpm(self) -> str:
        """File name of the source RPM."""
        return f"{self.nvr}.src.rpm"


@dataclass(frozen=True)
class Timings:
    """How long things take, in seconds; pairs are drawn from evenly. The defaults suit a demo."""

    assign: float = 1.0
    srpm: tuple[float, float] = (2.0, 5.0)
    arch: tuple[float, float] = (5.0, 20.0)
    repo: tuple[float, float] = (10.0, 60.0)

    @classmethod
    def quick(cls) -> Timings:
        """For tests that wait on the wall clock."""
        return cls(assign=0.01, srpm=(0.01, 0.02), arch=(0.02, 0.04), repo=(0.02, 0.04))


# Which stage of a build an outcome befalls when nothing else is said.
_STAGES: Mapping[str, str] = {
    "ok": "arch",
    "policy": "build",
    "lock": "build",
    "freed": "build",
    "stuck": "arch",
    "canceled": "arch",
    "srpm_failed": "srpm",
    "arch_failed": "arch",
    "buildroot": "arch",
    "infra": "arch",
}


@dataclass(frozen=True)
class Outcome:
    """How a build goes on at a stage ('build': before any child, 'srpm', 'arch').

    kind: ok, arch_failed (1005), srpm_failed (1005), buildroot (1012), infra (code 1 with a traceback), lock (1001),
    policy (1004, no children), freed (OPEN, FREE, OPEN again, then on as if nothing had happened), stuck (never ends),
    canceled (by somebody else). duration: seconds that replace those drawn from the timings. stage: where, if not
    where the kind usually happens (a mere duration means 'arch'). text: the fault's text instead of the usual one;
    log: the end of build.log.
    """

    kind: str = "ok"
    duration: float | None = None
    stage: str | None = None
    text: str | None = None
    log: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in _STAGES:
            raise ValueError(f"no such outcome: {self.kind!r}; choose from {', '.join(_STAGES)}")

    def at(self, stage: str) -> Outcome:
        """This outcome if it concerns `stage`; all is well at the others."""
        return self if (self.stage or _STAGES[self.kind]) == stage else Outcome()


@dataclass(frozen=True)
class BuildContext:
    """What an outcome rule may look at. It is asked once for each stage and architecture.

    repo_builds: package name -> NVR of its build in the repository used; attempt counts the builds asked for with
    this NVR, from 1.
    """

    package: str
    nvr: str
    scratch: bool
    arch: str
    stage: str
    target: str | None
    repo_id: int | None
    repo_builds: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1


OutcomeRule = Callable[[BuildContext], Outcome | None]
