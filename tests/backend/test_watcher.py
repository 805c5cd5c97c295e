"""The watcher's pass: the outbox in order, marks only for what the broker confirmed, and life without a broker."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import insert, select, update

from backend import watcher
from backend.frame import Context, PassReport
from backend.health import Pulse
from koschei.config import Config
from koschei.db.engine import Database
from koschei.errors import BusError, ConfigError, EventError
from koschei.koji.session import KojiSession
from koschei.messaging.bus import BusState, Outgoing
from koschei.messaging.events import PACKAGE_STATE_CHANGE, package_state_change
from koschei.model import OutboxEvent
from koschei.watching import EarlyTasks

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OUTAGE = "bus unreachable since 2026-11-22 12:00:00 UTC"


@dataclass
class Broker:
    """A bus whose broker takes what it is told to take."""

    connected: bool = True
    outage: str | None = None
    refusals: dict[str, Exception] = field(default_factory=dict)
    taken: list[Outgoing] = field(default_factory=list)
    then: Any = None

    def state(self) -> BusState:
        return BusState(self.connected, NOW, self.outage)

    def publish(self, message: Outgoing) -> None:
        error = self.refusals.get(message.body["name"])
        if error is not None:
            raise error
        self.taken.append(message)
        if self.then:
            self.then()

    def names(self) -> list[str]:
        return [message.body["name"] for message in self.taken]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.dispose()


def context(database: Database, *, enabled: bool = True, config_file: Path | None = None) -> Context:
    config = Config.model_validate(
        {
            "fedmsg": {"instance": "secondary", "config_file": config_file and str(config_file)},
            "fedmsg-publisher": {"enabled": enabled, "modname": "kos"},
        }
    )
    stop = threading.Event()
    return Context(config, database, KojiSession(config.koji_config), stop, Pulse("watcher"))


def queue(database: Database, *names: str) -> list[OutboxEvent]:
    with database.begin() as session:
        for name in names:
            body = package_state_change(
                name=name, old="ok", new="failing", collection="f43", collection_name="Fedora 43", groups=()
            ).body
            session.execute(insert(OutboxEvent), [{"kind": PACKAGE_STATE_CHANGE, "body": body}])
    return rows(database)


def rows(database: Database) -> list[OutboxEvent]:
    with database.begin() as session:
        return list(session.scalars(select(OutboxEvent).order_by(OutboxEvent.id)))


def age(database: Database, name: str, hours: float) -> None:
    made = datetime.now(UTC) - timedelta(hours=hours)
    with database.begin() as session:
        session.execute(update(OutboxEvent).where(OutboxEvent.body["name"].astext == name).values(created=made))


def sent(database: Database) -> list[str]:
    return [row.body["name"] for row in rows(database) if row.sent is not None]


def run(context: Context, broker: Broker) -> PassReport:
    return watcher.one_pass(context, broker, EarlyTasks())  # type: ignore[arg-type]


def test_the_outbox_is_sent_in_order_and_marked(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "BATCH", 2)
    events = queue(database, "a", "b", "c", "d", "e")
    broker = Broker()
    report = run(context(database), broker)
    assert broker.names() == ["a", "b", "c", "d", "e"] == sent(database)
    assert [message.message_id for message in broker.taken] == [str(event.message_id) for event in events]
    assert {(message.modname, message.koji_instance, message.kind) for message in broker.taken} == {
        ("kos", "secondary", PACKAGE_STATE_CHANGE)
    }
    assert (report.errors, report.detail["sent"], report.detail["waiting"]) == ([], 5, 0)
    assert [(row.attempts, row.last_error) for row in rows(database)] == [(1, None)] * 5
    assert run(context(database), broker).detail["sent"] == 0
    assert len(broker.taken) == 5


def test_the_first_event_that_the_broker_does_not_take_stops_the_rest(database: Database) -> None:
    queue(database, "a", "b", "c")
    broker = Broker(refusals={"b": BusError("the broker did not confirm a message within 15 s")})
    report = run(context(database), broker)
    assert broker.names() == ["a"] == sent(database)
    assert report.errors == ["the broker did not confirm a message within 15 s"]
    assert report.detail["waiting"] == 2
    second = rows(database)[1]
    assert (second.attempts, second.last_error) == (1, "the broker did not confirm a message within 15 s")
    assert rows(database)[2].attempts == 0
    broker.refusals.clear()
    assert run(context(database), broker).errors == []
    assert broker.names() == ["a", "b", "c"] == sent(database)
    assert rows(database)[1].last_error is None


def test_an_event_that_can_never_be_sent_is_reported_and_does_not_hold_up_the_others(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watcher, "BATCH", 1)
    queue(database, "a", "b", "c")
    broker = Broker(refusals={"a": EventError("it fits no schema")})
    report = run(context(database), broker)
    assert broker.names() == ["b", "c"]
    assert len(report.errors) == 1
    assert report.errors[0].endswith("it fits no schema")
    assert rows(database)[0].sent is None


def test_each_event_is_marked_before_the_next_is_sent(database: Database) -> None:
    queue(database, "a", "b", "c")
    marked: list[list[str]] = []
    broker = Broker()
    broker.then = lambda: marked.append(sent(database))
    run(context(database), broker)
    assert marked == [[], ["a"], ["a", "b"]]


def test_stopping_leaves_the_rest_for_the_next_process(database: Database) -> None:
    queue(database, "a", "b", "c")
    broker = Broker()
    service = context(database)
    broker.then = service.stop.set
    run(service, broker)
    assert broker.names() == ["a"] == sent(database)


def test_nothing_is_sent_unless_the_publisher_is_enabled(database: Database) -> None:
    queue(database, "a")
    broker = Broker()
    report = run(context(database, enabled=False), broker)
    assert broker.taken == []
    assert (report.errors, report.detail["waiting"]) == ([], 1)


def test_an_outage_of_the_bus_is_reported_while_passes_go_on(database: Database) -> None:
    queue(database, "a")
    broker = Broker(connected=False, outage=OUTAGE)
    report = run(context(database), broker)
    assert report.errors == [OUTAGE]
    assert (report.detail["bus"], report.detail["waiting"]) == ("unreachable", 1)
    assert rows(database)[0].attempts == 0
    broker.connected, broker.outage = True, None
    assert run(context(database), broker).detail["bus"] == "connected"
    assert sent(database) == ["a"]


def test_a_broker_that_does_not_let_us_consume_still_takes_our_events(database: Database) -> None:
    queue(database, "a")
    report = run(context(database), Broker(outage="the broker does not let us consume: no queue"))
    assert sent(database) == ["a"]
    assert report.errors == ["the broker does not let us consume: no queue"]


def test_a_first_connection_under_way_is_no_outage(database: Database) -> None:
    report = run(context(database), Broker(connected=False))
    assert (report.errors, report.detail["bus"]) == ([], "connecting")


def test_without_a_broker_it_only_says_what_waits(database: Database) -> None:
    queue(database, "a", "b")
    one_pass = watcher.prepare(context(database))
    report = one_pass()
    assert (report.detail, report.errors, report.idle) == ({"bus": "not configured", "waiting": 2}, [], True)
    assert REGISTRY.get_sample_value("koschei_events_waiting") == 2
    assert sent(database) == []


@pytest.mark.parametrize("bus", [True, False])
def test_while_nobody_sends_events_that_are_news_no_more_are_let_go_of(database: Database, bus: bool) -> None:
    queue(database, "old", "young")
    age(database, "old", hours=25)
    broker = Broker()
    service = context(database, enabled=False)
    report = run(service, broker) if bus else watcher.prepare(service)()
    assert report.detail["waiting"] == 1
    run(context(database), broker)
    assert broker.names() == ["young"] == sent(database)


def test_an_outage_however_long_loses_no_event(database: Database) -> None:
    queue(database, "old", "young")
    age(database, "old", hours=2500)
    broker = Broker(connected=False, outage=OUTAGE)
    run(context(database), broker)
    broker.connected, broker.outage = True, None
    run(context(database), broker)
    assert broker.names() == ["old", "young"]


def test_a_configuration_file_that_is_not_there_yet_is_looked_for_again(database: Database, tmp_path: Path) -> None:
    service = context(database, config_file=tmp_path / "absent.toml")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"absent\.toml"):
            watcher.prepare(service)
