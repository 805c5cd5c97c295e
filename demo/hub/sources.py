"""Which source package a `build` call means: by the SRPM's file name, or by the name in an SCM URL."""

from __future__ import annotations

import re

import koji

from .values import SourcePackage
from .world import World


class SourceFinder:
    """Sources the hub has heard of, those of builds included. An unknown one is made up from its name."""

    def __init__(self, world: World) -> None:
        self._world = world

    def add(self, source: SourcePackage) -> None:
        self._world.sources[source.nvr] = source

    def find(self, src: str) -> SourcePackage:
        """src: '../packages/.../N-V-R.src.rpm', 'cli-build/.../N-V-R.src.rpm' or 'git+https://host/rpms/NAME#commit'."""
        base = src.rsplit("/", 1)[-1]
        if base.endswith(".src.rpm"):
            nvr = base.removesuffix(".src.rpm")
            return self._world.sources.get(nvr) or self._made_up(nvr)
        match = re.search(r"/([^/#?]+?)(?:\.git)?/?(?:[?#].*)?$", src)
        name = match.group(1) if match else base
        known = [source for source in self._world.sources.values() if source.name == name]
        return known[-1] if known else SourcePackage(name, "0", "1")

    @staticmethod
    def _made_up(nvr: str) -> SourcePackage:
        try:
            parts = koji.parse_NVR(nvr)
        except koji.GenericError:
            return SourcePackage(nvr, "0", "1")
        return SourcePackage(parts["name"], parts["version"], parts["release"])
