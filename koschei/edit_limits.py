"""How many changes a person may make: some at once, and one more whenever the hour's share of time has passed."""

from __future__ import annotations

import math
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from koschei.errors import NotFoundError, TooManyEditsError
from koschei.model import User

HOUR = 3600


def spend(session: Session, user_id: int, per_hour: int, now: datetime) -> None:
    """Count an edit of a person, in the transaction that makes it: one that fails is not counted.

    Whoever has made none lately has `per_hour` of them. Edits of one person wait for each other.
    Errors: TooManyEditsError when none is left; NotFoundError for a person who is not known any more.
    """
    user = session.scalar(select(User).where(User.id == user_id).with_for_update(key_share=True))
    if user is None:
        raise NotFoundError("Your user is not known any more: log in again")
    left = _left(user, per_hour, now)
    if left < 1:
        wait = math.ceil((1 - left) * HOUR / per_hour)
        minutes = math.ceil(wait / 60)
        raise TooManyEditsError(
            f"{per_hour} changes in an hour are the most that one person may make. Nothing was changed; "
            f"try again in {minutes} {'minute' if minutes == 1 else 'minutes'}",
            wait,
        )
    user.edits_left, user.edits_at = left - 1, now


def _left(user: User, per_hour: int, now: datetime) -> float:
    if user.edits_left is None or user.edits_at is None:
        return per_hour
    hours = max(0.0, (now - user.edits_at).total_seconds()) / HOUR
    return min(per_hour, user.edits_left + hours * per_hour)
