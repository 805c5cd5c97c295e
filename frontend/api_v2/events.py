"""Events: the changes of state that messages and webhooks tell of, for those who would rather ask."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from frontend import context
from frontend.api_v2 import cursors
from frontend.api_v2.declare import get
from frontend.api_v2.problems import InvalidRequest
from frontend.api_v2.values import Answer, GroupName, Name, Page, Paged
from koschei import webhook_queue
from koschei.messaging.events import complete
from koschei.queries import api_events
from koschei.queries.api_events import Wanted

TAG = "Events"
PLACED = 5000
"""So many events get their place in one request: more can only be waiting before anybody ever asked."""
GONE = (
    "events behind this cursor may have been deleted meanwhile. Look at the present states (/api/v2/packages), "
    "then begin anew with start=now"
)


class EventQuery(Paged):
    """Which events are listed."""

    start: Annotated[
        Literal["oldest", "now"], Field(description="Without a cursor: from the oldest event kept, or from now on.")
    ] = "oldest"
    kind: Annotated[
        list[Literal["package.state.change", "collection.state.change"]],
        Field(description="Only those of this kind.", max_length=10, default_factory=list),
    ]
    collection: Annotated[
        list[Name], Field(description="Only those in this collection.", max_length=100, default_factory=list)
    ]
    package: Annotated[
        list[Name],
        Field(
            description="Only those of this package; with `group`, those that fit either.",
            max_length=200,
            default_factory=list,
        ),
    ]
    group: Annotated[
        list[GroupName], Field(description="Only those of packages in this group.", max_length=50, default_factory=list)
    ]


class Event(Answer):
    """A change of state; the same as its message on the bus and as webhooks post it."""

    id: UUID = Field(description="The same wherever the event is told.")
    kind: str
    time: datetime
    body: dict[str, Any] = Field(description="The body of the message; see the page about messages.")


class EventPage(Page):
    """A page of events. `next` is always there: ask again with it."""

    items: list[Event]
    more: bool = Field(description="Whether there already are events behind; if not, wait a while before asking.")


@get("/events", tag=TAG, query=EventQuery, answer=EventPage, errors=(410,))
def events(query: EventQuery) -> EventPage:
    """List the events behind a cursor, in their order.

    Keep the `next` of each answer, and ask for it again: every event comes once, in an order that never changes, and
    nothing appears later before what was read. A cursor is good for `retention.events_days` (30) days, then the answer
    is 410. A page may have fewer items than `limit`, or none, and still `more` behind.
    """
    position = _position(query)
    _place()
    session, now = context.session(), context.now()
    if position is None:
        position = 0 if query.start == "oldest" else api_events.newest(session)
    wanted = Wanted(
        frozenset(query.kind), frozenset(query.collection), frozenset(query.package), frozenset(query.group)
    )
    found = api_events.behind(session, position, wanted, query.limit)
    # To the hour, so that as long as nothing happens the answer stays the same to the letter.
    safe = min(now, found.safe or now).replace(minute=0, second=0, microsecond=0)
    cursor = cursors.encode("events", found.position, safe.isoformat())
    koji = context.frontend().config.fedmsg.instance
    return EventPage(
        items=[Event(id=e.id, kind=e.kind, time=e.time, body=complete(e.kind, e.body, koji)) for e in found.events],
        more=found.more,
        next=cursors.next_address(query, cursor),
    )


def _position(query: EventQuery) -> int | None:
    values = cursors.decode(query.cursor, "events", int, str)
    if values is None:
        return None
    position, safe = int(values[0]), cursors.moment(values[1])
    days = context.frontend().config.retention.events_days
    if days and context.now() - safe > timedelta(days=days):
        raise InvalidRequest.of("cursor", GONE, 410)
    return position


def _place() -> None:
    """Have what was stored since somebody asked last get its place in the order, in a short transaction of its own."""
    if not webhook_queue.unplaced(context.session()):
        return
    context.close()  # a new one sees what is placed now
    with context.frontend().database.begin() as session:
        webhook_queue.place(session, PLACED)
