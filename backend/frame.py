"""The frame every service runs in: passes, waking, back-off, pulse, clean stop.

A service is a function of its context that does one pass. It never sleeps, and it looks at `context.stopping` between
steps. What it raises is reported and tried again with growing patience; nothing but a signal ends the process.

A pass may take hours and be alive all the time: each look at `context.stopping`, each answer of Koji and each piece of
a download says so. A call that never ends says nothing.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
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
from koschei.queries.revision import readiness

log = structlog.get_logger(__name__)

STOP_SECONDS = 8.0
"""After a signal a pass may take this long to end by itself; then the process ends. Everything is transactional."""
LONGEST_BACK_OFF = 60.0
IDLE_FACTOR = 10
LONGEST_SILENCE = 60.0
"""However long a service waits, it says this often that it is alive."""
STOPPING_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass
class Context:
    """What a service works with. What it opens for longer than a pass it closes by way of `at_close`."""

    config: Config
    database: Database
    koji: KojiSession
    stop: threading.Event
    pulse: Pulse
    at_close: ExitStack = field(default_factory=ExitStack)
    wake: Callable[[], None] = lambda: None
    """Have the next pass begin now; for other threads of the same process (those of other processes use NOTIFY)."""

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
        """Connects to nothing yet, but takes the health port. Raises ConfigError."""
        self.service = service
        self.settings = getattr(config.services, service.key)
        url = config.database_url()
        self.stop = threading.Event()
        self.pulse = Pulse(service.name)
        self.health = HealthServer(self.pulse, self.settings.health_host, self.settings.health_port)
        self.listener = Listener(url, service.name)
        self.context = Context(
            config=config,
            database=Database(url, application_name=f"koschei-{service.name}"),
            koji=KojiSession(config.koji_config, stop=self.stop, alive=self.pulse.progress),
            stop=self.stop,
            pulse=self.pulse,
            wake=self.listener.nudge,
        )
        self.instance = f"{socket.gethostname()}:{os.getpid()}"
        self.lock: HeldLock | None = None
        self.failures = 0
        self.last_error: str | None = None

    def run(self) -> None:
        """Pass after pass; returns when stopped by SIGTERM or SIGINT. For the main thread."""
        self._stop_on_signals()
        self.loop()

    def loop(self) -> None:
        """Pass after pass, until `stop` is set and the listener interrupted."""
        with self.health:
            log.info("started", instance=self.instance)
            one_pass: Callable[[], PassReport] | None = None
            while not self.stop.is_set():
                self.pulse.progress()
                self.listener.listen()
                report = None
                try:
                    if not self._mine():
                        self.pulse.standby()
                        self.listener.wait(min(self.settings.interval, 5.0))
                        continue
                    self._require_tables()
                    one_pass = one_pass or self.service.prepare(self.context)
                    report = self._timed(one_pass)
                except Exception as error:  # the frame is what services heal in: whatever it was is tried again
                    self._failed(error)
                self._rest(self._patience(report), wakeable=report is not None)
            self._close()
        log.info("stopped")

    def _require_tables(self) -> None:
        """Before each pass, not only the first: the database may be migrated under us, past what this code can use."""
        with self.context.database.begin() as session:
            found = readiness(session)
        if not found.usable:
            raise DatabaseError(found.words)

    def _timed(self, one_pass: Callable[[], PassReport]) -> PassReport:
        started = time.monotonic()
        now = self.context.now()
        self._pulse(lambda s: status.pass_started(s, self.service.name, self.instance, self.settings.interval, now))
        report = one_pass()
        seconds = time.monotonic() - started
        metrics.PASS_SECONDS.labels(self.service.name).observe(seconds)
        if report.errors:
            self._failed(KoscheiError("; ".join(report.errors)), report.detail)
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

    def _failed(self, error: Exception, detail: Mapping[str, Any] | None = None) -> None:
        """Report a failure: in the log once per different text, on the health port and in the database each time."""
        if self.stop.is_set() and isinstance(error, KoscheiError):
            # Calls are broken off so that we can end: no operator should hear of a failure for each restart.
            log.debug("pass broken off by the end of the service", error=str(error))
            return
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
        self.pulse.failure(now, text, detail)
        self._pulse(lambda s: status.pass_failed(s, self.service.name, now, text))

    def _patience(self, report: PassReport | None) -> float:
        """Seconds until the next pass.

        After a failure they grow to a minute or four intervals, whichever is shorter. What fails again and again in
        part, while the rest is done, is not worth more than the usual interval: the whole pass is repeated for it.
        """
        interval = float(self.settings.interval)
        if self.failures:
            longest = min(LONGEST_BACK_OFF, max(interval, 1.0) * 4)
            if report is not None:
                longest = max(longest, interval)
            return min(longest, 0.5 * 2.0 ** min(self.failures, 20)) * random.uniform(0.5, 1.5)  # noqa: S311
        return interval * (IDLE_FACTOR if report is not None and report.idle else 1)

    def _rest(self, seconds: float, *, wakeable: bool) -> None:
        """Wait, and say meanwhile that we live. Notifications end it, but not a back-off: they would defeat it."""
        deadline = time.monotonic() + seconds
        while not self.stop.is_set() and (left := deadline - time.monotonic()) > 0:
            self.pulse.progress()
            if self.listener.wait(min(left, LONGEST_SILENCE)) and wakeable:
                return

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
        if self.lock is not None:
            self._announce()
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
        except Exception as error:  # no tables yet, perhaps: the pass will tell, and the pulse must not end the process
            log.debug("the pulse could not be stored", exc_info=error)

    def _stop_on_signals(self) -> None:
        """Have a thread stop us when a signal comes.

        A handler in Python would run on the main thread, only when that is not inside of a library that waits (for a
        row lock in PostgreSQL, say), and could wait for a lock that the interrupted code holds.
        """
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        for number in STOPPING_SIGNALS:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        threading.Thread(target=self._await_signal, args=(reader,), name="signals", daemon=True).start()

    def _await_signal(self, reader: int) -> None:
        while os.read(reader, 1)[0] not in STOPPING_SIGNALS:
            pass
        self.stop.set()
        self.listener.interrupt()
        time.sleep(STOP_SECONDS)
        os._exit(0)

    def _close(self) -> None:
        try:
            self.context.at_close.close()
            self.context.koji.close()
            if self.lock is not None:
                self.lock.release()
        except Exception as error:  # the process ends anyway, and with it whatever would not close
            log.warning("not everything could be closed", exc_info=error)
        self.listener.close()
        self.context.database.dispose()
