"""Whether a service that reports its passes is late, and what that means for those who look at Koschei."""

from __future__ import annotations

from datetime import datetime, timedelta

MISSED_PASSES = 3
GRACE = timedelta(minutes=1)
LONGEST_PASS = timedelta(hours=1)

SERVICES = {
    "watcher": "what happens in Koji is noticed late",
    "polling": "what nobody told us about is not found",
    "repo-resolver": "new repositories are not looked at",
    "build-resolver": "what changed before a new build is not known",
    "scheduler": "nothing new is built",
}
"""The services, and what is the matter while one of them does nothing."""


def lagging(
    *,
    started: datetime,
    pass_started: datetime | None,
    pass_finished: datetime | None,
    interval: float,
    now: datetime,
) -> bool:
    """Whether a service is not known to do anything; `interval` is that between its passes, in seconds.

    It may be silent for three intervals and a minute. A pass that is under way may take an hour more.
    """
    working = pass_started is not None and (pass_finished is None or pass_started > pass_finished)
    heard = max(moment for moment in (started, pass_started, pass_finished) if moment is not None)
    return now - heard > MISSED_PASSES * timedelta(seconds=interval) + (LONGEST_PASS if working else GRACE)
