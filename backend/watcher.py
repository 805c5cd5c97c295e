"""watcher: the gateway to the bus. Sends what is in the outbox, in order, and reacts to Koji's messages.

Without a broker it only counts what waits, and lets go of what is news no more: everything else works, and polling sees
what no message tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from typing import Any

from backend import metrics, webhooks
from backend.frame import Context, PassReport, Service
from koschei import outbox, parking, watching
from koschei.errors import BusError, EventError, KojiError
from koschei.koji.session import KojiSession
from koschei.messaging.bus import Bus, Outgoing
from koschei.messaging.receiver import Handler, Parked, Receiver
from koschei.model import OutboxEvent

BATCH = 100


def prepare(context: Context) -> Callable[[], PassReport]:
    """The watcher's pass; with a broker configured, messages are received from now on."""
    config_file = context.config.fedmsg.config_file
    if config_file is None:
        return lambda: _pass_without_bus(context)
    early = watching.EarlyTasks()
    with ExitStack() as opened:
        # A Koji session is for one thread only, so that of the messages is not the context's. Nor does it say that we
        # live: that is about the loop.
        koji = opened.enter_context(KojiSession(context.config.koji_config, stop=context.stop))
        receiver = Receiver(
            _handler(context, koji, early),
            lambda outcome: metrics.MESSAGES_SEEN.labels(outcome).inc(),
            park=lambda message: _park(context, message),
        )
        bus = Bus(config_file, receiver, clock=context.now, on_connected=context.wake)
        opened.callback(bus.close)
        bus.start()
        context.at_close.enter_context(opened.pop_all())
    return lambda: one_pass(context, bus, early)


def _pass_without_bus(context: Context) -> PassReport:
    _let_go(context)
    return PassReport({"bus": "not configured", "waiting": _waiting(context)}, idle=True)


def one_pass(context: Context, bus: Bus, early: watching.EarlyTasks) -> PassReport:
    """Send what waits, as far as the broker takes it; look at tasks that were told of early; say how the bus is."""
    state = bus.state()
    report = PassReport()
    sent = 0
    if not context.config.fedmsg_publisher.enabled:
        _let_go(context)
    elif state.connected:
        sent = send(context, bus, report)
        state = bus.state()
    try:
        watching.follow_up(context.database, context.koji, context.config, early, context.now())
    except KojiError as error:
        report.errors.append(str(error))
    if state.outage is not None:
        report.errors.insert(0, state.outage)
    word = "connected" if state.connected else "unreachable" if state.outage else "connecting"
    with context.database.begin() as session:
        parked = parking.count(session)
    report.detail = {
        "bus": word,
        "since": state.since.isoformat(),
        "sent": sent,
        "waiting": _waiting(context),
        "parked": parked,
    }
    return report


def send(context: Context, bus: Bus, report: PassReport) -> int:
    """Send the outbox, oldest first, and mark each event that the broker confirmed; how many those were.

    The first one that the broker does not take ends it, so that events keep their order. One that fits no schema can
    never be sent: it is reported and passed over, lest everything wait behind it.
    """
    sent, after = 0, 0
    while not context.stopping():
        with context.database.begin() as session:
            events = outbox.unsent(session, BATCH, after=after)
        for event in events:
            after = event.id
            if context.stopping():
                return sent
            try:
                bus.publish(_outgoing(context, event))
            except EventError as error:
                _mark_failed(context, event, error)
                report.errors.append(f"event {event.id} cannot be sent: {error}")
            except BusError as error:
                _mark_failed(context, event, error)
                report.errors.append(str(error))
                return sent
            else:
                with context.database.begin() as session:
                    outbox.mark_sent(session, event.id, context.now())
                metrics.EVENTS_SENT.inc()
                sent += 1
        if len(events) < BATCH:
            break
    return sent


def _mark_failed(context: Context, event: OutboxEvent, error: BusError | EventError) -> None:
    with context.database.begin() as session:
        outbox.mark_failed(session, event.id, str(error))


def _outgoing(context: Context, event: OutboxEvent) -> Outgoing:
    return Outgoing(
        kind=event.kind,
        body=event.body,
        message_id=str(event.message_id),
        modname=context.config.fedmsg_publisher.modname,
        koji_instance=context.config.fedmsg.instance,
    )


def _waiting(context: Context) -> int:
    with context.database.begin() as session:
        waiting, _ = outbox.backlog(session)
    metrics.EVENTS_WAITING.set(waiting)
    return waiting


def _let_go(context: Context) -> None:
    """Nobody sends anything: old events must not be told as news when somebody does."""
    now = context.now()
    with context.database.begin() as session:
        outbox.let_go(session, now - timedelta(hours=context.config.fedmsg_publisher.max_age), now)


def _park(context: Context, message: Parked) -> None:
    with context.database.begin() as session:
        parking.park(session, message, context.now())


def _handler(context: Context, koji: KojiSession, early: watching.EarlyTasks) -> Handler:
    def handle(topic: str, body: Mapping[str, Any]) -> bool:
        return watching.handle(context.database, koji, context.config, topic, body, context.now(), early)

    return handle


SERVICE = Service("watcher", 1, webhooks.beside(prepare))
