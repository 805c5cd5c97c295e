"""Binary packages as ids: get or create them in bulk, and pack the set of a build into a few hundred bytes.

Who stores ids anywhere (a build's set, changes, copies of them) does it in a transaction that has called `naming`
before: until its end nobody deletes a dependency. koschei.orphans, which does, waits for such transactions.
"""

from __future__ import annotations

import struct
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.orm import Session

from koschei.depsolve.interface import Nevra
from koschei.model import BuildDependencies, Dependency
from koschei.rules.evr import sort_key

# ROW SHARE: those who name do not wait for each other, only for koschei.orphans and it for them.
NAMING = text("LOCK TABLE dependency_sweep IN ROW SHARE MODE; SELECT generation FROM dependency_sweep")


@dataclass(frozen=True, slots=True)
class StoredDependency:
    """A binary package with its id in the database; equal when the NEVRA is."""

    id: int
    name: str
    epoch: int
    version: str
    release: str
    arch: str


def naming(session: Session) -> int:
    """Keep all dependencies in place until the end of the transaction; how many times some were deleted before.

    As the first statement of a REPEATABLE READ transaction it also comes before the snapshot: LOCK TABLE takes none.
    """
    return session.scalar(NAMING) or 0


class DependencyIds:
    """Remembers which NEVRA has which id; the least recently used are forgotten beyond `capacity`.

    All of them are forgotten when dependencies have been deleted since. For one thread.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._generation = 0
        self._ids: OrderedDict[Nevra, int] = OrderedDict()

    def ids(self, session: Session, nevras: Iterable[Nevra]) -> dict[Nevra, int]:
        """The id of each NEVRA, creating rows for new ones. Two processes may create the same one at once.

        New rows become visible to others with the caller's commit; ids are remembered only by `remember`. Until the end
        of the transaction nobody deletes dependencies: they may be stored, and so may those of builds of packages that
        the caller has locked.
        """
        generation = naming(session)
        if generation != self._generation:
            self._ids.clear()
            self._generation = generation
        wanted = list(nevras)
        found = {nevra: self._ids[nevra] for nevra in wanted if nevra in self._ids}
        missing = sorted(set(wanted) - found.keys())
        if missing:
            found.update(self._fetch(session, missing))
        still = [nevra for nevra in missing if nevra not in found]
        if still:
            self._create(session, still)
            found.update(self._fetch(session, still))
        return found

    def remember(self, ids: dict[Nevra, int]) -> None:
        """Keep what `ids` answered last, now that it is committed."""
        for nevra, number in ids.items():
            self._ids[nevra] = number
            self._ids.move_to_end(nevra)
        while len(self._ids) > self._capacity:
            self._ids.popitem(last=False)

    @staticmethod
    def _create(session: Session, nevras: Sequence[Nevra]) -> None:
        rows = [
            {
                "name": nevra.name,
                "epoch": nevra.epoch,
                "version": nevra.version,
                "release": nevra.release,
                "arch": nevra.arch,
                "evr_key": sort_key(nevra.epoch, nevra.version, nevra.release),
            }
            for nevra in nevras
        ]
        session.execute(pg_insert(Dependency).on_conflict_do_nothing(), rows)

    @staticmethod
    def _fetch(session: Session, nevras: Sequence[Nevra]) -> dict[Nevra, int]:
        query = text("""
            SELECT d.id, d.name, d.epoch, d.version, d.release, d.arch
            FROM unnest(:names ::text[], :epochs ::int[], :versions ::text[], :releases ::text[], :arches ::text[])
                 AS w(name, epoch, version, release, arch)
            JOIN dependency AS d ON (d.name, d.epoch, d.version, d.release, d.arch)
                                  = (w.name COLLATE "C", w.epoch, w.version, w.release, w.arch)
        """)
        rows = session.execute(
            query,
            {
                "names": [n.name for n in nevras],
                "epochs": [n.epoch for n in nevras],
                "versions": [n.version for n in nevras],
                "releases": [n.release for n in nevras],
                "arches": [n.arch for n in nevras],
            },
        )
        return {Nevra(*nevra): number for number, *nevra in rows}


def pack(ids: Iterable[int]) -> bytes:
    """Ids as ascending differences, 32 bits each, compressed.

    Errors: OverflowError when two neighbours are 2^32 apart, which no table of NEVRAs reaches.
    """
    ordered = sorted(set(ids))
    deltas = [after - before for before, after in zip([0, *ordered], ordered, strict=False)]
    if deltas and max(deltas) >= 2**32:
        raise OverflowError("dependency ids are too far apart to be packed")
    return zlib.compress(struct.pack(f">{len(deltas)}I", *deltas))


def unpack(packed: bytes) -> list[int]:
    """The ids that `pack` was given, ascending."""
    raw = zlib.decompress(packed)
    return list(accumulate(struct.unpack(f">{len(raw) // 4}I", raw)))


def store_dependencies(session: Session, build_id: int, ids: Iterable[int]) -> None:
    """Keep the dependency set of a build; a second call changes nothing."""
    session.execute(
        pg_insert(BuildDependencies).on_conflict_do_nothing(), [{"build_id": build_id, "packed_ids": pack(ids)}]
    )


def load_dependencies(session: Session, build_ids: Iterable[int]) -> dict[int, list[StoredDependency]]:
    """The dependency sets of builds that have one."""
    packed = session.execute(
        select(BuildDependencies.build_id, BuildDependencies.packed_ids).where(
            BuildDependencies.build_id.in_(list(build_ids))
        )
    )
    ids = {build_id: unpack(data) for build_id, data in packed}
    rows = by_id(session, {i for numbers in ids.values() for i in numbers})
    return {build_id: [rows[i] for i in numbers if i in rows] for build_id, numbers in ids.items()}


def by_id(session: Session, ids: Iterable[int]) -> dict[int, StoredDependency]:
    """Dependencies by id."""
    query = text("SELECT id, name, epoch, version, release, arch FROM dependency WHERE id = ANY(:ids)")
    return {row[0]: StoredDependency(*row) for row in session.execute(query, {"ids": list(ids)})}
