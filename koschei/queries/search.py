"""Finding packages by a part of their name."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from koschei.model import BasePackage
from koschei.queries.changes import like_pattern


@dataclass(frozen=True)
class Found:
    """`exact`: there is one package of just this name, but for capitals. `more`: there are more than were asked for."""

    names: tuple[str, ...]
    exact: bool = False
    more: bool = False


def search(session: Session, term: str, limit: int) -> Found:
    """Names that contain `term` (`*` is anything), in any case: those that begin with it first, short ones before long.

    Nothing special is made of any other character.
    """
    term = term.strip()
    if not term.strip("*"):
        return Found(())
    if session.scalar(select(BasePackage.id).where(BasePackage.name == term)) is not None:
        return Found((term,), exact=True)
    pattern = like_pattern(term)
    begins = BasePackage.name.ilike(pattern[1:], escape="\\")
    query = (
        select(BasePackage.name)
        .where(BasePackage.name.ilike(pattern, escape="\\"))
        .order_by(case((begins, 0), else_=1), func.length(BasePackage.name), BasePackage.name)
        .limit(limit + 1)
    )
    names = tuple(session.scalars(query))
    same = [name for name in names if name.lower() == term.lower()]
    if len(same) == 1:
        return Found((same[0],), exact=True)
    return Found(names[:limit], more=len(names) > limit)


def alike(session: Session, term: str, limit: int) -> list[str]:
    """Names that begin as `term` does, for somebody who mistyped the rest."""
    begin = term.strip()[:3]
    if not begin:
        return []
    query = (
        select(BasePackage.name)
        .where(BasePackage.name.ilike(like_pattern(begin)[1:], escape="\\"))
        .order_by(func.length(BasePackage.name), BasePackage.name)
        .limit(limit)
    )
    return list(session.scalars(query))
