"""How far packages are from what was asked for: breadth first over Requires, by name (facts.md section 4)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import solv

LEVELS = 4
# lookup_deparray's marker argument: 0 asks for all Requires, those of scriptlets included.
ALL = 0


class Distances:
    """Walks the packages of one pool, remembering what each leads to. The pool must be indexed."""

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        self.providers_of: dict[int, frozenset[int]] = {}
        self.steps: dict[int, frozenset[int]] = {}
        self.names: dict[int, str] = {}

    def providers(self, dependency: int) -> frozenset[int]:
        """Ids of the packages that satisfy the dependency with this id."""
        found = self.providers_of.get(dependency)
        if found is None:
            found = frozenset(package.id for package in self.pool.whatprovides(dependency))
            self.providers_of[dependency] = found
        return found

    def step(self, package: int) -> frozenset[int]:
        """Ids of all packages that satisfy some Requires of this one."""
        found = self.steps.get(package)
        if found is None:
            requires = self.pool.id2solvable(package).lookup_deparray(solv.SOLVABLE_REQUIRES, ALL)
            found = frozenset().union(*(self.providers(dependency.id) for dependency in requires))
            self.steps[package] = found
        return found

    def name(self, package: int) -> str:
        found = self.names.get(package)
        if found is None:
            found = self.names[package] = self.pool.id2solvable(package).name
        return found

    def walk(self, dependencies: Iterable[int]) -> dict[str, int]:
        """The level, from 1, at which each name is first met, starting with providers of the dependencies' ids."""
        front = frozenset[int]().union(*(self.providers(dependency) for dependency in dependencies))
        seen: set[int] = set()
        levels: dict[str, int] = {}
        for level in range(1, LEVELS + 1):
            for package in front:
                levels.setdefault(self.name(package), level)
            seen |= front
            if level < LEVELS:
                front = frozenset[int]().union(*(self.step(package) for package in front)) - seen
        return levels
