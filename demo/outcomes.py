"""How the demo's builds end: the one rule that the hub's builders ask, changed as the story goes on."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from demo.hub import BuildContext, Outcome


@dataclass(frozen=True)
class Breakage:
    """Why a source fails to build: with one of these builds of a library in its repository, or always (no library)."""

    nvr: str
    log: str
    library: str | None = None
    library_nvrs: frozenset[str] = frozenset()
    stage: str = "arch"
    arch: str | None = None

    def happens(self, context: BuildContext) -> bool:
        if context.nvr != self.nvr or (self.arch is not None and context.arch != self.arch):
            return False
        return self.library is None or context.repo_builds.get(self.library) in self.library_nvrs


class Outcomes:
    """The rule. What fails follows from sources and repositories alone, so it fails again whenever it is tried.

    Koji's own misfortunes befall the next scratch build of a package, once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._breakages: dict[str, Breakage] = {}
        self._next: dict[str, Outcome] = {}
        self._bound: dict[tuple[str, int], Outcome] = {}

    def breaks(self, breakage: Breakage) -> None:
        """From now on this source fails as described."""
        with self._lock:
            self._breakages[breakage.nvr] = breakage

    def next_build(self, package: str, outcome: Outcome) -> None:
        """What happens to the next scratch build of the package that begins; the one after it is none the worse."""
        with self._lock:
            self._next[package] = outcome

    def happened(self, package: str) -> bool:
        """Whether what was announced for the package's next build has begun to happen."""
        with self._lock:
            return package not in self._next

    def __call__(self, context: BuildContext) -> Outcome | None:
        """The hub's question, once for each stage and architecture of a build."""
        with self._lock:
            key = (context.nvr, context.attempt)
            if context.scratch and key not in self._bound and context.package in self._next:
                self._bound[key] = self._next.pop(context.package)
            if key in self._bound:
                outcome = self._bound[key]
                # A slow build is slow in its architectures; otherwise every stage would take that long.
                return outcome if outcome.kind != "ok" or context.stage == "arch" else None
            breakage = self._breakages.get(context.nvr)
        if breakage is None or not breakage.happens(context):
            return None
        kind = "srpm_failed" if breakage.stage == "srpm" else "arch_failed"
        return Outcome(kind, log=breakage.log)
