"""The error for names of packages that nobody knows: it says which they are, and what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from koschei.errors import NotFoundError
from koschei.model import BasePackage, Collection, Package
from koschei.rules.names import LONGEST_NAME, listed, suggestion

# Comparing takes time, and a distribution has many names: this is done for a few, with names that are about as long.
LOOKED_FOR = 3
FARTHEST = 2


def unknown_packages(session: Session, names: Iterable[str], collection: Collection | None = None) -> NotFoundError:
    """The error for these names; with a collection, for names that it does not have."""
    unknown = sorted(names)
    where = "" if collection is None else f" in {collection.name}"
    hints = [suggestion(name, _candidates(session, name, collection)) for name in unknown[:LOOKED_FOR]]
    hint = " ".join(hint for hint in hints if hint) or "Check the spelling."
    return NotFoundError(
        f"Packages don't exist{where}: {listed(unknown)}. {hint} "
        "New packages appear here when they are in Koji's package list"
    )


def _candidates(session: Session, name: str, collection: Collection | None) -> list[str]:
    if not name or len(name) > LONGEST_NAME:
        return []
    column = BasePackage.name if collection is None else Package.name
    query = select(column).where(func.length(column).between(len(name) - FARTHEST, len(name) + FARTHEST))
    if collection is not None:
        query = query.where(Package.collection_id == collection.id)
    return list(session.scalars(query))
