"""Which dependency changes most likely broke a build: the nearest, and upgrades before the rest."""

from __future__ import annotations

import math
from collections.abc import Iterable

from koschei.rules import evr
from koschei.rules.changes import Change, ChangeKind, D, Nevra, nevra

_SUSPICION = {
    kind: rank
    for rank, kind in enumerate(
        (ChangeKind.UPGRADED, ChangeKind.DOWNGRADED, ChangeKind.REMOVED, ChangeKind.ADDED, ChangeKind.CHANGED)
    )
}


def suspects(changes: Iterable[Change[D]], limit: int | None = None) -> list[Change[D]]:
    """The changes, most suspicious first (at most `limit`): by distance, unknown last; upgrades first; then by name.

    The same changes in any order give the same answer.
    """
    ordered = sorted(changes, key=_rank)
    return ordered if limit is None else ordered[: max(0, limit)]


def describe(change: Change[D]) -> str:
    """A change in words: `gcc 15.1-1 -> 15.2-1`, `gcc 15.1-1 added`, `gcc 15.1-1 removed`."""
    if change.prev is None or change.curr is None:
        dep = change.prev or change.curr
        return f"{change.name} {_version(dep)} {change.kind}" if dep is not None else change.name
    before, after = _version(change.prev), _version(change.curr)
    if before == after:
        return f"{change.name} {before} {change.prev.arch} -> {change.curr.arch}"
    return f"{change.name} {before} -> {after}"


def _version(dep: evr.HasEvr) -> str:
    return evr.display(dep.epoch, dep.version, dep.release)


def _rank(change: Change[D]) -> tuple[float, int, str, tuple[Nevra, ...]]:
    distance = math.inf if change.distance is None else change.distance
    sides = tuple(nevra(dep) for dep in (change.prev, change.curr) if dep is not None)
    return distance, _SUSPICION[change.kind], change.name, sides
