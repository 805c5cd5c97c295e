"""The sender of webhooks against real receivers: each is told everything in order, whatever the others do."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import insert, select, text, update

from backend.webhooks import Sender
from koschei import webhooks
from koschei.audit import Actor
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.notify import wake
from koschei.messaging.events import package_state_change
from koschei.model import Environment, OutboxEvent, Webhook
from koschei.webhooks import Health, Summary, Wish
from tests.receivers import Receiver, nobody, receiver, says, sends, settings, waits
from tests.support import wait_until

REPOSITORY = Path(__file__).parents[2]
ALICE = Actor(Environment.ADMIN, "alice")
QUICK = {"retry_delay": 0.05, "longest_retry_delay": 0.2, "timeout": 30}


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.dispose()


def configuration(database: Database, **more: Any) -> Config:
    return Config.model_validate({"db_url": database.url, "webhooks": settings(**{**QUICK, **more})})


MakeSender = Callable[..., Sender]


@pytest.fixture
def sender(database: Database) -> Iterator[MakeSender]:
    """Starts a sender with these settings."""
    made = []

    def make(**more: Any) -> Sender:
        made.append((Sender(configuration(database, **more), own := Database(database.url)), own))
        made[-1][0].start()
        return made[-1][0]

    yield make
    for one, own in made:
        one.close()
        own.dispose()


def add(database: Database, name: str, url: str) -> None:
    with database.begin() as session:
        webhooks.add(session, ALICE, configuration(database), name, Wish(url=url))


def happens_to(database: Database, *names: str) -> None:
    """The state of these packages changes."""
    with database.begin() as session:
        for name in names:
            event = package_state_change(
                name=name, old="ok", new="failing", collection="f43", collection_name="Fedora 43", groups=()
            )
            session.execute(insert(OutboxEvent).values(kind=event.kind, body=event.body))
        wake(session, "watcher")


def summary(database: Database, name: str) -> Summary:
    with database.begin() as session:
        return webhooks.detail(session, name)[0]


def wait_for(found: Receiver, *names: str) -> None:
    wait_until(lambda: found.names() == list(names), message=f"{names} to be told")


def deliveries(outcome: str) -> float:
    return REGISTRY.get_sample_value("koschei_webhook_deliveries_total", {"outcome": outcome}) or 0


def test_what_happens_is_told_at_once_and_in_order(database: Database, sender: MakeSender) -> None:
    before = deliveries("delivered")
    with receiver() as found:
        add(database, "hook", found.url())
        sender()
        happens_to(database, "a")
        wait_for(found, "a")
        happens_to(database, "b", "c", "d")
        wait_for(found, "a", "b", "c", "d")
        wait_until(lambda: summary(database, "hook").last_success and not summary(database, "hook").waiting)
        wait_until(lambda: deliveries("delivered") == before + 4)
    with database.begin() as session:
        ids = [str(row) for row in session.scalars(select(OutboxEvent.message_id).order_by(OutboxEvent.id))]
    assert [request.id for request in found.requests] == ids == [request.event["id"] for request in found.requests]


def test_what_happened_while_nobody_sent_is_told_later(database: Database, sender: MakeSender) -> None:
    with receiver() as found:
        add(database, "hook", found.url())
        happens_to(database, *"abc")
        sender()
        wait_for(found, *"abc")


def test_a_webhook_that_is_made_later_is_told_too(database: Database, sender: MakeSender) -> None:
    with receiver() as found:
        sender()
        happens_to(database, "old")
        add(database, "hook", found.url())
        happens_to(database, "new")
        wait_for(found, "new")


def test_a_receiver_that_hangs_or_is_dead_delays_only_itself(database: Database, sender: MakeSender) -> None:
    done = threading.Event()
    with receiver(waits(done)) as hanging, receiver(says(500)) as failing, receiver() as well:
        add(database, "a-dead", nobody())
        add(database, "b-hanging", hanging.url())
        add(database, "c-failing", failing.url())
        add(database, "d-well", well.url())
        sender(timeout=100)
        started = time.monotonic()
        for number in range(10):
            happens_to(database, f"p{number}")
        wait_for(well, *(f"p{number}" for number in range(10)))
        assert time.monotonic() - started < 50
        assert len(hanging.requests) == 1
        wait_until(lambda: summary(database, "a-dead").failures > 1 and summary(database, "c-failing").failures > 1)
        done.set()
        wait_until(lambda: len(hanging.requests) == 10)


def test_each_event_is_repeated_with_its_id_until_it_is_taken_and_none_overtakes_it(
    database: Database, sender: MakeSender
) -> None:
    with receiver() as found:
        found.answers += [
            says(500),
            sends(b""),
            sends(b"garbage\r\n\r\n"),
            says(302, Location="/elsewhere"),
            sends(b"HTTP/1.1 500 No\r\n\r\n" + b"x" * 1_000_000),
            says(200),
            says(429, Retry_After="1"),
        ]
        add(database, "hook", found.url())
        happens_to(database, "a", "b", "c")
        sender()
        wait_for(found, *["a"] * 6, "b", "b", "c")
    assert len({request.id for request in found.requests}) == 3
    assert len({request.text for request in found.requests}) == 3
    wait_until(lambda: summary(database, "hook").health is Health.OK)


def test_a_receiver_that_is_gone_is_disabled_at_once_and_told_the_rest_when_it_is_enabled(
    database: Database, sender: MakeSender
) -> None:
    with receiver() as found:
        found.answers.append(says(410))
        add(database, "hook", found.url())
        sender()
        happens_to(database, "a", "b")
        wait_until(lambda: summary(database, "hook").health is Health.DISABLED)
        assert found.names() == ["a"]
        with database.begin() as session:
            webhooks.enable(session, ALICE, "hook")
        wait_for(found, "a", "a", "b")


def test_an_address_that_the_settings_no_longer_allow_is_not_posted_to(database: Database, sender: MakeSender) -> None:
    with receiver() as found:
        add(database, "hook", found.url())
        happens_to(database, "a")
        sender(allow_http=False)
        wait_until(lambda: summary(database, "hook").failures > 1)
        assert "webhooks.allow_http" in summary(database, "hook").remarks
        assert found.requests == []


def test_a_deleted_webhook_ends_its_deliveries(database: Database, sender: MakeSender) -> None:
    done = threading.Event()
    with receiver(waits(done)) as found:
        add(database, "hook", found.url())
        happens_to(database, "a", "b")
        sender()
        wait_until(lambda: found.requests)
        with database.begin() as session:
            webhooks.delete(session, ALICE, "hook")
        done.set()
        add(database, "other", found.url("/other"))
        happens_to(database, "c")
        wait_until(lambda: found.requests[-1].path == "/other")
    assert found.names() == ["a", "c"]


def test_a_second_sender_stands_by_until_the_first_is_gone(database: Database, sender: MakeSender) -> None:
    with receiver() as found:
        add(database, "hook", found.url())
        first = sender()
        happens_to(database, "a")
        wait_for(found, "a")
        sender()
        happens_to(database, "b")
        wait_for(found, "a", "b")
        first.close()
        happens_to(database, "c")
        wait_for(found, "a", "b", "c")


def test_it_ends_in_seconds_though_a_receiver_hangs(database: Database, sender: MakeSender) -> None:
    done = threading.Event()
    with receiver(waits(done)) as found:
        add(database, "hook", found.url())
        one = sender(timeout=100)
        happens_to(database, "a")
        wait_until(lambda: found.requests)
        started = time.monotonic()
        one.close()
        assert time.monotonic() - started < 30
        done.set()


def test_it_goes_on_after_its_connections_were_cut(database: Database, sender: MakeSender) -> None:
    cut = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with receiver() as found:
        add(database, "hook", found.url())
        sender()
        for name in "abc":
            with database.begin() as session:
                session.execute(cut)
            happens_to(database, name)
            wait_until(lambda name=name: name in found.names())
        assert list(dict.fromkeys(found.names())) == ["a", "b", "c"]


def test_what_waits_is_counted(database: Database, sender: MakeSender) -> None:
    add(database, "one", nobody())
    add(database, "two", nobody())
    happens_to(database, *"abc")
    with database.begin() as session:
        webhooks.webhook_queue.place(session)
        session.execute(update(Webhook).where(Webhook.name == "two").values(enabled=False, disabled_reason="test"))
    sender()
    wait_until(lambda: REGISTRY.get_sample_value("koschei_webhook_events_waiting") == 3)


# --- the real process


@pytest.fixture
def watcher(database: Database, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts the watcher, as it is installed, without a bus."""
    config = tmp_path / "settings.toml"
    config.write_text(
        f'db_url = "{database.url}"\nservices.watcher.health_port = 0\n'
        '[webhooks]\nallow_http = true\nallowed_networks = ["127.0.0.0/8"]\nretry_delay = 0.1\n'
    )
    started: list[subprocess.Popen[str]] = []

    def start() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "backend.main", "watcher"]
        env = {"KOSCHEI_CONFIG": str(config), "PATH": "/usr/bin:/bin"}
        started.append(subprocess.Popen(command, cwd=REPOSITORY, env=env, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_a_watcher_that_is_killed_in_the_middle_repeats_the_event_with_its_id_and_goes_on(
    database: Database, watcher: Callable[[], subprocess.Popen[str]]
) -> None:
    done = threading.Event()
    with receiver() as found:
        found.answers += [says(200), waits(done)]
        add(database, "hook", found.url())
        happens_to(database, "a", "b", "c")
        process = watcher()
        wait_until(lambda: len(found.requests) == 2)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
        done.set()
        process = watcher()
        wait_for(found, "a", "b", "b", "c")
        first, again = found.requests[1:3]
        assert (first.id, first.text) == (again.id, again.text)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert '"stopped"' in process.stderr.read()  # or else it was ended after STOP_SECONDS
