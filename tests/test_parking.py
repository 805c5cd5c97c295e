"""Messages that made no sense are kept, the newest of them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from koschei import parking
from koschei.db.engine import Database
from koschei.messaging.receiver import Parked

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def test_the_newest_are_kept_and_come_first(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parking, "KEPT", 3)
    database = Database(database_url)
    for number in range(5):
        with database.begin() as session:
            parking.park(session, Parked("a.topic", str(number), "{", "no JSON"), NOW)
    with database.begin() as session:
        assert [message.message_id for message in parking.parked(session)] == ["4", "3", "2"]
        assert [message.message_id for message in parking.parked(session, limit=1)] == ["4"]
        newest = parking.parked(session)[0]
        assert (newest.topic, newest.body, newest.reason, newest.received) == ("a.topic", "{", "no JSON", NOW)
        assert parking.count(session) == 3
    database.dispose()
