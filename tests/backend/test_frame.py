"""The frame of the services: it heals, wakes, backs off, stands by and stops, against a real PostgreSQL."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, select, text
from sqlalchemy.pool import NullPool
from structlog.testing import capture_logs

from backend.frame import LONGEST_BACK_OFF, Context, PassReport, Runner, Service
from demo.postgres import Postgres
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.notify import wake
from koschei.db.schema import upgrade
from koschei.errors import DatabaseError, KojiOutage
from koschei.model import ServiceStatus
from tests.backend.conftest import Process, Serve, Spawn
from tests.support import wait_until

FAST = 0.05


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """A server that a test may stop."""
    folder = Path(tempfile.mkdtemp(prefix="koschei-frame-"))
    folder.chmod(0o711)
    with Postgres(folder, durable=True) as server:
        yield server
    shutil.rmtree(folder)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    database = Database(database_url)
    yield database
    database.dispose()


def status(database: Database) -> ServiceStatus | None:
    with database.begin() as session:
        return session.scalars(select(ServiceStatus).where(ServiceStatus.service == "scheduler")).one_or_none()


@pytest.mark.parametrize("error", [KojiOutage("Koji is away"), RuntimeError("a mistake")], ids=["outage", "mistake"])
def test_a_pass_that_raises_is_tried_again_and_reported_once(
    serve: Serve, database_url: str, database: Database, error: Exception
) -> None:
    calls = []

    def one_pass(context: Context) -> PassReport:
        calls.append(1)
        if len(calls) <= 3:
            raise error
        return PassReport({"done": len(calls)})

    with capture_logs() as logs:
        service = serve(database_url, one_pass, interval=FAST)
        wait_until(lambda: len(calls) >= 5)
        service.stop()
    said = [entry["event"] for entry in logs if entry["event"].startswith("pass failed")]
    assert len(said) == 1
    assert [entry["after_failures"] for entry in logs if entry["event"] == "works again"] == [3]
    row = status(database)
    assert row is not None
    assert (row.error, row.error_since, row.failures) == (None, None, 0)


def test_a_failing_service_says_so_everywhere_until_it_works(
    serve: Serve, database_url: str, database: Database
) -> None:
    broken = [True]

    def one_pass(context: Context) -> PassReport:
        if broken:
            raise KojiOutage("Koji is away")
        return PassReport({"fine": True})

    service = serve(database_url, one_pass, interval=FAST)
    wait_until(lambda: service.runner.failures >= 2)
    assert service.health.status("live") == 200
    assert service.health.status("ready") == 503
    facts = service.health.facts()
    assert (facts["state"], facts["error"]) == ("failing", "Koji is away")
    assert facts["failing_since"]
    row = wait_until(lambda: (found := status(database)) and found.failures >= 2 and found, message="it to be stored")
    assert row.error == "Koji is away"
    broken.clear()
    wait_until(lambda: service.health.status("ready") == 200)
    assert "error" not in service.health.facts()
    assert "failing_since" not in service.health.facts()


def test_what_fails_in_part_is_a_failure_with_a_detail(serve: Serve, database_url: str) -> None:
    service = serve(database_url, lambda context: PassReport({"others": 3}, errors=["f43: no", "f44: no"]))
    wait_until(lambda: service.health.facts().get("state") == "failing")
    facts = service.health.facts()
    assert (facts["error"], facts["detail"]) == ("f43: no; f44: no", {"others": 3})


def runner(interval: float) -> Runner:
    config = Config.model_validate({"services": {"scheduler": {"interval": interval, "health_port": 0}}})
    return Runner(Service("scheduler", 1, lambda context: PassReport), config)


@pytest.mark.parametrize(("interval", "longest"), [(0.1, 4), (3, 12), (1200, LONGEST_BACK_OFF)])
def test_back_off_grows_to_a_bound_and_ends_with_success(interval: float, longest: float) -> None:
    service = runner(interval)
    bounds = []
    for failures in range(1, 40):
        service.failures = failures
        delays = [service._patience(None) for _ in range(50)]
        middle = min(longest, 0.5 * 2**failures)
        assert all(0.5 * middle <= delay <= 1.5 * middle for delay in delays)
        assert len(set(delays)) > 1, "no jitter"
        bounds.append(middle)
    assert bounds == sorted(bounds)
    assert bounds[-1] == longest
    service.failures = 0
    assert service._patience(PassReport()) == interval
    assert service._patience(PassReport(idle=True)) == 10 * interval
    service._close()


def test_what_fails_in_part_for_ever_is_tried_no_more_often_than_it_would_be_anyway() -> None:
    service = runner(1200)
    service.failures = 30
    assert service._patience(PassReport(errors=["f43: no"])) >= 600
    service._close()


def test_a_notification_wakes_long_before_the_interval(serve: Serve, database_url: str, database: Database) -> None:
    calls: list[float] = []

    def one_pass(context: Context) -> PassReport:
        calls.append(time.monotonic())
        return PassReport()

    serve(database_url, one_pass, interval=600)
    wait_until(lambda: calls)
    wait_until(lambda: status(database) is not None and status(database).pass_finished is not None)
    with database.begin() as session:
        wake(session, "polling")
    told = time.monotonic()
    with database.begin() as session:
        wake(session, "scheduler")
    wait_until(lambda: len(calls) == 2)
    assert calls[1] >= told, "woken by what another service was told"
    assert calls[1] - told < 30


def test_another_thread_can_wake_it(serve: Serve, database_url: str) -> None:
    calls: list[int] = []

    def one_pass(context: Context) -> PassReport:
        calls.append(1)
        return PassReport()

    service = serve(database_url, one_pass, interval=600)
    wait_until(lambda: calls)
    service.runner.context.wake()
    wait_until(lambda: len(calls) == 2)


def test_notifications_do_not_shorten_a_back_off(
    serve: Serve, database_url: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.frame.random.uniform", lambda shortest, longest: longest)
    calls: list[int] = []

    def one_pass(context: Context) -> PassReport:
        calls.append(1)
        raise KojiOutage("Koji is away")

    service = serve(database_url, one_pass, interval=600)
    wait_until(lambda: service.runner.failures >= 3)  # the next one is six seconds away
    seen = len(calls)
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        with database.begin() as session:
            wake(session, "scheduler")
    assert len(calls) == seen


def test_a_waiting_service_goes_on_saying_that_it_lives(
    serve: Serve, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.frame.LONGEST_SILENCE", 0.05)
    calls: list[int] = []

    def one_pass(context: Context) -> PassReport:
        calls.append(1)
        return PassReport()

    service = serve(database_url, one_pass, interval=600)
    wait_until(lambda: service.health.status("ready") == 200)
    for _ in range(3):
        later = time.monotonic()
        wait_until(lambda later=later: service.runner.pulse._progressed > later, message="a sign of life")
    assert service.health.status("live") == 200
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("behaviour", "number"),
    [
        ("works", signal.SIGTERM),
        ("works", signal.SIGINT),
        ("polite", signal.SIGTERM),
        ("waits-in-postgresql", signal.SIGTERM),
        ("deaf", signal.SIGTERM),
    ],
)
def test_a_signal_ends_it_within_seconds_whatever_it_does(
    spawn: Spawn, database_url: str, behaviour: str, number: signal.Signals
) -> None:
    process = spawn(database_url, behaviour)
    assert process.popen.stdout is not None
    wait_until(lambda: "pass" in process.popen.stdout.readline(), 60)
    if behaviour == "works":
        wait_until(lambda: process.health.status("ready") == 200)
    started = time.monotonic()
    process.popen.send_signal(number)
    assert process.popen.wait(60) == 0
    assert time.monotonic() - started < 40
    log = process.log()
    assert "Traceback" not in log
    assert ('"stopped"' in log) == (behaviour in ("works", "polite")), log


def test_a_second_replica_stands_by_and_takes_over_when_the_first_is_killed(spawn: Spawn, database_url: str) -> None:
    def state(process: Process) -> str | None:
        facts = process.health.facts()
        return facts.get("state")

    first = spawn(database_url, interval=0.2)
    wait_until(lambda: state(first) == "working", 60)
    second = spawn(database_url, interval=0.2)
    wait_until(lambda: state(second) == "standby", 60)
    assert second.health.status("ready") == 200
    assert state(first) == "working"
    first.popen.kill()
    wait_until(lambda: state(second) == "working")


def test_it_heals_when_postgresql_is_killed_and_comes_back(serve: Serve, own_postgres: Postgres) -> None:
    url = own_postgres.create_database("koschei")
    upgrade(url)
    calls: list[int] = []

    def one_pass(context: Context) -> PassReport:
        with context.database.begin() as session:
            session.execute(text("SELECT 1"))
        calls.append(1)
        return PassReport()

    with capture_logs() as logs:
        service = serve(url, one_pass, interval=FAST)
        wait_until(lambda: len(calls) > 2)
        own_postgres.kill()
        wait_until(lambda: service.health.status("ready") == 503)
        assert service.health.status("live") == 200
        assert "PostgreSQL" in service.health.facts()["error"]
        own_postgres.start()
        seen = len(calls)
        wait_until(lambda: len(calls) > seen + 2, 60)
        wait_until(lambda: service.health.status("ready") == 200)
        engine = create_engine(url, poolclass=NullPool)
        with engine.connect() as connection:
            held = connection.execute(text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")).scalar_one()
        assert held == 1
        service.stop()
    assert not [entry for entry in logs if "mistake" in entry["event"]], "an outage is no mistake of ours"


def test_it_hears_notifications_after_an_outage(serve: Serve, own_postgres: Postgres) -> None:
    url = own_postgres.create_database("koschei")
    upgrade(url)
    calls: list[int] = []

    def one_pass(context: Context) -> PassReport:
        with context.database.begin() as session:
            session.execute(text("SELECT 1"))
        calls.append(1)
        return PassReport()

    service = serve(url, one_pass, interval=600)
    wait_until(lambda: calls)
    own_postgres.kill()
    wait_until(lambda: service.runner.failures > 0)
    own_postgres.start()
    wait_until(lambda: service.runner.failures == 0, 60)
    seen = len(calls)
    database = Database(url)
    with database.begin() as session:
        wake(session, "scheduler")
    database.dispose()
    wait_until(lambda: len(calls) > seen)


def test_it_starts_without_a_database_and_works_when_there_is_one(serve: Serve, own_postgres: Postgres) -> None:
    url = own_postgres.create_database("koschei")
    own_postgres.stop()

    def one_pass(context: Context) -> PassReport:
        with context.database.begin() as session:
            session.execute(select(ServiceStatus))
        return PassReport({"works": True})

    with capture_logs() as logs:
        service = serve(url, one_pass, interval=FAST)
        wait_until(lambda: service.runner.failures >= 2)
        assert service.health.status("live") == 200
        assert service.health.status("ready") == 503
        assert [e["log_level"] for e in logs if e["event"].startswith("pass failed")] == ["warning"]
    own_postgres.start()
    wait_until(lambda: "no Koschei tables" in service.health.facts()["error"], 60)
    upgrade(url)
    wait_until(lambda: service.health.status("ready") == 200, 60)


def test_a_lock_is_not_to_be_had_without_a_database(own_postgres: Postgres) -> None:
    from koschei.db.locks import LockSpace, try_lock

    database = Database(own_postgres.create_database("koschei"))
    lock = try_lock(database.engine, LockSpace.SERVICE, 1)
    assert lock is not None
    assert lock.alive()
    own_postgres.kill()
    assert not lock.alive()
    assert not lock.alive()
    lock.release()
    with pytest.raises(DatabaseError):
        try_lock(database.engine, LockSpace.SERVICE, 1)
    database.dispose()


def test_what_a_service_opens_is_closed_in_turn(serve: Serve, database_url: str) -> None:
    closed: list[str] = []

    def one_pass(context: Context) -> PassReport:
        if not closed:
            context.at_close.callback(closed.append, "outer")
            context.at_close.callback(closed.append, "inner")
        return PassReport()

    service = serve(database_url, one_pass)
    wait_until(lambda: service.health.status("ready") == 200)
    assert closed == []
    service.stop()
    assert closed == ["inner", "outer"]
