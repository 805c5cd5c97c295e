"""The sender of webhooks: threads of the watcher's process, so that no receiver delays the bus or another receiver.

One thread looks for webhooks that have something to be told and starts a thread for each, which ends when all is told
or something fails. PostgreSQL says who may send, so that a second watcher sends nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from backend import metrics
from backend.frame import Context, PassReport
from koschei import webhook_queue, webhooks
from koschei.config import Config
from koschei.db.engine import Database
from koschei.db.locks import HeldLock, LockSpace, try_lock
from koschei.db.notify import Listener
from koschei.errors import ConfigError, DatabaseError, KoscheiError
from koschei.messaging.http_post import Poster

log = structlog.get_logger(__name__)

Prepare = Callable[[Context], Callable[[], PassReport]]

LONGEST_WAIT = 30.0
"""Seconds between two looks when nothing wakes it; notifications and retries do."""
SHORTEST_WAIT = 0.05
COUNT_SECONDS = 10.0
CLOSE_SECONDS = 3.0


class Sender:
    """Delivers events to webhooks from `start` to `close`. `clock` tells the time, UTC."""

    def __init__(self, config: Config, database: Database, clock: Callable[[], datetime] = lambda: datetime.now(UTC)):
        self._config = config
        self._database = database
        self._clock = clock
        self._stop = threading.Event()
        self._listener = Listener(config.database_url(), "watcher")
        self._lock: HeldLock | None = None
        self._busy: dict[int, threading.Thread] = {}
        self._guard = threading.Lock()
        self._told: str | None = None
        self._counted = 0.0
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Stop within seconds. A delivery that does not end by then is left alone, and is repeated by the next."""
        self._stop.set()
        self._listener.interrupt()
        until = time.monotonic() + CLOSE_SECONDS
        with self._guard:
            threads = [self._thread, *self._busy.values()]
        for thread in threads:
            if thread.is_alive():
                thread.join(max(0.0, until - time.monotonic()))
        if not self._thread.is_alive():
            self._listener.close()
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            self._listener.listen()
            try:
                wait = self._round()
                failures = 0
                self._told = None
            except Exception as error:  # whatever it was is tried again: nobody else would send
                failures += 1
                wait = min(LONGEST_WAIT, 0.5 * 2.0 ** min(failures, 10))
                self._tell(error)
                self._stop.wait(wait)  # notifications must not defeat a back-off
                continue
            self._listener.wait(wait)

    def _tell(self, error: Exception) -> None:
        text = f"{type(error).__name__}: {error}"
        if text != self._told:
            if isinstance(error, KoscheiError):
                log.warning("webhooks cannot be sent; trying again", error=str(error))
            else:
                log.exception("sending webhooks failed by a mistake of ours; trying again", exc_info=error)
        self._told = text

    def _round(self) -> float:
        """Start a thread for each webhook that is due; how many seconds to wait until the next look."""
        if not self._mine():
            return 5.0
        now = self._clock()
        with self._database.begin() as session:
            if not webhook_queue.any_enabled(session):
                metrics.WEBHOOKS_WAITING.set(0)
                return LONGEST_WAIT
            webhook_queue.place(session)
        with self._database.begin() as session:
            due = webhook_queue.due(session, now)
            retry = webhook_queue.next_retry(session)
        self._count()
        for webhook_id in due:
            self._work_on(webhook_id)
        left = LONGEST_WAIT if retry is None or retry <= now else (retry - self._clock()).total_seconds()
        return min(LONGEST_WAIT, max(SHORTEST_WAIT, left))

    def _mine(self) -> bool:
        """Whether this process is the one that sends."""
        if self._lock is not None and not self._lock.alive():
            self._lock.release()
            self._lock = None
        self._lock = self._lock or try_lock(self._database.engine, LockSpace.WEBHOOKS, 0)
        return self._lock is not None

    def _count(self) -> None:
        """What waits is counted from time to time only: the backlog of a dead receiver may be long."""
        if time.monotonic() - self._counted < COUNT_SECONDS:
            return
        self._counted = time.monotonic()
        with self._database.read() as session:
            metrics.WEBHOOKS_WAITING.set(sum(webhook_queue.waiting(session, enabled=True).values()))

    def _work_on(self, webhook_id: int) -> None:
        with self._guard:
            if webhook_id in self._busy:
                return
            thread = threading.Thread(target=self._work, args=(webhook_id,), name=f"webhook-{webhook_id}", daemon=True)
            self._busy[webhook_id] = thread
        thread.start()

    def _work(self, webhook_id: int) -> None:
        """Tell one webhook what waits for it, in order; until something fails, or nothing is left."""
        failed = False
        try:
            poster = Poster(self._config.webhooks)
            try:
                while not self._stop.is_set() and self._deliver_next(webhook_id, poster):
                    pass
            finally:
                poster.close()
        except (ConfigError, DatabaseError) as error:
            failed = True
            log.warning("webhook not sent; trying again", webhook=webhook_id, error=str(error))
        except Exception as error:  # a mistake with one webhook must not end in silence
            failed = True
            log.exception("webhook not sent by a mistake of ours; trying again", webhook=webhook_id, exc_info=error)
        if failed:
            self._stop.wait(5)
        with self._guard:
            del self._busy[webhook_id]
        if not self._stop.is_set():
            self._listener.nudge()

    def _deliver_next(self, webhook_id: int, poster: Poster) -> bool:
        """One attempt; whether to go on with the next."""
        with self._database.begin() as session:
            job = webhook_queue.take(session, webhook_id, self._clock())
        if job is None:
            return False
        post = webhooks.post_of(self._config, job, self._clock())
        answer = webhooks.deliver(poster, self._config.webhooks, post)
        now = self._clock()
        with self._database.begin() as session:
            outcome = webhook_queue.record(session, self._config.webhooks, job, answer, now)
        if outcome is None:
            return False
        metrics.WEBHOOK_DELIVERIES.labels(outcome).inc()
        log.info("webhook", webhook=webhook_id, id=job.message_id, outcome=str(outcome), error=answer.error)
        return outcome is webhook_queue.Outcome.DELIVERED


def beside(prepare: Prepare) -> Prepare:
    """A service's preparation that also starts a sender, which ends with the service."""

    def both(context: Context) -> Callable[[], PassReport]:
        one_pass = prepare(context)
        sender = Sender(context.config, context.database, context.now)
        context.at_close.callback(sender.close)
        sender.start()
        return one_pass

    return both
