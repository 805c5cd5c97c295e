"""Versions in RPM's order: epoch first, then version, then release (`~` sorts before everything, `^` after the end).

One byte string per version carries the order everywhere: Python, PostgreSQL (bytea) and its indexes compare it.
"""

import re
from typing import Protocol

from rpm_version import EvrSortKey

from koschei.errors import InvalidInputError

LARGEST_EPOCH = 2**32 - 1
LONGEST_PART = 255
"""Characters of a version or release that are compared: a file name holds no more, so no package has more; beyond, the
library's keys would no longer be in order, and an index would refuse them."""

_SEPARATORS = re.compile(r"(^[0-9]+:|[-._~^+])")


class HasEvr(Protocol):
    """Whatever has an epoch, a version and a release."""

    @property
    def epoch(self) -> int | None: ...
    @property
    def version(self) -> str: ...
    @property
    def release(self) -> str: ...


def sort_key(epoch: int | None, version: str, release: str) -> bytes:
    """Bytes that compare as RPM compares these versions, and are equal where RPM calls them equal; no epoch is epoch 0.

    Raises InvalidInputError for an epoch that RPM cannot store.
    """
    epoch = epoch or 0
    if not 0 <= epoch <= LARGEST_EPOCH:
        raise InvalidInputError(f"epoch {epoch} is not between 0 and {LARGEST_EPOCH}")
    key: bytes = EvrSortKey.from_values(str(epoch), version[:LONGEST_PART], release[:LONGEST_PART])
    return key


def key_of(value: HasEvr) -> bytes:
    """The sort key of whatever has a version."""
    return sort_key(value.epoch, value.version, value.release)


def compare(a: HasEvr, b: HasEvr) -> int:
    """-1, 0 or 1: `a` is older than, as old as, or newer than `b`."""
    key_a, key_b = key_of(a), key_of(b)
    return (key_a > key_b) - (key_a < key_b)


def display(epoch: int | None, version: str, release: str) -> str:
    """The version as people write it; an epoch of 0 is not shown."""
    return f"{epoch}:{version}-{release}" if epoch else f"{version}-{release}"


def differing_part(text: str, other: str) -> tuple[str, str]:
    """`text` cut in two: what it shares with `other`, and the rest from the first differing component on.

    Either may be empty. Components end at any of `-._~^+`, so that 1.12-1 and 1.13-1 differ in 12-1, not in 2-1. Where
    the epochs differ, all does.
    """
    mine, theirs = _SEPARATORS.split(text), _SEPARATORS.split(other)
    common = 0
    while common < min(len(mine), len(theirs)) and mine[common] == theirs[common]:
        common += 1
    return "".join(mine[:common]), "".join(mine[common:])
