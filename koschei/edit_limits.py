"""How many changes a person may make: some at once, and one more whenever the hour's share of time has passed."""

from __future__ import annotations

import math
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from koschei.errors import InvalidInputError, NotFoundError, TooManyEditsError
from koschei.model import User

HOUR = 3600


def spend(session: Session, user_id: int, per_hour: int, now: datetime, changes: int = 1) -> None:
    """Count changes of a person, in the transaction that makes them: what fails is not counted.

    Whoever has made none lately has `per_hour` of them. Changes of one person wait for each other.
    Errors: TooManyEditsError when fewer are left; InvalidInputError when nobody ever has as many; NotFoundError for a
    person who is not known any more.
    """
    if changes > per_hour:
        raise InvalidInputError(
            f"These are {changes} changes at once, and {per_hour} in an hour are the most that one person may make. "
            "Nothing was changed; ask for fewer, or have somebody who administers Koschei make them"
        )
    user = session.scalar(select(User).where(User.id == user_id).with_for_update(key_share=True))
    if user is None:
        raise NotFoundError("Your user is not known any more: log in again")
    left = _left(user, per_hour, now)
    if left < changes:
        wait = math.ceil((changes - left) * HOUR / per_hour)
        minutes = math.ceil(wait / 60)
        these = "" if changes == 1 else f"These are {changes}, and {math.floor(left)} are left. "
        raise TooManyEditsError(
            f"{per_hour} changes in an hour are the most that one person may make. {these}Nothing was changed; "
            f"try again in {minutes} {'minute' if minutes == 1 else 'minutes'}",
            wait,
        )
    user.edits_left, user.edits_at = left - changes, now


def _left(user: User, per_hour: int, now: datetime) -> float:
    if user.edits_left is None or user.edits_at is None:
        return per_hour
    hours = max(0.0, (now - user.edits_at).total_seconds()) / HOUR
    return min(per_hour, user.edits_left + hours * per_hour)
