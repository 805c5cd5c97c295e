"""The announcement that the people who run the service show on every page."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from koschei import audit
from koschei.audit import Actor
from koschei.errors import InvalidInputError
from koschei.model import AdminNotice
from koschei.model.notices import GLOBAL_NOTICE
from koschei.rules import names


def current(session: Session) -> str | None:
    """The announcement, plain text; None when there is none."""
    return session.scalar(select(AdminNotice.content).where(AdminNotice.key == GLOBAL_NOTICE))


def set_notice(session: Session, actor: Actor, content: str) -> str:
    """Announce a text in place of any earlier one; returns the audit message. Raises InvalidInputError."""
    content = content.strip()
    if not content:
        raise InvalidInputError("The notice is empty: say something, or take it away with clear-notice")
    flaw = names.flaw(content, lines=True)
    if flaw is not None:
        raise InvalidInputError(f"The notice {flaw}")
    row = insert(AdminNotice).values(key=GLOBAL_NOTICE, content=content)
    session.execute(row.on_conflict_do_update(index_elements=["key"], set_={"content": content}))
    return audit.record(session, actor, f"Admin notice added: {content}")


def clear_notice(session: Session, actor: Actor) -> str | None:
    """Take the announcement away; returns the audit message, or None when there was none."""
    removed = session.execute(
        delete(AdminNotice).where(AdminNotice.key == GLOBAL_NOTICE).returning(AdminNotice.key)
    ).first()
    return None if removed is None else audit.record(session, actor, "Admin notice cleared")
