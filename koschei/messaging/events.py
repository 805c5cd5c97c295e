"""Our events as the message library of the field defines them (koschei-messages); checked when they are made.

`koji_instance` is not part of a stored event: it belongs to the publisher's configuration and is added when sending.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jsonschema.exceptions import best_match
from jsonschema.validators import validator_for

from koschei.errors import EventError

PACKAGE_STATE_CHANGE = "package.state.change"
COLLECTION_STATE_CHANGE = "collection.state.change"

KINDS = (PACKAGE_STATE_CHANGE, COLLECTION_STATE_CHANGE)


@cache
def message_class(kind: str) -> Any:
    """The class of messages of one of KINDS. The library is slow to load, so nobody loads it who makes no event."""
    from koschei_messages.collection import CollectionStateChange
    from koschei_messages.package import PackageStateChange

    return {PACKAGE_STATE_CHANGE: PackageStateChange, COLLECTION_STATE_CHANGE: CollectionStateChange}[kind]


@dataclass(frozen=True)
class Event:
    """An event of one kind; its topic is `<modname>.<kind>`."""

    kind: str
    body: dict[str, Any]


def package_state_change(
    *, name: str, old: str, new: str, collection: str, collection_name: str, groups: Iterable[str]
) -> Event:
    """A package's state, as messages tell it (ok, failing, unresolved, ignored), became another one."""
    return _checked(
        PACKAGE_STATE_CHANGE,
        {
            "name": name,
            "old": old,
            "new": new,
            "repo": collection,  # the name of old for "collection", which consumers still read
            "collection": collection,
            "collection_name": collection_name,
            "groups": list(groups),
        },
    )


def collection_state_change(*, old: str, new: str, collection: str, collection_name: str, repo_id: int) -> Event:
    """A collection's base buildroot became ok or unresolved. The schema wants the repository's id as text."""
    return _checked(
        COLLECTION_STATE_CHANGE,
        {
            "old": str(old),
            "new": str(new),
            "collection": collection,
            "collection_name": collection_name,
            "repo_id": str(repo_id),
        },
    )


def complete(kind: str, body: Mapping[str, Any], koji_instance: str) -> dict[str, Any]:
    """The body as everybody is told it: on the bus, by webhooks, and by the API."""
    return {**body, "koji_instance": koji_instance}


def _checked(kind: str, body: dict[str, Any]) -> Event:
    """Errors: EventError where the event is made, rather than at the broker, when it does not fit its schema."""
    error = best_match(_validator(kind).iter_errors(complete(kind, body, "primary")))
    if error is not None:
        raise EventError(f"{kind}: {error.message} in {body!r}")
    return Event(kind, body)


@cache
def _validator(kind: str) -> Any:
    """That of a kind's bodies. `jsonschema.validate` would look at the schema itself again for every event."""
    schema = message_class(kind).body_schema
    return validator_for(schema)(schema)
