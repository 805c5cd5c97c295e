"""The state of one package, and nothing else: for pictures that are asked for often."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from koschei.model import Collection, Package
from koschei.rules.states import PackageState


def package_state(session: Session, name: str, collection: str) -> PackageState | None:
    """The state of a package in a collection, both by name; None when it is not there."""
    query = select(Package.state).join(Package.collection).where(Package.name == name, Collection.name == collection)
    return session.scalar(query)
