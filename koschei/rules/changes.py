"""What differs between two sets of installed dependencies: one row for each package that came, went or changed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest
from typing import Generic, Protocol, TypeVar

from koschei.rules import evr


class Dep(Protocol):
    """A binary package: its NEVRA."""

    @property
    def name(self) -> str: ...
    @property
    def epoch(self) -> int | None: ...
    @property
    def version(self) -> str: ...
    @property
    def release(self) -> str: ...
    @property
    def arch(self) -> str: ...


D = TypeVar("D", bound=Dep)
Nevra = tuple[str, int, str, str, str]


class ChangeKind(StrEnum):
    """What happened to a dependency; `changed`: the same version of another architecture, or spelt differently."""

    ADDED = "added"
    REMOVED = "removed"
    UPGRADED = "upgraded"
    DOWNGRADED = "downgraded"
    CHANGED = "changed"


@dataclass(frozen=True)
class Change(Generic[D]):
    """One dependency change.

    `prev` is None for an added, `curr` for a removed dependency. `distance`: 1 for what the package requires itself,
    2 for what that requires, ...; None if unknown (the build group's own packages, removed ones).
    """

    name: str
    prev: D | None
    curr: D | None
    distance: int | None
    kind: ChangeKind


def nevra(dep: Dep) -> Nevra:
    """What identifies a binary package; no epoch and epoch 0 are the same."""
    return dep.name, dep.epoch or 0, dep.version, dep.release, dep.arch


def dependency_changes(
    prev: Iterable[D] | None, curr: Iterable[D] | None, distances: Mapping[str, int]
) -> list[Change[D]]:
    """The changes that lead from the set `prev` to the set `curr`, ordered by name.

    None on either side means an unknown set: nothing can be said, no changes. An empty set is a set. `distances` are
    those of `curr`, by name. Applied to `prev`, the changes give exactly `curr`: several versions of one name have a
    row each.
    """
    if prev is None or curr is None:
        return []
    old = {nevra(dep): dep for dep in prev}
    new = {nevra(dep): dep for dep in curr}
    removed, added = _by_name(old, new), _by_name(new, old)
    changes: list[Change[D]] = []
    for name in sorted(removed.keys() | added.keys()):
        for before, after in _pairs(removed.get(name, []), added.get(name, [])):
            distance = None if after is None else distances.get(name)
            changes.append(Change(name, before, after, distance, _kind(before, after)))
    return changes


def _by_name(deps: Mapping[Nevra, D], other: Mapping[Nevra, D]) -> dict[str, list[D]]:
    """What is in `deps` and not in `other`, by name, oldest first."""
    names: defaultdict[str, list[D]] = defaultdict(list)
    for key in deps.keys() - other.keys():
        names[deps[key].name].append(deps[key])
    for same_name in names.values():
        same_name.sort(key=_order)
    return names


def _order(dep: Dep) -> tuple[bytes, Nevra]:
    return evr.key_of(dep), nevra(dep)


def _pairs(removed: list[D], added: list[D]) -> list[tuple[D | None, D | None]]:
    """Removed with added ones of a name, each in one pair: of one architecture first, in the order of versions."""
    pairs: list[tuple[D | None, D | None]] = []
    rest_removed: list[D] = []
    rest_added: list[D] = []
    for arch in sorted({dep.arch for dep in (*removed, *added)}):
        before, after = _of_arch(removed, arch), _of_arch(added, arch)
        both = min(len(before), len(after))
        pairs.extend(zip(before[:both], after[:both], strict=True))
        rest_removed.extend(before[both:])
        rest_added.extend(after[both:])
    return pairs + list(zip_longest(sorted(rest_removed, key=_order), sorted(rest_added, key=_order)))


def _of_arch(deps: list[D], arch: str) -> list[D]:
    return [dep for dep in deps if dep.arch == arch]


def _kind(prev: Dep | None, curr: Dep | None) -> ChangeKind:
    if prev is None:
        return ChangeKind.ADDED
    if curr is None:
        return ChangeKind.REMOVED
    order = evr.compare(prev, curr)
    if order == 0:
        return ChangeKind.CHANGED
    return ChangeKind.UPGRADED if order < 0 else ChangeKind.DOWNGRADED
