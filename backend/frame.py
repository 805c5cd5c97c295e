"""The frame every service runs in: passes, waking, back-off, pulse, clean stop.

A service is a function of its context that does one pass. It never sleeps, and it looks at `context.stopping` between
steps. What it raises is reported and tried again with growing patience; nothing but a signal ends the process.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import FrameType
from typing import Any

import structlog

from backend import metrics
from backend.health import HealthServer, Pulse
from koschei import status
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.locks import HeldLock, LockSpace, try_lock
from koschei.db.notify import Listener
from koschei.errors import DatabaseError, KoscheiError
from koschei.koji.session import KojiSession

log = structlog.get_logger(__name__)

STOP_SECONDS = 8.0
"""After a signal a pass may take this long to end by itself; then the process ends. Everything is transactional."""
LONGEST_BACK_OFF = 60.0
IDLE_FACTOR = 10


@dataclass
class Context:
    """What a service works with."""

    config: Config
    database: Database
    koji: KojiSession
    stop: threading.Event
    pulse: Pulse

    def now(self) -> datetime:
        """The time, UTC."""
        return datetime.now(UTC)

    def stopping(self) -> bool:
        """Whether to leave off; asking also tells the health port that work goes on."""
        self.pulse.progress()
        return self.stop.is_set()


@dataclass
class PassReport:
    """What a pass did. `errors` name what went wrong for some of the work while the rest went on."""

    detail: Mapping[str, Any] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    idle: bool = False


@dataclass(frozen=True)
class Service:
    """A service: its name, what makes its pass, and whether only one process may do it at a time."""

    name: str
    number: int
    prepare: Callable[[Context], Callable[[], PassReport]]
    exclusive: bool = True

    @property
    def key(self) -> str:
        """Its name in the configuration."""
        return self.name.replace("-", "_")


class Runner:
    """Runs one service until it is told to stop."""

    def __init__(self, service: Service, config: Config) -> None:
        self.service = service
        self.settings = getattr(config.services, service.key)
        url = config.database_url()
        self.stop = threading.Event()
        self.pulse = Pulse(service.name)
        self.context = Context(
            config=config,
            database=Database(url, application_name=f"koschei-{service.name}"),
            koji=KojiSession(config.koji_config, stop=self.stop),
            stop=self.stop,
            pulse=self.pulse,
        )
        self.listener = Listener(url, service.name)
        self.instance = f"{socket.gethostname()}:{os.getpid()}"
        self.lock: HeldLock | None = None
        self.failures = 0
        self.last_error: str | None = None

    def run(self) -> None:
        """Pass after pass; returns when stopped by SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        with HealthServer(self.pulse, self.settings.health_host, self.settings.health_port):
            log.info("started", instance=self.instance)
            self._announce()
            one_pass: Callable[[], PassReport] | None = None
            while not self.stop.is_set():
                self.pulse.progress()
                self.listener.listen()
                try:
                    if not self._mine():
                        self.pulse.standby()
                        self.listener.wait(min(self.settings.interval, 5.0))
                        continue
                    one_pass = one_pass or self.service.prepare(self.context)
                    report = self._timed(one_pass)
                except Exception as error:  # the frame is what services heal in: whatever it was is tried again
                    self._failed(error)
                    report = None
                if not self.stop.is_set():
                    self.listener.wait(self._patience(report))
        self._close()
        log.info("stopped")

    def _timed(self, one_pass: Callable[[], PassReport]) -> PassReport:
        started = time.monotonic()
        now = self.context.now()
        self._pulse(lambda s: status.pass_started(s, self.service.name, self.instance, self.settings.interval, now))
        report = one_pass()
        seconds = time.monotonic() - started
        metrics.PASS_SECONDS.labels(self.service.name).observe(seconds)
        if report.errors:
            self._failed(KoscheiError("; ".join(report.errors)))
        else:
            self._succeeded(report)
        return report

    def _succeeded(self, report: PassReport) -> None:
        now = self.context.now()
        if self.last_error is not None:
            log.info("works again", after_failures=self.failures)
        self.failures, self.last_error = 0, None
        self.pulse.success(now, report.detail)
        metrics.LAST_SUCCESS.labels(self.service.name).set(now.timestamp())
        self._pulse(lambda s: status.pass_finished(s, self.service.name, now, report.detail))

    def _failed(self, error: Exception) -> None:
        """Report a failure: in the log once per different text, on the health port and in the database each time."""
        text = str(error) if isinstance(error, KoscheiError) else f"{type(error).__name__}: {error}"
        self.failures += 1
        metrics.PASS_FAILURES.labels(self.service.name).inc()
        if text != self.last_error:
            if isinstance(error, KoscheiError):
                log.warning("pass failed; trying again", error=text)
            else:
                log.exception("pass failed by a mistake of ours; trying again", exc_info=error)
        self.last_error = text
        now = self.context.now()
        self.pulse.failure(now, text)
        self._pulse(lambda s: status.pass_failed(s, self.service.name, now, text))

    def _patience(self, report: PassReport | None) -> float:
        """Seconds until the next pass when nothing wakes us."""
        if self.failures:
            delay = min(LONGEST_BACK_OFF, 0.5 * 2 ** min(self.failures, 10))
            return float(min(delay, max(self.settings.interval, 1.0) * 4) * random.uniform(0.5, 1.5))  # noqa: S311
        return float(self.settings.interval * (IDLE_FACTOR if report is not None and report.idle else 1))

    def _mine(self) -> bool:
        """Whether this process is the one that works; a second replica stands by until the first is gone."""
        if not self.service.exclusive:
            return True
        if self.lock is not None and self.lock.alive():
            return True
        if self.lock is not None:
            self.lock.release()
            self.lock = None
        self.lock = try_lock(self.context.database.engine, LockSpace.SERVICE, self.service.number)
        return self.lock is not None

    def _announce(self) -> None:
        now = self.context.now()
        self._pulse(lambda s: status.started(s, self.service.name, self.instance, self.settings.interval, now))

    def _pulse(self, write: Callable[[Any], None]) -> None:
        try:
            with self.context.database.begin() as session:
                write(session)
        except DatabaseError as error:
            log.debug("the pulse could not be stored", error=str(error))

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stop.set()
        self.listener.interrupt()
        killer = threading.Timer(STOP_SECONDS, os._exit, args=(0,))
        killer.daemon = True
        killer.start()

    def _close(self) -> None:
        if self.lock is not None:
            self.lock.release()
        self.context.koji.close()
        self.listener.close()
        self.context.database.dispose()
