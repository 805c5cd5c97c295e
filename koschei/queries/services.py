"""The pulse of the backend services: who finished a pass when, and who is late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from koschei.rules.pulse import SERVICES, lagging


@dataclass(frozen=True)
class Pulse:
    """What is known of a service. `finished`: end of its last pass, None before the first."""

    service: str
    started: datetime
    finished: datetime | None
    interval: timedelta
    error: str | None
    error_since: datetime | None
    lagging: bool

    @property
    def well(self) -> bool:
        """Whether it does its work."""
        return not self.lagging and self.error is None

    @property
    def without(self) -> str:
        """What is the matter while it does nothing."""
        return SERVICES.get(self.service, "its work is not done")


def pulse(row: Any, now: datetime) -> Pulse:
    """What is known of a service, from a row that has the columns of its status."""
    return Pulse(
        service=row.service,
        started=row.started,
        finished=row.pass_finished,
        interval=timedelta(seconds=row.interval),
        error=row.error,
        error_since=row.error_since,
        lagging=lagging(
            started=row.started,
            pass_started=row.pass_started,
            pass_finished=row.pass_finished,
            interval=row.interval,
            now=now,
        ),
    )
