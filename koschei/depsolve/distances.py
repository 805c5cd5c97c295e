"""How far packages are from what was asked for: breadth first over Requires, by name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

LEVELS = 4


class Relations(Protocol):
    """What a solver library knows about packages and dependencies; both are numbers here."""

    def providers(self, dependency: int) -> Iterable[int]:
        """The packages that satisfy the dependency."""
        ...

    def requires(self, package: int) -> Iterable[int]:
        """All dependencies among its Requires, those of scriptlets included."""
        ...

    def name(self, package: int) -> str: ...


class Distances:
    """Walks packages, remembering what each leads to."""

    def __init__(self, relations: Relations) -> None:
        self.relations = relations
        self.providers_of: dict[int, frozenset[int]] = {}
        self.steps: dict[int, frozenset[int]] = {}
        self.names: dict[int, str] = {}

    def providers(self, dependency: int) -> frozenset[int]:
        found = self.providers_of.get(dependency)
        if found is None:
            found = self.providers_of[dependency] = frozenset(self.relations.providers(dependency))
        return found

    def step(self, package: int) -> frozenset[int]:
        """All packages that satisfy some Requires of this one."""
        found = self.steps.get(package)
        if found is None:
            found = frozenset[int]().union(*(self.providers(each) for each in self.relations.requires(package)))
            self.steps[package] = found
        return found

    def name(self, package: int) -> str:
        found = self.names.get(package)
        if found is None:
            found = self.names[package] = self.relations.name(package)
        return found

    def walk(self, dependencies: Iterable[int]) -> dict[str, int]:
        """The level, from 1, at which each name is first met, starting with what satisfies the dependencies."""
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
