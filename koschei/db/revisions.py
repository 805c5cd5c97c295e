"""Which code may work with which schema: the two halves of an upgrade, and how code of any age judges a database.

Revisions form one line. Each says its phase: `pre` adds, and code that does not know it lives with it; `post` takes
away what older code used. A database says which revisions it has had, with their phases (table schema_revision), so
that old code can judge revisions that were written after it. docs/adr/0007-two-halves.md has the argument.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """Which half of an upgrade a revision belongs to."""

    PRE = "pre"
    POST = "post"


@dataclass(frozen=True)
class Revision:
    """A revision that this code knows, and what it does in a few words."""

    name: str
    phase: Phase
    words: str


@dataclass(frozen=True)
class Applied:
    """A revision that the database has had; `phase` is as a future version wrote it, `version` the Koschei that did."""

    name: str
    phase: str
    version: str


class Fit(StrEnum):
    """How a database fits this code."""

    RIGHT = "right"  # it has all that this code would apply, or all but the post half
    NEWER = "newer"  # it has had revisions that this code does not know, and admits it
    EMPTY = "empty"  # no tables
    OLDER = "older"  # it lacks something that this code needs
    TOO_NEW = "too new"  # something was taken away that this code uses
    FOREIGN = "foreign"  # no revision of ours, or one without a record


@dataclass(frozen=True)
class SchemaState:
    """A database as seen by this code: `found` is its revision, `pending` what this code would apply, in order.

    `unknown`: applied revisions that this code has never heard of.
    """

    fit: Fit
    found: str | None
    needed: str
    newest: str
    pending: tuple[Revision, ...] = ()
    unknown: tuple[Applied, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether this code may work with the database."""
        return self.fit in (Fit.RIGHT, Fit.NEWER)

    @property
    def migratable(self) -> bool:
        """Whether this code can bring the database up to date."""
        return self.fit in (Fit.EMPTY, Fit.OLDER)

    def pending_of(self, phase: Phase) -> tuple[str, ...]:
        """Names of the pending revisions of one half."""
        return tuple(revision.name for revision in self.pending if revision.phase is phase)

    @property
    def words(self) -> str:
        """What is the case and, when it is not well, what to do."""
        match self.fit:
            case Fit.RIGHT if self.pending:
                later = ", ".join(revision.name for revision in self.pending)
                return f"the tables are at revision {self.found}; the post-deploy half ({later}) can follow"
            case Fit.RIGHT:
                return f"the tables are at revision {self.found}, as needed"
            case Fit.NEWER:
                return f"the tables are at revision {self.found}, newer than this code ({self.newest}), and admit it"
            case Fit.EMPTY:
                return f"there are no Koschei tables yet, but this code needs revision {self.needed}: {MAKE}"
            case Fit.OLDER:
                return f"the tables are at revision {self.found}, but this code needs revision {self.needed}: {MIGRATE}"
            case Fit.TOO_NEW:
                taking = next(one for one in self.unknown if one.phase != Phase.PRE)
                return (
                    f"the tables are at revision {self.found}, and {taking.name} took away what this code "
                    f"(revision {self.newest}) uses: run the image of Koschei {self.unknown[-1].version} or newer"
                )
            case _:
                return (
                    f"the tables are at revision {self.found}, which this code (revision {self.newest}) does not know "
                    "and the database has no record of: connect to another database, or run the image that made it"
                )


MAKE = "run `koschei-admin create-db`"
MIGRATE = "run the playbook koschei-full.yml, or `koschei-admin create-db`"


def needed(chain: Sequence[Revision]) -> str:
    """The oldest revision that this code can work with: the last of a pre half. It lives without the post half."""
    return next(revision.name for revision in reversed(chain) if revision.phase is Phase.PRE)


def judge(chain: Sequence[Revision], found: str | None, applied: Sequence[Applied]) -> SchemaState:
    """How a database fits code that knows the revisions of `chain` (oldest first).

    `found` is the database's revision, None when it has none; `applied` its own record, oldest first, which may lack
    revisions that we know. A database whose revision we know needs no record: the line of revisions tells.
    """
    names = [revision.name for revision in chain]
    wanted, newest = needed(chain), names[-1]
    if found is None:
        return SchemaState(Fit.EMPTY, None, wanted, newest, tuple(chain))
    if found in names:
        position = names.index(found)
        fit = Fit.RIGHT if position >= names.index(wanted) else Fit.OLDER
        return SchemaState(fit, found, wanted, newest, tuple(chain[position + 1 :]))
    recorded = {one.name for one in applied}
    unknown = tuple(one for one in applied if one.name not in names)
    if found not in recorded or wanted not in recorded:
        return SchemaState(Fit.FOREIGN, found, wanted, newest, (), unknown)
    # Anything but "pre" is a half that we know to refuse, or a word that we do not know.
    fit = Fit.NEWER if all(one.phase == Phase.PRE for one in unknown) else Fit.TOO_NEW
    return SchemaState(fit, found, wanted, newest, (), unknown)


def pre_half(pending: Sequence[Revision]) -> tuple[Revision, ...]:
    """The revisions that can be applied while older code runs: those before the first one that takes something away."""
    first = next((i for i, revision in enumerate(pending) if revision.phase is Phase.POST), len(pending))
    return tuple(pending[:first])
